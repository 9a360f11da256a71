//! Field types for providers' JSON: every field may be missing, null or of a neighbouring type.
//!
//! A field of the wrong type is "not known"; it never makes the whole answer unreadable.

use crate::video::time;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Text, borrowed from the body where it holds no escapes. A number counts as text; an empty string as nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

/// A number, or text that holds one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Number(pub Option<f64>);

/// A boolean, or its text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flag(pub Option<bool>);

/// A time in Unix seconds, given as a number (seconds or milliseconds) or as ISO 8601 text. Text without a zone is local
/// to so many hours east of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Time<const ZONE: i8 = 0>(pub Option<i64>);

/// A nested value that counts as missing when it has not the expected shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Maybe<T>(pub Option<T>);

/// A list that may be missing or null, as may each of its items; those are passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Items<T>(pub Option<Vec<T>>);

impl<'a> Text<'a> {
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Number {
    /// A whole number that is not negative.
    pub fn whole(self) -> Option<u64> {
        self.0.filter(|n| *n >= 0.0 && *n < 9e15).map(|n| n as u64)
    }

    /// A number of pixels.
    pub fn pixels(self) -> Option<u32> {
        self.whole().and_then(|n| u32::try_from(n).ok())
    }
}

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Maybe(None)
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items(None)
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.unwrap_or_default().into_iter()
    }
}

/// A JSON scalar; objects and arrays are passed over.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Whole(i128),
    Bool(bool),
    Nothing,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number.into()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number.into()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Nothing)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Text(match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Some(text).filter(|text| !text.is_empty()),
            Scalar::Whole(number) => Some(number.to_string().into()),
            Scalar::Number(number) => Some(number.to_string().into()),
            Scalar::Bool(_) | Scalar::Nothing => None,
        }))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Scalar::deserialize(deserializer)? {
            Scalar::Whole(number) => Some(number as f64),
            Scalar::Number(number) => Some(number),
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Bool(_) | Scalar::Nothing => None,
        };
        Ok(Number(number.filter(|number: &f64| number.is_finite())))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Flag(match Scalar::deserialize(deserializer)? {
            Scalar::Bool(value) => Some(value),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Whole(_) | Scalar::Number(_) | Scalar::Nothing => None,
        }))
    }
}

impl<'de, const ZONE: i8> Deserialize<'de> for Time<ZONE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Time(match Scalar::deserialize(deserializer)? {
            Scalar::Whole(number) => time::from_number(number as f64),
            Scalar::Number(number) => time::from_number(number),
            Scalar::Text(text) => time::from_text(&text, ZONE),
            Scalar::Bool(_) | Scalar::Nothing => None,
        }))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Maybe(serde_json::from_str::<Option<T>>(raw.get()).ok().flatten()))
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemsVisitor(PhantomData)).map(Items)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Option<T>>()? {
            items.extend(item);
        }
        Ok(Some(items))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Text as a JSON string, for bodies of calls.
pub fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Sample<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        number: Number,
        flag: Flag,
        time: Time,
        nested: Maybe<Vec<u8>>,
    }

    #[test]
    fn neighbouring_types_are_read_and_others_passed_over() {
        let sample: Sample =
            serde_json::from_str(r#"{"text":7,"number":"8.5","flag":"true","time":"1719517772","nested":[1]}"#)
                .unwrap();
        assert_eq!(sample.text.as_deref(), Some("7"));
        assert_eq!((sample.number.0, sample.flag.0, sample.time.0), (Some(8.5), Some(true), Some(1719517772)));
        assert_eq!(sample.nested.0, Some(vec![1]));

        let odd = r#"{"text":{"a":[1]},"number":[],"flag":1,"time":{},"nested":"x"}"#;
        let nulls = r#"{"text":null,"number":null,"flag":null,"time":null,"nested":null}"#;
        for json in [odd, nulls, "{}", r#"{"text":"","number":"","time":""}"#] {
            let sample: Sample = serde_json::from_str(json).unwrap();
            assert_eq!(sample.text.as_deref(), None, "{json}");
            assert_eq!((sample.number.0, sample.flag.0, sample.time.0), (None, None, None), "{json}");
            assert_eq!(sample.nested.0, None, "{json}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_local_and_any_other_is_not() {
        let table = [
            (r#""2024-06-28 03:49:32.335""#, Some(1719517772)),
            (r#""2024-06-27T19:49:32Z""#, Some(1719517772)),
            ("1719517772335", Some(1719517772)),
            (r#""""#, None),
            ("null", None),
        ];
        for (json, want) in table {
            assert_eq!(serde_json::from_str::<Time<8>>(json).unwrap().0, want, "{json}");
        }
    }

    #[test]
    fn a_list_may_hold_nulls() {
        let table: &[(&str, Option<&[&str]>)] = &[
            (r#"["a","b"]"#, Some(&["a", "b"])),
            (r#"[null,"a",null]"#, Some(&["a"])),
            ("[]", Some(&[])),
            ("null", None),
        ];
        for (json, want) in table {
            let items: Items<Text<'_>> = serde_json::from_str(json).unwrap();
            let got: Option<Vec<&str>> =
                items.0.as_ref().map(|items| items.iter().filter_map(Text::as_deref).collect());
            assert_eq!(got.as_deref(), *want, "{json}");
        }
        for other in ["{}", "true", "7", r#""a""#] {
            assert!(serde_json::from_str::<Items<Text<'_>>>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        let sample: Sample = serde_json::from_str(r#"{"text":"plain"}"#).unwrap();
        assert!(matches!(sample.text.0, Some(Cow::Borrowed("plain"))));
    }
}
