//! The rules of the house, read off the sources: who may use whom, how long a file may be, what may not stand in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder under `src` with those it may use: the floors below it.
const FLOORS: &[(&str, &[&str])] = &[
    ("video", &[]),
    ("providers", &["video"]),
    ("config", &["video", "providers"]),
    ("upstream", &["video", "providers", "config"]),
    ("gateway", &["video", "providers", "config", "upstream"]),
    // It stands beside the others: what it knows of providers it knows from their documents, as they do.
    ("sandbox", &["video", "providers"]),
    ("server", &["video", "providers", "config", "upstream", "gateway"]),
    // Part of the program, which sees the library as any embedder does.
    ("cli", &[]),
];

/// The floors that may name Pingora.
const PINGORA: &[&str] = &["upstream", "gateway", "server"];

/// What may end the program in the middle of a request, or is a note to oneself.
const FORBIDDEN: &[&str] = &[
    ".unwrap()",
    ".expect(",
    ".unwrap_err()",
    ".expect_err(",
    "panic!(",
    "todo!(",
    "unimplemented!(",
    "unreachable!(",
    "dbg!(",
];

const MAX_LINES: usize = 400;

/// A file of the program, without its tests.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    /// Lines of code and comments until the tests begin.
    lines: Vec<String>,
}

impl Source {
    /// The folder right under `src`; empty for `lib.rs` and `main.rs`.
    fn floor(&self) -> &str {
        self.path.split_once('/').map_or("", |(floor, _)| floor)
    }

    /// Lines of code with their numbers, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.lines.iter().enumerate().map(|(i, line)| (i + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }
}

/// Every file under `src` that is not only for tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let texts: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(&file).unwrap())).collect();
    let test_modules: BTreeSet<PathBuf> = texts.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    let is_test = |file: &Path| test_modules.iter().any(|module| file.with_extension("").starts_with(module));
    let program = texts.into_iter().filter(|(file, _)| !is_test(file));
    let sources: Vec<_> = program
        .map(|(file, text)| Source {
            path: file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
            lines: without_tests(&text),
        })
        .collect();
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Modules in files of their own that are declared under `#[cfg(test)]`, as paths without an ending.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let stem = file.file_stem().unwrap();
    let is_root = stem == "mod" || stem == "lib" || stem == "main";
    let folder = if is_root { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    let lines: Vec<_> = text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0].trim() == "#[cfg(test)]");
    let names = declared.filter_map(|pair| pair[1].trim().strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| folder.join(name)).collect()
}

/// The lines before `#[cfg(test)] mod … {`, which stands at the end of a file. Test-only items elsewhere are cut out.
fn without_tests(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.lines().peekable();
    while let Some(line) = rest.next() {
        if line == "#[cfg(test)]" {
            if rest.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
                break;
            }
            rest.next();
            continue;
        }
        lines.push(line.to_owned());
    }
    lines
}

/// The first segments of all `crate::…` paths in a line, `crate::{a, b::c}` included.
fn used(line: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for tail in line.split("crate::").skip(1) {
        let group = tail.strip_prefix('{').unwrap_or(tail);
        let paths: Vec<_> = if tail.starts_with('{') { group.split(',').collect() } else { vec![group] };
        for path in paths {
            let path = path.trim_start();
            let name = &path[..path.find(|c| !is_word(c)).unwrap_or(path.len())];
            // Types of a nested group are no folders.
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn a_floor_uses_only_those_below_it() {
    for source in sources() {
        let floor = source.floor();
        if floor.is_empty() {
            continue;
        }
        let (_, below) = FLOORS.iter().find(|(name, _)| *name == floor).unwrap_or_else(|| {
            panic!("src/{floor} is on no floor: give it one in tests/house.rs and in src/lib.rs");
        });
        for (number, line) in source.code() {
            for name in used(line) {
                let is_fine = name == floor || below.contains(&name) || floor == "cli";
                assert!(is_fine, "src/{}:{number}: {floor} may not use {name}: {line}", source.path);
            }
        }
    }
}

#[test]
fn only_the_floors_that_talk_to_the_network_name_pingora() {
    for source in sources().iter().filter(|source| !PINGORA.contains(&source.floor())) {
        for (number, line) in source.code() {
            assert!(!line.contains("pingora::"), "src/{}:{number}: {line}", source.path);
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_bear() {
    for source in sources() {
        assert!(source.lines.len() <= MAX_LINES, "src/{} has {} lines", source.path, source.lines.len());
    }
}

#[test]
fn nothing_outside_tests_may_panic() {
    for source in sources() {
        for (number, line) in source.code() {
            for word in FORBIDDEN {
                assert!(!line.contains(word), "src/{}:{number}: {word} in {line}", source.path);
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_in_the_library_and_the_program() {
    for source in sources().iter().filter(|source| source.floor().is_empty()) {
        assert!(source.lines.iter().any(|line| line == "#![forbid(unsafe_code)]"), "src/{}", source.path);
    }
}

#[test]
fn paths_are_found_in_every_form() {
    let table: &[(&str, &[&str])] = &[
        ("use crate::video::{ApiError, ErrorKind};", &["video"]),
        ("use crate::{video::Status, config};", &["video", "config"]),
        ("let x = crate::gateway::go(crate::upstream::y);", &["gateway", "upstream"]),
        ("use crate::{video::{Status, ApiError}, config::Settings};", &["video", "config"]),
        ("use super::x;", &[]),
    ];
    for (line, want) in table {
        assert_eq!(used(line), *want, "{line}");
    }
}

#[test]
fn the_code_on_the_page_for_new_providers_stands_in_the_tree() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = fs::read_to_string(docs.join("adding-a-provider.md")).unwrap();
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files: Vec<String> = links.filter_map(|link| fs::read_to_string(docs.join(link)).ok()).collect();
    let blocks: Vec<Vec<&str>> = code_blocks(&page);
    assert!(blocks.len() > 8, "only {} blocks were found", blocks.len());
    for block in blocks {
        // What stands between two ellipses stands so in one of the files that the page links to.
        for part in block.split(|line| ["…", "// …"].contains(&line.trim())) {
            let text = part.join("\n");
            assert!(files.iter().any(|file| file.contains(&text)), "this stands in none of them:\n{text}");
        }
    }
}

/// The blocks of Rust and JSON of a page, each without the indent of its fence.
fn code_blocks(page: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some((indent, "rust" | "json")) = line.split_once("```") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            blocks.push(block.map(|line| line.strip_prefix(indent).unwrap_or(line)).collect());
        }
    }
    blocks
}
