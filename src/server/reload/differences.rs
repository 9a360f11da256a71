//! What a reload cannot change.

use super::Fault;
use crate::config::{ClientAuth, Listen, Settings, TrustAnchors};
use crate::server::certificates::is_same_place;

/// Names the settings that changed and take effect with a restart only.
pub(super) fn ignored(begun: &Settings, new: &Settings) -> Vec<&'static str> {
    let same_listen = begun.listen.len() == new.listen.len()
        && begun
            .listen
            .iter()
            .zip(&new.listen)
            .all(|(own, new)| is_same_place(own, new) && client_ca(own) == client_ca(new));
    let same_admin = match (begun.admin, new.admin) {
        // Port 0 was some port at start.
        (Some(own), Some(new)) => own.ip() == new.ip() && (new.port() == 0 || own.port() == new.port()),
        (own, new) => own == new,
    };
    let table = [
        ("listen", same_listen),
        ("admin", same_admin),
        ("limits", begun.limits == new.limits),
        ("threads", begun.threads == new.threads),
        ("drain", begun.drain == new.drain),
        ("shutdown_timeout", begun.shutdown_timeout == new.shutdown_timeout),
        ("log.format", begun.log.format == new.log.format),
        ("traces", begun.traces == new.traces),
        ("poll_cache", begun.poll_cache == new.poll_cache),
    ];
    table.iter().filter(|(_, is_same)| !is_same).map(|(name, _)| *name).collect()
}

/// Who vouches for the clients of a listener.
fn client_ca(listen: &Listen) -> Option<&TrustAnchors> {
    listen.tls.as_ref()?.client_ca.as_ref()
}

/// A config without `client_auth` is in order when it listens on loopback only; the listeners stay as they are.
pub(super) fn check(begun: &Settings, new: &Settings) -> Result<(), Fault> {
    let open = begun.listen.iter().find(|listen| !listen.addr.ip().is_loopback());
    match open.filter(|_| new.client_auth == ClientAuth::Anyone) {
        None => Ok(()),
        Some(open) => Err(Fault {
            path: "client_auth".into(),
            message: format!("expected it, since the program listens on {} until it is restarted", open.addr),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::parse(&format!("{text}\npassthrough: {{upstreams: [\"http://127.0.0.1:1\"]}}")).unwrap()
    }

    #[test]
    fn what_takes_a_restart_is_named() {
        let begun = settings("listen: 127.0.0.1:8080");
        let table: &[(&str, &[&str])] = &[
            ("listen: 127.0.0.1:8080", &[]),
            ("listen: 127.0.0.1:0\nallow_raw: true\nmax_requests: 1", &[]),
            ("listen: 127.0.0.1:8081\nadmin: null", &["listen", "admin"]),
            ("limits: {connections: 7}", &["limits"]),
            ("threads: 3\ndrain: 1s\nshutdown_timeout: 1s", &["threads", "drain", "shutdown_timeout"]),
            ("traces: {endpoint: http://a}", &["traces"]),
            ("log: {format: text, level: debug, access: false}\npoll_cache: {keep: 1m}", &["log.format", "poll_cache"]),
        ];
        for (text, want) in table {
            assert_eq!(ignored(&begun, &settings(text)), *want, "{text}");
        }
    }

    #[test]
    fn an_open_listener_is_never_left_without_keys() {
        let open = settings("listen: 0.0.0.0:8080\nclient_auth: {open: true}");
        let closed = settings("listen: 127.0.0.1:8080");
        assert_eq!(check(&open, &closed).unwrap_err().path, "client_auth");
        assert!(check(&open, &open).is_ok());
        assert!(check(&closed, &closed).is_ok());
    }
}
