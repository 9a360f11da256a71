//! What a provider said about a job, in our words and before it is written out.

use super::{Size, Status, content_type_of, may_be_video, signed_until};
use std::borrow::Cow;
use std::time::Duration;

/// A job's state. `None` is "the provider did not say"; nothing is ever invented.
///
/// Text borrows from the provider's answer, so that inline results are not copied on the way.
#[derive(Debug)]
pub struct Video<'a> {
    pub status: Status,
    pub model: Option<Cow<'a, str>>,
    /// The deployment behind the model, where the provider has such a thing (Azure).
    pub deployment: Option<Cow<'a, str>>,
    /// Percent, as the provider gives it; clamped when it is settled.
    pub progress: Option<f64>,
    pub prompt: Option<Cow<'a, str>>,
    /// The provider's own name of the job that this one was made from.
    pub remixed_from: Option<Cow<'a, str>>,
    /// Shortest decimal form, see [`super::seconds_from_text`].
    pub seconds: Option<String>,
    pub size: Option<Size>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds; the end of the job, failed or not.
    pub completed_at: Option<i64>,
    /// Unix seconds; when the result stops being downloadable.
    pub expires_at: Option<i64>,
    pub videos: Vec<Media<'a>>,
    pub error: Option<JobError<'a>>,
    pub content_filter: Option<ContentFilter<'a>>,
    /// The provider has removed the results of a finished job.
    pub removed: bool,
    /// A state word that we do not know, for the counter and the log.
    pub unknown_state: Option<Cow<'a, str>>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError<'a> {
    pub code: Cow<'a, str>,
    pub message: Cow<'a, str>,
}

/// What moderation removed or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentFilter<'a> {
    pub filtered_count: Option<u64>,
    pub reasons: Vec<Cow<'a, str>>,
}

/// One finished video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media<'a> {
    pub source: Source<'a>,
    pub content_type: Option<Cow<'a, str>>,
}

