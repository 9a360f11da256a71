//! What went wrong in a TLS handshake, in plain words.
//!
//! Pingora hands the cause on as text only: `… cause: {what rustls says}, SNI: {name}`.

use pingora::Error;

/// A failed handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// Completes "… could not be reached: ".
    pub why: String,
    /// The server has shown what it is: asking it again changes nothing.
    pub is_verdict: bool,
}

pub(super) fn failure(error: &Error) -> Handshake {
    read(error.context.as_ref().map_or("", |context| context.as_str()))
}

fn read(context: &str) -> Handshake {
    let cause = context.rsplit_once("cause: ").map_or("", |(_, cause)| cause);
    let cause = cause.rsplit_once(", SNI:").map_or(cause, |(cause, _)| cause);
    let verdict = |why: String| Handshake { why, is_verdict: true };
    if let Some(fault) = cause.strip_prefix("invalid peer certificate: ") {
        return verdict(format!("its TLS certificate {}", of_certificate(fault)));
    }
    if let Some(alert) = cause.strip_prefix("received fatal alert: ") {
        return verdict(format!("it refused the TLS handshake ({alert})"));
    }
    if cause.starts_with("received corrupt message of type InvalidContentType") {
        return verdict("it does not speak TLS on this port".to_owned());
    }
    if cause.starts_with("peer is incompatible") {
        return verdict(format!("the TLS handshake failed ({cause})"));
    }
    let why = if cause.is_empty() {
        "the TLS handshake failed".into()
    } else {
        format!("the TLS handshake failed ({cause})")
    };
    Handshake { why, is_verdict: false }
}

/// What rustls says about a certificate, without the times and names after the first clause.
fn of_certificate(fault: &str) -> String {
    let clause = fault.split([':', ';']).next().unwrap_or(fault);
    match clause.strip_prefix("certificate ") {
        Some("expired") => "has expired".to_owned(),
        Some(is_not) => format!("is {is_not}"),
        None if clause == "UnknownIssuer" => "is of an unknown issuer (ca_file can name one to trust)".to_owned(),
        None => format!("cannot be accepted ({clause})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_is_put_plainly() {
        let table = [
            (
                "invalid peer certificate: UnknownIssuer",
                "its TLS certificate is of an unknown issuer (ca_file can name one to trust)",
                true,
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX), but",
                "its TLS certificate has expired",
                true,
            ),
            (
                "invalid peer certificate: certificate not valid yet: verification time 1",
                "its TLS certificate is not valid yet",
                true,
            ),
            (
                "invalid peer certificate: certificate not valid for name \"a.b\"; certificate is only valid for DnsName(\"c.d\")",
                "its TLS certificate is not valid for name \"a.b\"",
                true,
            ),
            ("invalid peer certificate: BadSignature", "its TLS certificate cannot be accepted (BadSignature)", true),
            ("received fatal alert: ProtocolVersion", "it refused the TLS handshake (ProtocolVersion)", true),
            ("received corrupt message of type InvalidContentType", "it does not speak TLS on this port", true),
            ("tls handshake eof", "the TLS handshake failed (tls handshake eof)", false),
            ("", "the TLS handshake failed", false),
        ];
        for (cause, why, is_verdict) in table {
            let context = format!(
                "TLS connect() failed:  TLSHandshakeFailure context: tls connect error cause: {cause}, SNI: a.b"
            );
            assert_eq!(read(&context), Handshake { why: why.to_owned(), is_verdict }, "{cause}");
        }
        assert_eq!(read("").why, "the TLS handshake failed");
    }
}
