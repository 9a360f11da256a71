//! What goes wrong on the way, alike for every kind.

use super::outcome::Fault;
use super::reply::{Delivery, Reply};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use http::header::CONTENT_ENCODING;
use std::io::Write;
use std::time::Duration;

/// How long a slow answer takes.
pub const SLOW: Duration = Duration::from_secs(3);

/// How long a silent provider keeps the connection at most.
pub const SILENCE: Duration = Duration::from_secs(120);

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

const MAINTENANCE: &str = "<!doctype html><html><head><title>We'll be right back</title></head>\
    <body><h1>Scheduled maintenance</h1></body></html>\n";

/// The right answer, broken.
pub fn apply(fault: Fault, reply: Reply) -> Reply {
    match fault {
        Fault::BadGateway => Reply::new(StatusCode::BAD_GATEWAY, "text/html", BAD_GATEWAY),
        Fault::Html => Reply::new(StatusCode::OK, "text/html; charset=utf-8", MAINTENANCE),
        Fault::Truncated => Reply { body: reply.body.slice(..reply.body.len() / 2), ..reply },
        Fault::Empty => Reply { body: Bytes::new(), ..reply },
        Fault::Cut => Reply { delivery: Delivery::Cut, ..reply },
        Fault::Slow => Reply { delivery: Delivery::After(SLOW), ..reply },
        Fault::Silent => Reply { delivery: Delivery::Never(SILENCE), ..reply },
        Fault::Gzip => gzip(reply),
        Fault::NoContent => Reply {
            status: StatusCode::NO_CONTENT,
            headers: Default::default(),
            body: Bytes::new(),
            delivery: Delivery::Whole,
        },
    }
}

fn gzip(reply: Reply) -> Reply {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    match encoder.write_all(&reply.body).and_then(|()| encoder.finish()) {
        Ok(body) => Reply { body: body.into(), ..reply }.with(CONTENT_ENCODING, "gzip"),
        Err(_) => reply,
    }
}
