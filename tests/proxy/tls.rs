//! Providers behind TLS: whom the proxy trusts, HTTP/1.1 and HTTP/2 over it, and what it says when there is no trust.

use crate::support::{Proxy, Response, Upstream, get, temporary, wait_until};
use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring, version};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const KEY: &str = "sk-never-to-be-seen";

const VIDEO: &str = r#"{"id":"job","object":"video","status":"completed","progress":100}"#;

/// An error that needs no waiting comes within this.
const AT_ONCE: Duration = Duration::from_secs(5);

const H1: &[&str] = &["http/1.1"];
const H2: &[&str] = &["h2"];
const BOTH: &[&str] = &["h2", "http/1.1"];

// ---- certificates --------------------------------------------------------------------------------------------------

/// A certificate authority, and a file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = temporary("pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        Authority { issuer, file }
    }

    /// A certificate for these names.
    fn certify(&self, names: &[&str]) -> Identity {
        self.certify_with(names, |_| ())
    }

    fn certify_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = leaf(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        identity(params.signed_by(&key, &self.issuer).unwrap().der().clone(), &key)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// A certificate that nobody but its owner vouches for.
fn self_signed() -> Identity {
    let key = KeyPair::generate().unwrap();
    identity(leaf(&["localhost"]).self_signed(&key).unwrap().der().clone(), &key)
}

type Identity = Arc<CertifiedKey>;

fn identity(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate], key))
}

