//! A video inside a provider's JSON answer: found and decoded as the answer comes, without holding the answer.
//!
//! The answer is read with its long strings left out. When one of them begins, what has come so far is closed and
//! read: if it says that the string is the video that is wanted, the string is decoded from there on. Otherwise it is
//! passed over, and should the end of the answer show that it was the one after all, the answer is asked for again.

mod decode;
mod elide;

use crate::providers::Reply;
use crate::upstream::{Client, Download, Endpoint, Limits, Outgoing, unix_now};
use crate::video::{ApiError, ErrorKind, Source, Video};
use bytes::Bytes;
use decode::Decoder;
use elide::Elider;
use http::header::CONTENT_ENCODING;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Of what is held in memory, so much is decoded at once.
const PIECE: usize = 64 * 1024;

/// Long strings that are each held against what came before them. Further ones wait for the end of the answer: to read
/// it anew for every one would cost the square of its length.
const MAX_LOOKS: usize = 100;

/// Which video is wanted, and how long its provider may send nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub index: usize,
    pub idle_timeout: Duration,
}

/// The bytes of a video that stands in base64 in an answer.
pub(super) struct Inline {
    decoder: Decoder,
    /// What has come of the string and is not decoded yet.
    ready: Bytes,
    /// Where the rest comes from.
    rest: Option<(Download, Duration)>,
    /// Bytes that were looked at and are still to come.
    first: Option<Bytes>,
}

/// An answer, and the video in it where it was found.
pub(super) struct Heard {
    pub reply: Reply,
    pub inline: Option<Inline>,
    /// Nothing of the answer was left out.
    pub is_whole: bool,
}

impl Inline {
    /// A string that is in memory, its closing quote included.
    pub fn held(string: Bytes) -> Inline {
        let ready = string.slice(decode::start_of_data(&string)..);
        Inline { decoder: Decoder::default(), ready, rest: None, first: None }
    }

    fn coming(string: &Bytes, more: Bytes, download: Download, idle_timeout: Duration) -> Inline {
        let start = decode::start_of_data(string);
        let ready = Bytes::from([string.get(start..).unwrap_or_default(), &more].concat());
        Inline { decoder: Decoder::default(), ready, rest: Some((download, idle_timeout)), first: None }
    }

    /// What the video is by its first bytes, where they tell. The answer may say it only behind the last.
    pub async fn content_type(&mut self) -> Result<Option<&'static str>, ApiError> {
        let first = self.next().await?.unwrap_or_default();
        let known = type_by_signature(&first);
        self.first = Some(first).filter(|first| !first.is_empty());
        Ok(known)
    }

    /// The next bytes of the video; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            if self.decoder.has_ended() {
                return Ok(None);
            }
            if self.ready.is_empty() {
                let Some((download, idle_timeout)) = &mut self.rest else { return Err(broken_off()) };
                self.ready = download.next_within(*idle_timeout).await?.ok_or_else(broken_off)?;
            }
            let piece = self.ready.split_to(self.ready.len().min(PIECE));
            let plain = self.decoder.decode(&piece).map_err(|_| {
                let detail = "The answer of {p} holds a video that is not base64.";
                ApiError::because(ErrorKind::UpstreamInvalidResponse, detail)
            })?;
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
    }
}

