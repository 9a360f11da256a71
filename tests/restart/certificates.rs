//! A certificate that is renewed while the program runs.

use crate::alone;
use crate::support::{Proxy, send, temporary};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{CertificateDer, ServerName};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Writes a certificate that vouches for itself.
fn issue(cert: &Path, key: &Path) -> CertificateDer<'static> {
    let pair = KeyPair::generate().unwrap();
    let issued = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    fs::write(cert, issued.pem()).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
    issued.der().clone()
}

/// One connection of a client that believes this certificate only.
fn connect(address: SocketAddr, trusted: &CertificateDer<'static>) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    StreamOwned::new(client, TcpStream::connect(address).unwrap())
}

/// Asks over this connection; the error is one of TLS.
fn ask(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 404");
    Ok(())
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload_and_a_broken_one_is_not() {
    let _alone = alone();
    let (cert, key) = (temporary("pem"), temporary("pem"));
    let first = issue(&cert, &key);
    let proxy = Proxy::start(&format!(
        "listen: {{addr: \"127.0.0.1:0\", tls: {{cert: {}, key: {}}}}}\nadmin: 127.0.0.1:0\n\
         passthrough: {{match: {{path: /none}}, upstreams: [\"http://127.0.0.1:9\"]}}\n",
        cert.display(),
        key.display()
    ));
    let admin = proxy.admin_address();
    let mut old = connect(proxy.address(), &first);
    ask(&mut old).unwrap();

    let second = issue(&cert, &key);
    ask(&mut connect(proxy.address(), &first)).unwrap();
    assert_eq!(send(admin, "POST", "/reload", &[]).status, 200);
    ask(&mut connect(proxy.address(), &second)).unwrap();
    assert!(ask(&mut connect(proxy.address(), &first)).is_err());

    // A certificate without its key.
    issue(&cert, &temporary("pem"));
    let refused = send(admin, "POST", "/reload", &[]);
    assert_eq!((refused.status, refused.json()["faults"][0]["path"].as_str()), (400, Some("listen")));
    ask(&mut connect(proxy.address(), &second)).unwrap();
    for file in [cert, key] {
        let _ = fs::remove_file(file);
    }
}
