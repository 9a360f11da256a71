//! How a job goes, coded in the last two characters of its name so that it works in every alphabet.

/// What a code makes of a job, or of asking for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job runs through and ends.
    Ends(Ending),
    /// The job never ends.
    Stays(Stay),
    /// The provider refuses the question, in its own dialect.
    Refuses {
        refusal: Refusal,
        /// `Retry-After` in seconds.
        retry_after: Option<u32>,
        /// Only the first poll of a job is refused.
        once: bool,
    },
    /// What arrives is not what the provider meant to send.
    Breaks(Fault),
}

/// How a job ends. A kind without such an end takes the one that the comment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed,
    Failed,
    /// Moderation took all of it.
    Filtered,
    /// Moderation took one of two outputs; else as `Completed`.
    PartlyFiltered,
    /// Else as `Failed`.
    Cancelled,
    /// Else as `Failed`.
    Expired,
    /// Successful, and no video in it.
    NoOutput,
    /// The video as base64 inside the answer; else as `Completed`.
    Inline,
}

/// Where a job stays for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    Queued,
    /// After the time in the queue.
    InProgress,
    /// A state word that nobody knows, from the first poll on; in progress for a kind without state words.
    Unknown,
}

/// What a provider refuses, or has trouble with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoCredentials,
    WrongCredentials,
    OutOfFunds,
    Malformed,
    UnknownJob,
    RateLimited,
    ServerError,
    Unavailable,
}

/// What goes wrong between the provider and its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A load balancer's HTML page with status 502.
    BadGateway,
    /// An HTML page with status 200.
    Html,
    /// A whole message whose JSON stops half way.
    Truncated,
    /// Status 200 and no body.
    Empty,
    /// The connection ends in the middle of the body.
    Cut,
    /// The right answer after 3 s.
    Slow,
    /// No answer until the client leaves; after 120 s the connection is closed.
    Silent,
    /// The right answer, compressed although nobody asked for that.
    Gzip,
    /// Status 204.
    NoContent,
}

/// One code.
#[derive(Debug)]
pub struct OutcomeRow {
    /// The last two characters of the job's name.
    pub code: &'static str,
    pub outcome: Outcome,
    /// What it does, for people.
    pub says: &'static str,
}

/// Every code. A job whose name ends in none of them completes.
pub static OUTCOMES: &[OutcomeRow] = &[
    ends("00", Ending::Completed, "completes"),
    ends("01", Ending::Failed, "fails"),
    ends("02", Ending::Filtered, "is filtered by moderation, all of it"),
    ends("03", Ending::PartlyFiltered, "loses one of two videos to moderation; completes where a job has one video"),
    ends("04", Ending::Cancelled, "is cancelled; fails where the provider has no such state"),
    ends("05", Ending::Expired, "expires as a job (Replicate: aborted); fails where the provider has no such state"),
    ends("06", Ending::NoOutput, "finishes without a video"),
    stays(
        "07",
        Stay::Unknown,
        "answers a state word that nobody knows, for ever; stays in progress without state words",
    ),
    ends("08", Ending::Inline, "completes with the video as base64 in the answer, where the kind can"),
    stays("10", Stay::Queued, "stays queued for ever"),
    stays("11", Stay::InProgress, "stays in progress for ever"),
    refuses("40", Refusal::Malformed, None, "is refused as malformed"),
    refuses("41", Refusal::WrongCredentials, None, "is refused: wrong credentials"),
    refuses("42", Refusal::OutOfFunds, None, "is refused: the account is out of funds"),
    refuses("44", Refusal::UnknownJob, None, "is unknown"),
    once("48", Refusal::RateLimited, Some(0), "is rate limited at the first poll with Retry-After: 0, then completes"),
    refuses("49", Refusal::RateLimited, Some(30), "is rate limited with Retry-After: 30"),
    refuses("50", Refusal::ServerError, None, "meets an internal error"),
    breaks("52", Fault::BadGateway, "meets a load balancer's 502 in HTML"),
    refuses("53", Refusal::Unavailable, Some(30), "meets a 503 with Retry-After: 30"),
    once("55", Refusal::Unavailable, None, "meets a 503 at the first poll, without Retry-After, then completes"),
    breaks("60", Fault::Html, "answers 200 with HTML"),
    breaks("61", Fault::Truncated, "answers 200 with JSON that stops half way"),
    breaks("62", Fault::Empty, "answers 200 with no body"),
    breaks("63", Fault::Cut, "loses the connection in the middle of the body"),
    breaks("64", Fault::Slow, "answers correctly after 3 s"),
    breaks("65", Fault::Silent, "never answers (for 120 s at most)"),
    breaks("66", Fault::Gzip, "answers gzip-encoded, asked or not"),
    breaks("67", Fault::NoContent, "answers 204"),
];

/// The outcome that a job's name asks for.
pub(super) fn of(job: &str) -> Outcome {
    let code = job.len().checked_sub(2).and_then(|start| job.get(start..));
    let row = OUTCOMES.iter().find(|row| Some(row.code) == code);
    row.map_or(Outcome::Ends(Ending::Completed), |row| row.outcome)
}

const fn ends(code: &'static str, ending: Ending, says: &'static str) -> OutcomeRow {
    OutcomeRow { code, outcome: Outcome::Ends(ending), says }
}

const fn stays(code: &'static str, stay: Stay, says: &'static str) -> OutcomeRow {
    OutcomeRow { code, outcome: Outcome::Stays(stay), says }
}

const fn breaks(code: &'static str, fault: Fault, says: &'static str) -> OutcomeRow {
    OutcomeRow { code, outcome: Outcome::Breaks(fault), says }
}

const fn refuses(code: &'static str, refusal: Refusal, retry_after: Option<u32>, says: &'static str) -> OutcomeRow {
    OutcomeRow { code, outcome: Outcome::Refuses { refusal, retry_after, once: false }, says }
}

const fn once(code: &'static str, refusal: Refusal, retry_after: Option<u32>, says: &'static str) -> OutcomeRow {
    OutcomeRow { code, outcome: Outcome::Refuses { refusal, retry_after, once: true }, says }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_characters_of_any_name_are_its_code() {
        for row in OUTCOMES {
            assert_eq!(of(row.code), row.outcome, "{}", row.code);
            assert_eq!(of(&format!("projects/p/operations/0b1c-{}", row.code)), row.outcome, "{}", row.code);
        }
        for job in ["", "1", "video_abc", "é", "日本", "x43", "99"] {
            assert_eq!(of(job), Outcome::Ends(Ending::Completed), "{job}");
        }
    }

    #[test]
    fn no_code_is_given_twice() {
        let mut codes: Vec<_> = OUTCOMES.iter().map(|row| row.code).collect();
        codes.dedup();
        assert!(codes.is_sorted());
        assert_eq!(codes.len(), OUTCOMES.len());
        assert!(codes.iter().all(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_digit())));
    }
}
