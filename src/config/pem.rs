//! Certificates and keys in PEM files.

use super::tree::Value;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::PathBuf;

/// Extra certificates to trust for one provider.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustAnchors {
    /// The file they came from.
    pub path: PathBuf,
    /// The certificates as DER; at least one.
    pub certificates: Vec<Vec<u8>>,
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} certificates)", self.path.display(), self.certificates.len())
    }
}

/// A path to a PEM file with at least one certificate.
pub(super) fn trust_anchors(value: &Value) -> Option<TrustAnchors> {
    let path = value.path_text()?;
    let bytes = value.reading.file(&path).map_err(|message| value.fault(message)).ok()?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(found) if !found.is_empty() => {
            Some(TrustAnchors { path, certificates: found.iter().map(|der| der.to_vec()).collect() })
        }
        Ok(_) => complain(value, &path, "a PEM file with at least one certificate"),
        Err(_) => complain(value, &path, "a PEM file with certificates, unbroken"),
    }
}

/// A path to a PEM file with a certificate chain.
pub(super) fn chain(value: &Value) -> Option<PathBuf> {
    trust_anchors(value).map(|chain| chain.path)
}

/// A path to a PEM file with a private key.
pub(super) fn private_key(value: &Value) -> Option<PathBuf> {
    let path = value.path_text()?;
    let bytes = value.reading.file(&path).map_err(|message| value.fault(message)).ok()?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(_) => Some(path),
        Err(_) => complain(value, &path, "a PEM file with a private key"),
    }
}

/// What such a file holds is never shown: it may be a key.
fn complain<T>(value: &Value, path: &std::path::Path, expected: &str) -> Option<T> {
    value.fault(format!("expected {expected}, found something else in {}", path.display()));
    None
}
