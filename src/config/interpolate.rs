//! `${NAME}`, `${file:/path}` and `$$` inside the strings of a config.

use super::environment::Environment;
use std::env::VarError;
use std::path::Path;

/// Fills in a string; `None` when there is nothing to fill in. The error names what is missing, never what was found.
pub(super) fn interpolate(text: &str, environment: &dyn Environment) -> Result<Option<String>, String> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err("`${` has no closing `}`; write `$$` for a dollar sign".into());
            };
            out.push_str(&look_up(name, environment)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok((out != text).then_some(out))
}

fn look_up(name: &str, environment: &dyn Environment) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        return read_file(path, environment);
    }
    if !is_variable_name(name) {
        return Err("expected ${NAME} or ${file:/path}, found `${…}` with something else in it".into());
    }
    environment.variable(name).map_err(|error| match error {
        VarError::NotPresent => format!("the environment variable {name} is not set"),
        VarError::NotUnicode(_) => format!("the environment variable {name} is not valid UTF-8"),
    })
}

fn read_file(path: &str, environment: &dyn Environment) -> Result<String, String> {
    let bytes = environment.file(Path::new(path)).map_err(|error| format!("cannot read the file {path}: {error}"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| format!("the file {path} is not valid UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    fn world() -> World {
        World::default()
            .variable("HOST", "example.com")
            .variable("EMPTY", "")
            .variable("NESTED", "${HOST}")
            .file("/run/key", "sk-1\n")
            .file("/run/two", "a\r\n\r\n")
            .file("/run/bad", [0xff, 0xfe])
    }

    #[test]
    fn names_files_and_dollars_are_filled_in_anywhere() {
        let table = [
            ("plain", None),
            ("cost: 5$", None),
            ("pa$word", None),
            ("$", None),
            ("${HOST}", Some("example.com")),
            ("https://${HOST}/v1", Some("https://example.com/v1")),
            ("${HOST}${HOST}-${EMPTY}", Some("example.comexample.com-")),
            ("$$", Some("$")),
            ("$${HOST}", Some("${HOST}")),
            ("a$$b${HOST}", Some("a$bexample.com")),
            ("${file:/run/key}", Some("sk-1")),
            ("Bearer ${file:/run/key}!", Some("Bearer sk-1!")),
            ("${file:/run/two}", Some("a\r\n")),
            // What was filled in is not read again.
            ("${NESTED}", Some("${HOST}")),
        ];
        for (text, want) in table {
            let want = want.map(str::to_owned).filter(|want| want != text);
            assert_eq!(interpolate(text, &world()), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let table = [
            ("${NOPE}", "the environment variable NOPE is not set"),
            ("${HOST} ${NOPE}", "the environment variable NOPE is not set"),
            ("${file:/nope}", "cannot read the file /nope: "),
            ("${file:/run/bad}", "the file /run/bad is not valid UTF-8"),
            ("${HOST", "no closing `}`"),
            ("a${", "no closing `}`"),
            ("${}", "expected ${NAME}"),
            ("${HOST:-x}", "expected ${NAME}"),
            ("${1A}", "expected ${NAME}"),
            ("${file:}", "cannot read the file"),
        ];
        for (text, want) in table {
            let message = interpolate(text, &world()).expect_err(text);
            assert!(message.contains(want), "{text}: {message}");
        }
    }
}
