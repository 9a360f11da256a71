//! As much of JSON Schema as docs/openapi.json uses. A keyword that is not known here fails the test.

use serde_json::Value;

/// What is wrong with a value by a schema of this document.
pub fn complaint(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let rules = schema.as_object().unwrap_or_else(|| panic!("no schema: {schema}"));
    rules.iter().find_map(|(keyword, rule)| {
        let inner = |schema: &Value| complaint(document, schema, value);
        let fits = match keyword.as_str() {
            "description" | "then" | "else" => true,
            "$ref" => return inner(resolve(document, rule)),
            "allOf" => return rule.as_array().unwrap().iter().find_map(inner),
            "anyOf" => rule.as_array().unwrap().iter().any(|schema| inner(schema).is_none()),
            "oneOf" => rule.as_array().unwrap().iter().filter(|schema| inner(schema).is_none()).count() == 1,
            "if" => return schema.get(if inner(rule).is_none() { "then" } else { "else" }).and_then(inner),
            "type" if rule.is_array() => rule.as_array().unwrap().iter().any(|name| is_of_type(value, name)),
            "type" => is_of_type(value, rule),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "properties" => {
                return rule.as_object().unwrap().iter().find_map(|(key, schema)| {
                    let why = complaint(document, schema, value.get(key)?)?;
                    Some(format!("{key}: {why}"))
                });
            }
            "items" => {
                return value.as_array().into_iter().flatten().find_map(|item| complaint(document, rule, item));
            }
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
            other => panic!("this keyword is not known here: {other}"),
        };
        (!fits).then(|| format!("{value} is not as {keyword} says: {rule}"))
    })
}

/// What `#/a/b` points at.
pub fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().and_then(|text| text.strip_prefix('#')).unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {reference}"))
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this type is not known here: {other}"),
    }
}

/// The patterns of the document, by hand: the tests have no regular expressions.
fn matches(pattern: &str, text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match pattern {
        r"^[0-9]+(\.[0-9]+)?$" => text.split_once('.').map_or(is_digits(text), |(a, b)| is_digits(a) && is_digits(b)),
        "^[0-9]+x[0-9]+$" => text.split_once('x').is_some_and(|(a, b)| is_digits(a) && is_digits(b)),
        r"^bytes [0-9]+-[0-9]+/([0-9]+|\*)$" => {
            let part = text.strip_prefix("bytes ").and_then(|text| text.split_once('/'));
            part.is_some_and(|(range, total)| {
                (total == "*" || is_digits(total))
                    && range.split_once('-').is_some_and(|(a, b)| is_digits(a) && is_digits(b))
            })
        }
        r"^bytes \*/[0-9]+$" => text.strip_prefix("bytes */").is_some_and(is_digits),
        "^\"[0-9a-f]{32}\"$" => {
            let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
            tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        }
        other => panic!("this pattern is not known here: {other}"),
    }
}
