//! Where clients connect: plain and TLS listeners.

use super::certificates::{Certificates, Shown};
use crate::config::{Listen, Settings, TrustAnchors};
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::services::listening::Service;
use pingora::tls::{CertificateDer, ClientCertVerifier, RootCertStore, WebPkiClientVerifier};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// What a connection keeps while it is idle. Heads and bodies are read into buffers of their own, so that the usual 64 KiB
/// in front of those would only be memory; a usual answer leaves in one piece, its head included.
const BUFFERS: L4BufferSettings = L4BufferSettings { read: Some(0), write: Some(4096) };

/// Adds the public listeners to a service.
pub(super) fn add<A>(service: &mut Service<A>, listen: &[Listen], certificates: &Certificates) -> Result<(), String> {
    for (index, Listen { addr, tls }) in listen.iter().enumerate() {
        let mut listener = ListenerConfig::tcp(addr.to_string()).l4_buffer(BUFFERS);
        if let Some(shown) = certificates.of(index) {
            let client_ca = tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
            let settings = tls_settings(shown, client_ca).map_err(|error| format!("listen {addr}: tls: {error}"))?;
            listener = listener.tls(settings);
        }
        service.add_listener(listener);
    }
    Ok(())
}

/// What Pingora needs for TLS. The certificate's files are ours to read, since they are read again with the config.
fn tls_settings(shown: Arc<Shown>, client_ca: Option<&TrustAnchors>) -> Result<TlsSettings, String> {
    let mut settings = TlsSettings::intermediate("", "").map_err(|error| error.to_string())?;
    settings.set_cert_resolver(shown);
    if let Some(anchors) = client_ca {
        let verifier = verifier(anchors).map_err(|error| format!("client_ca: {}: {error}", anchors.path.display()))?;
        settings.set_client_cert_verifier(verifier);
    }
    settings.enable_h2();
    Ok(settings)
}

/// Asks every client for a certificate, and accepts those that one of these has issued.
fn verifier(anchors: &TrustAnchors) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in &anchors.certificates {
        roots.add(CertificateDer::from(certificate.as_slice())).map_err(|error| error.to_string())?;
    }
    WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|error| error.to_string())
}

/// Replaces port 0 by ports that are free now, and fails early, by name, for addresses that are taken.
pub fn pick_ports(settings: &mut Settings) -> Result<(), String> {
    for listen in &mut settings.listen {
        listen.addr = bindable(listen.addr).map_err(|error| format!("listen: {}: {error}", listen.addr))?;
    }
    if let Some(admin) = &mut settings.admin {
        *admin = bindable(*admin).map_err(|error| format!("admin: {admin}: {error}"))?;
    }
    Ok(())
}

fn bindable(address: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}
