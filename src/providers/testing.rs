//! What the unit tests of this floor share.

use super::Reply;
use http::{HeaderMap, StatusCode};

/// An answer without headers.
pub fn reply(status: u16, body: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, headers: HeaderMap::new(), body: body.to_owned().into(), received_at: 1_760_000_000 }
}
