//! Keeps secrets out of what clients read, even where a provider repeats them.

use crate::video::{ApiError, Media, Source, Video, without_query};
use http::HeaderValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Shorter secrets are not looked for: they would eat ordinary words.
const SHORTEST: usize = 6;

const STARS: &str = "***";

/// What must not appear in an answer. Clones share it.
#[derive(Clone)]
pub(super) struct Redactor {
    secrets: Arc<[String]>,
}

impl Redactor {
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        // The longest first, so that a secret inside another leaves nothing of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Redactor { secrets: secrets.into() }
    }

    /// The same with another secret, of those that come and go.
    pub fn with(&self, more: impl IntoIterator<Item = String>) -> Redactor {
        Redactor::new(self.secrets.iter().cloned().chain(more))
    }

    /// The same for a provider that is asked with the client's own credential.
    pub fn with_client(&self, authorization: Option<&HeaderValue>) -> Redactor {
        let text =
            authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
        let token = text.split_once(' ').map(|(_, token)| token.trim().to_owned()).unwrap_or_default();
        self.with([text, token])
    }

    /// A provider's text without our secrets and without the queries of links, which may be signed.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let clean = self.without_secrets(text);
        if clean.contains("://") { Cow::Owned(without_queries(&clean)) } else { clean }
    }

    fn without_secrets<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        for secret in &*self.secrets {
            if clean.contains(secret.as_str()) {
                clean = Cow::Owned(clean.replace(secret.as_str(), STARS));
            }
        }
        clean
    }

    pub fn error(&self, error: &mut ApiError) {
        error.detail = self.text(&error.detail).into_owned();
        if let Some(said) = &mut error.said {
            for part in [&mut said.code, &mut said.message, &mut said.kind, &mut said.param].into_iter().flatten() {
                *part = self.text(part).into_owned();
            }
        }
    }

    /// Everything that a provider says of a job. Links that a client fetches keep their queries.
    pub fn video(&self, video: &mut Video<'_>) {
        if let Some(error) = &mut video.error {
            self.replace(&mut error.code);
            self.replace(&mut error.message);
        }
        for reason in video.content_filter.iter_mut().flat_map(|filter| &mut filter.reasons) {
            self.replace(reason);
        }
        // It goes into the log.
        video.unknown_state.iter_mut().for_each(|word| self.replace(word));
        let plain = [&mut video.model, &mut video.deployment, &mut video.prompt, &mut video.remixed_from];
        for text in plain.into_iter().flatten() {
            self.replace_secrets(text);
        }
        video.videos.iter_mut().for_each(|media| self.media(media));
    }

    /// A link that holds a secret works with it only, so that the client gets ours instead.
    fn media(&self, media: &mut Media<'_>) {
        if let Some(kind) = &mut media.content_type {
            self.replace_secrets(kind);
        }
        if let Source::Link(link) = &mut media.source
            && self.secrets.iter().any(|secret| link.contains(secret.as_str()))
        {
            media.source = Source::Guarded(std::mem::take(link));
        }
    }

    fn replace(&self, text: &mut Cow<'_, str>) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = Cow::Owned(clean);
        }
    }

    fn replace_secrets(&self, text: &mut Cow<'_, str>) {
        if let Cow::Owned(clean) = self.without_secrets(text) {
            *text = Cow::Owned(clean);
        }
    }
}

/// Cuts the query of every link in a text.
fn without_queries(text: &str) -> String {
    let ends_link = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | '(' | '\\');
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_link) {
        let (link, end) = match word.char_indices().next_back() {
            Some((at, last)) if ends_link(last) => word.split_at(at),
            _ => (word, ""),
        };
        if link.contains("://") && link.contains('?') {
            clean.push_str(without_query(link));
            clean.push('?');
            clean.push_str(STARS);
        } else {
            clean.push_str(link);
        }
        clean.push_str(end);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_queries_are_taken_out() {
        let redactor = Redactor::new(["sk-secret".to_owned(), "sk-secret-longer".to_owned(), "abc".to_owned()]);
        let table = [
            ("Incorrect API key provided: sk-secret.", "Incorrect API key provided: ***."),
            ("sk-secret-longer sk-secret", "*** ***"),
            ("abc stays", "abc stays"),
            ("see https://a.b/c?sig=1 and (https://d.e/f?x)", "see https://a.b/c?*** and (https://d.e/f?***)"),
            ("see https://a.b/c", "see https://a.b/c"),
            ("why?", "why?"),
        ];
        for (text, want) in table {
            assert_eq!(redactor.text(text), want);
        }
    }
}
