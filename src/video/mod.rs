//! The vocabulary: what a video job, its id, its state and its errors are, whoever runs the job.

mod envelope;
mod error;
mod id;
mod json;
mod link;
mod object;
mod size;
mod status;
pub mod time;
mod wire;

pub use envelope::Envelope;
pub use error::{ApiError, ErrorKind, Said};
pub use id::{InvalidId, Target, VideoId};
pub use link::{content_type_of, may_be_video, signed_until, without_query};
pub use object::{ContentFilter, JobError, Lifetime, Media, Source, Video};
pub use size::{Size, SizeTable, seconds_from_frames, seconds_from_number, seconds_from_text};
pub use status::Status;
pub use wire::{CacheDebug, ExtraFields, VideoBody};
