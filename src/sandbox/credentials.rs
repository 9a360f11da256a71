//! Which credentials a kind takes. Any do, but for those that say that they are wrong.

use super::outcome::Refusal;
use http::HeaderMap;

/// A credential that holds this word is refused.
const REFUSED: &str = "wrong";

/// A header in which a kind takes its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    pub header: &'static str,
    /// The word before the credential (`Bearer`), or nothing.
    pub scheme: &'static str,
}

/// `Authorization: Bearer {token}`.
pub const BEARER: Credential = Credential { header: "authorization", scheme: "Bearer" };

/// Why the provider turns these headers away, if it does.
pub fn refusal(accepted: &[Credential], headers: &HeaderMap) -> Option<Refusal> {
    let given: Vec<&str> = accepted.iter().filter_map(|form| credential(form, headers)).collect();
    if given.is_empty() {
        return Some(Refusal::NoCredentials);
    }
    given.iter().any(|value| value.contains(REFUSED)).then_some(Refusal::WrongCredentials)
}

fn credential<'a>(form: &Credential, headers: &'a HeaderMap) -> Option<&'a str> {
    let value = headers.get(form.header)?.to_str().ok()?;
    let (scheme, rest) = match form.scheme {
        "" => ("", value),
        _ => value.split_once(' ')?,
    };
    let rest = rest.trim();
    (scheme.eq_ignore_ascii_case(form.scheme) && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const FORMS: &[Credential] = &[Credential { header: "api-key", scheme: "" }, BEARER];

    fn judge(name: &'static str, value: &'static str) -> Option<Refusal> {
        let pair = (HeaderName::from_static(name), HeaderValue::from_static(value));
        refusal(FORMS, &HeaderMap::from_iter([pair]))
    }

    #[test]
    fn any_credential_in_the_right_place_is_let_in_unless_it_says_wrong() {
        assert_eq!(judge("authorization", "Bearer x"), None);
        assert_eq!(judge("authorization", "bearer x"), None);
        assert_eq!(judge("api-key", "x"), None);
        assert_eq!(judge("authorization", "Basic x"), Some(Refusal::NoCredentials));
        assert_eq!(judge("authorization", "Bearer "), Some(Refusal::NoCredentials));
        assert_eq!(judge("api-key", ""), Some(Refusal::NoCredentials));
        assert_eq!(judge("x-api-key", "x"), Some(Refusal::NoCredentials));
        assert_eq!(judge("api-key", "sk-wrong-1"), Some(Refusal::WrongCredentials));
        assert_eq!(judge("authorization", "Bearer wrong"), Some(Refusal::WrongCredentials));
    }
}
