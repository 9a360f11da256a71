//! Many at once.

use super::Service;
use crate::support::Client;
use std::thread;

#[test]
fn a_thousand_mixed_requests_over_twenty_connections_are_all_answered_right() {
    let service = Service::answering(|request| {
        let body = [request.target.as_slice(), b"|", &request.body].concat();
        if request.target.ends_with(b"chunked") {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
            return [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        }
        let head = format!("HTTP/1.1 201 Made\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), &body].concat()
    });
    let proxy = service.proxied();
    let address = proxy.address();
    let talk = move |number| thread::spawn(move || converse(&mut Client::connect(address), number));
    for client in (0..20).map(talk).collect::<Vec<_>>() {
        client.join().unwrap();
    }
    assert_eq!(service.seen().len(), 20 * 40, "the other ten of fifty were ours");
}

/// Fifty requests of five sorts.
fn converse(client: &mut Client, number: usize) {
    for i in 0..50 {
        let target = format!("/{number}/{i}");
        let body = vec![b'a' + (i % 26) as u8; i * 997];
        match i % 5 {
            0 => {
                let response = client.request("GET", &target, &[], b"");
                assert_eq!((response.status, response.text()), (201, format!("{target}|")));
            }
            1 => {
                let response = client.request("POST", &target, &[], &body);
                assert!(response.body == [target.as_bytes(), b"|", &body].concat(), "{target}");
            }
            2 => {
                let target = format!("{target}/chunked");
                let response = client.request("PUT", &target, &[], &body);
                assert_eq!(response.status, 200);
                assert!(response.body == [target.as_bytes(), b"|", &body].concat(), "{target}");
            }
            3 => {
                client.write(
                    format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes(),
                );
                client.write(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
                assert_eq!(client.read(false).text(), format!("{target}|abc"));
            }
            _ => {
                let response = client.request("GET", &format!("/v1/videos/{i}:nobody"), &[], b"");
                assert_eq!((response.status, response.code().as_str()), (400, "unknown_provider"));
            }
        }
    }
}
