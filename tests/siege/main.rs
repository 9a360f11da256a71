//! Clients that mean harm, in numbers: each siege is bounded in count and time, the memory of the program is measured,
//! and a good client beside it is served all the time. The figures are printed with `-- --nocapture`.

#[path = "../proxy/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the other tests, which use more of it")]
mod support;

mod downloads;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::{Client, Providers, Proxy, wait_until};

const DONE: &str = "/v1/videos/video_a00:openai";

/// Kilobytes that are resident.
fn memory(proxy: &Proxy) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn start(limits: &str) -> (Providers, Proxy) {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("log: {{access: off}}\nlimits: {{{limits}}}\n{}", providers.config("")));
    (providers, proxy)
}

/// A client that polls without a pause, and keeps count.
struct Witness {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    polling: JoinHandle<Duration>,
}

impl Witness {
    fn of(proxy: &Proxy) -> Witness {
        let (address, stop, served) = (proxy.address(), Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (until, count) = (Arc::clone(&stop), Arc::clone(&served));
        let polling = thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut slowest = Duration::ZERO;
            while !until.load(Ordering::SeqCst) {
                let began = Instant::now();
                assert_eq!(client.request("GET", DONE, &[], b"").status, 200);
                slowest = slowest.max(began.elapsed());
                count.fetch_add(1, Ordering::SeqCst);
                // It is a witness, and no siege of its own.
                thread::sleep(Duration::from_millis(5));
            }
            slowest
        });
        let witness = Witness { stop, served, polling };
        witness.is_served();
        witness
    }

    /// It is served from now on, too.
    fn is_served(&self) {
        let before = self.served.load(Ordering::SeqCst);
        wait_until("the witness is served", || {
            self.polling.is_finished() || self.served.load(Ordering::SeqCst) > before + 2
        });
        assert!(!self.polling.is_finished());
    }

    fn dismiss(self) -> (usize, Duration) {
        self.is_served();
        self.stop.store(true, Ordering::SeqCst);
        let slowest = self.polling.join().unwrap();
        (self.served.load(Ordering::SeqCst), slowest)
    }
}

/// Runs a siege beside a witness, and reports; memory may grow by so many kilobytes.
fn besiege(name: &str, proxy: &Proxy, most: usize, siege: impl FnOnce(&Witness)) {
    // One at a time: they would disturb each other's figures.
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let witness = Witness::of(proxy);
    let (before, began) = (memory(proxy), Instant::now());
    siege(&witness);
    let (after, took) = (memory(proxy), began.elapsed());
    let (served, slowest) = witness.dismiss();
    println!(
        "{name}: {before} kB before, {after} kB after, {took:?}; a good client: {served} answers, slowest {slowest:?}"
    );
    assert!(after < before + most, "{name}: {before} kB before, {after} kB after");
}

/// Whether the peer has closed, without waiting.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn five_hundred_clients_that_dribble() {
    let (_providers, proxy) = start("header_timeout: 2s");
    besiege("slow-loris", &proxy, 64 << 10, |witness| {
        let mut streams: Vec<_> = (0..500).map(|_| TcpStream::connect(proxy.address()).unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        }
        witness.is_served();
        wait_until("all are cut off", || {
            streams.retain_mut(|stream| !is_closed(stream));
            for stream in &mut streams {
                let _ = stream.write_all(b"a");
            }
            streams.is_empty()
        });
    });
}

/// How many connections this process may hold, with room for the rest of it.
fn connections_at_hand(most: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    most.min(soft.saturating_sub(300))
}

#[test]
fn thousands_of_idle_connections() {
    let (_providers, proxy) = start("idle_timeout: 15s, connections: 30000");
    let count = connections_at_hand(20_000);
    let opened = Instant::now();
    // 64 kB each would be more than a server has to give.
    besiege("idle", &proxy, 20 * count + (32 << 10), |witness| {
        let before = memory(&proxy);
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            streams.push(TcpStream::connect(proxy.address()).unwrap());
        }
        witness.is_served();
        let held = memory(&proxy);
        println!("idle: {count} connections opened in {:?}, {} kB more", opened.elapsed(), held.saturating_sub(before));
        wait_until_for("all are closed", Duration::from_secs(40), || {
            streams.retain_mut(|stream| !is_closed(stream));
            streams.is_empty()
        });
    });
}

