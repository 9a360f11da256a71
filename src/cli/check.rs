//! `vidgate check`

use super::Failure;
use std::fmt::Write as _;
use std::path::Path;
use vidgate::config::{BareIds, ClientAuth, Credentials, ProviderEntry, Settings};
use vidgate::providers::BaseUrl;
use vidgate::server;

pub fn run(file: &Path) -> Result<(), Failure> {
    let settings = super::load(file)?;
    server::check(&settings).map_err(|error| format!("{} is not in order:\n{error}", file.display()))?;
    super::print(&summary(file, &settings)?)
}

/// What the settings come to, on one screen.
fn summary(file: &Path, settings: &Settings) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{} is in order.\n", file.display())?;
    for listen in &settings.listen {
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        writeln!(text, "listen       {scheme}://{}", listen.addr)?;
    }
    let admin = settings.admin.map_or("off".to_owned(), |address| format!("http://{address}"));
    writeln!(text, "admin        {admin}")?;
    writeln!(text, "public_url   {}", settings.public_url.as_deref().unwrap_or("the request's own scheme and host"))?;
    let bare_ids = match &settings.bare_ids {
        BareIds::Reject => "are refused".to_owned(),
        BareIds::Passthrough => "are passed through".to_owned(),
        BareIds::Provider(name) => format!("go to {name}"),
    };
    writeln!(text, "bare ids     {bare_ids}")?;
    let clients = match &settings.client_auth {
        ClientAuth::Anyone | ClientAuth::Open => "anyone who can connect".to_owned(),
        ClientAuth::Keys(keys) => format!("{} keys", keys.len()),
    };
    writeln!(text, "clients      {clients}")?;
    let traces = match &settings.traces {
        Some(traces) => format!("{} ({} of requests without a traceparent)", traces.endpoint, traces.sample),
        None => "off".to_owned(),
    };
    writeln!(text, "traces       {traces}")?;
    for entry in &settings.passthrough {
        let upstreams: Vec<String> = entry.upstreams.iter().map(ToString::to_string).collect();
        let host = entry.host.as_deref().unwrap_or("*");
        writeln!(text, "passthrough  {host}{} -> {}", entry.path, upstreams.join(", "))?;
    }
    writeln!(text, "\n{:<16} {:<10} {:<28} base URL", "provider", "kind", "credentials")?;
    for entry in &settings.providers {
        let (kind, credentials) = (entry.kind.kind, credentials(entry));
        writeln!(text, "{:<16} {kind:<10} {credentials:<28} {}", entry.name, base_url(entry))?;
    }
    Ok(text)
}

fn credentials(entry: &ProviderEntry) -> String {
    match &entry.credentials {
        Credentials::None => "none".to_owned(),
        Credentials::Forward => "the client's own".to_owned(),
        Credentials::Keys(keys) => keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn base_url(entry: &ProviderEntry) -> String {
    match (&entry.base_url, entry.kind.base_url) {
        (Some(address), _) => address.to_string(),
        (None, BaseUrl::FromJob { form, .. }) => form.to_owned(),
        (None, _) => String::new(),
    }
}
