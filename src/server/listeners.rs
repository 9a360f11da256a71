//! Where clients connect: plain and TLS listeners.

use crate::config::{Listen, Settings, Tls, TrustAnchors};
use pingora::listeners::tls::TlsSettings;
use pingora::services::listening::Service;
use pingora::tls::{
    CertificateDer, ClientCertVerifier, RootCertStore, ServerConfig, WebPkiClientVerifier,
    install_default_crypto_provider, load_certs_and_key_files,
};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Adds the public listeners to a service.
pub(super) fn add<A>(service: &mut Service<A>, listen: &[Listen]) -> Result<(), String> {
    for Listen { addr, tls } in listen {
        let Some(tls) = tls else {
            service.add_tcp(&addr.to_string());
            continue;
        };
        let settings = tls_settings(tls).map_err(|error| format!("listen {addr}: tls: {error}"))?;
        service.add_tls_with_settings(&addr.to_string(), None, settings);
    }
    Ok(())
}

/// What Pingora needs for TLS. It ends the program over a bad certificate, so all is tried here first.
fn tls_settings(tls: &Tls) -> Result<TlsSettings, String> {
    install_default_crypto_provider();
    let (cert, key) = (tls.cert.to_string_lossy(), tls.key.to_string_lossy());
    let Ok(Some((chain, private))) = load_certs_and_key_files(&cert, &key) else {
        return Err(format!("{cert} and {key} cannot be loaded as a certificate chain and its private key"));
    };
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private);
    config.map_err(|error| format!("the key in {key} cannot be used with the certificate in {cert}: {error}"))?;
    let mut settings = TlsSettings::intermediate(&cert, &key).map_err(|error| error.to_string())?;
    if let Some(anchors) = &tls.client_ca {
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
