//! What the documentation says is what the program does. `VIDGATE_BLESS=1` writes `docs/providers.md` anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use vidgate::providers::{BaseUrl, PROVIDERS};
use vidgate::sandbox::OUTCOMES;
use vidgate::video::ErrorKind;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn readme() -> String {
    read(&root().join("README.md"))
}

#[test]
fn the_page_of_providers_is_the_one_that_the_program_writes() {
    let output = Command::new(env!("CARGO_BIN_EXE_vidgate")).args(["providers", "--markdown"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).unwrap();
    let file = root().join("docs/providers.md");
    if std::env::var_os("VIDGATE_BLESS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert!(read(&file) == page, "docs/providers.md is out of date; `make docs` renews it");
}

#[test]
fn the_readme_lists_every_provider_with_its_address_and_page() {
    let readme = readme();
    for row in PROVIDERS {
        let start = format!("| `{}` |", row.kind);
        let line = readme.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {start}"));
        let (BaseUrl::Fixed(address) | BaseUrl::Required { form: address } | BaseUrl::FromJob { form: address, .. }) =
            row.base_url;
        for text in [address, row.docs] {
            assert!(line.contains(text), "{}: {text}", row.kind);
        }
    }
}

#[test]
fn the_readme_lists_every_outcome_of_the_sandbox() {
    let readme = readme();
    for row in OUTCOMES {
        let line = format!("| `{}` | {} |", row.code, row.says);
        assert!(readme.lines().any(|own| own == line), "no line {line}");
    }
}

#[test]
fn the_readme_lists_every_error() {
    let readme = readme();
    for kind in ErrorKind::ALL {
        let line = format!("| {} | `{}` |", kind.status(), kind.code());
        assert!(readme.lines().any(|own| own.starts_with(&line)), "no line {line}");
    }
}

#[test]
fn the_page_for_operators_says_of_every_error_what_it_means_and_what_to_do() {
    let page = read(&root().join("docs/operations.md"));
    let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
    for kind in ErrorKind::ALL {
        let title = format!("{} `{}`", kind.status(), kind.code());
        let named: Vec<_> = sections.iter().filter(|section| section.lines().next() == Some(&title)).collect();
        assert_eq!(named.len(), 1, "sections named {title}");
    }
    for section in sections {
        let title = section.lines().next().unwrap();
        let is_known = |kind: &ErrorKind| title == format!("{} `{}`", kind.status(), kind.code());
        let is_relayed = title.ends_with("with the provider's code");
        assert!(is_relayed || ErrorKind::ALL.iter().any(is_known), "no error is {title}");
        for start in ["- **Means**: ", "- **Client**: ", "- **Operator**: "] {
            assert_eq!(section.lines().filter(|line| line.starts_with(start)).count(), 1, "{title}: {start}");
        }
    }
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root().join(page)).into();
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for page in pages {
        let text = read(&page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            assert!(page.parent().unwrap().join(file).exists(), "{}: {target}", page.display());
        }
    }
}
