//! Right configs, and the settings that come out of them.

use crate::config::testing::{GOOGLE_KEY, parse};
use crate::config::*;
use crate::providers::Scheme;
use std::time::Duration;

fn settings(yaml: &str) -> Settings {
    parse(yaml).unwrap_or_else(|faults| panic!("{yaml}\n{faults}"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One entry named `p` with these lines.
fn entry(lines: &str) -> ProviderEntry {
    let yaml = format!("providers:\n  p:\n    {}", lines.trim().replace('\n', "\n    "));
    settings(&yaml).providers.remove(0)
}

/// Name, scheme, fields and projects of a credential.
type Key<'a> = (&'a str, Scheme, Vec<&'a str>, Option<Vec<String>>);

fn keys(entry: &ProviderEntry) -> Vec<Key<'_>> {
    let Credentials::Keys(keys) = &entry.credentials else { panic!("{entry:?}") };
    keys.iter()
        .map(|key| {
            (key.name.as_str(), key.scheme, key.fields.iter().map(Secret::expose).collect(), key.project.clone())
        })
        .collect()
}

#[test]
fn what_is_not_written_has_the_documented_default() {
    let settings = settings("providers: {openai: {credentials: {api_key: \"${OPENAI_API_KEY}\"}}}");
    assert_eq!(settings.listen, [Listen { addr: "127.0.0.1:8080".parse().unwrap(), tls: None }]);
    assert_eq!(settings.admin, "127.0.0.1:9090".parse().ok());
    assert_eq!((settings.public_url, settings.bare_ids, settings.allow_raw), (None, BareIds::Reject, false));
    assert_eq!((settings.threads, settings.max_requests), (None, 10_000));
    let limits =
        Limits { header_size: 64 << 10, header_timeout: seconds(10), idle_timeout: seconds(75), connections: 20_000 };
    assert_eq!(
        (settings.limits, settings.client_rate, settings.trusted_proxies),
        (limits, ClientRate::default(), vec![])
    );
    assert_eq!((settings.drain, settings.shutdown_timeout, settings.reload), (seconds(5), seconds(30), Reload::Signal));
    assert_eq!(settings.log, Log { level: "info".into(), format: LogFormat::Json, access: true });
    assert_eq!(settings.traces, None);
    let cache = PollCache { max_bytes: 256 << 20, max_entry: 1 << 20, keep: seconds(600) };
    assert_eq!(settings.poll_cache, cache);
    assert_eq!((settings.passthrough.len(), settings.client_auth), (0, ClientAuth::Anyone));
    let [openai] = settings.providers.as_slice() else { panic!("one provider") };
    assert_eq!((openai.name.as_str(), openai.kind.kind), ("openai", "openai"));
    assert_eq!(openai.base_url.as_ref().map(ToString::to_string).as_deref(), Some("https://api.openai.com/v1"));
    assert_eq!(keys(openai), [("default", Scheme::Bearer, vec!["sk-from-env"], None)]);
    assert_eq!((openai.connect_timeout, openai.timeout, openai.retries), (seconds(3), seconds(30), 2));
    assert_eq!((openai.max_body, openai.max_concurrent, openai.headers.len()), (64 << 20, 256, 0));
    let breaker = Breaker { failures: 5, window: seconds(10), ratio: 0.5, open_for: seconds(10) };
    assert_eq!((openai.breaker.as_ref(), openai.ca_file.is_none()), (Some(&breaker), true));
    let poll = Poll { cache: true, fresh_for: seconds(1), interval: seconds(10), stale_for: seconds(300) };
    assert_eq!(openai.poll, poll);
    let content =
        Content { mode: ContentMode::Stream, allow_hosts: vec![], idle_timeout: seconds(30), storage_url: None };
    assert_eq!(openai.content, content);
}

#[test]
fn what_is_written_is_what_is_set() {
    let settings = settings(
        "
listen: [127.0.0.1:1, {addr: '[::1]:2', tls: {cert: /tls/cert.pem, key: /tls/key.pem}}]
admin: null
public_url: https://Videos.example.com/base/
bare_ids: p
allow_raw: yes
threads: '${N}'
max_requests: 5
drain: 0s
shutdown_timeout: '${TIMEOUT}'
limits: {header_size: 1KiB, header_timeout: 1s, idle_timeout: 2s, connections: 3}
client_rate: {per_address: 100/s, exempt_hits: true}
trusted_proxies: [10.0.0.0/8, '::1']
reload: watch
log: {level: 'info,vidgate=debug', format: text, access: off}
poll_cache: {max_bytes: 0, max_entry: 64KiB, keep: 1h}
client_auth: {open: true}
passthrough: {upstreams: http://127.0.0.1:8000, auth: off}
providers:
  p: {kind: openai, base_url: http://localhost:30000/v1/}
",
    );
    let tls = Tls { cert: "/tls/cert.pem".into(), key: "/tls/key.pem".into(), client_ca: None };
    assert_eq!(settings.listen.last(), Some(&Listen { addr: "[::1]:2".parse().unwrap(), tls: Some(tls) }));
    assert_eq!((settings.listen.len(), settings.admin), (2, None));
    assert_eq!(settings.public_url.as_deref(), Some("https://videos.example.com/base"));
    assert_eq!((settings.bare_ids, settings.allow_raw), (BareIds::Provider("p".into()), true));
    assert_eq!((settings.threads, settings.max_requests), (Some(4), 5));
    assert_eq!((settings.drain, settings.shutdown_timeout, settings.reload), (seconds(0), seconds(7), Reload::Watch));
    let limits = Limits { header_size: 1024, header_timeout: seconds(1), idle_timeout: seconds(2), connections: 3 };
    let client_rate = ClientRate { per_address: Some(Rate { count: 100, per: seconds(1) }), exempt_hits: true };
    assert_eq!((settings.limits, settings.client_rate), (limits, client_rate));
    assert_eq!(settings.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
    let log = Log { level: "info,vidgate=debug".into(), format: LogFormat::Text, access: false };
    assert_eq!((settings.log, settings.client_auth), (log, ClientAuth::Open));
    assert_eq!(settings.poll_cache, PollCache { max_bytes: 0, max_entry: 65_536, keep: seconds(3_600) });
    let upstreams = vec![Upstream { tls: false, host: "127.0.0.1".into(), port: 8000 }];
    let all = Passthrough { host: None, path: "/".into(), upstreams, health_check: None, auth: false };
    assert_eq!(settings.passthrough, [all]);
    let p = &settings.providers[0];
    assert!(matches!(p.credentials, Credentials::None), "a server of one's own needs no key");
    assert_eq!(p.base_url.as_ref().map(ToString::to_string).as_deref(), Some("http://localhost:30000/v1"));
}

#[test]
fn traces_go_to_a_collector_with_its_headers() {
    let traces = |yaml: &str| settings(&format!("{yaml}\npassthrough: {{upstreams: http://a}}")).traces.unwrap();
    let bare = traces("traces: {endpoint: 'http://collector:4318/'}");
    assert_eq!(bare.endpoint.to_string(), "http://collector:4318");
    assert_eq!((bare.sample, bare.service_name.as_str(), bare.headers.len()), (0.1, "vidgate", 0));
    let all = traces(
        "
traces:
  endpoint: http://collector/otlp
  allow_insecure: true
  headers: {Authorization: 'Basic ${OPENAI_API_KEY}'}
  ca_file: /tls/two.pem
  sample: 0
  service_name: videos-eu
",
    );
    assert_eq!(all.endpoint.to_string(), "http://collector/otlp");
    let headers: Vec<_> = all.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "Basic sk-from-env")]);
    assert_eq!((all.sample, all.service_name.as_str()), (0.0, "videos-eu"));
    assert_eq!(all.ca_file.map(|anchors| anchors.certificates.len()), Some(2));
    assert_eq!(traces("traces: {endpoint: 'http://[::1]:4318', headers: {X-Key: k}, sample: 1}").sample, 1.0);
}

#[test]
fn every_setting_of_an_entry_is_read() {
    let p = entry(
        "
kind: openai
base_url: http://gpu.internal:30000/v1
allow_insecure: true
credentials: forward
headers: {OpenAI-Organization: org-1, X-Beta: '${N}'}
connect_timeout: 250ms
timeout: 5m
retries: 0
max_body: 1GiB
max_concurrent: 1
breaker: null
ca_file: /tls/two.pem
poll: {cache: false, fresh_for: 0s, interval: 3s, stale_for: 0s}
content: {mode: redirect, allow_hosts: [CDN.example.com, '10.0.0.1:81', .example.org, '[::1]:8080'], idle_timeout: 1s}
",
    );
    assert!(matches!(p.credentials, Credentials::Forward));
    let headers: Vec<_> = p.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("openai-organization", "org-1"), ("x-beta", "4")]);
    assert_eq!((p.connect_timeout, p.timeout, p.retries), (Duration::from_millis(250), seconds(300), 0));
    assert_eq!((p.max_body, p.max_concurrent, p.breaker), (1 << 30, 1, None));
    assert_eq!(p.ca_file.map(|anchors| anchors.certificates.len()), Some(2));
    assert_eq!((p.poll.cache, p.poll.fresh_for, p.poll.interval), (false, seconds(0), seconds(3)));
    assert_eq!((p.content.mode, p.content.idle_timeout), (ContentMode::Redirect, seconds(1)));
    assert_eq!(p.content.allow_hosts, ["cdn.example.com", "10.0.0.1:81", ".example.org", "[::1]:8080"]);
}

