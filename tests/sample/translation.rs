//! One translation as the gateway makes it: from a provider's replies to the JSON that a client gets.

use super::{Fixture, job, path, paths};
use bytes::Bytes;
use std::path::Path;
use vidgate::providers::{Job, Provider, Reply, Step};
use vidgate::video::{Envelope, Source, VideoBody};

/// The alphabet of base64, of which videos of any length are composed.
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// As long as what the gateway puts in the place of an origin.
const CONTENT_URL: &str = "content-00000000000000000000000000000000-";

pub struct Translation {
    row: &'static Provider,
    job: Job<'static>,
    replies: Vec<Reply>,
}

impl Translation {
    /// Of the sample of a kind in a state, if there is one.
    pub fn of(row: &'static Provider, state: &str) -> Option<Translation> {
        let path = path(row.kind, state);
        path.exists().then(|| Translation::read(row, &path))
    }

    /// Of the kind's first sample with a video in base64, where this video has so many characters.
    pub fn inline(row: &'static Provider, length: usize) -> Option<Translation> {
        let samples = paths(row.kind).into_iter().map(|path| Translation::read(row, &path));
        let (mut translation, short) = samples.into_iter().find_map(|sample| {
            let short = sample.base64()?;
            Some((sample, short))
        })?;
        let body = &mut translation.replies.last_mut()?.body;
        let long = ALPHABET.repeat(length.div_ceil(ALPHABET.len()));
        let text = String::from_utf8_lossy(body).replacen(&short, &long[..length], 1);
        *body = Bytes::from(text);
        let found = translation.base64().map(|base64| base64.len());
        assert_eq!(found, Some(length), "{}: the video of the sample was not replaced", row.kind);
        Some(translation)
    }

    fn read(row: &'static Provider, path: &Path) -> Translation {
        let fixture = Fixture::read(path);
        // Samples are few, and last as long as the program.
        let name = row.job.unfold(fixture.id().job()).into_owned().leak();
        Translation { row, job: job(row, name), replies: fixture.replies() }
    }

    /// The JSON of the video, or of the error.
    pub fn run(&self) -> Vec<u8> {
        let provider = self.row.kind;
        match self.row.translate(&self.job, &self.replies) {
            Step::Done(video) => VideoBody { id: "", provider, video: &video, content_url: CONTENT_URL }.to_json(),
            Step::Failed(error) => serde_json::to_vec(&Envelope::new(&error, "req_1", Some(provider))).unwrap(),
            Step::Then(call) => panic!("one more call is wanted: {call:?}"),
        }
    }

    /// Bytes of the replies.
    pub fn received(&self) -> usize {
        self.replies.iter().map(|reply| reply.body.len()).sum()
    }

    /// The first video in the answer itself.
    fn base64(&self) -> Option<String> {
        let Step::Done(video) = self.row.translate(&self.job, &self.replies) else { return None };
        video.videos.iter().find_map(|media| match &media.source {
            Source::Base64(data) => Some(data.to_string()),
            _ => None,
        })
    }
}
