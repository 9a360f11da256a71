//! TLS listeners: what is spoken on them, whose certificates they ask for, and what is said of bad files.

use crate::support::{Client, Providers, Proxy, get, run, temporary, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const DONE: &str = "/v1/videos/video_a00:openai";

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// An authority, and the files of what it issued.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certify(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn client(&self) -> Identity {
        let (certificate, key) = self.certify("client");
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// Files of a server's certificate and its key.
    fn server_files(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.certify("videos.test");
        (file(&certificate.pem()), file(&key.serialize_pem()))
    }

    fn file(&self) -> PathBuf {
        file(&self.0.pem())
    }
}

fn file(text: &str) -> PathBuf {
    let path = temporary("pem");
    fs::write(&path, text).unwrap();
    path
}

/// An entry of `listen`.
fn entry(address: &str, cert: &Path, key: &Path, client_ca: Option<&Path>) -> String {
    let ca = client_ca.map(|path| format!(", client_ca: {}", path.display())).unwrap_or_default();
    format!("{{addr: \"{address}\", tls: {{cert: {}, key: {}{ca}}}}}", cert.display(), key.display())
}

/// The address of each listener, in order.
fn addresses(proxy: &Proxy, count: usize) -> Vec<SocketAddr> {
    let find = |log: &str| -> Vec<SocketAddr> {
        let lines = log.lines().filter(|line| line.contains("\"listening\""));
        lines
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["address"].as_str()?.parse().ok())
            .collect()
    };
    let mut found = Vec::new();
    wait_until("all listen", || {
        found = find(&proxy.log());
        found.len() == count && found.iter().all(|address| StdStream::connect(address).is_ok())
    });
    found
}

/// A handshake, and a byte each way: in TLS 1.3 a client hears only afterwards that its certificate is refused.
async fn connect(
    address: SocketAddr,
    authority: &Authority,
    identity: Option<Identity>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("videos.test").unwrap(), stream).await
}

/// The status of a poll over HTTP/1.1, and the scheme of the links in it.
async fn poll(mut stream: TlsStream<TcpStream>) -> std::io::Result<String> {
    let request = format!("GET {DONE} HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn tls_speaks_both_versions_beside_a_plain_listener() {
    let (providers, authority) = (Providers::instant(), Authority::new());
    let (cert, key) = authority.server_files();
    let tls = entry("127.0.0.1:0", &cert, &key, None);
    let proxy = Proxy::start(&format!("listen: [\"127.0.0.1:0\", {tls}]\n{}", providers.config("")));
    let listeners = addresses(&proxy, 2);
    let (plain, secure) = (listeners[0], listeners[1]);
    assert_eq!(get(plain, DONE).status, 200);

    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for alpn in [&[][..], &["http/1.1"]] {
            let stream = connect(secure, &authority, None, alpn).await.unwrap();
            let answer = poll(stream).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("https://videos.test/v1/videos/"), "{answer}");
        }
        let stream = connect(secure, &authority, None, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let request = http::Request::get(format!("https://videos.test{DONE}")).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });

    // Each with the other's greeting: closed or refused, and both go on.
    let mut stream = StdStream::connect(secure).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let said = Client::read_rest(stream);
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    let refused = runtime.block_on(connect(plain, &authority, None, &["h2"]));
    assert!(refused.is_err());
    assert_eq!(get(plain, DONE).status, 200);
    let answer = runtime.block_on(async { poll(connect(secure, &authority, None, &[]).await.unwrap()).await });
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_client_certificate_is_asked_for_where_one_is_configured() {
    let (providers, authority, other) = (Providers::instant(), Authority::new(), Authority::new());
    let (cert, key) = authority.server_files();
    let ca = authority.file();
    let mutual = entry("127.0.0.1:0", &cert, &key, Some(&ca));
    let one_way = entry("127.0.0.1:0", &cert, &key, None);
    let proxy = Proxy::start(&format!("listen: [{mutual}, {one_way}]\n{}", providers.config("")));
    let listeners = addresses(&proxy, 2);
    let ask = async |address: SocketAddr, identity: Option<Identity>| {
        poll(connect(address, &authority, identity, &[]).await?).await
    };
    Runtime::new().unwrap().block_on(async {
        assert!(ask(listeners[0], Some(authority.client())).await.unwrap().starts_with("HTTP/1.1 200"));
        for identity in [None, Some(other.client())] {
            let answer = ask(listeners[0], identity).await;
            assert!(answer.is_err(), "{answer:?}");
        }
        assert!(ask(listeners[1], None).await.unwrap().starts_with("HTTP/1.1 200"));
        assert!(ask(listeners[0], Some(authority.client())).await.unwrap().starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_silent_connection_over_tls_is_closed_too() {
    let (providers, authority) = (Providers::instant(), Authority::new());
    let (cert, key) = authority.server_files();
    let tls = entry("127.0.0.1:0", &cert, &key, None);
    let limits = "limits: {idle_timeout: 500ms, header_timeout: 500ms}";
    let proxy = Proxy::start(&format!("listen: {tls}\n{limits}\n{}", providers.config("")));
    Runtime::new().unwrap().block_on(async {
        for (alpn, begin, want) in
            [("http/1.1", "", ""), ("http/1.1", "GET / HT", "HTTP/1.1 408"), ("h2", "", ""), ("h2", "PRI * HT", "")]
        {
            let mut stream = connect(proxy.address(), &authority, None, &[alpn]).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
            assert!(end.is_ok(), "{alpn} {begin}");
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains(want), "{alpn} {begin}: {said}");
        }
    });
}

#[test]
fn bad_files_are_named_at_start() {
    let authority = Authority::new();
    let ((cert, key), (_, other_key)) = (authority.server_files(), authority.server_files());
    let broken = file("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let missing = Path::new("/nowhere/cert.pem");
    let table = [
        (entry("127.0.0.1:0", missing, &key, None), "cannot read /nowhere/cert.pem"),
        (entry("127.0.0.1:0", &key, &key, None), "listen.tls.cert"),
        (entry("127.0.0.1:0", &cert, &cert, None), "listen.tls.key"),
        (entry("127.0.0.1:0", &cert, &other_key, None), "do not fit"),
        (entry("127.0.0.1:0", &broken, &key, None), "do not fit"),
        (entry("127.0.0.1:0", &cert, &key, Some(&broken)), "client_ca"),
        (entry("127.0.0.1:0", &cert, &key, Some(&key)), "listen.tls.client_ca"),
    ];
    for (listen, says) in table {
        let config = format!("listen: {listen}\nadmin: null\nproviders: {{openai: {{credentials: {{api_key: a}}}}}}\n");
        let output = run(&["serve"], Some(&config), &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{says}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
