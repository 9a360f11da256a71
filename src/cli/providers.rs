//! `vidgate providers`

use super::Failure;
use std::fmt::Write as _;
use vidgate::providers::{BaseUrl, PROVIDERS, Provider};

pub fn run() -> Result<(), Failure> {
    super::print(&table()?)
}

fn table() -> Result<String, std::fmt::Error> {
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

fn base_url(row: &Provider) -> String {
    match row.base_url {
        BaseUrl::Fixed(url) => url.to_owned(),
        BaseUrl::Required { form } => format!("{form} (required)"),
        BaseUrl::FromJob { form, .. } => form.to_owned(),
    }
}

fn credentials(row: &Provider) -> String {
    let forms: Vec<String> = row.credentials.iter().map(|form| form.fields.join(" + ")).collect();
    forms.join(", or ")
}
