//! Wrong entries below `providers`.

use super::{each_reports, faults};

/// As a setting of one provider entry of kind openai with a key.
fn each_entry_reports(table: &[(&str, &str, &str)]) {
    let whole: Vec<String> = table
        .iter()
        .map(|(yaml, _, _)| {
            format!("providers:\n  p:\n    kind: openai\n    credentials: {{api_key: sk-ok}}\n    {yaml}")
        })
        .collect();
    let paths: Vec<String> = table.iter().map(|(_, path, _)| format!("providers.p.{path}")).collect();
    let rows = whole.iter().zip(&paths).zip(table);
    let table: Vec<_> = rows.map(|((yaml, path), (_, _, words))| (yaml.as_str(), path.as_str(), *words)).collect();
    each_reports(&table);
}

#[test]
fn wrong_provider_settings_report_their_path() {
    each_entry_reports(&[
        ("base_url: api.openai.com", "base_url", "begins with https://"),
        ("base_url: https://u:sk-pw@host/v1", "base_url", "user name or password"),
        ("base_url: https://host/v1?key=sk-1", "base_url", "query"),
        ("base_url: https://host/v1#sk-1", "base_url", "fragment"),
        ("base_url: http://10.0.0.1/v1", "base_url", "allow_insecure: true"),
        ("base_url: http://localhost.example/v1", "base_url", "allow_insecure: true"),
        ("base_url: 12", "base_url", "a URL such as https://api.openai.com/v1"),
        ("allow_insecure: sure", "allow_insecure", "true or false"),
        ("timeout: 0s", "timeout", "above zero"),
        ("timeout: null", "timeout", "found nothing"),
        ("timeuot: 1s", "timeuot", "did you mean timeout?"),
        ("connect_timeout: 0ms", "connect_timeout", "above zero"),
        ("retries: 11", "retries", "from 0 to 10"),
        ("retries: -1", "retries", "from 0 to 10"),
        ("max_body: 0", "max_body", "above zero"),
        ("max_concurrent: 0", "max_concurrent", "from 1 to"),
        ("breaker: off", "breaker", "expected a mapping"),
        ("breaker: {failures: 0}", "breaker.failures", "from 1 to"),
        ("breaker: {ratio: 0}", "breaker.ratio", "above 0 and at most 1"),
        ("breaker: {ratio: 1.1}", "breaker.ratio", "found 1.1"),
        ("breaker: {ratio: .nan}", "breaker.ratio", "above 0 and at most 1"),
        ("breaker: {window: 0s}", "breaker.window", "above zero"),
        ("breaker: {open_for: 0s}", "breaker.open_for", "above zero"),
        ("ca_file: /nope.pem", "ca_file", "cannot read /nope.pem"),
        ("ca_file: /tls/empty.pem", "ca_file", "at least one certificate"),
        ("ca_file: /tls/broken.pem", "ca_file", "certificates"),
        ("poll: {cache: 2}", "poll.cache", "true or false"),
        ("poll: {fresh_for: 1}", "poll.fresh_for", "a duration"),
        ("poll: {interval: 0s}", "poll.interval", "above zero"),
        ("poll: {stale: 1s}", "poll.stale", "unknown key"),
        ("content: {mode: proxy}", "content.mode", "expected stream or redirect"),
        ("content: {allow_hosts: cdn.example.com}", "content.allow_hosts", "a list of hosts"),
        ("content: {allow_hosts: [a.example, 'https://b']}", "content.allow_hosts[1]", "a host such as"),
        ("content: {allow_hosts: ['a:0']}", "content.allow_hosts[0]", "a host such as"),
        ("content: {idle_timeout: 0s}", "content.idle_timeout", "above zero"),
        ("headers: [a]", "headers", "expected a mapping"),
        ("headers: {'a b': sk-x}", "headers.a b", "name of a header"),
        ("headers: {Host: sk-x}", "headers.Host", "belongs to the connection"),
        ("headers: {authorization: Bearer sk-x}", "headers.authorization", "belongs to the connection"),
        ("headers: {Content-Length: '1'}", "headers.Content-Length", "belongs to the connection"),
        ("headers: {Transfer-Encoding: chunked}", "headers.Transfer-Encoding", "belongs to the connection"),
        ("headers: {X-A: 1}", "headers.X-A", "found a number"),
        ("headers: {X-A: ''}", "headers.X-A", "found an empty text"),
        ("headers: {X-A: \"${NEWLINE}\"}", "headers.X-A", "visible ASCII"),
        ("headers: {X-A: sk-1, x-a: sk-2}", "headers.x-a", "each header once"),
    ]);
}

