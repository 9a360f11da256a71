//! What would happen for an id, without doing it.

use super::Gateway;
use super::entry::Means;
use super::intercept::invalid_id;
use crate::upstream::Authenticator;
use crate::video::{ApiError, VideoId};
use std::fmt;

/// The call that a poll of an id would make; credentials are shown as `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The configured name of the provider.
    pub provider: String,
    pub kind: &'static str,
    /// The provider's own name for the job.
    pub job: String,
    pub method: String,
    pub url: String,
    /// `name: value` lines in the order in which they are sent.
    pub headers: Vec<String>,
    pub body: Option<String>,
    /// The credentials that would be tried, in their order.
    pub credentials: Vec<String>,
}

impl Gateway {
    /// Explains an id as a client would send it, already decoded. Sends nothing and resolves nothing.
    pub fn explain(&self, id: &str) -> Result<Explanation, ApiError> {
        let id = VideoId::parse(id).map_err(|why| invalid_id(&format!("The video id is malformed: {why}.")))?;
        let name = self.entries.get(id.provider()).map(|entry| entry.row.job.unfold(id.job()).into_owned());
        let (entry, job) = self.entry_and_job(&id, name.as_deref().unwrap_or_default())?;
        let endpoint = entry.endpoint(&job)?;
        let call = (entry.row.request)(&job);
        let path = format!("{}{}", endpoint.address().path, call.path);
        let outgoing = entry.outgoing(&endpoint, &call, &path, Vec::new());
        let mut headers: Vec<String> = outgoing
            .headers
            .iter()
            .map(|(name, value)| {
                let shown = if value.is_sensitive() { "***" } else { value.to_str().unwrap_or("***") };
                format!("{name}: {shown}")
            })
            .collect();
        let credentials = match &entry.means {
            Means::None => Vec::new(),
            Means::Forward => vec!["the client's own Authorization".to_owned()],
            Means::Keys(keys) => keys.iter().map(|key| key.name().to_string()).collect(),
        };
        headers.extend(match &entry.means {
            Means::None => Vec::new(),
            Means::Forward => vec!["authorization: ***".to_owned()],
            Means::Keys(keys) => keys.first().map(Authenticator::shown).unwrap_or_default(),
        });
        let base = endpoint.address().to_string();
        Ok(Explanation {
            provider: entry.name.to_string(),
            kind: entry.row.kind,
            job: job.as_str().to_owned(),
            method: call.method.to_string(),
            url: format!("{base}{}", call.path),
            headers,
            body: call.body,
            credentials,
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "provider    {} (kind {})", self.provider, self.kind)?;
        writeln!(f, "job         {}", self.job)?;
        let credentials = if self.credentials.is_empty() { "none".into() } else { self.credentials.join(", then ") };
        writeln!(f, "credential  {credentials}")?;
        writeln!(f, "\n{} {}", self.method, self.url)?;
        for header in &self.headers {
            writeln!(f, "{header}")?;
        }
        if let Some(body) = &self.body {
            writeln!(f, "\n{body}")?;
        }
        Ok(())
    }
}
