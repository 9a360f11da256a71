//! Wrong configs, and the path that each reports.

mod providers;

use crate::config::testing::{KINDS, parse, world};
use crate::config::{Fault, Settings};
use proptest::prelude::*;

/// An entry that is right, for configs that are wrong elsewhere.
const OK: &str = "providers: {openai: {credentials: {api_key: sk-ok}}}\n";

/// The paths and messages of a config's faults.
fn faults(yaml: &str) -> Vec<(String, String)> {
    match parse(yaml) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| (fault.path().into(), fault.message().into())).collect(),
    }
}

/// Each config must report exactly one fault, at this path and with these words, and no secret.
fn each_reports(table: &[(&str, &str, &str)]) {
    for (yaml, path, words) in table {
        let found = faults(yaml);
        assert_eq!(found.len(), 1, "{yaml}\n{found:#?}");
        for (at, message) in found {
            assert_eq!(at, *path, "{yaml}: {message}");
            assert!(message.contains(words), "{yaml}: {message}");
            assert!(!message.contains("sk-"), "a secret is printed: {yaml}: {message}");
        }
    }
}

/// Below an otherwise right config.
fn each_top_level_reports(table: &[(&str, &str, &str)]) {
    let whole: Vec<String> = table.iter().map(|(yaml, _, _)| format!("{OK}{yaml}")).collect();
    let table: Vec<_> =
        whole.iter().zip(table).map(|(yaml, (_, path, words))| (yaml.as_str(), *path, *words)).collect();
    each_reports(&table);
}

#[test]
fn wrong_files_report_the_file() {
    let cases = [
        ("", "providers", "nothing to serve"),
        ("{}", "providers", "nothing to serve"),
        ("providers:", "providers", "nothing to serve"),
        ("providers: {}", "providers", "nothing to serve"),
        ("passthrough: null", "providers", "nothing to serve"),
        ("- a", "", "expected a mapping, found a list"),
        ("just text", "", "expected a mapping"),
        ("a: [", "", "line 1"),
        ("listen: 1\n listen: 2", "", "line 2, column"),
        ("providers: [a]", "providers", "expected a mapping, found a list"),
    ];
    each_reports(&cases);
}