#[test]
fn wrong_providers_and_credentials_report_their_path() {
    each_reports(&[
        (
            "providers: {OpenAI: {kind: openai, credentials: {api_key: sk-x}}}",
            "providers.OpenAI",
            "expected a name of a-z",
        ),
        ("providers: {a.b: {kind: openai, credentials: {api_key: sk-x}}}", "providers.a.b", "expected a name of a-z"),
        ("providers: {openai: sk-x}", "providers.openai", "expected a mapping"),
        (
            "providers: {nope: {credentials: {api_key: sk-x}}}",
            "providers.nope.kind",
            "expected one of openai, azure, gemini",
        ),
        ("providers: {x: {kind: opneai}}", "providers.x.kind", "did you mean openai?"),
        ("providers: {x: {kind: 7}}", "providers.x.kind", "expected text"),
        (
            "providers: {openai: null}",
            "providers.openai.credentials",
            "missing; expected one or more credentials with api_key",
        ),
        ("providers: {openai: {credentials: null}}", "providers.openai.credentials", "missing"),
        ("providers: {openai: {credentials: []}}", "providers.openai.credentials", "empty list"),
        (
            "providers: {openai: {credentials: sk-x}}",
            "providers.openai.credentials",
            "or the word forward, found other text",
        ),
        ("providers: {openai: {credentials: 12345}}", "providers.openai.credentials", "found a number"),
        ("providers: {openai: {credentials: [sk-x]}}", "providers.openai.credentials[0]", "expected a mapping"),
        (
            "providers: {openai: {credentials: {}}}",
            "providers.openai.credentials",
            "expected exactly api_key, found none of them",
        ),
        ("providers: {openai: {credentials: [{name: a}]}}", "providers.openai.credentials[0]", "found none of them"),
        (
            "providers: {openai: {credentials: {api_key: ''}}}",
            "providers.openai.credentials.api_key",
            "found an empty text",
        ),
        (
            "providers: {openai: {credentials: {api_key: \"${EMPTY}\"}}}",
            "providers.openai.credentials.api_key",
            "found an empty text",
        ),
        (
            "providers: {openai: {credentials: {api_key: \"${NOPE}\"}}}",
            "providers.openai.credentials.api_key",
            "variable NOPE is not set",
        ),
        (
            "providers: {openai: {credentials: {api_key: \"${file:/no}\"}}}",
            "providers.openai.credentials.api_key",
            "cannot read the file /no",
        ),
        (
            "providers: {openai: {credentials: {api_key: null}}}",
            "providers.openai.credentials.api_key",
            "found nothing",
        ),
        (
            "providers: {openai: {credentials: {api_key: 123}}}",
            "providers.openai.credentials.api_key",
            "found a number",
        ),
        (
            "providers: {openai: {credentials: {api_key: [sk-x]}}}",
            "providers.openai.credentials.api_key",
            "found a list",
        ),
        (
            "providers: {openai: {credentials: {api_key: \"${NEWLINE}\"}}}",
            "providers.openai.credentials.api_key",
            "line breaks",
        ),
        ("providers: {openai: {credentials: {api_key: sk-x y}}}", "providers.openai.credentials.api_key", "spaces"),
        ("providers: {openai: {credentials: {api_key: sk-ü}}}", "providers.openai.credentials.api_key", "do not"),
        (
            "providers: {openai: {credentials: {api_key: sk-x, projects: [p]}}}",
            "providers.openai.credentials.projects",
            "unknown key",
        ),
        (
            "providers: {openai: {credentials: {api_key: sk-x, name: a b}}}",
            "providers.openai.credentials.name",
            "a name of 1 to 64",
        ),
        (
            "providers: {openai: {credentials: [{name: a, api_key: sk-x}, {name: a, api_key: sk-y}]}}",
            "providers.openai.credentials[1].name",
            "taken",
        ),
        (
            "providers: {azure: {credentials: {api_key: sk-x}}}",
            "providers.azure.base_url",
            "https://{resource}.openai.azure.com/openai/v1",
        ),
        (
            "providers: {azure: {base_url: https://a, credentials: {entra: {tenant_id: t, client_id: c}}}}",
            "providers.azure.credentials",
            "api_key, or entra.tenant_id + entra.client_id + entra.client_secret, found entra.tenant_id + entra.client_id",
        ),
        (
            "providers: {azure: {base_url: https://a, credentials: {entra: sk-x}}}",
            "providers.azure.credentials.entra",
            "expected a mapping",
        ),
        (
            "providers: {azure: {base_url: https://a, credentials: {api_key: sk-x, entra: {tenant_id: t, client_id: c, client_secret: sk-s}}}}",
            "providers.azure.credentials",
            "exactly",
        ),
        (
            "providers: {azure: {base_url: https://a, credentials: {entra: {tenant_id: t, client_id: c, client_secret: ''}}}}",
            "providers.azure.credentials.entra.client_secret",
            "not empty",
        ),
        (
            "providers: {bedrock: {credentials: {access_key_id: a, session_token: sk-x}}}",
            "providers.bedrock.credentials",
            "secret_access_key + session_token, or api_key, found access_key_id + session_token",
        ),
        (
            "providers: {bedrock: {credentials: {api_key: sk-x, projects: [123456789012]}}}",
            "providers.bedrock.credentials.projects[0]",
            "expected text, found 123456789012",
        ),
        (
            "providers: {kling: {credentials: {access_key: a}}}",
            "providers.kling.credentials",
            "exactly access_key + secret_key, or api_key, found access_key",
        ),
        (
            "providers: {vertex: {credentials: {service_account: /nope.json}}}",
            "providers.vertex.credentials.service_account",
            "cannot read /nope.json",
        ),
        (
            "providers: {vertex: {credentials: {service_account: sk-garbage}}}",
            "providers.vertex.credentials.service_account",
            "found neither",
        ),
        (
            "providers: {vertex: {credentials: {service_account: '{sk-x'}}}",
            "providers.vertex.credentials.service_account",
            "not JSON",
        ),
        (
            "providers: {vertex: {credentials: {service_account: '{}'}}}",
            "providers.vertex.credentials.service_account",
            "without client_email and private_key",
        ),
        (
            "providers: {vertex: {credentials: {service_account: /google-bad.json}}}",
            "providers.vertex.credentials.service_account",
            "without client_email",
        ),
        (
            "providers: {vertex: {credentials: {service_account: /google-uri.json}}}",
            "providers.vertex.credentials.service_account",
            "token_uri",
        ),
        (
            "providers: {vertex: {credentials: {access_token: t, projects: []}}}",
            "providers.vertex.credentials.projects",
            "at least one project",
        ),
        (
            "providers: {vertex: {credentials: {access_token: t, projects: [1]}}}",
            "providers.vertex.credentials.projects[0]",
            "expected text",
        ),
    ]);
}

#[test]
fn a_typing_error_and_what_it_leaves_out_are_both_reported() {
    let found = faults("providers: {openai: {credentials: {api_kye: sk-x}}}");
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["providers.openai.credentials", "providers.openai.credentials.api_kye"], "{found:?}");
    assert!(found.iter().any(|(_, message)| message.contains("did you mean api_key?")), "{found:?}");
}
