//! Headers of an answer that concern one connection only (RFC 9110, 7.6.1). Pingora drops those of requests itself.

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;

/// Dropped whether `Connection` names them or not.
const ALWAYS: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Removes what the service said about its own connection. An upgrade (101) keeps everything.
pub(super) fn strip(response: &mut ResponseHeader) {
    if response.status.as_u16() == 101 {
        return;
    }
    for name in named(response) {
        response.remove_header(&name);
    }
    for name in ALWAYS {
        response.remove_header(name);
    }
    response.remove_header(&CONNECTION);
}

/// The headers that `Connection` names. Those that say where the body ends stay, whatever it names.
fn named(response: &ResponseHeader) -> Vec<HeaderName> {
    let lists = response.headers.get_all(CONNECTION).iter().map(|value| value.as_bytes());
    let tokens = lists.flat_map(|list| list.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token).ok());
    names.filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING).collect()
}
