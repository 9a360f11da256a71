//! Large videos: what they cost in memory, whoever reads them at whatever speed.

use super::{memory, support};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Proxy, Upstream, wait_until};

const GIGABYTE: u64 = 1 << 30;
const DOWNLOADS: usize = 100;

/// A source of a file of zeros as long as this, which takes no room anywhere.
fn zeros(length: u64) -> Upstream {
    Upstream::start(move |_, stream| {
        let head = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: {length}\r\n\r\n");
        let (piece, mut left) = (vec![0; 64 << 10], length);
        let mut is_open = stream.write_all(head.as_bytes()).is_ok();
        while is_open && left > 0 {
            let size = left.min(piece.len() as u64);
            is_open = stream.write_all(&piece[..size as usize]).is_ok();
            left -= size;
        }
        is_open
    })
}

/// A proxy before a provider whose finished job lies at this source.
fn before(source: SocketAddr) -> (Upstream, Proxy) {
    let job = format!(r#"{{"id":"a","status":"succeeded","output":"http://{source}/a.mp4"}}"#);
    let provider = Upstream::json(200, &job);
    let proxy = Proxy::start(&format!(
        "log: {{access: off}}\nproviders: {{replicate: {{base_url: \"http://{}\", credentials: {{api_key: k-123456}}, \
         content: {{allow_hosts: [\"{source}\"]}}}}}}\n",
        provider.address()
    ));
    (provider, proxy)
}

fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_hundred_downloads_of_a_gigabyte_each_cost_their_buffers_only() {
    let source = zeros(GIGABYTE);
    let (_provider, proxy) = before(source.address());
    let path = "/v1/videos/abc:replicate/content";
    // One before, so that what is made once for all is there.
    let mut head = [0; 16];
    ask(proxy.address(), path).read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"));
    let base = memory(&proxy);
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let started = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..DOWNLOADS)
        .map(|nth| {
            let (stop, total, started) = (Arc::clone(&stop), Arc::clone(&total), Arc::clone(&started));
            let address = proxy.address();
            thread::spawn(move || {
                let mut stream = ask(address, path);
                let mut buffer = vec![0; 256 << 10];
                let mut own = 0;
                while !stop.load(Ordering::SeqCst) {
                    let read = stream.read(&mut buffer).unwrap();
                    assert!(read > 0, "the download ended after {own} bytes");
                    if own == 0 {
                        started.fetch_add(1, Ordering::SeqCst);
                    }
                    own += read as u64;
                    total.fetch_add(read as u64, Ordering::SeqCst);
                    // Every other one reads slowly, so that all the buffers on its way are full.
                    if nth % 2 == 1 {
                        thread::sleep(Duration::from_millis(200));
                    }
                }
            })
        })
        .collect();
    wait_until("all downloads are under way", || started.load(Ordering::SeqCst) == DOWNLOADS as u64);
    let began = Instant::now();
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(5) {
        most = most.max(memory(&proxy));
        thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::SeqCst);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let (growth, moved) = (most.saturating_sub(base), total.load(Ordering::SeqCst) >> 20);
    println!(
        "{DOWNLOADS} downloads of 1 GiB for 5 s: {moved} MiB moved, memory {base} kB and at most {growth} kB more"
    );
    assert!(growth < 64 << 10, "{growth} kB");
}

#[test]
fn a_hundred_megabytes_of_base64_are_never_held() {
    const TEXT: usize = 100_000_000;
    let api = Upstream::start(|_, stream| {
        let (start, end) = (r#"{"done":true,"response":{"videos":[{"bytesBase64Encoded":""#, r#""}]}}"#);
        let length = start.len() + TEXT + end.len();
        let head =
            format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{start}");
        let piece = b"TWFu".repeat(25_000);
        let mut is_open = stream.write_all(head.as_bytes()).is_ok();
        for _ in 0..TEXT / piece.len() {
            is_open = is_open && stream.write_all(&piece).is_ok();
        }
        is_open && stream.write_all(end.as_bytes()).is_ok()
    });
    let proxy = Proxy::start(&format!(
        "log: {{access: off}}\nproviders: {{gemini: {{base_url: \"http://{}\", credentials: {{api_key: k-123456}}}}}}\n",
        api.address()
    ));
    let path = "/v1/videos/models/veo-3/operations/abc:gemini/content";
    let fetch = || {
        let mut stream = ask(proxy.address(), path);
        let (mut buffer, mut read) = (vec![0; 256 << 10], 0);
        let most = std::cell::Cell::new(0);
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                more => read += more,
            }
            most.set(most.get().max(memory(&proxy)));
        }
        (read, most.get())
    };
    fetch();
    let base = memory(&proxy);
    let (read, most) = fetch();
    assert!(read >= TEXT / 4 * 3, "{read} bytes came");
    let growth = most.saturating_sub(base);
    println!("100 MB of base64: memory {base} kB and at most {growth} kB more");
    assert!(growth < 2 << 10, "{growth} kB");
}
