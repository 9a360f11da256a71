//! Where clients and operators reach the proxy.

use super::pem::{self, TrustAnchors};
use super::section::Section;
use super::tree::Value;
use super::yaml::Node;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

const EXPECTED: &str = "an IP address and a port such as 127.0.0.1:8080 or [::1]:8080";
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// One address for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address; default 127.0.0.1:8080.
    pub addr: SocketAddr,
    /// TLS on this address; default none.
    pub tls: Option<Tls>,
}

/// The files of a TLS listener. All were readable PEM when the config was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Certificates one of which must have issued that of a client; default none is asked for.
    pub client_ca: Option<TrustAnchors>,
}

/// Reads `listen` and `admin`.
pub(super) fn read(root: &mut Section) -> (Vec<Listen>, Option<SocketAddr>) {
    let mut taken: Vec<SocketAddr> = Vec::new();
    let mut listen = Vec::new();
    match root.take("listen") {
        None => {
            taken.push(DEFAULT);
            listen.push(Listen { addr: DEFAULT, tls: None });
        }
        Some(value) => {
            let items = value.one_or_many();
            if items.is_empty() {
                value.fault(format!("expected {EXPECTED}, found an empty list"));
            }
            listen.extend(items.iter().filter_map(|item| one(item, &mut taken)));
        }
    }
    let admin = match root.take("admin") {
        Some(value) if value.is_null() => None,
        Some(value) => address(&value, &mut taken),
        None => {
            if taken.iter().any(|other| clash(*other, DEFAULT_ADMIN)) {
                root.fault(
                    "admin",
                    format!(
                        "the default {DEFAULT_ADMIN} is among the `listen` addresses; expected another address, or null"
                    ),
                );
            }
            Some(DEFAULT_ADMIN)
        }
    };
    (listen, admin)
}

fn one(item: &Value, taken: &mut Vec<SocketAddr>) -> Option<Listen> {
    if !matches!(item.node, Node::Map(_)) {
        return Some(Listen { addr: address(item, taken)?, tls: None });
    }
    item.section(|section| {
        let addr = section.required("addr", EXPECTED, |value| address(value, taken));
        let tls = section.optional("tls", |value| value.section(tls)?);
        Some(Listen { addr: addr?, tls })
    })?
}

fn tls(section: &mut Section) -> Option<Tls> {
    let cert = section.required("cert", "the path of a PEM file with the certificate chain", pem::chain);
    let key = section.required("key", "the path of a PEM file with the private key", pem::private_key);
    let client_ca = section.optional("client_ca", pem::trust_anchors);
    Some(Tls { cert: cert?, key: key?, client_ca })
}

/// Reads an address that no other listener has.
fn address(value: &Value, taken: &mut Vec<SocketAddr>) -> Option<SocketAddr> {
    let parsed = value.as_text().and_then(|text| text.parse().ok());
    let addr: SocketAddr = parsed.or_else(|| value.wrong(EXPECTED))?;
    if let Some(other) = taken.iter().find(|other| clash(**other, addr)) {
        value.fault(format!("expected an address of its own, found {addr}, which {other} takes already"));
    }
    taken.push(addr);
    Some(addr)
}

/// Whether both cannot be bound at once. Port 0 is a free port, each time another.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let overlap = a.ip() == b.ip() || (same_family && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() != 0 && a.port() == b.port() && overlap
}
