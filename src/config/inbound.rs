//! What clients may do before they are asked who they are: sizes, times and numbers, and whose word about them counts.

use super::section::Section;
use super::tree::Value;
use super::units::Rate;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// Bounds on connections and on the heads of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's line and headers; default 64 KiB, at most 1000 KiB.
    pub header_size: usize,
    /// How long they may take from the first byte to the last; default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may be idle; default 75 s.
    pub idle_timeout: Duration,
    /// Connections of clients at once; default 20 000.
    pub connections: usize,
}

/// How often clients may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRate {
    /// Requests of one address; default no limit.
    pub per_address: Option<Rate>,
    /// Polls that the cache answers are not counted, neither here nor for keys; default false.
    pub exempt_hits: bool,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Of the 128 bits of an IPv6 address; those of IPv4 are mapped into it.
    bits: u32,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ wide(address);
        differing.leading_zeros() >= self.bits
    }
}

/// Every address as one of IPv6.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = ();

    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address. Bits beyond the prefix must be zero: they hint at a mistake.
    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| ())?,
            Some(_) => return Err(()),
            None => width,
        };
        if length > width {
            return Err(());
        }
        let network = Network { address: wide(address), bits: 128 - width + length };
        let has_host_bits = network.address.checked_shl(network.bits).is_some_and(|rest| rest != 0);
        if has_host_bits { Err(()) } else { Ok(network) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.address);
        match address.to_ipv4_mapped().filter(|_| self.bits >= 96) {
            Some(address) => write!(f, "{address}/{}", self.bits - 96),
            None => write!(f, "{address}/{}", self.bits),
        }
    }
}

pub(super) fn limits(root: &mut Section) -> Limits {
    let mut limits = Limits {
        header_size: 64 << 10,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        connections: 20_000,
    };
    if let Some(value) = root.take("limits") {
        value.section(|section| {
            limits.header_size = section.or("header_size", limits.header_size, header_size);
            limits.header_timeout = section.or("header_timeout", limits.header_timeout, Value::time_above_zero);
            limits.idle_timeout = section.or("idle_timeout", limits.idle_timeout, Value::time_above_zero);
            limits.connections = section.or("connections", limits.connections, |value| value.whole(1..=10_000_000));
        });
    }
    limits
}

/// Pingora reads no head that is larger than 1 MiB.
fn header_size(value: &Value) -> Option<usize> {
    let size = usize::try_from(value.size()?).ok().filter(|size| (1 << 10..=1000 << 10).contains(size));
    size.or_else(|| value.wrong("a size from 1KiB to 1000KiB"))
}

pub(super) fn client_rate(root: &mut Section) -> ClientRate {
    let mut rate = ClientRate::default();
    if let Some(value) = root.take("client_rate") {
        value.section(|section| {
            rate.per_address = section.optional("per_address", Value::rate);
            rate.exempt_hits = section.or("exempt_hits", false, Value::flag);
        });
    }
    rate
}

pub(super) fn trusted_proxies(root: &mut Section) -> Vec<Network> {
    let Some(value) = root.take_set("trusted_proxies") else { return Vec::new() };
    value.one_or_many().iter().filter_map(network).collect()
}

fn network(value: &Value) -> Option<Network> {
    let read = value.as_text().and_then(|text| text.parse().ok());
    read.or_else(|| {
        value.wrong("a network such as 10.0.0.0/8 or fd00::/8, without bits beyond its prefix, or an address")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_they_are_written() {
        let table = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()), Ok(want.to_owned()), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "::/129", "::1/64", "10/8", "10.0.0.0/", "10.0.0.0/+8", "a/8"] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "8.8.8.8", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("127.0.0.1", "127.0.0.2", false),
        ];
        for (network, address, want) in table {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), want, "{network} {address}");
        }
    }
}
