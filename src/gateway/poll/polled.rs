//! What a provider said, as it is kept and answered.

use super::Record;
use crate::config::BaseAddress;
use crate::gateway::entry::Entry;
use crate::gateway::inline::Inline;
use crate::gateway::text::VideoText;
use crate::video::{Media, Source, Video};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a provider said.
pub(in crate::gateway) struct Polled {
    pub text: VideoText,
    /// HTTP status of the provider's last answer.
    pub status: Option<u16>,
    pub latency: Duration,
    pub credential: Option<Arc<str>>,
    pub credential_index: u16,
    pub raw: Raw,
    /// The wanted video, where it stands in the answer and was found.
    pub inline: Option<Inline>,
    /// The text says all that the provider said.
    pub is_whole: bool,
}

/// The provider's side of an answer.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Raw {
    pub request: Option<Arc<RawValue>>,
    pub response: Option<Arc<RawValue>>,
}

impl Polled {
    /// What a settled video comes to; its progress never falls below what was answered before.
    pub fn new(mut video: Video<'_>, provider: &str, before: Option<Record>, latency: Duration) -> Polled {
        let floor = before.map_or(0, |record| record.progress);
        video.progress = Some(video.progress.unwrap_or(0.0).max(floor.into()));
        let text = VideoText::new(&video, provider);
        Polled {
            text,
            status: None,
            latency,
            credential: None,
            credential_index: 0,
            raw: Raw::default(),
            inline: None,
            is_whole: true,
        }
    }
}

/// A link on the API's own host leads nowhere without our credentials: the client gets ours instead.
pub(super) fn guard_own_links(video: &mut Video<'_>, own: &BaseAddress) {
    for Media { source, .. } in &mut video.videos {
        if let Source::Link(link) = source {
            let parsed = url::Url::parse(link).ok();
            let is_own = parsed.is_some_and(|link| {
                link.host_str().map(|host| host.trim_matches(['[', ']'])) == Some(own.host.as_str())
                    && link.port_or_known_default() == Some(own.port)
            });
            if is_own {
                *source = Source::Guarded(std::mem::take(link));
            }
        }
    }
}

/// One line and one count for a state that nobody knew; the job goes on being polled.
pub(super) fn note_unknown_state(entry: &Entry, video: &Video<'_>) {
    if let Some(word) = &video.unknown_state {
        entry.unknown_states.fetch_add(1, Ordering::Relaxed);
        entry.watch.unknown_state();
        let word: String = word.chars().take(64).collect();
        tracing::warn!(provider = &*entry.name, state = word, "an unknown state is answered as in_progress");
    }
}