#[test]
fn each_form_of_credential_is_recognized() {
    let azure = entry(
        "
kind: azure
base_url: https://r.openai.azure.com/openai/v1
credentials:
  - api_key: k-1
  - {name: default-2, entra: {client_secret: s, tenant_id: t, client_id: c}}
  - api_key: k-2
",
    );
    let want = [
        ("default", Scheme::Header("api-key"), vec!["k-1"], None),
        ("default-2", Scheme::EntraClientSecret, vec!["t", "c", "s"], None),
        ("default-3", Scheme::Header("api-key"), vec!["k-2"], None),
    ];
    assert_eq!(keys(&azure), want);
    let vertex = entry(&format!(
        "
kind: vertex
credentials:
  - service_account: /google.json
  - {{name: text, service_account: '{GOOGLE_KEY}', projects: [a, b]}}
  - {{name: token, access_token: t}}
"
    ));
    let own = Some(vec!["proj-1".to_owned()]);
    let given = Some(vec!["a".to_owned(), "b".to_owned()]);
    let want = [
        ("default", Scheme::GoogleServiceAccount, vec![GOOGLE_KEY], own),
        ("text", Scheme::GoogleServiceAccount, vec![GOOGLE_KEY], given),
        ("token", Scheme::Bearer, vec!["t"], None),
    ];
    assert_eq!(keys(&vertex), want);
    assert_eq!(vertex.base_url, None, "each job's name says where it lives");
}

