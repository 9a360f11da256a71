//! Upgrades to WebSocket.

use super::{Conversation, Service};
use crate::support::Client;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Masked frames of a client: `hello`, and a close with code 1000.
const HELLO: &[u8] = &[0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 3, 232];

/// The text or close frame that comes next, unmasked.
fn frame(conversation: &mut Conversation) -> Option<(u8, Vec<u8>)> {
    let head = conversation.exactly(2)?;
    let mask = conversation.exactly(4)?;
    let mut payload = conversation.exactly(usize::from(head[1] & 0x7f))?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((head[0], payload))
}

/// Greets, then sends every frame back, and closes after a close.
fn echo() -> Service {
    Service::raw(|conversation| {
        let request = conversation.head()?;
        assert_eq!(request.header("upgrade"), Some("websocket"));
        assert_eq!(request.header("connection"), Some("Upgrade"));
        assert_eq!((request.header("sec-websocket-key"), request.header("origin")), (Some(KEY), Some("https://a")));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
        // The first frame may come in the same packet as the handshake.
        conversation.write(&[answer.as_bytes(), &[0x81, 2, b'h', b'i']].concat())?;
        loop {
            let (kind, payload) = frame(conversation)?;
            conversation.write(&[&[kind, payload.len() as u8], payload.as_slice()].concat())?;
            if kind == 0x88 {
                return None;
            }
        }
    })
}

fn shake_hands(client: &mut Client) {
    client.write(
        format!(
            "GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Origin: https://a\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .as_bytes(),
    );
    let answer = client.read(true);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(
        (answer.header("sec-websocket-accept"), answer.header("sec-websocket-protocol")),
        (Some(ACCEPT), Some("chat"))
    );
}

#[test]
fn a_websocket_carries_frames_both_ways_until_it_is_closed() {
    let service = echo();
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    shake_hands(&mut client);
    assert_eq!(client.read_exactly(4), [0x81, 2, b'h', b'i']);
    for _ in 0..10 {
        client.write(HELLO);
        assert_eq!(client.read_exactly(7), b"\x81\x05hello");
    }
    client.write(CLOSE);
    assert_eq!(client.read_exactly(4), [0x88, 2, 3, 232]);
    assert_eq!(client.read_to_end(), b"", "the service closes, and so does the proxy");
}

#[test]
fn a_websocket_whose_client_leaves_ends_at_the_service() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let service = Service::raw(move |conversation| {
        conversation.head()?;
        conversation.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n")?;
        let ended = conversation.exactly(1).is_none();
        tell.lock().unwrap().send(ended).ok()
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    shake_hands(&mut client);
    drop(client);
    assert_eq!(told.recv_timeout(crate::support::PATIENCE), Ok(true));
}

#[test]
fn an_upgrade_that_the_service_refuses_is_an_ordinary_answer() {
    let service = Service::saying("no sockets here");
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    let headers = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY)];
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/", &headers, b"").text(), "no sockets here");
        client = Client::connect(proxy.address());
    }
}