/// `wait_until` with more patience.
fn wait_until_for(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < end, "it never came true: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Writes what can be written, and reads until the peer closes.
fn shout(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn heads_beyond_measure() {
    let (_providers, proxy) = start("");
    let head = |rest: &[u8]| [b"GET / HTTP/1.1\r\nHost: a\r\n", rest].concat();
    let many: String = (0..10_000).map(|number| format!("X-{number}: a\r\n")).collect();
    let shapes = [
        ("1 MiB of headers", head(&[b"X: ".as_slice(), &vec![b'a'; 1 << 20]].concat())),
        ("10,000 headers", head(many.as_bytes())),
        ("an absurd line", vec![b'A'; 1 << 20]),
        ("an absurd path", [b"GET /".as_slice(), &vec![b'a'; 1 << 20]].concat()),
        ("zeros", vec![0; 1 << 20]),
        ("empty lines", b"\r\n".repeat(1 << 19)),
    ];
    for (name, bytes) in &shapes {
        besiege(name, &proxy, 64 << 10, |_| {
            for _ in 0..30 {
                let said = shout(proxy.address(), bytes);
                let said = String::from_utf8_lossy(&said);
                assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{name}: {said}");
            }
        });
    }
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_open() {
    let (_providers, proxy) = start("");
    besiege("rapid reset", &proxy, 64 << 10, |witness| {
        let bytes = resets(10_000);
        for _ in 0..5 {
            let said = shout(proxy.address(), &bytes);
            // The last frame is a GOAWAY for ENHANCE_YOUR_CALM, where it was not lost with the connection.
            let is_calmed = said.windows(5).any(|window| window == [7, 0, 0, 0, 0]) && said.contains(&11);
            assert!(said.len() < 4096 && (is_calmed || said.len() < 256), "{said:?}");
            witness.is_served();
        }
    });
    besiege("patient reset", &proxy, 64 << 10, |_| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mut reset, mut connections) = (0, 0);
        runtime.block_on(async {
            while reset < 10_000 && connections < 2_000 {
                connections += 1;
                reset += reset_streams(proxy.address(), 10_000 - reset).await;
            }
        });
        println!("patient reset: {reset} streams took {connections} connections");
    });
}

/// A connection of HTTP/2 with so many requests, each taken back at once.
fn resets(count: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..).step_by(2).take(count as usize) {
        let stream: [u8; 4] = u32::to_be_bytes(stream);
        // HEADERS with END_STREAM and END_HEADERS: GET http a /; RST_STREAM: CANCEL.
        bytes.extend_from_slice(&[0, 0, 6, 1, 5]);
        bytes.extend_from_slice(&stream);
        bytes.extend_from_slice(&[0x82, 0x86, 0x84, 0x01, 1, b'a']);
        bytes.extend_from_slice(&[0, 0, 4, 3, 0]);
        bytes.extend_from_slice(&stream);
        bytes.extend_from_slice(&[0, 0, 0, 8]);
    }
    bytes
}

/// Opens streams, and takes each back once it is on its way, until the connection is closed; how many it were.
async fn reset_streams(address: SocketAddr, most: usize) -> usize {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let Ok((mut sender, connection)) = h2::client::handshake(stream).await else { return 0 };
    let driving = tokio::spawn(connection);
    let mut count = 0;
    while count < most {
        let Ok(Ok(ready)) = tokio::time::timeout(Duration::from_secs(5), sender.ready()).await else { break };
        sender = ready;
        let request = http::Request::get(format!("http://videos.test{DONE}")).body(()).unwrap();
        let Ok((_response, mut stream)) = sender.send_request(request, true) else { break };
        tokio::task::yield_now().await;
        stream.send_reset(h2::Reason::CANCEL);
        count += 1;
    }
    driving.abort();
    count
}
