//! Which service a request is for.

use super::Service;
use crate::support::{Client, Proxy, Response, send};

/// Several services; each says its name.
fn proxy() -> (Proxy, Vec<Service>) {
    let table = [
        ("any /", "path: /"),
        ("any /api", "path: /api"),
        ("any /api/deep", "path: /api/deep"),
        ("any /slash/", "path: /slash/"),
        ("host /api", "host: One.Example, path: /api"),
        ("host /", "host: two.example, path: /"),
    ];
    let mut text = String::from("passthrough:\n");
    let services = table.map(|(name, matched)| {
        let service = Service::saying(name);
        text.push_str(&format!("  - {{match: {{{matched}}}, upstreams: [\"{}\"]}}\n", service.url()));
        service
    });
    (Proxy::start(&text), services.into())
}

fn ask(client: &mut Client, host: &str, target: &str) -> Response {
    client.request("GET", target, &[("Host", host)], b"")
}

#[test]
fn the_host_counts_first_then_the_longest_prefix_that_ends_at_a_segment() {
    let (proxy, _services) = proxy();
    let mut client = Client::connect(proxy.address());
    let table = [
        ("x.example", "/", "any /"),
        ("x.example", "/api", "any /api"),
        ("x.example", "/api?x=/deep", "any /api"),
        ("x.example", "/api/", "any /api"),
        ("x.example", "/apis", "any /"),
        ("x.example", "/API", "any /"),
        ("x.example", "/api/deeper", "any /api"),
        ("x.example", "/api/deep/er", "any /api/deep"),
        ("x.example", "/slash", "any /"),
        ("x.example", "/slash/x", "any /slash/"),
        ("one.example", "/api/deep", "host /api"),
        ("ONE.example:8080", "/api", "host /api"),
        ("one.example", "/", "any /"),
        ("two.example", "/api/deep", "host /"),
        ("sub.two.example", "/api", "any /api"),
        ("[::1]:80", "/api", "any /api"),
        ("", "/api", "any /api"),
    ];
    for (host, target, want) in table {
        assert_eq!(ask(&mut client, host, target).text(), want, "{host} {target}");
    }
    client.write(b"GET http://two.example/api HTTP/1.1\r\nHost: two.example\r\n\r\n");
    assert_eq!(client.read(false).text(), "host /");
}

#[test]
fn where_no_service_matches_it_is_404() {
    let service = Service::saying("in");
    let config =
        format!("passthrough: [{{match: {{host: a.example, path: /api}}, upstreams: [\"{}\"]}}]\n", service.url());
    let proxy = Proxy::start(&config);
    let mut client = Client::connect(proxy.address());
    for (host, target) in
        [("a.example", "/"), ("b.example", "/api"), ("a.example", "/apix"), ("a.example", "/v1/videos")]
    {
        let response = ask(&mut client, host, target);
        assert_eq!((response.status, response.code().as_str()), (404, "route_not_found"), "{host} {target}");
        let envelope = response.json();
        assert_eq!(envelope["status_code"], 404);
        assert_eq!(envelope["event_id"].as_str(), response.header("x-request-id"));
    }
    assert_eq!(ask(&mut client, "a.example", "/api").text(), "in");
    let response = send(proxy.address(), "POST", "/v1/videos/a:openai", &[]);
    assert_eq!((response.status, response.code().as_str()), (404, "route_not_found"));
}