/// Makes a call whose answer may hold the wanted video. `read` says what an answer means.
pub(super) async fn hear(
    client: &Client,
    endpoint: &Arc<Endpoint>,
    outgoing: &Outgoing<'_>,
    limits: &Limits,
    deadline: Instant,
    wanted: Wanted,
    found_in: impl Fn(&Reply) -> Option<usize>,
) -> Result<Heard, ApiError> {
    let allowed = deadline.saturating_duration_since(Instant::now());
    let download = client.open(endpoint, outgoing, limits.retries, deadline, &mut 0).await?;
    if !download.status.is_success() || download.headers.contains_key(CONTENT_ENCODING) {
        let reply = client.whole(download, limits, deadline).await?;
        return Ok(Heard { reply, inline: None, is_whole: true });
    }
    let mut scan = Scan::new(download, limits.max_body, wanted.idle_timeout);
    while scan.find_long().await? {
        if scan.elider.number() < MAX_LOOKS {
            let reply = scan.reply(scan.elider.so_far().into());
            if found_in(&reply) == Some(scan.elider.number()) {
                return Ok(Heard { reply, inline: Some(scan.into_inline()), is_whole: false });
            }
        }
        scan.elider.pass_long();
    }
    let is_whole = scan.elider.number() == 0;
    let reply = scan.into_reply().await;
    let Some(number) = found_in(&reply) else { return Ok(Heard { reply, inline: None, is_whole }) };
    // What tells that this string is the video came behind it. Reading so far may have taken longer than a poll may.
    let deadline = Instant::now() + allowed;
    let download = client.open(endpoint, outgoing, limits.retries, deadline, &mut 0).await?;
    if !download.status.is_success() {
        let reply = client.whole(download, limits, deadline).await?;
        return Ok(Heard { reply, inline: None, is_whole: true });
    }
    let mut again = Scan::new(download, limits.max_body, wanted.idle_timeout);
    while again.find_long().await? {
        if again.elider.number() == number {
            return Ok(Heard { reply, inline: Some(again.into_inline()), is_whole: false });
        }
        again.elider.pass_long();
    }
    Err(ApiError::because(ErrorKind::UpstreamInvalidResponse, "{p} gave two different answers about one video."))
}

/// The number of the string that was cut out of an answer and is the video with this index.
pub(super) fn cut_at(video: &Video<'_>, index: usize) -> Option<usize> {
    match &video.videos.get(index)?.source {
        Source::Base64(data) => elide::number_of_cut(data),
        Source::Link(_) | Source::Guarded(_) => None,
    }
}

/// An answer that is being read.
struct Scan {
    download: Download,
    elider: Elider,
    /// What has come and was not looked at yet.
    input: Bytes,
    max_body: usize,
    idle_timeout: Duration,
}

impl Scan {
    fn new(download: Download, max_body: usize, idle_timeout: Duration) -> Scan {
        Scan { download, elider: Elider::default(), input: Bytes::new(), max_body, idle_timeout }
    }

    /// Reads up to the next long string, or to the end: `false`.
    async fn find_long(&mut self) -> Result<bool, ApiError> {
        loop {
            if self.elider.feed(&mut self.input) {
                return Ok(true);
            }
            if self.elider.len() > self.max_body {
                let detail = format!(
                    "The answer of {{p}} is larger than {} bytes (max_body), its videos left out.",
                    self.max_body
                );
                return Err(ApiError::because(ErrorKind::UpstreamInvalidResponse, detail));
            }
            match self.download.next_within(self.idle_timeout).await? {
                Some(piece) => self.input = piece,
                None => return Ok(false),
            }
        }
    }

    fn reply(&self, body: Bytes) -> Reply {
        let received_at = unix_now();
        Reply { status: self.download.status, headers: self.download.headers.clone(), body, received_at }
    }

    async fn into_reply(mut self) -> Reply {
        let body = std::mem::take(&mut self.elider).into_document();
        let reply = self.reply(body);
        self.download.give_back().await;
        reply
    }

    fn into_inline(self) -> Inline {
        Inline::coming(&self.elider.take_long(), self.input, self.download, self.idle_timeout)
    }
}

/// Matroska begins with the magic number of EBML (RFC 8794), QuickTime and MP4 with a box that names their brand.
fn type_by_signature(bytes: &[u8]) -> Option<&'static str> {
    let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let holds = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
    match head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] if holds(b"matroska") => Some("video/x-matroska"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some("video/webm"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', b' ', b' ', ..] => Some("video/quicktime"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("video/mp4"),
        _ => None,
    }
}

fn broken_off() -> ApiError {
    ApiError::because(ErrorKind::UpstreamInvalidResponse, "The answer of {p} broke off before its end.")
}
