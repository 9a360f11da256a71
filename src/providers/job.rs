//! The provider's own name for a job, checked before anything is built from it.

/// A job's name that its provider's rule has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a>(&'a str);

/// What the names of a provider's jobs look like.
pub struct JobRule {
    /// The form, for people: `a UUID`, `models/{model}/operations/{operation}`.
    pub form: &'static str,
    /// An example that `accepts` says yes to.
    pub example: &'static str,
    /// Names hold slashes, so an encoded slash (`%2F`) inside a name is a slash.
    pub slashes: bool,
    /// Whether a name has the right alphabet and shape.
    pub accepts: fn(&str) -> bool,
    /// The cloud project that the name lies in, where names carry one.
    pub project: Option<for<'a> fn(&Job<'a>) -> Option<&'a str>>,
}

impl<'a> Job<'a> {
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}
