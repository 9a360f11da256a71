//! Where clients connect: plain and TLS listeners.

use super::certificates::Certificates;
use crate::config::{Listen, Settings};
use pingora::listeners::tls::TlsSettings;
use pingora::services::listening::Service;
use std::net::{SocketAddr, TcpListener};

/// Adds the public listeners to a service.
pub(super) fn add<A>(service: &mut Service<A>, listen: &[Listen], certificates: &Certificates) -> Result<(), String> {
    for (index, Listen { addr, .. }) in listen.iter().enumerate() {
        let Some(shown) = certificates.of(index) else {
            service.add_tcp(&addr.to_string());
            continue;
        };
        // The files are ours to read, since they are read again with the config.
        let mut settings = TlsSettings::intermediate("", "").map_err(|error| format!("listen {addr}: {error}"))?;
        settings.set_cert_resolver(shown);
        settings.enable_h2();
        service.add_tls_with_settings(&addr.to_string(), None, settings);
    }
    Ok(())
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
