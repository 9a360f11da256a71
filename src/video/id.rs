//! The id of a video, `{job}:{provider}`, and what a path below `/v1/videos/` asks for.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use thiserror::Error;

/// Longest id in bytes, decoded.
const MAX_LENGTH: usize = 1024;

/// First segments of the OpenAI API that stand where an id would.
const RESERVED: [&str; 3] = ["characters", "edits", "extensions"];

/// `{job}:{provider}`, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoId {
    text: String,
    job_end: usize,
    provider_start: usize,
}

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `{id}`: the video object.
    Video(VideoId),
    /// `{id}/content`: the bytes of the video.
    Content(VideoId),
    /// One segment without a provider, decoded.
    Bare(String),
    /// Something that only looks like ours.
    NotOurs,
}

/// Why a path that asks for a video holds no valid id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidId {
    #[error("it is not valid percent-encoded UTF-8")]
    Encoding,
    #[error("it is longer than 1024 bytes")]
    TooLong,
    #[error("there is no job before the colon")]
    NoJob,
    #[error("the part after the last colon is not a provider's name (a-z, 0-9, _ and -)")]
    NoProvider,
}

impl Target {
    /// Reads the path after `/v1/videos/`, as it came over the wire, without the query.
    pub fn parse(rest: &str) -> Result<Target, InvalidId> {
        let first = rest.split('/').next().unwrap_or_default();
        if rest.is_empty() || RESERVED.contains(&first) {
            return Ok(Target::NotOurs);
        }
        let names_a_provider = rest.contains(':') || rest.contains("%3A") || rest.contains("%3a");
        if !names_a_provider && rest.contains('/') {
            return Ok(Target::NotOurs);
        }
        let decoded = decoded(rest)?;
        let Some(colon) = decoded.rfind(':') else {
            return Ok(Target::Bare(decoded.into_owned()));
        };
        let (id, sub_resource) = match decoded.get(colon..).and_then(|tail| tail.find('/')) {
            Some(slash) => decoded.split_at(colon + slash),
            None => (&*decoded, ""),
        };
        let parsed = VideoId::parse(id);
        match sub_resource {
            "" => Ok(Target::Video(parsed?)),
            "/content" => Ok(Target::Content(parsed?)),
            _ => Ok(Target::NotOurs),
        }
    }
}

impl VideoId {
    /// Splits an id at its last colon. A doubled suffix (`x:openai:openai`) counts once.
    pub fn parse(text: &str) -> Result<VideoId, InvalidId> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidId::TooLong);
        }
        let (mut job, provider) = text.rsplit_once(':').ok_or(InvalidId::NoProvider)?;
        if !is_provider_name(provider) {
            return Err(InvalidId::NoProvider);
        }
        let provider_start = text.len() - provider.len();
        while let Some(shorter) = job.strip_suffix(provider).and_then(|job| job.strip_suffix(':')) {
            job = shorter;
        }
        if job.is_empty() {
            return Err(InvalidId::NoJob);
        }
        Ok(VideoId { job_end: job.len(), provider_start, text: text.to_owned() })
    }

    /// An id for a job that came without a provider.
    pub fn for_bare_job(job: &str, provider: &str) -> Result<VideoId, InvalidId> {
        VideoId::parse(&format!("{job}:{provider}"))
    }

    /// The id as the client wrote it, decoded once.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The provider's own name for the job, not yet checked against the provider's rule.
    pub fn job(&self) -> &str {
        self.text.get(..self.job_end).unwrap_or_default()
    }

    /// The configured name of the provider.
    pub fn provider(&self) -> &str {
        self.text.get(self.provider_start..).unwrap_or_default()
    }
}

/// `[a-z0-9][a-z0-9_-]*`.
pub fn is_provider_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.next().is_some_and(is_plain) && bytes.all(|b| is_plain(b) || b == b'_' || b == b'-')
}

