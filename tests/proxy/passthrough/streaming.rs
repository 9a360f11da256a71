//! Bodies flow while they are being made.

use super::{Service, pattern};
use crate::support::Client;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

const TEN_MEGABYTES: usize = 10 << 20;

/// A signal that one side of a test gives and the other waits for.
fn signal() -> (Sender<()>, Arc<Mutex<Receiver<()>>>) {
    let (tell, told) = channel();
    (tell, Arc::new(Mutex::new(told)))
}

fn wait(told: &Mutex<Receiver<()>>) -> Option<()> {
    told.lock().unwrap().recv_timeout(crate::support::PATIENCE).ok()
}

#[test]
fn ten_megabytes_come_through_whole_both_ways() {
    let service = Service::raw(|conversation| {
        loop {
            let request = conversation.request()?;
            let framing = request.header("content-length").is_some();
            let length = request.body.len();
            if framing {
                conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
                conversation.write(&request.body)?;
                continue;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for piece in request.body.chunks(100_000) {
                conversation.write(format!("{:x}\r\n", piece.len()).as_bytes())?;
                conversation.write(piece)?;
                conversation.write(b"\r\n")?;
            }
            conversation.write(b"0\r\n\r\n")?;
        }
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    let body = pattern(TEN_MEGABYTES);
    assert!(client.request("POST", "/length", &[], &body).body == body);
    client.write(b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.chunks(70_000) {
        client.write(format!("{:x}\r\n", piece.len()).as_bytes());
        client.write(piece);
        client.write(b"\r\n");
    }
    client.write(b"0\r\n\r\n");
    assert!(client.read(false).body == body);
}

#[test]
fn the_first_bytes_of_an_answer_arrive_before_the_service_has_finished() {
    let (go_on, told) = signal();
    let service = Service::raw(move |conversation| {
        conversation.request()?;
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")?;
        conversation.write(&pattern(100_000))?;
        wait(&told)?;
        conversation.write(&pattern(100_000))
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.read(true);
    assert_eq!(head.status, 200);
    // Pingora holds back the last few kilobytes of what it has, where the length of the whole is known.
    assert!(client.read_exactly(90_000) == pattern(90_000));
    go_on.send(()).unwrap();
    assert!(client.read_exactly(10_000) == pattern(100_000)[90_000..]);
    assert!(client.read_exactly(100_000) == pattern(100_000));
}

#[test]
fn the_first_bytes_of_an_upload_arrive_before_the_client_has_finished() {
    let (tell, arrived) = signal();
    let tell = Mutex::new(tell);
    let service = Service::raw(move |conversation| {
        let request = conversation.head()?;
        if request.header("content-length").is_some() {
            assert_eq!(conversation.exactly(5)?, b"first");
            tell.lock().unwrap().send(()).ok()?;
            assert_eq!(conversation.exactly(5)?, b"later");
        } else {
            assert_eq!(conversation.chunk()??, b"first");
            tell.lock().unwrap().send(()).ok()?;
            assert_eq!(conversation.chunk()??, b"later");
            assert_eq!(conversation.chunk()?, None);
        }
        // It hangs up after each answer and says so: a connection that dies in the pool loses the next upload.
        conversation.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood")
    });
    let proxy = service.proxied();
    let table = [
        ("Content-Length: 10", "first", "later"),
        ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "5\r\nlater\r\n0\r\n\r\n"),
    ];
    for (framing, first, later) in table {
        let mut client = Client::connect(proxy.address());
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{first}").as_bytes());
        wait(&arrived).expect(framing);
        client.write(later.as_bytes());
        assert_eq!(client.read(false).text(), "good", "{framing}");
    }
}

#[test]
fn events_arrive_one_by_one() {
    let (next, told) = signal();
    let service = Service::raw(move |conversation| {
        conversation.request()?;
        conversation
            .write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for i in 0..5 {
            conversation.write(format!("9\r\ndata: {i}\n\n\r\n").as_bytes())?;
            wait(&told)?;
        }
        conversation.write(b"0\r\n\r\n")
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    client.write(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let head = client.read(true);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for i in 0..5 {
        assert_eq!(client.read_exactly(14), format!("9\r\ndata: {i}\n\n\r\n").as_bytes());
        next.send(()).unwrap();
    }
    assert_eq!(client.read_exactly(5), b"0\r\n\r\n");
}

#[test]
fn a_client_that_does_not_read_holds_the_service_back() {
    let (tell, told) = signal();
    let tell = Mutex::new(tell);
    let service = Service::raw(move |conversation| {
        conversation.request()?;
        let length = 64 << 20;
        conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
        let piece = pattern(1 << 20);
        for _ in 0..64 {
            conversation.write(&piece)?;
        }
        tell.lock().unwrap().send(()).ok()
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read(true).status, 200);
    // Sockets buffer a few megabytes; the proxy must not take the rest into its memory.
    let told = told.lock().unwrap();
    assert!(told.recv_timeout(std::time::Duration::from_millis(300)).is_err(), "64 MiB went into a buffer");
    let reader = thread::spawn(move || (0..64).all(|_| client.read_exactly(1 << 20) == pattern(1 << 20)));
    assert!(reader.join().unwrap());
    assert!(told.recv_timeout(crate::support::PATIENCE).is_ok());
}