/// Where the bytes of a video are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source<'a> {
    /// A link that anybody can fetch.
    Link(Cow<'a, str>),
    /// In the answer itself.
    Base64(Cow<'a, str>),
    /// Behind the provider's credentials: a link (`https:`, `gs:`, `s3:`), or a path of its API that starts with `/`.
    Guarded(Cow<'a, str>),
}

/// How long a result can be downloaded, counted from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Not documented, or not the same for everybody.
    Unknown,
    FromCreation(Duration),
    FromCompletion(Duration),
}

impl<'a> Video<'a> {
    /// A job in this state of which nothing else is known.
    pub fn new(status: Status) -> Self {
        Video {
            status,
            model: None,
            deployment: None,
            progress: None,
            prompt: None,
            remixed_from: None,
            seconds: None,
            size: None,
            created_at: None,
            completed_at: None,
            expires_at: None,
            videos: Vec::new(),
            error: None,
            content_filter: None,
            removed: false,
            unknown_state: None,
        }
    }

    /// Makes the rules hold that are the same for every provider: progress, errors, empty results, expiry.
    pub fn settle(&mut self, lifetime: Lifetime) {
        let came_to_nothing = self.status == Status::Completed && self.videos.is_empty() && !self.removed;
        if came_to_nothing {
            self.status = Status::Failed;
        }
        match self.status {
            Status::Completed => {
                self.progress = Some(100.0);
                self.error = None;
                self.expires_at = self.expires_at.or_else(|| self.known_expiry(lifetime));
            }
            Status::Failed => {
                self.videos.clear();
                self.complete_the_error(came_to_nothing);
            }
            Status::Queued | Status::InProgress => {
                self.videos.clear();
                self.error = None;
                self.completed_at = None;
            }
        }
    }

    /// Progress in whole percent; 0 where the provider gives none.
    pub fn percent(&self) -> u8 {
        self.progress.map_or(0, |percent| percent.clamp(0.0, 100.0).round() as u8)
    }

    fn known_expiry(&self, lifetime: Lifetime) -> Option<i64> {
        let signed = self.videos.iter().filter_map(|media| signed_until(media.link()?));
        signed.min().or_else(|| match lifetime {
            Lifetime::Unknown => None,
            Lifetime::FromCreation(lasts) => after(self.created_at, lasts),
            Lifetime::FromCompletion(lasts) => after(self.completed_at, lasts),
        })
    }

    fn complete_the_error(&mut self, came_to_nothing: bool) {
        let default_code = match (&self.content_filter, came_to_nothing) {
            (Some(_), _) => "content_filtered",
            (None, true) => "no_output",
            (None, false) => "generation_failed",
        };
        let error = self.error.get_or_insert(JobError { code: "".into(), message: "".into() });
        if error.code.is_empty() {
            error.code = default_code.into();
        }
        if error.message.is_empty() {
            let known = if self.content_filter.is_some() { "content_filtered" } else { &error.code };
            error.message = plain_sentence(known).into();
        }
    }
}

impl<'a> JobError<'a> {
    /// Either part may be empty: the code then follows from the state, the message from the code.
    pub fn new(code: impl Into<Cow<'a, str>>, message: impl Into<Cow<'a, str>>) -> Self {
        JobError { code: code.into(), message: message.into() }
    }
}

impl<'a> Media<'a> {
    /// A video behind a link or in a `data:` URI. `None` for what is empty, no link, or by its ending no video.
    pub fn from_link(link: Cow<'a, str>) -> Option<Media<'a>> {
        if let Some((content_type, start)) = data_uri(&link) {
            let base64 = match link {
                Cow::Borrowed(link) => Cow::Borrowed(link.get(start..)?),
                Cow::Owned(link) => Cow::Owned(link.get(start..)?.to_owned()),
            };
            let is_video = content_type.as_deref().is_none_or(may_be_video);
            let content_type = content_type.map(Cow::Owned);
            return is_video.then_some(Media { source: Source::Base64(base64), content_type });
        }
        let known = content_type_of(&link);
        if known.is_some_and(|kind| !kind.starts_with("video/")) {
            return None;
        }
        let scheme = link.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())?;
        let source = match scheme.as_str() {
            "http" | "https" => Source::Link(link),
            "gs" | "s3" => Source::Guarded(link),
            _ => return None,
        };
        Some(Media { source, content_type: None })
    }

    /// A video that only the operator's credentials can fetch.
    pub fn guarded(address: impl Into<Cow<'a, str>>) -> Media<'a> {
        Media { source: Source::Guarded(address.into()), content_type: None }
    }

    pub fn base64(data: impl Into<Cow<'a, str>>) -> Media<'a> {
        Media { source: Source::Base64(data.into()), content_type: None }
    }

    /// The link that it is behind, where it is behind one.
    pub fn link(&self) -> Option<&str> {
        match &self.source {
            Source::Link(link) | Source::Guarded(link) => Some(link),
            Source::Base64(_) => None,
        }
    }

    /// Sets what the provider says it is, where it says so.
    pub fn with_content_type(mut self, content_type: Option<Cow<'a, str>>) -> Media<'a> {
        self.content_type = content_type.filter(|kind| !kind.is_empty()).or(self.content_type);
        self
    }

    /// What the provider says, else by the link's ending, else `video/mp4`.
    pub fn content_type(&self) -> &str {
        let by_ending = || self.link().and_then(content_type_of);
        self.content_type.as_deref().or_else(by_ending).unwrap_or("video/mp4")
    }
}

/// The content type of a base64 `data:` URI and where its data starts.
fn data_uri(link: &str) -> Option<(Option<String>, usize)> {
    let head = link.get(..link.len().min(256)).unwrap_or(link);
    let rest = head.strip_prefix("data:")?;
    let (kind, _) = rest.split_once(";base64,")?;
    let start = "data:".len() + kind.len() + ";base64,".len();
    let kind = kind.split(';').next().unwrap_or_default();
    Some(((!kind.is_empty()).then(|| kind.to_owned()), start))
}

fn after(start: Option<i64>, lasts: Duration) -> Option<i64> {
    start?.checked_add(i64::try_from(lasts.as_secs()).ok()?)
}

fn plain_sentence(code: &str) -> &'static str {
    match code {
        "content_filtered" => "The provider's content moderation refused the request or removed the result.",
        "cancelled" => "The job was cancelled.",
        "expired" => "The job expired before it finished.",
        "no_output" => "The job finished without a video.",
        _ => "The provider reported that the job failed and gave no reason.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_job_without_a_video_has_failed() {
        let mut video = Video::new(Status::Completed);
        video.settle(Lifetime::Unknown);
        assert_eq!(video.status, Status::Failed);
        assert_eq!(video.error.unwrap().code, "no_output");

        let mut video = Video::new(Status::Completed);
        video.content_filter = Some(ContentFilter::default());
        video.settle(Lifetime::Unknown);
        assert_eq!(video.error.unwrap().code, "content_filtered");
    }

    #[test]
    fn a_removed_result_is_still_completed() {
        let mut video = Video::new(Status::Completed);
        video.removed = true;
        video.completed_at = Some(100);
        video.settle(Lifetime::FromCompletion(Duration::from_secs(10)));
        assert_eq!((video.status, video.expires_at, video.percent()), (Status::Completed, Some(110), 100));
    }

    #[test]
    fn progress_is_whole_and_between_0_and_100() {
        for (given, want) in [(None, 0), (Some(-3.0), 0), (Some(41.6), 42), (Some(900.0), 100), (Some(f64::NAN), 0)] {
            let mut video = Video::new(Status::InProgress);
            video.progress = given;
            assert_eq!(video.percent(), want);
        }
    }

    #[test]
    fn links_are_told_apart() {
        let media = Media::from_link("data:video/webm;base64,AAAA".into()).unwrap();
        assert_eq!((media.content_type(), &media.source), ("video/webm", &Source::Base64("AAAA".into())));
        assert!(matches!(Media::from_link("gs://b/o.mp4".into()).unwrap().source, Source::Guarded(_)));
        assert!(matches!(Media::from_link("https://a/o".into()).unwrap().source, Source::Link(_)));
        for nothing in ["", "https://a/o.png", "data:image/png;base64,AA", "ftp://a/b.mp4", "o.mp4"] {
            assert_eq!(Media::from_link(nothing.into()), None, "{nothing}");
        }
    }
}