#[test]
fn wrong_general_settings_report_their_path() {
    each_top_level_reports(&[
        ("listne: 127.0.0.1:1", "listne", "unknown key; did you mean listen?"),
        ("bananas: 1", "bananas", "unknown key; expected one of listen, admin"),
        ("providers: {}", "providers", "written twice"),
        ("drain: 1s\ndrain: 2s", "drain", "written twice"),
        ("listen: localhost:80", "listen", "expected an IP address and a port such as 127.0.0.1:8080"),
        ("listen: 8080", "listen", "found 8080"),
        ("listen: null", "listen", "found nothing (null)"),
        ("listen: []", "listen", "an empty list"),
        ("listen: [127.0.0.1:1, '127.0.0.1']", "listen[1]", "found \"127.0.0.1\""),
        ("listen: [127.0.0.1:1, 127.0.0.1:1]", "listen[1]", "takes already"),
        ("listen: [127.0.0.1:1, {addr: x}]", "listen[1].addr", "found \"x\""),
        ("listen: [127.0.0.1:1, {adr: 127.0.0.1:2, addr: 127.0.0.1:3}]", "listen[1].adr", "did you mean addr?"),
        ("listen: {tls: null}", "listen.addr", "missing"),
        ("listen: {addr: 127.0.0.1:1, tls: {cert: /tls/cert.pem}}", "listen.tls.key", "missing"),
        ("listen: {addr: 127.0.0.1:1, tls: {cert: /no, key: /tls/key.pem}}", "listen.tls.cert", "cannot read /no"),
        ("listen: {addr: 127.0.0.1:1, tls: {cert: /tls/key.pem, key: /tls/key.pem}}", "listen.tls.cert", "certificate"),
        (
            "listen: {addr: 127.0.0.1:1, tls: {cert: /tls/cert.pem, key: /tls/cert.pem}}",
            "listen.tls.key",
            "private key",
        ),
        (
            "listen: {addr: 127.0.0.1:1, tls: {cert: /tls/cert.pem, key: /tls/key.pem, client_ca: /tls/empty.pem}}",
            "listen.tls.client_ca",
            "certificate",
        ),
        ("limits: {header_size: 2MiB}", "limits.header_size", "a size from 1KiB to 1000KiB"),
        ("limits: {idle_timeout: 0s}", "limits.idle_timeout", "above zero"),
        ("limits: {connections: 0}", "limits.connections", "a whole number from 1"),
        ("client_rate: {per_address: 0/s}", "client_rate.per_address", "a rate above zero"),
        ("trusted_proxies: [10.0.0.1/8]", "trusted_proxies[0]", "a network such as"),
        ("listen: {addr: 127.0.0.1:1, tls: true}", "listen.tls", "expected a mapping"),
        ("admin: here", "admin", "found \"here\""),
        ("admin: 127.0.0.1:8080", "admin", "takes already"),
        ("admin: 0.0.0.0:8080", "admin", "takes already"),
        ("listen: 127.0.0.1:9090", "admin", "among the `listen` addresses"),
        ("public_url: videos.example.com", "public_url", "begins with https://"),
        ("public_url: https://a:sk-pw@example.com", "public_url", "user name or password"),
        ("public_url: https://example.com/?key=sk-q", "public_url", "query"),
        ("public_url: 7", "public_url", "a URL such as"),
        ("bare_ids: opnai", "bare_ids", "reject, passthrough or a name under `providers` (openai)"),
        ("bare_ids: null", "bare_ids", "found nothing"),
        ("allow_raw: perhaps", "allow_raw", "expected true or false, found \"perhaps\""),
        ("threads: 0", "threads", "a whole number from 1 to 1024, found 0"),
        ("threads: 1025", "threads", "found 1025"),
        ("threads: 1.5", "threads", "found 1.5"),
        ("threads: \"${NOPE}\"", "threads", "the environment variable NOPE is not set"),
        ("threads: \"${TIMEOUT}\"", "threads", "found the value of \"${TIMEOUT}\""),
        ("threads: \"${N\"", "threads", "no closing"),
        ("threads: \"${file:/nope}\"", "threads", "cannot read the file /nope"),
        ("max_requests: 0", "max_requests", "from 1 to"),
        ("max_requests: many", "max_requests", "found \"many\""),
        ("drain: 5", "drain", "a duration such as 250ms"),
        ("drain: -1s", "drain", "a duration such as"),
        ("shutdown_timeout: [1s]", "shutdown_timeout", "found a list"),
        ("shutdown_timeout: 9999999h", "shutdown_timeout", "at most 8784h"),
        ("reload: sometimes", "reload", "expected signal or watch"),
        ("log: loud", "log", "expected a mapping"),
        ("log: {level: verbose}", "log.level", "found \"verbose\""),
        ("log: {level: 'info,=debug'}", "log.level", "or a filter"),
        ("log: {format: xml}", "log.format", "expected json or text, found \"xml\""),
        ("log: {access: 1}", "log.access", "true or false"),
        ("log: {levle: info}", "log.levle", "did you mean level?"),
        ("traces: http://a:4318", "traces", "expected a mapping"),
        ("traces: {}", "traces.endpoint", "missing; expected a collector such as http://127.0.0.1:4318"),
        ("traces: {sample: 1}", "traces.endpoint", "missing"),
        ("traces: {endpoint: null}", "traces.endpoint", "a URL such as"),
        ("traces: {endpoint: a:4318}", "traces.endpoint", "begins with https://"),
        ("traces: {endpoint: 'https://sk-user@a'}", "traces.endpoint", "user name or password"),
        ("traces: {endpoint: http://a/v1/traces}", "traces.endpoint", "without /v1/traces"),
        ("traces: {endpoint: http://a, headers: {X-Key: sk-1}}", "traces.endpoint", "allow_insecure: true"),
        ("traces: {endpoint: http://a, headers: {Host: sk-1}}", "traces.headers.Host", "belongs to the connection"),
        ("traces: {endpoint: http://a, headers: {Content-Type: sk-1}}", "traces.headers.Content-Type", "the body"),
        ("traces: {endpoint: http://a, headers: {X-Key: \"${NEWLINE}\"}}", "traces.headers.X-Key", "visible ASCII"),
        ("traces: {endpoint: http://a, sample: 1.5}", "traces.sample", "a number from 0 to 1, found 1.5"),
        ("traces: {endpoint: http://a, sample: -0.1}", "traces.sample", "a number from 0 to 1"),
        ("traces: {endpoint: http://a, sample: .nan}", "traces.sample", "a number from 0 to 1"),
        ("traces: {endpoint: http://a, service_name: ''}", "traces.service_name", "a name of 1 to 64"),
        ("traces: {endpoint: http://a, ca_file: /tls/empty.pem}", "traces.ca_file", "at least one certificate"),
        ("traces: {endpoint: http://a, endpiont: http://b}", "traces.endpiont", "did you mean endpoint?"),
        ("poll_cache: {max_bytes: 1MB}", "poll_cache.max_bytes", "a size such as 65536"),
        ("poll_cache: {max_entry: -1}", "poll_cache.max_entry", "found -1"),
        ("poll_cache: {keep: forever}", "poll_cache.keep", "a duration"),
        ("\"a\\tb\\n${x}\": 1", "a\\tb\\n${x}", "unknown key"),
    ]);
}

