//! `vidgate demo`

use super::Failure;
use std::fmt::Write as _;
use std::net::SocketAddr;
use tokio::runtime::Builder;
use vidgate::config::Settings;
use vidgate::providers::{CredentialForm, PROVIDERS, Provider, Scheme};
use vidgate::sandbox::{self, OUTCOMES, Options, Sandbox};
use vidgate::server;

/// Any word will do: the sandbox refuses only keys that say `wrong`.
const KEY: &str = "demo-key";

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the proxy listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the simulated providers listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    sandbox: SocketAddr,
    /// Where the admin address listens; port 0 takes a free one. Without it there is none.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // The sandbox has a runtime of its own; Pingora makes those of the proxy.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let options = Options { address: arguments.sandbox, ..Options::default() };
    let sandbox = runtime.block_on(Sandbox::start(options))?;
    let mut settings = Settings::parse(&config(&sandbox, arguments)?)?;
    let logs = server::start_logs(&settings.log)?;
    server::pick_ports(&mut settings)?;
    let proxy = settings.listen.first().map(|listen| listen.addr).ok_or("nothing to listen on")?;
    super::print(&welcome(&sandbox, proxy, settings.admin)?)?;
    Ok(server::run(&settings, logs, server::Start::default())?)
}

/// A config with every kind, each at its simulated provider.
fn config(sandbox: &Sandbox, arguments: &Arguments) -> Result<String, std::fmt::Error> {
    let listen = arguments.listen;
    let admin = arguments.admin.map_or("null".to_owned(), |address| address.to_string());
    let mut text = format!("listen: {listen}\nadmin: {admin}\nlog: {{level: info, format: text}}\nproviders:\n");
    for row in simulated() {
        let (kind, base_url) = (row.kind, sandbox.base_url(row.kind));
        let key = row.credentials.iter().find_map(one_key).unwrap_or("api_key");
        writeln!(
            text,
            "  {kind}: {{base_url: \"{base_url}\", credentials: {{{key}: {KEY}}}, poll: {{interval: 1s}}}}"
        )?;
    }
    Ok(text)
}

/// The kinds that have a simulated provider.
fn simulated() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().copied().filter(|row| sandbox::find(row.kind).is_some())
}

/// The field of a credential that is one key, sent as it is.
fn one_key(form: &CredentialForm) -> Option<&'static str> {
    match (form.scheme, form.fields) {
        (Scheme::Bearer | Scheme::Authorization(_) | Scheme::Header(_), [field]) => Some(field),
        _ => None,
    }
}

fn welcome(sandbox: &Sandbox, proxy: SocketAddr, admin: Option<SocketAddr>) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "The proxy is at http://{proxy}, simulated providers at http://{}.", sandbox.address())?;
    if let Some(admin) = admin {
        writeln!(text, "The admin address is http://{admin}.")?;
    }
    writeln!(text, "Jobs start when they are first asked for and take about 4 seconds. Ask a few times:\n")?;
    for kind in simulated().filter_map(|row| sandbox::find(row.kind)) {
        for job in kind.examples {
            writeln!(text, "  curl http://{proxy}/v1/videos/{job}:{}", kind.name)?;
        }
    }
    writeln!(text, "\nThe last two characters of a job say how it goes:\n")?;
    for row in OUTCOMES {
        writeln!(text, "  {}  {}", row.code, row.says)?;
    }
    writeln!(text, "\nCtrl-C stops it.\n")?;
    Ok(text)
}
