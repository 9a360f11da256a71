//! Answers that point where nobody should go: nothing is fetched there, and no credential is sent.

use super::{CONTENT, answer, config, provider};
use crate::support::{Proxy, Upstream, get};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A server that should never be asked for anything.
fn trap() -> Upstream {
    Upstream::start(|_, stream| answer(stream, 200, &[("content-type", "video/mp4")], b"stolen"))
}

/// Links that are refused as they are written, `{trap}` being `host:port` of a server on loopback, `{port}` its port.
const LINKS: &[&str] = &[
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "https://169.254.169.254/latest/meta-data/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://100.100.100.200/latest/meta-data/",
    "http://{trap}/a.mp4",
    "https://{trap}/a.mp4",
    "http://localhost:{port}/a.mp4",
    "https://localhost:{port}/a.mp4",
    "https://localhost/a.mp4",
    "http://[::1]:{port}/a.mp4",
    "https://[::1]:{port}/a.mp4",
    "https://[::ffff:127.0.0.1]:{port}/a.mp4",
    "http://0.0.0.0:{port}/a.mp4",
    "http://0:{port}/a.mp4",
    "http://127.1:{port}/a.mp4",
    "http://2130706433:{port}/a.mp4",
    "http://0x7f000001:{port}/a.mp4",
    "http://0177.0.0.1:{port}/a.mp4",
    "http://127.0.0.1.:{port}/a.mp4",
    "https://10.0.0.1/a.mp4",
    "https://172.16.0.1/a.mp4",
    "https://192.168.0.1/a.mp4",
    "https://127.0.0.1/a.mp4",
    "https://evil.example/a.mp4",
    "https://replicate.delivery.evil.example/a.mp4",
    "https://evilreplicate.delivery/a.mp4",
    "https://replicate.delivery@{trap}/a.mp4",
    "https://user:password@replicate.delivery/a.mp4",
    "https://replicate.delivery:{port}/a.mp4",
    "http://replicate.delivery/a.mp4",
    "https://replicate.delivery\\\\@{trap}/a.mp4",
    "https://xn--replicate-.delivery/a.mp4",
    "HTTPS://LOCALHOST/a.mp4",
    "gs://other-bucket/../x.mp4",
    "gs://../../etc/x.mp4",
    "gs://{trap}/x.mp4",
    "gs://bucket/%2e%2e/../x.mp4",
    "s3://other-bucket/../x.mp4",
];

/// What names nothing that can be fetched at all is no video: the job has none.
const NO_LINKS: &[&str] = &["file:///etc/passwd", "ftp://{trap}/a.mp4", "gopher://{trap}/a.mp4", "javascript:alert(1)"];

fn filled(link: &str, trap: SocketAddr) -> String {
    link.replace("{trap}", &trap.to_string()).replace("{port}", &trap.port().to_string())
}

#[test]
fn links_to_anywhere_but_the_providers_hosts_are_refused() {
    let trap = trap();
    let link = Arc::new(Mutex::new(String::new()));
    let current = Arc::clone(&link);
    let provider = provider(move |_| current.lock().unwrap().clone());
    let proxy = Proxy::start(&format!("{}    poll: {{cache: false}}\n", config(&provider, "idle_timeout: 2s")));
    let ask = |text: &str| {
        *link.lock().unwrap() = filled(text, trap.address());
        get(proxy.address(), CONTENT)
    };
    for text in LINKS {
        let response = ask(text);
        let got = (response.status, response.code());
        assert_eq!(got, (502, "upstream_invalid_response".to_owned()), "{text}: {}", response.text());
        assert!(!response.text().contains("a.mp4"), "{text}");
    }
    for text in NO_LINKS {
        let response = ask(text);
        assert_eq!((response.status, response.code().as_str()), (409, "video_failed"), "{text}: {}", response.text());
    }
    assert_eq!(trap.connections(), 0);
    assert!(LINKS.len() + NO_LINKS.len() >= 40);
}

#[test]
fn redirects_are_held_to_the_same_rules() {
    let trap = trap();
    let target = Arc::new(Mutex::new(String::new()));
    let current = Arc::clone(&target);
    let cdn = Upstream::start(move |_, stream| {
        let location = current.lock().unwrap().clone();
        answer(stream, 302, &[("location", &location)], b"")
    });
    let (cdn_address, here) = (cdn.address(), format!("http://{}/v/a.mp4", cdn.address()));
    let provider = provider(move |_| here.clone());
    let proxy = Proxy::start(&config(&provider, &format!("allow_hosts: [\"{cdn_address}\"]")));
    for text in LINKS.iter().chain(NO_LINKS).filter(|text| !text.starts_with("gs:") && !text.starts_with("s3:")) {
        *target.lock().unwrap() = filled(text, trap.address());
        let response = get(proxy.address(), CONTENT);
        let got = (response.status, response.code());
        assert_eq!(got, (502, "upstream_invalid_response".to_owned()), "{text}: {}", response.text());
    }
    assert_eq!(trap.connections(), 0);

    // Round and round.
    *target.lock().unwrap() = format!("http://{cdn_address}/again");
    let before = cdn.requests().len();
    let response = get(proxy.address(), CONTENT);
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"));
    assert!(response.text().contains("more than 5 times"), "{}", response.text());
    assert_eq!(cdn.requests().len() - before, 6, "the first request and five redirects");
}
