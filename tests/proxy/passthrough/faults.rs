//! Services and clients that misbehave.

use super::{Service, nobody, pattern, text};
use crate::support::{Client, Proxy, get, send, wait_until};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn an_answer_that_breaks_off_is_cut_and_not_completed() {
    let service = Service::raw(|conversation| {
        let head = match conversation.request()?.target().as_str() {
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        };
        conversation.write(head.as_bytes())?;
        None
    });
    let proxy = service.proxied();
    for target in ["/length", "/chunked"] {
        let mut client = Client::connect(proxy.address());
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = text(&client.read_to_end());
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("half"), "{answer}");
        assert!(!answer.contains("0\r\n\r\n") && !answer.contains("502"), "{answer}");
    }
}

#[test]
fn an_answer_that_is_not_http_is_502() {
    let service = Service::raw(|conversation| {
        let request = conversation.request()?;
        let answer: &[u8] = match request.target().as_str() {
            "/words" => b"SSH-2.0-OpenSSH_9.6 secret-words\r\n\r\n",
            "/header" => b"HTTP/1.1 200 OK\r\nno colon secret-words\r\n\r\n",
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nsecret-words",
            "/lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nsecret-words",
            _ => b"",
        };
        conversation.write(answer)?;
        None
    });
    let proxy = service.proxied();
    for target in ["/words", "/header", "/length", "/lengths"] {
        let response = get(proxy.address(), target);
        assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"), "{target}");
        assert!(!response.text().contains("secret-words"));
    }
    let response = get(proxy.address(), "/nothing");
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"));
}

#[test]
fn logs_of_failures_hold_no_query_and_no_bytes_of_the_service() {
    let service = Service::raw(|conversation| {
        conversation.request()?;
        conversation.write(b"HTTP/1.1 200 OK\r\nset-cookie: secret-cookie\r\nno colon secret-words\r\n\r\n")?;
        None
    });
    let config = format!(
        "passthrough: [{{match: {{path: /}}, upstreams: [\"{}\"]}}, {{match: {{path: /dead}}, upstreams: [\"http://{}\"]}}]\n",
        service.url(),
        nobody()
    );
    let proxy = Proxy::start(&config);
    for target in ["/garbage?secret-query", "/dead?secret-query"] {
        assert_eq!(send(proxy.address(), "GET", target, &[("cookie", "secret-client")]).status, 502);
        let path = target.split('?').next().unwrap();
        wait_until("it is logged", || proxy.log().contains(&format!("\"path\":\"{path}\"")));
    }
    assert!(proxy.log().contains("/dead"), "{}", proxy.log());
    assert!(!proxy.log().contains("secret"), "{}", proxy.log());
}

/// Serves one request per connection, then reads what comes on the kept connection and closes it unanswered.
fn closing_after_one() -> Service {
    let answered = AtomicUsize::new(0);
    Service::raw(move |conversation| {
        conversation.request()?;
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        answered.fetch_add(1, Ordering::SeqCst);
        conversation.head()?;
        None
    })
}

#[test]
fn a_request_without_a_body_is_sent_again_when_a_kept_connection_was_closed() {
    let service = closing_after_one();
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/", &[], b"").text(), "ok");
    }
    assert_eq!(service.seen().len(), 3, "the second came twice");
}

#[test]
fn a_request_with_a_body_is_never_sent_twice() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let service = closing_after_one();
        let proxy = service.proxied();
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.request("GET", "/", &[], b"").text(), "ok");
        let response = client.request(method, "/pay", &[], b"amount=1");
        assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"), "{method}");
        assert_eq!(service.seen().len(), 2, "{method}");
    }
    let service = closing_after_one();
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.request("GET", "/", &[], b"").text(), "ok");
    assert_eq!(client.request("POST", "/pay", &[], b"").status, 502, "nor is a POST without one");
    assert_eq!(service.seen().len(), 2);
}

#[test]
fn a_client_that_is_still_sending_gets_its_error() {
    let proxy = Proxy::start(&format!("passthrough: {{upstreams: [\"http://{}\"]}}\n", nobody()));
    for _ in 0..5 {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let upload = thread::spawn(move || {
            let head = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n";
            writer.write_all(head.as_bytes()).unwrap();
            // The proxy may close once it has answered.
            let _ = writer.write_all(&pattern(4_000_000));
        });
        upload.join().unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(text(&answer).starts_with("HTTP/1.1 502 "), "{}", text(&answer));
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_upload_does_not_hurt_the_next() {
    let service = Service::saying("whole");
    let proxy = service.proxied();
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let before = service.seen().len();
        let stream = TcpStream::connect(proxy.address()).unwrap();
        let half = format!("POST /half HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        (&stream).write_all(half.as_bytes()).unwrap();
        wait_until("the service has the head", || service.seen().len() > before);
        stream.shutdown(Shutdown::Both).unwrap();
        drop(stream);
        for _ in 0..3 {
            let mut client = Client::connect(proxy.address());
            let response = client.request("POST", "/next", &[], b"body");
            assert_eq!((response.status, response.text().as_str()), (200, "whole"));
            assert_eq!((service.last().target().as_str(), text(&service.last().body).as_str()), ("/next", "body"));
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_does_not_hurt_the_next() {
    let service = Service::raw(|conversation| {
        loop {
            let request = conversation.request()?;
            let body = if request.target() == "/big" { pattern(20_000_000) } else { b"small".to_vec() };
            conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?;
            conversation.write(&body)?;
        }
    });
    let proxy = service.proxied();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        drop(stream);
        assert_eq!(get(proxy.address(), "/small").text(), "small");
    }
}

#[test]
fn an_answer_before_the_end_of_the_upload_reaches_the_client() {
    let service = Service::raw(|conversation| {
        conversation.head()?;
        conversation.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")?;
        // Reads on until the proxy gives up.
        let mut rest = Vec::new();
        let _ = conversation.reader.read_to_end(&mut rest);
        None
    });
    let proxy = service.proxied();
    let mut client = Client::connect(proxy.address());
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart");
    let response = client.read(false);
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
}
