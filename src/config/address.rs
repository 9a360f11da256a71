//! The address of an HTTP service, as it is written in the config.

use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// `https://api.example.com:8443/v1`, taken apart. Displays as the URL again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseAddress {
    /// `https` rather than `http`.
    pub tls: bool,
    /// A host name in lower case, or an IP address; IPv6 without its brackets.
    pub host: String,
    /// The port, 443 or 80 when none is written.
    pub port: u16,
    /// Percent-encoded, with a leading and no trailing slash; may be empty.
    pub path: String,
}

impl BaseAddress {
    /// Reads a URL of scheme `http` or `https` without user, query and fragment.
    ///
    /// The error says what is wrong with it and repeats nothing of it: a URL may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let tls = lower.starts_with("https://");
        if !tls && !lower.starts_with("http://") {
            return Err("a URL begins with https:// or http://".into());
        }
        // The URL parser would mend these silently.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err("a URL holds no spaces, control characters or backslashes".into());
        }
        for (mark, what) in [('@', "user name or password"), ('?', "query"), ('#', "fragment")] {
            if text.contains(mark) {
                return Err(format!("this URL may not have a {what}"));
            }
        }
        // Nor would it mind slashes before the host.
        if text.split("://").nth(1).is_none_or(|rest| rest.starts_with('/')) {
            return Err("the URL has no host".into());
        }
        let url = Url::parse(text).map_err(|error| format!("not a valid URL: {error}"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("the URL has no host".into()),
        };
        match url.port_or_known_default() {
            None | Some(0) => Err("the port of a URL is 1 to 65535".into()),
            Some(port) => Ok(BaseAddress { tls, host, port, path: url.path().trim_end_matches('/').to_owned() }),
        }
    }

    /// The host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// What goes into `Host`: brackets around IPv6, the port unless it is the scheme's own.
    pub fn authority(&self) -> String {
        authority(self.tls, &self.host, self.port)
    }
}

/// `host[:port]`, as it stands in a URL.
pub(super) fn authority(tls: bool, host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match (tls, port) {
        (true, 443) | (false, 80) => host,
        _ => format!("{host}:{port}"),
    }
}

pub(super) fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

impl fmt::Display for BaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", scheme(self.tls), self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together_again() {
        let table = [
            ("https://api.openai.com/v1", "https://api.openai.com/v1", true, "api.openai.com", 443, "/v1"),
            ("HTTPS://API.OpenAI.com/v1/", "https://api.openai.com/v1", true, "api.openai.com", 443, "/v1"),
            ("https://queue.fal.run", "https://queue.fal.run", true, "queue.fal.run", 443, ""),
            ("http://127.0.0.1:30000/v1", "http://127.0.0.1:30000/v1", false, "127.0.0.1", 30000, "/v1"),
            ("http://[::1]:80/", "http://[::1]", false, "::1", 80, ""),
            ("https://[2001:DB8::1]:8443/a/b", "https://[2001:db8::1]:8443/a/b", true, "2001:db8::1", 8443, "/a/b"),
            ("http://host:443", "http://host:443", false, "host", 443, ""),
            (
                "https://bücher.example/ü",
                "https://xn--bcher-kva.example/%C3%BC",
                true,
                "xn--bcher-kva.example",
                443,
                "/%C3%BC",
            ),
        ];
        for (text, shown, tls, host, port, path) in table {
            let address = BaseAddress::parse(text).expect(text);
            assert_eq!(address, BaseAddress { tls, host: host.into(), port, path: path.into() }, "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(BaseAddress::parse(shown), Ok(address));
        }
    }

    #[test]
    fn what_is_no_base_address_is_refused_without_being_repeated() {
        let table = [
            "",
            "api.openai.com",
            "ftp://secret",
            "https:/secret",
            "https://",
            "https:///secret/x",
            "https://user:secret@host/",
            "https://secret@host",
            "https://host/?key=secret",
            "https://host/#secret",
            "https://host:0/secret",
            "https://host:99999/secret",
            "https://ho st/secret",
            "https://host\\secret",
            " https://secret",
            "https://secret\n",
            "https://[::1/secret",
            "https://[secret]/",
            "https://256.256.256.256/secret",
            "https://%zz/secret",
        ];
        for text in table {
            let message = BaseAddress::parse(text).expect_err(text);
            assert!(!message.contains("secret"), "{text}: {message}");
        }
    }

    #[test]
    fn loopback_is_localhost_and_its_addresses() {
        let table = [
            ("http://localhost:1", true),
            ("http://LOCALHOST", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://[::2]", false),
        ];
        for (text, want) in table {
            assert_eq!(BaseAddress::parse(text).map(|address| address.is_loopback()), Ok(want), "{text}");
        }
    }
}
