//! Which address a client has, when there may be proxies in front of us.

use crate::config::Network;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use pingora::proxy::Session;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The proxies whose word counts.
#[derive(Debug, Default)]
pub(super) struct Trusted(Vec<Network>);

impl Trusted {
    pub fn new(networks: &[Network]) -> Trusted {
        Trusted(networks.to_vec())
    }

    /// The client's address: the peer's, or what trusted proxies say.
    pub fn client(&self, session: &Session) -> Option<IpAddr> {
        let peer = peer(session)?;
        Some(if self.has(peer) { self.behind(peer, &session.req_header().headers) } else { peer })
    }

    /// What a trusted proxy says about the scheme and the host that the client used; each may be missing.
    pub fn origin<'a>(&self, session: &'a Session) -> (Option<&'a str>, Option<&'a str>) {
        // Nobody is trusted, as a rule: then nothing is looked up.
        if self.0.is_empty() || !peer(session).is_some_and(|peer| self.has(peer)) {
            return (None, None);
        }
        let headers = &session.req_header().headers;
        let scheme = last(headers, &X_FORWARDED_PROTO);
        let known = ["https", "http"];
        let scheme = scheme.and_then(|text| known.into_iter().find(|name| name.eq_ignore_ascii_case(text)));
        (scheme, last(headers, &X_FORWARDED_HOST))
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The right-most address that is not one of ours. What stands left of it, or of something that is no address,
    /// anybody may have written.
    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        for hop in hops(headers).iter().rev() {
            match hop {
                Some(address) if self.has(*address) => client = *address,
                Some(address) => return *address,
                None => return client,
            }
        }
        client
    }
}

/// The address at the other end of the connection.
fn peer(session: &Session) -> Option<IpAddr> {
    Some(session.client_addr()?.as_inet()?.ip().to_canonical())
}

/// What `X-Forwarded-For` says, else what `Forwarded` does (RFC 7239), in order; `None` for what is no address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let items = |name: &HeaderName| -> Vec<String> {
        let lines = headers.get_all(name).iter();
        lines
            .flat_map(|line| String::from_utf8_lossy(line.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    if headers.contains_key(&X_FORWARDED_FOR) {
        return items(&X_FORWARDED_FOR).iter().map(|item| address(item)).collect();
    }
    let forwarded = |element: &String| {
        let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
        address(value.trim().trim_matches('"'))
    };
    items(&FORWARDED).iter().map(forwarded).collect()
}

/// An address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let parsed = text.parse().ok().or_else(bare);
    let address = parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The last item of a header, which the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_right_most_address_that_is_not_ours_is_the_clients() {
        let trusted = Trusted::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let table: &[(&str, &[&str], &str)] = &[
            ("x-forwarded-for", &["1.2.3.4"], "1.2.3.4"),
            ("x-forwarded-for", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("x-forwarded-for", &["6.6.6.6", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("x-forwarded-for", &["1.2.3.4:567"], "1.2.3.4"),
            ("x-forwarded-for", &["[2001:db8::1]:567, fd00::2"], "2001:db8::1"),
            ("x-forwarded-for", &["2001:db8::1"], "2001:db8::1"),
            ("x-forwarded-for", &["::ffff:1.2.3.4"], "1.2.3.4"),
            // A chain of ours only: its far end.
            ("x-forwarded-for", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // What cannot be read hides what stands left of it.
            ("x-forwarded-for", &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
            ("x-forwarded-for", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("x-forwarded-for", &[""], "10.0.0.1"),
            ("forwarded", &["for=6.6.6.6, for=1.2.3.4;proto=https, For=\"10.0.0.2:80\""], "1.2.3.4"),
            ("forwarded", &["proto=https;for=\"[2001:db8::1]:80\""], "2001:db8::1"),
            ("forwarded", &["for=_hidden"], "10.0.0.1"),
            ("x-other", &["1.2.3.4"], "10.0.0.1"),
        ];
        for (name, lines, want) in table {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(*name, HeaderValue::from_static(line));
            }
            let client = trusted.behind("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(client.to_string(), *want, "{name}: {lines:?}");
        }
    }
}
