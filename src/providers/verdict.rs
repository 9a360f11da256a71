//! Why a job failed, in the shapes that several providers share.

use super::wire::Text;
use crate::video::{ContentFilter, JobError, Video};
use serde::Deserialize;
use std::borrow::Cow;

/// `{"code", "message"}`, or the text alone.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Failure<'a> {
    Object {
        #[serde(borrow, default)]
        code: Text<'a>,
        #[serde(borrow, default)]
        message: Text<'a>,
    },
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl<'a> Failure<'a> {
    pub fn into_error(self) -> JobError<'a> {
        match self {
            Failure::Object { code, message } => {
                JobError::new(code.0.unwrap_or_default(), message.0.unwrap_or_default())
            }
            Failure::Text(message) => JobError::new("", message),
        }
    }
}

impl<'a> Video<'a> {
    /// Tells why a failed job failed. An error whose code or text holds one of the signs, in lower case, is moderation's.
    pub fn fail_or_filter(&mut self, error: JobError<'a>, moderation_signs: &[&str]) {
        if self.content_filter.is_none() && is_moderation(&error.code, &error.message, moderation_signs) {
            let reason = if error.message.is_empty() { &error.code } else { &error.message };
            self.content_filter = Some(ContentFilter { filtered_count: None, reasons: vec![reason.clone()] });
        }
        self.fail_with(error);
    }
}

/// Whether a code or a text holds one of these signs of moderation, which are in lower case.
pub fn is_moderation(code: &str, message: &str, signs: &[&str]) -> bool {
    [code, message].into_iter().any(|text| {
        let text = text.to_lowercase();
        signs.iter().any(|sign| text.contains(sign))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Status;

    #[test]
    fn a_failure_is_an_object_or_a_text() {
        let table = [
            (r#"{"code":"c","message":"m"}"#, JobError::new("c", "m")),
            (r#"{"code":7,"message":null}"#, JobError::new("7", "")),
            (r#"{"message":"m","more":[]}"#, JobError::new("", "m")),
            (r#""m""#, JobError::new("", "m")),
        ];
        for (json, want) in table {
            let failure: Failure<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(failure.into_error(), want, "{json}");
        }
        assert!(serde_json::from_str::<Failure<'_>>("[]").is_err());
    }

    #[test]
    fn moderation_is_told_by_code_or_text_and_gives_the_text_as_its_reason() {
        let signs = &["moderat"];
        let table = [
            (JobError::new("MODERATED", "no"), Some("no")),
            (JobError::new("moderated", ""), Some("moderated")),
            (JobError::new("", "Moderation said no"), Some("Moderation said no")),
            (JobError::new("internal", "out of memory"), None),
        ];
        for (error, want) in table {
            let mut video = Video::new(Status::Failed);
            video.fail_or_filter(error.clone(), signs);
            let reason = video.content_filter.map(|filter| filter.reasons.concat());
            assert_eq!(reason.as_deref(), want, "{error:?}");
            assert_eq!(video.error, Some(error));
        }
    }
}