/// What a server shows; it can be renewed while it runs.
#[derive(Debug)]
struct Shown(Mutex<Identity>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Identity> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

// ---- a server ------------------------------------------------------------------------------------------------------

/// A request as a TLS server has read it.
#[derive(Debug, Clone)]
struct Seen {
    version: http::Version,
    method: String,
    path: String,
    body: Vec<u8>,
    /// Which connection it came on, and which request of it this is, both from 1.
    connection: usize,
    nth: usize,
}

/// What a server does about a request.
#[derive(Debug, Clone)]
enum Act {
    Answer(String),
    /// 200 when the test says so.
    AnswerLater(watch::Receiver<bool>),
    /// 200, and then no more requests on this connection.
    AnswerAndGoAway,
    Informational,
    /// HTTP/2: RST_STREAM before the answer.
    Reset(Reason),
    /// HTTP/2: RST_STREAM within the body.
    ResetWithin,
    /// GOAWAY at once, with nothing answered.
    GoAway(Reason),
    /// The connection ends without a word.
    Close,
    /// Nothing is read from or written to this connection any more.
    Freeze,
}

type Behave = dyn Fn(&Seen) -> Act + Send + Sync;

struct Server {
    port: u16,
    shown: Arc<Shown>,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl Server {
    /// Answers every request with a finished video.
    fn start(identity: &Identity, alpn: &[&str]) -> Server {
        Server::behaving(identity, alpn, |_| Act::Answer(VIDEO.into()))
    }

    fn behaving(identity: &Identity, alpn: &[&str], behave: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
        Server::with(identity, alpn, &[&version::TLS13, &version::TLS12], behave)
    }

    fn with(
        identity: &Identity,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        behave: impl Fn(&Seen) -> Act + Send + Sync + 'static,
    ) -> Server {
        let shown = Arc::new(Shown(Mutex::new(Arc::clone(identity))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, seen, behave): (_, _, Arc<Behave>) =
            (Arc::clone(&accepted), Arc::clone(&requests), Arc::new(behave));
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let connection = count.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(serve(acceptor.clone(), stream, connection, Arc::clone(&seen), Arc::clone(&behave)));
            }
        });
        Server { port, shown, accepted, requests, _runtime: runtime }
    }

    fn show(&self, identity: &Identity) {
        *self.shown.0.lock().unwrap() = Arc::clone(identity);
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<Seen> {
        self.requests.lock().unwrap().clone()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/v1", self.port)
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    connection: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    behave: Arc<Behave>,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => serve_h2(stream, connection, &seen, &behave).await,
        _ => serve_h1(stream, connection, &seen, &*behave).await,
    }
}

async fn serve_h1(stream: TlsStream<TcpStream>, connection: usize, seen: &Mutex<Vec<Seen>>, behave: &Behave) {
    let mut stream = BufReader::new(stream);
    for nth in 1.. {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(length) if length > 2 => lines.push(line.trim_end().to_owned()),
                Ok(2) => break,
                _ => return,
            }
        }
        let length =
            lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        let mut words = lines[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let request = Seen { version: http::Version::HTTP_11, method, path, body, connection, nth };
        seen.lock().unwrap().push(request.clone());
        let (text, goes_on) = match behave(&request) {
            Act::Answer(text) => (text, true),
            Act::AnswerAndGoAway => (VIDEO.to_owned(), false),
            Act::Close => return,
            Act::Freeze => pending().await,
            act => panic!("{act:?} is not for HTTP/1"),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if !goes_on {
            return;
        }
    }
}

async fn serve_h2(stream: TlsStream<TcpStream>, connection: usize, seen: &Arc<Mutex<Vec<Seen>>>, behave: &Arc<Behave>) {
    let Ok(mut session) = h2::server::handshake(stream).await else { return };
    // What only the connection as a whole can do is passed on to here.
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let pings = Arc::new(tokio::sync::Mutex::new(session.ping_pong().unwrap()));
    let mut nth = 0;
    loop {
        tokio::select! {
            Some(act) = ordered.recv() => match act {
                Act::AnswerAndGoAway => session.graceful_shutdown(),
                Act::GoAway(reason) => session.abrupt_shutdown(reason),
                Act::Freeze => pending().await,
                _ => return,
            },
            next = session.accept() => {
                let Some(Ok((request, respond))) = next else { return };
                nth += 1;
                tokio::spawn(converse_h2(request, respond, (connection, nth), Arc::clone(seen), Arc::clone(behave), (orders.clone(), Arc::clone(&pings))));
            }
        }
    }
}

async fn converse_h2(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    (connection, nth): (usize, usize),
    seen: Arc<Mutex<Vec<Seen>>>,
    behave: Arc<Behave>,
    (orders, pings): (mpsc::UnboundedSender<Act>, Arc<tokio::sync::Mutex<h2::PingPong>>),
) {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        body.extend_from_slice(&data);
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let (method, path) = (head.method.to_string(), head.uri.path().to_owned());
    let request = Seen { version: head.version, method, path, body, connection, nth };
    seen.lock().unwrap().push(request.clone());
    let ok = || http::Response::builder().header("content-type", "application/json").body(()).unwrap();
    let mut answer = |text: String| {
        if let Ok(mut body) = respond.send_response(ok(), false) {
            let _ = body.send_data(text.into(), true);
        }
    };
    match behave(&request) {
        Act::Answer(text) => answer(text),
        Act::AnswerLater(mut go) => {
            let _ = go.wait_for(|go| *go).await;
            answer(VIDEO.into());
        }
        Act::AnswerAndGoAway => {
            answer(VIDEO.into());
            let _ = orders.send(Act::AnswerAndGoAway);
        }
        Act::Informational => {
            let early = http::Response::builder().status(103).body(()).unwrap();
            respond.send_informational(early).unwrap();
            let mut body = respond.send_response(ok(), false).unwrap();
            body.send_data(VIDEO.into(), true).unwrap();
        }
        Act::Reset(reason) => respond.send_reset(reason),
        Act::ResetWithin => {
            let mut body = respond.send_response(ok(), false).unwrap();
            body.send_data(VIDEO[..10].into(), false).unwrap();
            // What was queued has left before the second ping does.
            for _ in 0..2 {
                pings.lock().await.ping(h2::Ping::opaque()).await.unwrap();
            }
            body.send_reset(Reason::INTERNAL_ERROR);
        }
        act => {
            let _ = orders.send(act);
            pending().await
        }
    }
}

// ---- what the tests say --------------------------------------------------------------------------------------------

/// An entry of kind `openai`. Polls are neither kept nor counted against the provider: each one must reach it.
fn entry(name: &str, url: &str, ca: Option<&Authority>, more: &str) -> String {
    let ca = ca.map(|ca| format!(", ca_file: {}", ca.file.display())).unwrap_or_default();
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    let kind = if more.contains("kind:") { "" } else { ", kind: openai" };
    format!(
        "  {name}: {{base_url: \"{url}\", credentials: {{api_key: {KEY}}}, breaker: null, \
         poll: {{cache: false}}{kind}{ca}{more}}}\n"
    )
}

/// A proxy whose system trusts this authority and no other.
fn proxy_trusting(system: &Authority, entries: &[String]) -> Proxy {
    let config = format!("providers:\n{}", entries.concat());
    Proxy::start_with(&config, &[("SSL_CERT_FILE", system.file.to_str().unwrap())])
}

fn proxy(server: &Server, ca: &Authority, more: &str) -> Proxy {
    proxy_trusting(&Authority::new("A stranger"), &[entry("openai", &server.url(), Some(ca), more)])
}

fn poll(proxy: &Proxy, provider: &str) -> Response {
    get(proxy.address(), &format!("/v1/videos/job:{provider}"))
}

#[track_caller]
fn assert_served(proxy: &Proxy, provider: &str) {
    let response = poll(proxy, provider);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["status"], "completed");
}