#[test]
fn wrong_passthroughs_report_their_path() {
    each_top_level_reports(&[
        ("passthrough: http://a", "passthrough", "expected a mapping"),
        ("passthrough: []", "passthrough", "empty list"),
        ("passthrough: {}", "passthrough.upstreams", "missing"),
        ("passthrough: {upstreams: []}", "passthrough.upstreams", "one or more"),
        ("passthrough: {upstreams: [http://a/b]}", "passthrough.upstreams[0]", "an origin, without a path"),
        ("passthrough: {upstreams: ['http://a/?x=sk-1']}", "passthrough.upstreams[0]", "query"),
        ("passthrough: {upstreams: [http://a, a:1]}", "passthrough.upstreams[1]", "begins with"),
        ("passthrough: {upstreams: [http://a], auth: maybe}", "passthrough.auth", "true or false"),
        ("passthrough: {upstreams: [http://a], match: {path: v1}}", "passthrough.match.path", "begins with /"),
        ("passthrough: {upstreams: [http://a], match: {host: 'http://x'}}", "passthrough.match.host", "without scheme"),
        ("passthrough: {upstreams: [http://a], health_check: {}}", "passthrough.health_check.path", "missing"),
        (
            "passthrough: {upstreams: [http://a], health_check: {path: /h, interval: 0s}}",
            "passthrough.health_check.interval",
            "above zero",
        ),
        ("passthrough: [{upstreams: [http://a]}]", "passthrough[0].match", "missing"),
        ("passthrough: [{match: {path: x}, upstreams: [http://a]}]", "passthrough[0].match.path", "begins with /"),
        (
            "passthrough: [{match: {path: /a}, upstreams: [http://a]}, {match: {path: /a}, upstreams: [http://b]}]",
            "passthrough[1]",
            "a second time",
        ),
        (
            "passthrough: [{match: {host: A.b}, upstreams: [http://a]}, {match: {host: a.B}, upstreams: [http://b]}]",
            "passthrough[1]",
            "a second time",
        ),
    ]);
}

