//! Services behind TLS. The trust anchors are the system's, whose file the environment names.

use super::text;
use crate::support::{Proxy, get, temporary};
use bytes::Bytes;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A TLS service for `localhost` that says which protocol was agreed on, and its certificate.
struct Secure {
    address: SocketAddr,
    certificate: String,
    _runtime: Runtime,
}

impl Secure {
    fn start(protocols: &[&str]) -> Secure {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let _ = if is_h2 { serve_h2(stream).await } else { serve_h1(stream).await };
                });
            }
        });
        Secure { address, certificate: cert.pem(), _runtime: runtime }
    }

    /// What a client gets through a proxy that trusts this certificate.
    fn ask(&self, host: &str, trusted: &str) -> (u16, String) {
        let file = temporary("pem");
        fs::write(&file, trusted).unwrap();
        let config = format!("passthrough: {{upstreams: [\"https://{host}:{}\"]}}\n", self.address.port());
        let proxy = Proxy::start_with(&config, &[("SSL_CERT_FILE", file.to_str().unwrap())]);
        let response = get(proxy.address(), "/a?b");
        let _ = fs::remove_file(file);
        (response.status, response.text())
    }
}

type Tls = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn serve_h1(mut stream: Tls) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let line = text(&head).lines().next()?.to_owned();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}", line.len());
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

async fn serve_h2(stream: Tls) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        let mut body = respond.send_response(http::Response::new(()), false).ok()?;
        body.send_data(Bytes::from(line), true).ok()?;
    }
    Some(())
}

#[test]
fn a_service_behind_tls_is_spoken_to_in_the_protocol_it_prefers() {
    let old = Secure::start(&["http/1.1"]);
    assert_eq!(old.ask("localhost", &old.certificate), (200, "GET /a?b HTTP/1.1".to_owned()));
    let new = Secure::start(&["h2", "http/1.1"]);
    let (status, line) = new.ask("localhost", &new.certificate);
    assert_eq!(status, 200, "{line}");
    assert!(line.ends_with("/a?b HTTP/2.0"), "{line}");
}

#[test]
fn a_service_that_cannot_prove_its_name_gets_no_request() {
    let service = Secure::start(&["http/1.1"]);
    let other = Secure::start(&["http/1.1"]);
    for (host, trusted) in [("localhost", &other.certificate), ("127.0.0.1", &service.certificate)] {
        let (status, body) = service.ask(host, trusted);
        assert_eq!(status, 502, "{host}: {body}");
        assert!(body.contains("upstream_unreachable"), "{host}: {body}");
    }
}