/// The error of a provider that is not reached, at once and without anything that is not a client's to know.
#[track_caller]
fn assert_unreachable(proxy: &Proxy, provider: &str, says: &[&str]) {
    let started = Instant::now();
    let response = poll(proxy, provider);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    let text = response.text();
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"), "{text}");
    let body = response.json();
    let message = body["error"]["message"].as_str().unwrap();
    for words in says {
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }
    assert_eq!((&body["is_bifrost_error"], &body["extra_fields"]["provider"]), (&true.into(), &provider.into()));
    for secret in [KEY, "SNI", "context:", ".pem"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!proxy.log().contains(KEY));
}

fn versions(server: &Server) -> Vec<http::Version> {
    server.requests().iter().map(|request| request.version).collect()
}

// ---- a collector ---------------------------------------------------------------------------------------------------

#[test]
fn a_collector_is_reached_over_tls_where_its_authority_is_trusted() {
    let ca = Authority::new("Ours");
    for alpn in [H1, &["h2", "http/1.1"]] {
        let server = Server::start(&ca.certify(&["localhost"]), alpn);
        let stranger = Authority::new("A stranger");
        for (trusted, is_reached) in [(&stranger, false), (&ca, true)] {
            let (url, file) = (server.url(), trusted.file.display());
            let config = format!("traces: {{endpoint: \"{url}\", ca_file: {file}, sample: 1}}\n");
            let proxy = Proxy::start(&format!("{config}passthrough: {{upstreams: [\"http://127.0.0.1:1\"]}}\n"));
            get(proxy.address(), "/v1/videos/no_such_id");
            match is_reached {
                true => wait_until("the span arrives", || !server.requests().is_empty()),
                false => wait_until("it is said", || proxy.log().contains("the collector takes no spans")),
            }
            assert_eq!(server.requests().is_empty(), !is_reached, "{}", proxy.log());
        }
        let request = &server.requests()[0];
        assert!(request.path.ends_with("/v1/traces") && request.method == "POST", "{request:?}");
        assert!(String::from_utf8_lossy(&request.body).contains("\"http.route\""), "{request:?}");
    }
}

// ---- trust ---------------------------------------------------------------------------------------------------------

