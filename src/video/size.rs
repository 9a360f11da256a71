//! Sizes and durations of videos, in the spellings that providers use.

use serde::{Serialize, Serializer};
use std::fmt;

/// Width and height in pixels; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
}

/// What a provider documents its classes of resolution to be in pixels: resolution, ratio, width, height.
pub type SizeTable = &'static [(&'static str, &'static str, u32, u32)];

impl Size {
    /// `None` when a side is unknown or zero.
    pub fn new(width: Option<u32>, height: Option<u32>) -> Option<Size> {
        match (width?, height?) {
            (0, _) | (_, 0) => None,
            (width, height) => Some(Size { width, height }),
        }
    }

    /// The size that the provider's table gives for `720p` and `16:9`, however the first is capitalised.
    pub fn in_table(table: SizeTable, resolution: &str, ratio: &str) -> Option<Size> {
        let fits = |row: &&(&str, &str, u32, u32)| row.0.eq_ignore_ascii_case(resolution) && row.1 == ratio;
        let (.., width, height) = table.iter().find(fits)?;
        Size::new(Some(*width), Some(*height))
    }

    /// Reads `1280x720`, `1280*720`, `1280×720` and `1280:720`. A ratio such as `16:9` is not a size.
    pub fn parse(text: &str) -> Option<Size> {
        let (separator, _) = text.char_indices().find(|(_, c)| matches!(c, 'x' | 'X' | '*' | '×' | ':'))?;
        let (left, rest) = text.split_at(separator);
        let mut rest = rest.chars();
        let is_colon = rest.next() == Some(':');
        let width: u32 = left.trim().parse().ok()?;
        let height: u32 = rest.as_str().trim().parse().ok()?;
        // Aspect ratios are written with a colon too; no video is this small.
        if is_colon && (width < 64 || height < 64) {
            return None;
        }
        Size::new(Some(width), Some(height))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration in seconds in its shortest decimal form (`8`, `5.041`); zero and less are not known.
pub fn seconds_from_number(seconds: f64) -> Option<String> {
    (seconds.is_finite() && seconds > 0.0).then(|| seconds.to_string())
}

/// The duration of so many frames in its shortest form, to the millisecond.
pub fn seconds_from_frames(frames: f64, per_second: f64) -> Option<String> {
    seconds_from_number((frames / per_second * 1000.0).round() / 1000.0)
}

/// Reads `8`, `8.0`, `5.041` and `5s`. Words such as `auto` are not a duration.
pub fn seconds_from_text(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_suffix(['s', 'S']).unwrap_or(text).trim_end();
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    seconds_from_number(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_spelling() {
        let table = [
            ("1280x720", Some("1280x720")),
            ("1280*720", Some("1280x720")),
            ("1280:720", Some("1280x720")),
            ("1280×720", Some("1280x720")),
            ("1280 x 720", Some("1280x720")),
            ("16:9", None),
            ("0x0", None),
            ("1280x0", None),
            ("720p", None),
            ("", None),
            ("x", None),
            ("auto", None),
            ("99999999999x2", None),
        ];
        for (text, want) in table {
            let got = Size::parse(text).map(|size| size.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_class_of_resolution_and_a_ratio_make_a_size() {
        const TABLE: SizeTable = &[("720p", "16:9", 1280, 720), ("720p", "9:16", 720, 1280)];
        let table = [
            ("720p", "9:16", Some("720x1280")),
            ("720P", "16:9", Some("1280x720")),
            ("1080p", "16:9", None),
            ("720p", "adaptive", None),
            ("", "", None),
        ];
        for (resolution, ratio, want) in table {
            let got = Size::in_table(TABLE, resolution, ratio).map(|size| size.to_string());
            assert_eq!(got.as_deref(), want, "{resolution} {ratio}");
        }
    }

    #[test]
    fn frames_make_seconds() {
        let table = [
            (120.0, 24.0, Some("5")),
            (121.0, 24.0, Some("5.042")),
            (29.0, 24.0, Some("1.208")),
            (0.0, 24.0, None),
            (120.0, 0.0, None),
            (0.0, 0.0, None),
            (-1.0, 24.0, None),
        ];
        for (frames, per_second, want) in table {
            assert_eq!(seconds_from_frames(frames, per_second).as_deref(), want, "{frames} at {per_second}");
        }
    }

    #[test]
    fn seconds_have_their_shortest_form() {
        let table = [
            ("8", Some("8")),
            ("8.0", Some("8")),
            ("5.041", Some("5.041")),
            ("5s", Some("5")),
            ("0", None),
            ("-4", None),
            ("auto", None),
            ("inf", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(seconds_from_text(text).as_deref(), want, "{text}");
        }
        assert_eq!(seconds_from_number(5.0).as_deref(), Some("5"));
        assert_eq!(seconds_from_number(f64::NAN), None);
    }
}
