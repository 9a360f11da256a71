//! The registry as text: OpenMetrics where a scraper asks for it, else the older format of Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The one that this `Accept` asks for. Scrapers that take OpenMetrics name it; how much they like it is not weighed.
    pub fn for_accept(accept: Option<&str>) -> Format {
        let mut kinds = accept.unwrap_or_default().split(',');
        let is_open = kinds.any(|kind| kind.trim_start().starts_with("application/openmetrics-text"));
        if is_open { Format::OpenMetrics } else { Format::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub fn text(registry: &Registry, format: Format) -> String {
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        // Writing into a string does not fail.
        tracing::error!("the metrics could not be written");
    }
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => older(&text),
    }
}

/// OpenMetrics describes a counter without its `_total` and knows a type `info`; the older format does neither.
fn older(text: &str) -> String {
    let types: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut older = String::with_capacity(text.len());
    for line in text.lines() {
        let described = line.strip_prefix("# ").and_then(|rest| {
            let (what, rest) = rest.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            Some((what, name, rest))
        });
        // Writing into a string does not fail.
        let _ = match described {
            None if line.starts_with('#') => Ok(()),
            None => writeln!(older, "{line}"),
            Some((what @ ("HELP" | "TYPE"), name, rest)) => {
                let (ending, kind) = match types.get(name) {
                    Some(&"counter") => ("_total", "counter"),
                    Some(&"info") => ("_info", "gauge"),
                    _ => ("", rest),
                };
                writeln!(older, "# {what} {name}{ending} {}", if what == "TYPE" { kind } else { rest })
            }
            Some(_) => Ok(()),
        };
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_decides_the_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert_eq!(Format::for_accept(Some(prometheus)), Format::OpenMetrics);
        for accept in [None, Some("*/*"), Some("text/plain; version=0.0.4"), Some("text/html")] {
            assert_eq!(Format::for_accept(accept), Format::Prometheus);
        }
    }

    #[test]
    fn the_older_format_names_counters_in_full() {
        let text = "# HELP a_b Words.\n# TYPE a_b counter\na_b_total{x=\"# y\"} 1\n# HELP c V.\n# TYPE c info\nc_info{v=\"1\"} 1\n\
                    # HELP d G.\n# TYPE d gauge\n# UNIT d seconds\nd 2\n# EOF\n";
        let want = "# HELP a_b_total Words.\n# TYPE a_b_total counter\na_b_total{x=\"# y\"} 1\n# HELP c_info V.\n\
                    # TYPE c_info gauge\nc_info{v=\"1\"} 1\n# HELP d G.\n# TYPE d gauge\nd 2\n";
        assert_eq!(older(text), want);
    }
}