#[test]
fn a_certificate_of_the_ca_file_is_trusted_over_http1() {
    let ca = Authority::new("Ours");
    let server = Server::start(&ca.certify(&["localhost"]), H1);
    let proxy = proxy(&server, &ca, "");
    for _ in 0..3 {
        assert_served(&proxy, "openai");
    }
    assert_eq!(versions(&server), [http::Version::HTTP_11; 3]);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_without_alpn_gets_http1() {
    let ca = Authority::new("Ours");
    let server = Server::start(&ca.certify(&["localhost"]), &[]);
    assert_served(&proxy(&server, &ca, "retries: 0"), "openai");
    assert_eq!(versions(&server), [http::Version::HTTP_11]);
}

#[test]
fn an_authority_of_the_system_is_trusted_with_and_without_a_ca_file() {
    let (system, other) = (Authority::new("The system's"), Authority::new("Another"));
    let server = Server::start(&system.certify(&["localhost"]), BOTH);
    let entries = [entry("without", &server.url(), None, ""), entry("with", &server.url(), Some(&other), "")];
    let proxy = proxy_trusting(&system, &entries);
    assert_served(&proxy, "without");
    assert_served(&proxy, "with");
}

#[test]
fn tls_1_2_is_spoken_with_servers_that_want_it() {
    let ca = Authority::new("Ours");
    for alpn in [H1, H2] {
        let server = Server::with(&ca.certify(&["localhost"]), alpn, &[&version::TLS12], |_| Act::Answer(VIDEO.into()));
        assert_served(&proxy(&server, &ca, "retries: 0"), "openai");
    }
}

#[test]
fn an_address_is_certified_as_an_address() {
    let ca = Authority::new("Ours");
    let server = Server::start(&ca.certify(&["127.0.0.1"]), BOTH);
    let url = format!("https://127.0.0.1:{}/v1", server.port);
    let proxy = proxy_trusting(&ca, &[entry("address", &url, None, ""), entry("name", &server.url(), None, "")]);
    assert_served(&proxy, "address");
    assert_unreachable(&proxy, "name", &["not valid for"]);
}

#[test]
fn a_wrong_certificate_is_named_and_nothing_is_sent() {
    let (ca, other) = (Authority::new("Ours"), Authority::new("Another"));
    let expired = ca.certify_with(&["localhost"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = ca.certify_with(&["localhost"], |params| params.not_before = date_time_ymd(2990, 1, 1));
    let table: [(&str, Identity, &[&str]); 6] = [
        ("expired", expired, &["expired"]),
        ("not yet valid", early, &["not valid yet"]),
        ("for another name", ca.certify(&["elsewhere.example"]), &["not valid for", "localhost"]),
        ("for a name below", ca.certify(&["*.localhost"]), &["not valid for", "localhost"]),
        ("self-signed", self_signed(), &["unknown issuer"]),
        ("of another authority", other.certify(&["localhost"]), &["unknown issuer"]),
    ];
    for alpn in [H1, H2] {
        for (name, wrong, says) in &table {
            let server = Server::start(wrong, alpn);
            let proxy = proxy(&server, &ca, "");
            assert_unreachable(&proxy, "openai", &[&["its TLS certificate"], *says].concat());
            assert!(server.requests().is_empty(), "{name}");
            assert_eq!(server.accepted(), 1, "{name}: the verdict stays the same when asked again");
            // The same entry works as soon as the certificate is right.
            server.show(&ca.certify(&["localhost"]));
            assert_served(&proxy, "openai");
        }
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_when_it_is_the_ca_file() {
    let ca = Authority::new("Itself");
    let identity = self_signed();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&identity.cert[0])
    });
    std::fs::write(&ca.file, pem).unwrap();
    let server = Server::start(&identity, BOTH);
    assert_served(&proxy(&server, &ca, ""), "openai");
}

#[test]
fn what_one_provider_trusts_is_not_trusted_for_another() {
    let (system, ca, other) = (Authority::new("The system's"), Authority::new("Ours"), Authority::new("Another"));
    for alpn in [H1, H2] {
        let server = Server::start(&ca.certify(&["localhost"]), alpn);
        let entries = [
            entry("trusting", &server.url(), Some(&ca), ""),
            entry("plain", &server.url(), None, ""),
            entry("wary", &server.url(), Some(&other), ""),
        ];
        let proxy = proxy_trusting(&system, &entries);
        // Also when a connection of the one that trusts lies ready.
        for _ in 0..2 {
            assert_served(&proxy, "trusting");
            assert_unreachable(&proxy, "plain", &["unknown issuer"]);
            assert_unreachable(&proxy, "wary", &["unknown issuer"]);
        }
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_ca_file_stands_beside_whatever_the_system_trusts() {
    let ca = Authority::new("Ours");
    let server = Server::start(&ca.certify(&["localhost"]), BOTH);
    let config = format!("providers:\n{}", entry("openai", &server.url(), Some(&ca), ""));
    assert_served(&Proxy::start(&config), "openai");
}

// ---- no TLS --------------------------------------------------------------------------------------------------------

/// A listener that gives each connection to this.
fn raw(serve: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// An entry at this port beside a healthy one.
fn beside_a_healthy_one(port: u16, more: &str) -> (Proxy, Upstream) {
    let ca = Authority::new("Ours");
    let healthy = Upstream::json(200, VIDEO);
    let entries = [
        entry("openai", &format!("https://localhost:{port}/v1"), Some(&ca), more),
        entry("healthy", &format!("http://{}/v1", healthy.address()), None, ""),
    ];
    (proxy_trusting(&ca, &entries), healthy)
}

#[test]
fn a_server_that_does_not_speak_tls_is_named() {
    let port = raw(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    let (proxy, _healthy) = beside_a_healthy_one(port, "");
    assert_unreachable(&proxy, "openai", &["it does not speak TLS"]);
    assert_served(&proxy, "healthy");
}

#[test]
fn a_handshake_that_ends_early_is_tried_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let port = raw(move |mut stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        let _ = stream.read(&mut [0; 4096]);
    });
    let (proxy, _healthy) = beside_a_healthy_one(port, "");
    assert_unreachable(&proxy, "openai", &["TLS"]);
    assert_eq!(count.load(Ordering::SeqCst), 3, "this is no verdict on a certificate");
    assert_served(&proxy, "healthy");
}

#[test]
fn a_handshake_that_stalls_ends_with_connect_timeout() {
    for (retries, tries) in [(0, 1), (2, 3)] {
        let port = raw(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {});
        let (proxy, _healthy) = beside_a_healthy_one(port, &format!("connect_timeout: 300ms, retries: {retries}"));
        let started = Instant::now();
        assert_unreachable(&proxy, "openai", &["connecting took longer than connect_timeout"]);
        assert!(started.elapsed() >= Duration::from_millis(300) * tries);
        assert_served(&proxy, "healthy");
    }
}

#[test]
fn a_handshake_that_stalls_ends_at_the_deadline() {
    let port = raw(|mut stream| while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {});
    let (proxy, _healthy) = beside_a_healthy_one(port, "timeout: 400ms");
    let started = Instant::now();
    let response = poll(&proxy, "openai");
    assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"), "{}", response.text());
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(400) && took < AT_ONCE, "{took:?}");
    assert_served(&proxy, "healthy");
}

// ---- HTTP/2 --------------------------------------------------------------------------------------------------------

/// A server that speaks HTTP/2 only, or first, and a proxy that trusts it.
fn over_h2(alpn: &[&str], more: &str, behave: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> (Proxy, Server) {
    let ca = Authority::new("Ours");
    let server = Server::behaving(&ca.certify(&["localhost"]), alpn, behave);
    (proxy(&server, &ca, more), server)
}

fn video() -> Act {
    Act::Answer(VIDEO.into())
}

#[test]
fn polls_over_http2_share_a_connection() {
    let (proxy, server) = over_h2(BOTH, "", |_| video());
    for _ in 0..5 {
        assert_served(&proxy, "openai");
    }
    assert_eq!(versions(&server), [http::Version::HTTP_2; 5]);
    assert_eq!(server.accepted(), 1);
    let first = server.requests().remove(0);
    assert_eq!((first.method.as_str(), first.path.as_str(), first.body.len()), ("GET", "/v1/videos/job", 0));
}

#[test]
fn polls_at_once_share_a_connection() {
    const MANY: usize = 20;
    let (go, wait) = watch::channel(false);
    let (proxy, server) = over_h2(H2, "", move |_| Act::AnswerLater(wait.clone()));
    let polls: Vec<_> = (1..=MANY)
        .map(|count| {
            let address = proxy.address();
            let poll = thread::spawn(move || get(address, "/v1/videos/job:openai").status);
            wait_until("the poll has arrived", || server.requests().len() == count);
            poll
        })
        .collect();
    go.send(true).unwrap();
    for poll in polls {
        assert_eq!(poll.join().unwrap(), 200);
    }
    assert_eq!(server.accepted(), 1);
    assert_served(&proxy, "openai");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_call_with_a_body_arrives_whole_over_http2() {
    const JOB: &str = "24cd5dff-cb81-4db5-8506-b72a9425f9d1";
    const OPERATION: &str =
        "projects/my-project/locations/us-central1/publishers/google/models/veo-3.1-generate-001/operations/a1b07c8e";
    for alpn in [H1, H2] {
        let ca = Authority::new("Ours");
        let server = Server::behaving(&ca.certify(&["localhost"]), alpn, |seen| {
            let vertex = seen.path.ends_with(":fetchPredictOperation");
            Act::Answer(if vertex {
                format!(r#"{{"name":"{OPERATION}"}}"#)
            } else {
                format!(r#"{{"data":[{{"taskType":"videoInference","taskUUID":"{JOB}","status":"processing"}}]}}"#)
            })
        });
        let entries = [
            entry("runware", &server.url(), Some(&ca), "kind: runware"),
            entry("vertex", &server.url(), Some(&ca), "kind: vertex"),
        ];
        let proxy = proxy_trusting(&ca, &entries);
        for _ in 0..2 {
            for id in [format!("{JOB}:runware"), format!("{OPERATION}:vertex")] {
                let response = get(proxy.address(), &format!("/v1/videos/{id}"));
                assert_eq!(response.status, 200, "{}", response.text());
                assert_eq!(response.json()["status"], "in_progress");
            }
        }
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        assert_eq!(server.accepted(), 1, "entries that trust the same share connections");
        for request in requests {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(request.method, "POST");
            assert!(body.to_string().contains(JOB) || body["operationName"] == OPERATION, "{body}");
        }
    }
}

#[test]
fn informational_answers_over_http2_are_passed_over() {
    let (proxy, _server) = over_h2(H2, "retries: 0", |_| Act::Informational);
    assert_served(&proxy, "openai");
}

#[test]
fn a_connection_that_says_goodbye_after_an_answer_is_replaced() {
    for alpn in [H1, H2] {
        let (proxy, server) = over_h2(alpn, "retries: 0", |_| Act::AnswerAndGoAway);
        for _ in 0..10 {
            assert_served(&proxy, "openai");
        }
        assert_eq!(server.requests().len(), 10);
    }
}

#[test]
fn a_connection_that_dies_under_the_next_poll_is_replaced_at_once() {
    let dying: [(&[&str], Act); 3] = [(H1, Act::Close), (H2, Act::Close), (H2, Act::GoAway(Reason::NO_ERROR))];
    for (alpn, death) in dying {
        let (proxy, server) =
            over_h2(alpn, "retries: 0", move |seen| if seen.nth == 1 { video() } else { death.clone() });
        for polls in 1..=4 {
            assert_served(&proxy, "openai");
            assert_eq!(server.accepted(), polls);
        }
    }
}

#[test]
fn a_stream_that_is_reset_once_is_asked_again() {
    for reason in [Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR, Reason::CANCEL] {
        let count = AtomicUsize::new(0);
        let (proxy, server) = over_h2(H2, "", move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => Act::Reset(reason),
            _ => video(),
        });
        assert_served(&proxy, "openai");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn streams_that_are_always_reset_are_an_error_after_the_tries() {
    let table = [
        Act::Reset(Reason::INTERNAL_ERROR),
        Act::Reset(Reason::REFUSED_STREAM),
        Act::GoAway(Reason::ENHANCE_YOUR_CALM),
        Act::Close,
    ];
    for act in table {
        let bad = Arc::new(Mutex::new(Some(act)));
        let behaviour = Arc::clone(&bad);
        let (proxy, server) = over_h2(H2, "", move |_| behaviour.lock().unwrap().clone().unwrap_or_else(video));
        assert_unreachable(&proxy, "openai", &["the connection broke before an answer"]);
        assert_eq!(server.requests().len(), 3);
        *bad.lock().unwrap() = None;
        assert_served(&proxy, "openai");
    }
}

#[test]
fn an_answer_whose_stream_is_reset_breaks_off() {
    let (proxy, server) = over_h2(H2, "", |seen| if seen.connection == 1 { Act::ResetWithin } else { video() });
    let response = poll(&proxy, "openai");
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"), "{}", response.text());
    assert!(response.text().contains("broke off before its end"));
    assert_eq!(server.requests().len(), 1);
    assert_served(&proxy, "openai");
}

#[test]
fn a_server_that_asks_for_http1_gets_it() {
    let (proxy, server) = over_h2(BOTH, "", |seen| match seen.version {
        http::Version::HTTP_2 => Act::Reset(Reason::HTTP_1_1_REQUIRED),
        _ => video(),
    });
    assert_served(&proxy, "openai");
    assert_served(&proxy, "openai");
    assert_eq!(versions(&server), [http::Version::HTTP_2, http::Version::HTTP_11, http::Version::HTTP_11]);
}

#[test]
fn a_connection_that_went_silent_is_not_used_again() {
    let (proxy, server) =
        over_h2(H2, "timeout: 500ms", |seen| if (seen.connection, seen.nth) == (1, 2) { Act::Freeze } else { video() });
    assert_served(&proxy, "openai");
    let response = poll(&proxy, "openai");
    assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"), "{}", response.text());
    assert_served(&proxy, "openai");
    assert_eq!(server.accepted(), 2);
}

#[test]
fn a_flood_over_http2_is_refused_and_the_next_poll_served() {
    let flood = format!(r#"{{"status":"completed","prompt":"{}"}}"#, "a".repeat(8 << 20));
    let (proxy, _server) =
        over_h2(
            H2,
            "max_body: 1MiB",
            move |seen| if seen.connection == 1 { Act::Answer(flood.clone()) } else { video() },
        );
    let response = poll(&proxy, "openai");
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"), "{}", response.text());
    assert!(response.text().contains("larger than 1048576 bytes (max_body)"));
    assert_served(&proxy, "openai");
}
