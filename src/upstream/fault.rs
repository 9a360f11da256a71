//! Why a try gave no reply, what that is called from outside, and whether another try may help.

use super::handshake;
use crate::video::{ApiError, ErrorKind};
use pingora::{Error, ErrorType};

/// Why a try gave no reply.
#[derive(Debug)]
pub(super) struct Fault {
    pub error: ApiError,
    pub again: Again,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The connection came from the pool and had died there, which says nothing about the provider: at once, and
    /// not counted as a try. Each such connection is met once, so this ends.
    AtOnce,
    /// Nothing was answered: after a pause.
    Later,
    Never,
}

impl Fault {
    /// A reply that is not what the provider documents; `what` completes "The answer of …".
    pub(super) fn invalid(what: &str) -> Fault {
        let error = ApiError::because(ErrorKind::UpstreamInvalidResponse, format!("The answer of {{p}} {what}."));
        Fault { error, again: Again::Never }
    }

    /// The deadline has passed.
    pub(super) fn timeout() -> Fault {
        Fault { error: ApiError::new(ErrorKind::UpstreamTimeout), again: Again::Never }
    }

    pub(super) fn unreachable(why: &str, again: Again) -> Fault {
        let detail = format!("{{p}} could not be reached: {why}.");
        Fault { error: ApiError::because(ErrorKind::UpstreamUnreachable, detail), again }
    }
}

/// Why no connection came about.
pub(super) fn not_connected(error: &Error) -> Fault {
    let why = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => "connecting took longer than connect_timeout",
        ErrorType::ConnectRefused => "the connection was refused",
        ErrorType::ConnectNoRoute => "there is no route to it",
        ErrorType::TLSHandshakeFailure => {
            let handshake = handshake::failure(error);
            return Fault::unreachable(&handshake.why, if handshake.is_verdict { Again::Never } else { Again::Later });
        }
        ErrorType::InvalidCert => {
            return Fault::unreachable(
                "a certificate of its ca_file, or of the system, is no trust anchor",
                Again::Never,
            );
        }
        other => return Fault::unreachable(&format!("connecting failed ({})", other.as_str()), Again::Later),
    };
    Fault::unreachable(why, Again::Later)
}

/// Why no answer came over a connection; one from the pool may have been dead all along.
pub(super) fn no_answer(error: &Error, reused: bool) -> Fault {
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Fault::invalid(not_http(error)),
        _ => broken(error, reused),
    }
}

/// Pingora knows the causes only as text, and that may quote the answer.
fn not_http(error: &Error) -> &'static str {
    let cause = root_cause(error);
    let is_too_large = ["too many headers", "header larger than"].iter().any(|words| cause.contains(words));
    if is_too_large { "has a header of more than 256 lines or 1 MiB" } else { "is not HTTP" }
}

fn broken(error: &Error, reused: bool) -> Fault {
    let why = format!("the connection broke before an answer ({})", error.etype().as_str());
    Fault::unreachable(&why, if reused { Again::AtOnce } else { Again::Later })
}

/// The innermost cause.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error.root_cause();
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
