//! With client keys, services are guarded too, and our keys end at the proxy.

use super::Service;
use crate::support::{Client, Proxy, get, send};

/// A header.
type Named = (&'static str, &'static str);

/// SHA-256 of `sesame`.
const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";

/// SHA-256 of `old`, a key that has expired.
const OLD: &str = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4";

fn config(service: &Service, more: &str) -> String {
    format!(
        "client_auth: {{keys: [{{name: web, sha256: {SESAME}}}, {{name: old, sha256: {OLD}, expires: 2020-01-01}}]}}\n\
         passthrough: {{upstreams: [\"{}\"]{more}}}\n",
        service.url()
    )
}

#[test]
fn without_a_key_nothing_passes() {
    let service = Service::saying("in");
    let proxy = Proxy::start(&config(&service, ""));
    for headers in [
        &[][..],
        &[("x-api-key", "wrong")],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", "Basic c2VzYW1l")],
        &[("x-bf-vk", "old")],
    ] {
        let response = send(proxy.address(), "POST", "/v1/videos", headers);
        assert_eq!((response.status, response.code().as_str()), (401, "invalid_api_key"), "{headers:?}");
    }
    assert_eq!(service.seen(), []);
}

#[test]
fn a_refused_upload_is_read_to_its_end_so_that_the_connection_stays_good() {
    let service = Service::saying("in");
    let proxy = Proxy::start(&config(&service, ""));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.request("POST", "/up", &[], &vec![b'x'; 300_000]).status, 401);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.request("GET", "/up", &[("x-bf-vk", "sesame")], b"").status, 200);
}

#[test]
fn the_header_with_our_key_is_removed_and_other_credentials_stay() {
    let service = Service::saying("in");
    let proxy = Proxy::start(&config(&service, ""));
    let theirs = ("Authorization", "Bearer theirs");
    let table: &[(&[Named], &[Named])] = &[
        (&[("Authorization", "Bearer sesame"), ("x-api-key", "theirs")], &[("x-api-key", "theirs")]),
        (&[("x-api-key", "sesame"), theirs], &[theirs]),
        (&[("x-bf-vk", "sesame"), theirs, ("x-api-key", "theirs")], &[theirs, ("x-api-key", "theirs")]),
        (&[("x-bf-vk", "sesame"), ("authorization", "bearer sesame"), ("Cookie", "a=b")], &[("cookie", "a=b")]),
        (&[("x-bf-vk", "sesame"), ("x-api-key", "old")], &[]),
    ];
    for (sent, want) in table {
        assert_eq!(send(proxy.address(), "GET", "/", sent).text(), "in", "{sent:?}");
        let seen = service.last();
        let mut got: Vec<_> =
            seen.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
        let mut want: Vec<_> = want.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
        want.insert(0, ("host".into(), "videos.test"));
        got.sort();
        want.sort();
        assert_eq!(got, want, "{sent:?}");
    }
}

#[test]
fn a_service_with_auth_off_lets_everybody_in_but_gets_no_key_of_ours() {
    let service = Service::saying("in");
    let proxy = Proxy::start(&config(&service, ", auth: off"));
    assert_eq!(get(proxy.address(), "/").text(), "in");
    let headers = [("Authorization", "Bearer theirs"), ("x-api-key", "sesame"), ("x-bf-vk", "old")];
    assert_eq!(send(proxy.address(), "GET", "/", &headers).text(), "in");
    let seen = service.last();
    assert_eq!(seen.header("authorization"), Some("Bearer theirs"));
    assert_eq!((seen.header("x-api-key"), seen.header("x-bf-vk")), (None, None));
    assert_eq!(get(proxy.address(), "/v1/videos/a:openai").status, 401, "videos are guarded all the same");
}
