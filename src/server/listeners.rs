//! Where clients connect: plain and TLS listeners.

use crate::config::{Listen, Settings};
use pingora::listeners::tls::TlsSettings;
use pingora::services::listening::Service;
use std::net::{SocketAddr, TcpListener};

/// Adds the public listeners to a service.
pub(super) fn add<A>(service: &mut Service<A>, listen: &[Listen]) -> Result<(), String> {
    for Listen { addr, tls } in listen {
        let Some(tls) = tls else {
            service.add_tcp(&addr.to_string());
            continue;
        };
        let (cert, key) = (tls.cert.to_string_lossy(), tls.key.to_string_lossy());
        let mut settings = TlsSettings::intermediate(&cert, &key).map_err(|error| format!("listen {addr}: {error}"))?;
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
