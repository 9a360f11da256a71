//! What of a finished job is asked for: which of its videos, in which rendering.

use crate::providers::Provider;
use crate::video::{ApiError, ErrorKind};

/// Renderings that the API has; a provider has some of them.
const VARIANTS: &[&str] = &["video", "thumbnail", "spritesheet"];

/// `?index=0&variant=video`, the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub index: usize,
    /// `None` for the video itself.
    pub variant: Option<&'static str>,
}

impl Asked {
    /// Reads a query. Other parameters are nobody's business here; of one that comes twice the first counts.
    pub fn parse(query: &str, row: &Provider) -> Result<Asked, ApiError> {
        let get = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let index = match get("index") {
            Some(text) => text.parse::<u32>().ok().filter(|_| !text.starts_with('+')).ok_or_else(no_number)?,
            None => 0,
        };
        let given = get("variant");
        let variant = match given.as_deref().filter(|name| *name != "video") {
            None => None,
            Some(name) => {
                let known = VARIANTS.iter().find(|known| **known == name && row.variants.names.contains(known));
                Some(*known.ok_or_else(|| no_variant(row))?)
            }
        };
        Ok(Asked { index: usize::try_from(index).unwrap_or(usize::MAX), variant })
    }
}

fn no_number() -> ApiError {
    ApiError::because(ErrorKind::InvalidIndex, "The index is not a whole number.").with_param("index")
}

/// There is no such rendering, of this video or at all.
pub(super) fn no_variant(row: &Provider) -> ApiError {
    let others: String = row.variants.names.iter().map(|name| format!(", {name}")).collect();
    let detail = format!("There is no such rendering of this video; {{p}} has: video{others}.");
    ApiError::because(ErrorKind::InvalidVariant, detail).with_param("variant")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::find;

    #[test]
    fn index_and_variant_are_read_from_the_query() {
        let table = [
            ("openai", "", Ok((0, None))),
            ("openai", "index=3&variant=video", Ok((3, None))),
            ("openai", "variant=thumbnail", Ok((0, Some("thumbnail")))),
            ("openai", "variant=spritesheet&index=007", Ok((7, Some("spritesheet")))),
            ("openai", "x=1&index=2&index=5", Ok((2, None))),
            ("openai", "index=%31", Ok((1, None))),
            ("openai", "index=", Err("invalid_index")),
            ("openai", "index=-1", Err("invalid_index")),
            ("openai", "index=+1", Err("invalid_index")),
            ("openai", "index=%2B1", Err("invalid_index")),
            ("openai", "index=1.5", Err("invalid_index")),
            ("openai", "index=99999999999999999999", Err("invalid_index")),
            ("openai", "variant=audio", Err("invalid_variant")),
            ("openai", "variant=", Err("invalid_variant")),
            ("runway", "variant=thumbnail", Err("invalid_variant")),
            ("runway", "variant=video", Ok((0, None))),
        ];
        for (kind, query, want) in table {
            let got = Asked::parse(query, find(kind).unwrap()).map(|asked| (asked.index, asked.variant));
            assert_eq!(got.map_err(|error| error.kind.code()), want, "{kind}?{query}");
        }
    }
}
