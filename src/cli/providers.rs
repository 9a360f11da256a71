//! `vidgate providers`

use super::Failure;
use std::fmt::{self, Write as _};
use vidgate::providers::{BaseUrl, PROVIDERS, Provider, State, States};
use vidgate::video::Lifetime;

#[derive(clap::Args)]
pub struct Arguments {
    /// Write the page docs/providers.md.
    #[arg(long)]
    markdown: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    super::print(&if arguments.markdown { page()? } else { table()? })
}

fn table() -> Result<String, fmt::Error> {
    let mut text = String::new();
    for row in PROVIDERS {
        writeln!(text, "{:<10} {}", row.kind, row.title)?;
        writeln!(text, "{:<10} jobs         {}", "", row.job.form)?;
        writeln!(text, "{:<10} base_url     {}", "", base_url(row))?;
        writeln!(text, "{:<10} credentials  {}", "", credentials(row))?;
        writeln!(text, "{:<10} polled       every {} s", "", row.poll_interval.as_secs_f64())?;
        writeln!(text, "{:<10} documented   {}\n", "", row.docs)?;
    }
    Ok(text)
}

const PAGE: &str = "\
# Providers

This page is written by `vidgate providers --markdown` from the table that the program itself works with; `make docs`
renews it. A kind is what an entry under `providers` in the config may be. The name of the entry, by default that of
its kind, stands after the colon of an id.

Every state becomes one of `queued`, `in_progress`, `completed` and `failed`. A state word that is not listed here is
`in_progress`: it never ends a client's poll loop. Cancelled and expired jobs are `failed` with the codes `cancelled`
and `expired`.
";

fn page() -> Result<String, fmt::Error> {
    let mut text = PAGE.to_owned();
    for row in PROVIDERS {
        section(&mut text, row)?;
    }
    Ok(text)
}

fn section(text: &mut String, row: &Provider) -> fmt::Result {
    writeln!(text, "\n## {}\n\n{}. Documented at <{}>.\n", row.kind, row.title, row.docs)?;
    writeln!(text, "- **Jobs**: {}; as ids, for example", row.job.form.replace('{', "\\{"))?;
    for example in row.job.examples {
        writeln!(text, "  - `{example}:{}`", row.kind)?;
    }
    writeln!(text, "- **`base_url`**: `{}`{}", base_url_form(row), base_url_note(row))?;
    writeln!(text, "- **Credentials**: {}", credentials_as_code(row))?;
    for (name, value) in row.headers {
        writeln!(text, "- **Sent on every call**: `{name}: {value}`")?;
    }
    writeln!(text, "- **Polled** every {} s, unless `poll.interval` says otherwise", row.poll_interval.as_secs_f64())?;
    writeln!(text, "- **Results** {}", lifetime(row.result_lifetime))?;
    let hosts: Vec<String> = row.link_hosts.iter().map(|host| format!("`{host}`")).collect();
    if !hosts.is_empty() {
        writeln!(text, "- **Result links** are on {}", hosts.join(", "))?;
    }
    for (jobs, words) in row.states {
        let of = if jobs.is_empty() { String::new() } else { format!(" of `{jobs}`") };
        states(text, &of, words)?;
    }
    Ok(())
}

fn states(text: &mut String, of: &str, words: States) -> fmt::Result {
    if words.is_empty() {
        return writeln!(text, "\nStates{of}: the answer has no word for them, it only says whether the job is done.");
    }
    writeln!(text, "\n| state{of} | becomes |\n| --- | --- |")?;
    for (word, state) in words {
        writeln!(text, "| `{word}` | {} |", meaning(*state))?;
    }
    Ok(())
}

fn meaning(state: State) -> &'static str {
    match state {
        State::Queued => "`queued`",
        State::InProgress => "`in_progress`",
        State::Completed => "`completed`",
        State::Failed => "`failed`",
        State::Cancelled => "`failed`, code `cancelled`",
        State::Expired => "`failed`, code `expired`",
    }
}

fn lifetime(lifetime: Lifetime) -> String {
    match lifetime {
        Lifetime::Unknown => {
            "stay for a time that differs; `expires_at` says until when, where that is known".to_owned()
        }
        Lifetime::FromCreation(time) => format!("stay for {} h after the job was made", time.as_secs() / 3600),
        Lifetime::FromCompletion(time) => format!("stay for {} h after the job ended", time.as_secs() / 3600),
    }
}

fn base_url(row: &Provider) -> String {
    match row.base_url {
        BaseUrl::Required { form } => format!("{form} (required)"),
        _ => base_url_form(row).to_owned(),
    }
}

fn base_url_form(row: &Provider) -> &'static str {
    match row.base_url {
        BaseUrl::Fixed(form) | BaseUrl::Required { form } | BaseUrl::FromJob { form, .. } => form,
    }
}

fn base_url_note(row: &Provider) -> &'static str {
    match row.base_url {
        BaseUrl::Fixed(_) => "",
        BaseUrl::Required { .. } => ", yours must be given",
        BaseUrl::FromJob { .. } => ", made from the job's name unless it is given",
    }
}

fn credentials(row: &Provider) -> String {
    let forms: Vec<String> = row.credentials.iter().map(|form| form.fields.join(" + ")).collect();
    forms.join(", or ")
}

fn credentials_as_code(row: &Provider) -> String {
    let code = |field: &&str| format!("`{field}`");
    let form = |fields: &[&str]| fields.iter().map(code).collect::<Vec<_>>().join(" + ");
    let forms: Vec<String> = row.credentials.iter().map(|credential| form(credential.fields)).collect();
    forms.join(", or ")
}
