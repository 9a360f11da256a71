//! Which links of a provider's answer are followed, and with what: the answer is somebody else's word, and may name the
//! metadata service of a cloud, a machine next door, or a host that would like to have our key.

use crate::config::{BaseAddress, Content};
use crate::providers::Provider;
use crate::upstream::Reach;
use crate::video::{ApiError, ErrorKind};
use url::{Host, Url};

/// A link that may be followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub address: BaseAddress,
    /// Path and query.
    pub path: String,
    pub reach: Reach,
    /// It is at the provider's own API.
    pub is_own: bool,
    /// The provider's credentials may go there.
    pub takes_credentials: bool,
    /// The region of S3 for which a call must be signed.
    pub s3_region: Option<String>,
}

/// What links are held against.
pub(super) struct Guard<'a> {
    pub row: &'a Provider,
    pub settings: &'a Content,
    /// The address of the API.
    pub own: &'a BaseAddress,
}

impl Guard<'_> {
    /// Checks a link by what is written in it. The addresses that its name stands for are checked when it is connected
    /// to, see [`Reach`].
    pub fn admit(&self, link: &Url) -> Result<Target, ApiError> {
        let tls = match link.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(refusal(&format!("its scheme is {other}, not https"))),
        };
        if !link.username().is_empty() || link.password().is_some() {
            return Err(refusal("it holds a user name or a password"));
        }
        let host = match link.host() {
            Some(Host::Domain(name)) => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(refusal("it has no host")),
        };
        let port = link.port_or_known_default().filter(|port| *port > 0).ok_or_else(|| refusal("it has no port"))?;
        let path = link.query().map_or_else(|| link.path().to_owned(), |query| format!("{}?{query}", link.path()));
        let address = BaseAddress { tls, host, port, path: String::new() };
        let is_own = (address.tls, &address.host, address.port) == (self.own.tls, &self.own.host, self.own.port);
        let reach = if is_own { Reach::Anywhere } else { self.reach(&address)? };
        Ok(Target { address, path, reach, is_own, takes_credentials: is_own, s3_region: None })
    }

    /// Whether the settings name this host, wherever it is.
    pub fn is_named(&self, address: &BaseAddress) -> bool {
        let is_it = |entry: &String| is_named_by(entry, &address.host, address.port);
        self.settings.allow_hosts.iter().any(is_it)
    }

    /// Whether results of this kind live on this host.
    pub fn is_home_of_results(&self, host: &str) -> bool {
        self.row.link_hosts.iter().any(|entry| is_below(entry, host))
    }

    /// How far connections to this host may reach, if it is one that results live on.
    fn reach(&self, address: &BaseAddress) -> Result<Reach, ApiError> {
        let host = address.host.as_str();
        if self.is_named(address) {
            return Ok(Reach::Anywhere);
        }
        if !address.tls {
            return Err(refusal(&format!("it leads to {host} without https")));
        }
        if address.port != 443 || !self.is_home_of_results(host) {
            let detail =
                format!("{} is not among the hosts that results of {} live on", address.authority(), self.row.kind);
            return Err(refusal(&detail));
        }
        Ok(Reach::Public)
    }
}

/// Why a link is not followed; `why` holds nothing of it but its host.
pub(super) fn refusal(why: &str) -> ApiError {
    let detail = format!(
        "A result link of {{p}} is not followed: {why}. If it is meant to be, the operator can name its host in content.allow_hosts."
    );
    ApiError::because(ErrorKind::UpstreamInvalidResponse, detail)
}

/// An entry of the settings: `host`, `host:port` or `.suffix`, IPv6 in brackets or without.
fn is_named_by(entry: &str, host: &str, port: u16) -> bool {
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    is_below(entry, host) || entry == bracketed || entry == format!("{bracketed}:{port}")
}

/// An entry of a row: a host, or `.suffix` for all hosts below it.
fn is_below(entry: &str, host: &str) -> bool {
    match entry.starts_with('.') {
        true => host.len() > entry.len() && host.ends_with(entry),
        false => host == entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ContentMode;
    use crate::providers::find;
    use std::time::Duration;

    fn admitted(link: &str, allow: &[&str]) -> Result<(Reach, bool), String> {
        let settings = Content {
            mode: ContentMode::Stream,
            allow_hosts: allow.iter().map(|host| (*host).to_owned()).collect(),
            idle_timeout: Duration::from_secs(1),
            storage_url: None,
        };
        let own = BaseAddress::parse("http://127.0.0.1:9000/v1").unwrap();
        let guard = Guard { row: find("replicate").unwrap(), settings: &settings, own: &own };
        let link = Url::parse(link).unwrap();
        guard.admit(&link).map(|target| (target.reach, target.is_own)).map_err(|error| error.message(Some("r")))
    }

    #[test]
    fn only_hosts_of_the_kind_and_of_the_settings_are_followed() {
        let public = Some((Reach::Public, false));
        let named = Some((Reach::Anywhere, false));
        let none: &[&str] = &[];
        let table = [
            ("https://replicate.delivery/a/b.mp4?x=1", none, public),
            ("https://pbxt.replicate.delivery/b.mp4", none, public),
            ("https://REPLICATE.delivery/b.mp4", none, public),
            ("http://127.0.0.1:9000/v1/files/x", none, Some((Reach::Anywhere, true))),
            ("https://127.0.0.1:9000/v1/files/x", none, None),
            ("http://127.0.0.1:9001/", none, None),
            ("http://127.0.0.1:9001/", &["127.0.0.1:9001"], named),
            ("http://127.0.0.1:9002/", &["127.0.0.1:9001"], None),
            ("http://127.0.0.1:9002/", &["127.0.0.1"], named),
            ("https://[::1]:8443/", &["[::1]:8443"], named),
            ("https://a.cdn.test/", &[".cdn.test"], named),
            ("https://cdn.test/", &[".cdn.test"], None),
            ("https://evil-replicate.delivery/b.mp4", none, None),
            ("https://replicate.delivery.evil.test/b.mp4", none, None),
            ("https://replicate.delivery:8443/b.mp4", none, None),
            ("https://replicate.delivery./b.mp4", none, None),
            ("http://replicate.delivery/b.mp4", none, None),
            ("https://replicate.delivery@evil.test/", none, None),
            ("https://u:p@replicate.delivery/", none, None),
            ("https://localhost/", none, None),
            ("https://169.254.169.254/latest/meta-data/", none, None),
            ("https://2852039166/", none, None),
            ("https://0x7f.1/", none, None),
            ("https://[::ffff:127.0.0.1]/", none, None),
            ("file:///etc/passwd", none, None),
            ("ftp://replicate.delivery/b.mp4", none, None),
            ("data:text/html,x", none, None),
        ];
        for (link, allow, want) in table {
            let got = admitted(link, allow);
            assert_eq!(got.as_ref().ok(), want.as_ref(), "{link}: {got:?}");
            if let Err(message) = got {
                assert!(
                    message.starts_with("A result link of r is not followed: ") && !message.contains("x=1"),
                    "{message}"
                );
            }
        }
    }
}