#[test]
fn pairs_of_keys_are_recognized_with_and_without_a_token() {
    let bedrock = entry(
        "
kind: bedrock
credentials:
  - {access_key_id: a, secret_access_key: s}
  - {session_token: t, secret_access_key: s, access_key_id: a, projects: ['012345678901']}
  - api_key: k
",
    );
    let signed = Scheme::AwsSignature { service: "bedrock" };
    let account = Some(vec!["012345678901".to_owned()]);
    let want = [
        ("default", signed, vec!["a", "s"], None),
        ("default-2", signed, vec!["a", "s", "t"], account),
        ("default-3", Scheme::Bearer, vec!["k"], None),
    ];
    assert_eq!(keys(&bedrock), want);
    let kling = entry("kind: kling\ncredentials: [{secret_key: s, access_key: a}, {api_key: k}]\n");
    let want = [("default", Scheme::KlingKeys, vec!["a", "s"], None), ("default-2", Scheme::Bearer, vec!["k"], None)];
    assert_eq!(keys(&kling), want);
}

#[test]
fn client_keys_come_from_the_config_and_from_a_file() {
    let yaml = format!(
        "
listen: 0.0.0.0:8080
providers: {{openai: {{credentials: {{api_key: k}}}}}}
client_auth:
  keys:
    - {{name: web, sha256: {}, providers: [openai], rate: 50/s, expires: 2027-12-31}}
    - {{name: app, sha256: {}, expires: '2027-12-31T12:00:00+02:00'}}
  keys_file: /keys.yaml
",
        "0f".repeat(32),
        "AB".repeat(31) + "00"
    );
    let ClientAuth::Keys(keys) = settings(&yaml).client_auth else { panic!("keys") };
    let [web, app, file] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(
        (web.name.as_str(), web.sha256, web.providers.as_deref()),
        ("web", [0x0f; 32], Some(&["openai".to_owned()][..]))
    );
    assert_eq!(web.rate, Some(Rate { count: 50, per: seconds(1) }));
    assert_eq!((web.expires, app.expires, file.expires), (Some(1_830_297_600), Some(1_830_247_200), None));
    assert_eq!((file.name.as_str(), file.sha256), ("file-1", [0xab; 32]));
}

#[test]
fn services_of_a_list_keep_their_order() {
    let yaml = "
passthrough:
  - match: {host: API.example.com, path: /v1}
    upstreams: ['https://a.internal', 'http://[::1]:8000/']
    health_check: {path: /health}
  - match: {}
    upstreams: [http://b]
";
    let [first, second] = settings(yaml).passthrough.try_into().unwrap_or_else(|_| panic!("two services"));
    assert_eq!((first.host.as_deref(), first.path.as_str(), first.auth), (Some("api.example.com"), "/v1", true));
    let origins: Vec<String> = first.upstreams.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://a.internal", "http://[::1]:8000"]);
    assert_eq!(first.health_check, Some(HealthCheck { path: "/health".into(), interval: seconds(5) }));
    assert_eq!((second.host, second.path.as_str(), second.health_check), (None, "/", None));
}

#[test]
fn yaml_merges_and_aliases_may_share_settings() {
    let yaml = "
providers:
  a: &base {kind: openai, timeout: 9s, credentials: {api_key: k}}
  b: {<<: *base, timeout: 4s}
";
    let [a, b] = settings(yaml).providers.try_into().unwrap_or_else(|_| panic!("two providers"));
    assert_eq!((a.timeout, b.timeout, b.kind.kind), (seconds(9), seconds(4), "openai"));
}

#[test]
fn no_debug_output_holds_a_secret() {
    let yaml = format!(
        "
providers:
  openai: {{credentials: {{api_key: \"${{OPENAI_API_KEY}}\"}}, headers: {{X-Key: sk-header}}}}
  vertex: {{credentials: {{service_account: '{GOOGLE_KEY}'}}}}
"
    );
    let shown = format!("{:?}\n{:#?}", settings(&yaml), settings(&yaml));
    assert!(shown.contains("***") && !shown.contains("sk-"), "{shown}");
}
