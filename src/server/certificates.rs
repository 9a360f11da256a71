//! The certificates of our TLS listeners, which are read again with the config.

use crate::config::{Listen, Tls};
use arc_swap::ArcSwap;
use pingora::tls::sign::CertifiedKey;
use pingora::tls::{
    CertificateDer, ClientHello, CryptoProvider, PrivateKeyDer, ResolvesServerCert, install_default_crypto_provider,
};
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// What one listener shows to its clients. A handshake sees one certificate from start to end.
#[derive(Debug)]
pub(super) struct Shown(ArcSwap<CertifiedKey>);

/// One for each listener with TLS.
pub(super) struct Certificates(Vec<Certificate>);

struct Certificate {
    /// Its place among the listeners.
    index: usize,
    listen: Listen,
    shown: Arc<Shown>,
}

/// Certificates that were read and are in order, but are not shown yet.
pub(super) struct Fresh(Vec<(Arc<Shown>, Arc<CertifiedKey>)>);

impl Certificates {
    pub fn read(listen: &[Listen]) -> Result<Certificates, Vec<String>> {
        let (mut certificates, mut faults) = (Vec::new(), Vec::new());
        for (index, listen) in listen.iter().enumerate() {
            match listen.tls.as_ref().map(read) {
                Some(Ok(key)) => {
                    let shown = Arc::new(Shown(ArcSwap::from_pointee(key)));
                    certificates.push(Certificate { index, listen: listen.clone(), shown });
                }
                Some(Err(why)) => faults.push(format!("listen {}: {why}", listen.addr)),
                None => {}
            }
        }
        if faults.is_empty() { Ok(Certificates(certificates)) } else { Err(faults) }
    }

    /// The certificate of the listener at this place.
    pub fn of(&self, index: usize) -> Option<Arc<Shown>> {
        self.0.iter().find(|own| own.index == index).map(|own| Arc::clone(&own.shown))
    }

    /// Reads all again: from the files that the new settings name, else from those it began with.
    pub fn read_again(&self, listen: &[Listen]) -> Result<Fresh, Vec<String>> {
        let (mut fresh, mut faults) = (Vec::new(), Vec::new());
        for own in &self.0 {
            let named = listen.get(own.index).filter(|new| is_same_place(&own.listen, new));
            let Some(tls) = named.unwrap_or(&own.listen).tls.as_ref() else { continue };
            match read(tls) {
                Ok(key) => fresh.push((Arc::clone(&own.shown), Arc::new(key))),
                Err(why) => faults.push(why),
            }
        }
        if faults.is_empty() { Ok(Fresh(fresh)) } else { Err(faults) }
    }
}

impl Fresh {
    /// New connections see these from now on.
    pub fn show(self) {
        for (shown, key) in self.0 {
            shown.0.store(key);
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Whether a listener of a new config is this one, as far as that can be changed: port 0 was some port at start.
pub(super) fn is_same_place(own: &Listen, new: &Listen) -> bool {
    let is_port = new.addr.port() == 0 || new.addr.port() == own.addr.port();
    is_port && own.addr.ip() == new.addr.ip() && own.tls.is_some() == new.tls.is_some()
}

fn read(tls: &Tls) -> Result<CertifiedKey, String> {
    install_default_crypto_provider();
    let provider = CryptoProvider::get_default().ok_or("there is no crypto provider")?;
    let named = |path: &Path, what: &str| format!("{}: {what}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect);
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| named(&tls.cert, "no certificate can be read from it"))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|_| named(&tls.key, "no key can be read from it"))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| format!("{} and {} do not fit: {error}", tls.cert.display(), tls.key.display()))
}
