//! Whom we believe to be a provider: the system's trust anchors, and those of `ca_file` beside them.

use crate::config::TrustAnchors;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{WrappedX509, parse_x509};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use thiserror::Error;

/// Trust anchors for one provider.
#[derive(Clone, Default)]
pub struct Trust {
    /// `None`: the system's, which the connector holds already.
    pub(super) anchors: Option<Arc<CaType>>,
    /// Connections of peers that trust others must not be shared; the pool keeps groups apart.
    pub(super) group: u64,
}

#[derive(Debug, Error)]
pub enum TrustError {
    #[error("the system's trust anchors cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error(
        "the system has no trust anchors, so no provider's certificate could be verified: \
         install the package ca-certificates, or set SSL_CERT_FILE"
    )]
    Empty,
    #[error("a certificate of ca_file cannot be parsed")]
    Invalid,
}

impl Trust {
    /// The system's anchors and those of `ca_file`; none for a server without TLS.
    pub fn of(ca_file: Option<&TrustAnchors>, is_tls: bool) -> Result<Trust, TrustError> {
        match ca_file {
            Some(file) => Trust::system_and(&file.certificates),
            None if is_tls => Trust::system(),
            None => Ok(Trust::default()),
        }
    }

    /// The system's anchors; says so at start when there are none, rather than at each handshake.
    pub fn system() -> Result<Trust, TrustError> {
        match rustls_native_certs::load_native_certs() {
            Ok(anchors) if anchors.is_empty() => Err(TrustError::Empty),
            Ok(_) => Ok(Trust::default()),
            Err(error) => Err(TrustError::Unreadable(error)),
        }
    }

    /// The system's anchors and these (DER). A system without anchors is fine here.
    pub fn system_and(extra: &[Vec<u8>]) -> Result<Trust, TrustError> {
        let system = rustls_native_certs::load_native_certs().unwrap_or_default();
        let mut anchors = Vec::with_capacity(system.len() + extra.len());
        let mut group = DefaultHasher::new();
        for der in extra {
            // Pingora's parser panics on what is no certificate.
            if !is_certificate(der) {
                return Err(TrustError::Invalid);
            }
            der.hash(&mut group);
            anchors.push(WrappedX509::new(der.clone(), parse_x509));
        }
        let known = system.into_iter().map(|der| der.as_ref().to_vec()).filter(|der| is_certificate(der));
        anchors.extend(known.map(|der| WrappedX509::new(der, parse_x509)));
        Ok(Trust { anchors: Some(Arc::from(anchors)), group: group.finish() })
    }
}

fn is_certificate(der: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok()
}