/// Text without its percent-encoding; each `%` has to start two hexadecimal digits.
fn decoded(text: &str) -> Result<Cow<'_, str>, InvalidId> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let is_encoded = text.split('%').skip(1).all(|tail| {
        let mut digits = tail.bytes().take(2);
        digits.len() == 2 && digits.all(|b| b.is_ascii_hexdigit())
    });
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|_| is_encoded);
    decoded.ok_or(InvalidId::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn video(rest: &str) -> (String, String, String) {
        match Target::parse(rest) {
            Ok(Target::Video(id)) => (id.job().into(), id.provider().into(), id.as_str().into()),
            other => panic!("{rest}: {other:?}"),
        }
    }

    #[test]
    fn ids_split_at_the_last_colon() {
        let table = [
            ("video_abc:openai", "video_abc", "openai"),
            ("video_abc%3Aopenai", "video_abc", "openai"),
            ("x:openai:openai", "x", "openai"),
            ("x:openai:azure", "x:openai", "azure"),
            (
                "arn:aws:bedrock:us-west-2:1:async-invoke/a:bedrock",
                "arn:aws:bedrock:us-west-2:1:async-invoke/a",
                "bedrock",
            ),
            ("models/m/operations/a:gemini", "models/m/operations/a", "gemini"),
            ("models%2Fm%2Foperations%2Fa:gemini", "models/m/operations/a", "gemini"),
            ("models%252Fm:gemini", "models%2Fm", "gemini"),
        ];
        for (rest, job, provider) in table {
            let (got_job, got_provider, _) = video(rest);
            assert_eq!((got_job.as_str(), got_provider.as_str()), (job, provider), "{rest}");
        }
        assert_eq!(video("x:openai:openai").2, "x:openai:openai");
    }

    #[test]
    fn only_content_is_a_sub_resource() {
        assert!(matches!(Target::parse("a:openai/content"), Ok(Target::Content(id)) if id.job() == "a"));
        assert!(matches!(Target::parse("m/o:gemini/content"), Ok(Target::Content(id)) if id.job() == "m/o"));
        for rest in ["a:openai/remix", "a:openai/", "a:openai/content/x", "a:openai/../b", ""] {
            assert_eq!(Target::parse(rest), Ok(Target::NotOurs), "{rest}");
        }
    }

    #[test]
    fn paths_that_only_look_like_ours_are_not() {
        for rest in
            ["characters", "characters/char_1", "edits", "extensions", "video_1/remix", "a/b/c", "video_1/content"]
        {
            assert_eq!(Target::parse(rest), Ok(Target::NotOurs), "{rest}");
        }
        assert_eq!(Target::parse("video_1"), Ok(Target::Bare("video_1".into())));
    }

    #[test]
    fn malformed_ids_are_refused() {
        let long = format!("{}:openai", "a".repeat(1024));
        let table = [
            ("%zz:openai", InvalidId::Encoding),
            ("a%:openai", InvalidId::Encoding),
            ("a%2:openai", InvalidId::Encoding),
            ("%ff:openai", InvalidId::Encoding),
            (":openai", InvalidId::NoJob),
            (":openai:openai", InvalidId::NoJob),
            ("a:", InvalidId::NoProvider),
            ("a:OpenAI", InvalidId::NoProvider),
            ("a:-x", InvalidId::NoProvider),
            ("a:open ai", InvalidId::NoProvider),
            (long.as_str(), InvalidId::TooLong),
        ];
        for (rest, want) in table {
            assert_eq!(Target::parse(rest), Err(want), "{rest}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(rest in ".{0,200}") {
            let _ = Target::parse(&rest);
        }

        #[test]
        fn what_a_client_got_it_can_send_back(job in "[a-z0-9/._-]{1,40}", provider in "[a-z0-9][a-z0-9_-]{0,8}") {
            let id = VideoId::for_bare_job(&job, &provider);
            prop_assume!(id.is_ok());
            let id = id.unwrap();
            let again = VideoId::parse(id.as_str()).unwrap();
            prop_assert_eq!(again, id);
        }
    }
}