#[test]
fn wrong_client_auth_reports_its_path() {
    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    let key = |rest: &str| format!("client_auth: {{keys: [{{name: web, sha256: {A}, {rest}}}]}}");
    let two = |second: &str| format!("client_auth: {{keys: [{{name: web, sha256: {A}}}, {second}]}}");
    let table = [
        ("listen: 0.0.0.0:8080".to_owned(), "client_auth", "{open: true}"),
        (
            "listen: ['127.0.0.1:1', '[::]:8080']\nclient_auth: null".into(),
            "client_auth",
            "[::]:8080 is not on loopback",
        ),
        ("client_auth: open".into(), "client_auth", "expected a mapping"),
        ("client_auth: {}".into(), "client_auth", "found neither"),
        ("client_auth: {open: false}".into(), "client_auth", "found neither"),
        (format!("client_auth: {{open: true, keys: [{{name: a, sha256: {A}}}]}}"), "client_auth", "found both"),
        ("client_auth: {opne: true, open: true}".into(), "client_auth.opne", "did you mean open?"),
        ("client_auth: {keys: []}".into(), "client_auth.keys", "empty list"),
        ("client_auth: {keys: sk-text}".into(), "client_auth.keys", "a list of keys"),
        ("client_auth: {keys_file: /nope}".into(), "client_auth.keys_file", "cannot read /nope"),
        ("client_auth: {keys_file: /binary}".into(), "client_auth.keys_file", "not valid UTF-8"),
        ("client_auth: {keys_file: /keys-syntax.yaml}".into(), "client_auth.keys_file", "line "),
        (format!("client_auth: {{keys: [{{sha256: {A}}}]}}"), "client_auth.keys[0].name", "missing"),
        ("client_auth: {keys: [{name: web}]}".into(), "client_auth.keys[0].sha256", "missing"),
        ("client_auth: {keys: [{name: web, sha256: sk-plain}]}".into(), "client_auth.keys[0].sha256", "64 hex digits"),
        ("client_auth: {keys: [{name: web, sha256: 12}]}".into(), "client_auth.keys[0].sha256", "a number"),
        (key("providers: [nope]"), "client_auth.keys[0].providers[0]", "a name under `providers` (openai)"),
        (key("providers: []"), "client_auth.keys[0].providers", "at least one"),
        (key("rate: fast"), "client_auth.keys[0].rate", "a rate above zero"),
        (key("rate: 0/s"), "client_auth.keys[0].rate", "a rate above zero"),
        (key("expires: soon"), "client_auth.keys[0].expires", "a date such as"),
        (key("expires: 2027-02-30"), "client_auth.keys[0].expires", "a date such as"),
        (key("expires: 2027-12-31T10:00"), "client_auth.keys[0].expires", "a date such as"),
        (key("expire: 2027-12-31"), "client_auth.keys[0].expire", "did you mean expires?"),
        (two(&format!("{{name: web, sha256: {B}}}")), "client_auth.keys[1].name", "another key"),
        (two(&format!("{{name: app, sha256: {A}}}")), "client_auth.keys[1].sha256", "another key"),
        (two("sk-text"), "client_auth.keys[1]", "expected a mapping"),
    ];
    let table: Vec<_> = table.iter().map(|(yaml, path, words)| (yaml.as_str(), *path, *words)).collect();
    each_top_level_reports(&table);
}

#[test]
fn a_keys_file_reports_its_faults_below_the_key_that_names_it() {
    let found = faults(&format!("{OK}client_auth: {{keys_file: /keys-bad.yaml}}"));
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    let file = "client_auth.keys_file";
    let want =
        [format!("{file}[0].sha256"), format!("{file}[1].name"), format!("{file}[1].sha256"), format!("{file}[1].nam")];
    assert_eq!(paths.len(), want.len(), "{found:?}");
    assert!(want.iter().all(|path| paths.contains(&path.as_str())), "{found:?}");
}

#[test]
fn everything_wrong_is_reported_at_once_in_the_order_of_the_file() {
    let yaml = "
timeout: 3s
providers:
  a:
    kind: opnai
    retries: 99
    base_url: ftp://x
  openai: {}
threads: many
listen: [x, 127.0.0.1:1, 127.0.0.1:1]
log: {level: '${NOPE}', format: 1}
";
    let Err(found) = parse(yaml) else { panic!("wrong, but accepted") };
    let paths: Vec<&str> = found.iter().map(Fault::path).collect();
    let want = [
        "timeout",
        "providers.a.kind",
        "providers.a.retries",
        "providers.a.base_url",
        "providers.openai.credentials",
        "threads",
        "listen[0]",
        "listen[2]",
        "log.level",
        "log.format",
    ];
    assert_eq!(paths, want, "{found}");
    assert_eq!(found.to_string().lines().count(), want.len(), "one line for each: {found}");
    assert!(
        found.to_string().contains("\nthreads: expected a whole number from 1 to 1024, found \"many\"\n"),
        "{found}"
    );
}

#[test]
fn an_unreadable_file_is_a_fault_of_the_file() {
    let Err(found) = Settings::load(std::path::Path::new("/nowhere/vidgate.yaml")) else { panic!("no such file") };
    assert!(found.to_string().starts_with("cannot read /nowhere/vidgate.yaml: "), "{found}");
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(?s).{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_tree_of_known_keys_makes_reading_panic(
        key in "(listen|admin|public_url|log|poll_cache|passthrough|client_auth|providers|threads|bare_ids)",
        inner in "(openai|vertex|addr|tls|keys|match|upstreams|level|credentials)",
        value in "[-a-z:/$\\{\\}\\[\\]., 0-9@%?#'\"]{0,40}",
    ) {
        let world = world();
        for yaml in [format!("{key}: {value}"), format!("{key}: {{{inner}: {value}}}"), format!("{key}:\n  {inner}:\n    credentials: {value}")] {
            let _ = Settings::parse_with(&yaml, KINDS, &world);
        }
    }
}
