//! The credentials for a provider, checked against the forms that its row accepts.

use super::google_key;
use super::secret::Secret;
use super::section::Section;
use super::tree::Value;
use super::yaml::Node;
use crate::providers::{CredentialForm, Provider, Scheme};

/// How we show a provider who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all: a server of one's own.
    None,
    /// With the client's own `Authorization`.
    Forward,
    /// With one of these; at least one.
    Keys(Vec<Credential>),
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// For logs and metrics; unique within the provider. Default `default`, then `default-2` and so on.
    pub name: String,
    /// How it becomes part of a call.
    pub scheme: Scheme,
    /// Its values, in the order of the form's fields. For a Google service account: the JSON key's text.
    pub fields: Vec<Secret>,
    /// The cloud projects that it reaches, where that is known.
    pub project: Option<Vec<String>>,
}

/// Reads `credentials`. Without a `kind` (it was wrong) nothing can be checked. A `self_hosted` server needs none.
pub(super) fn read(parent: &mut Section, kind: Option<&'static Provider>, self_hosted: bool) -> Credentials {
    let value = parent.take_set("credentials");
    let Some(kind) = kind else { return Credentials::None };
    let Some(value) = value else {
        if !self_hosted {
            parent.fault("credentials", format!("this key is missing; expected {}", expected(kind)));
        }
        return Credentials::None;
    };
    match value.node {
        Node::Map(_) | Node::List(_) => keys(&value, kind),
        _ if value.as_text() == Some("forward") => Credentials::Forward,
        _ => value.wrong_secret(&expected(kind)).unwrap_or(Credentials::None),
    }
}

fn expected(kind: &Provider) -> String {
    format!("one or more credentials with {}, or the word forward", forms(kind))
}

/// The sets of fields that a kind accepts.
fn forms(kind: &Provider) -> String {
    let form = |form: &CredentialForm| form.fields.join(" + ");
    kind.credentials.iter().map(form).collect::<Vec<_>>().join(", or ")
}

fn keys(value: &Value, kind: &'static Provider) -> Credentials {
    let items = value.one_or_many();
    if items.is_empty() {
        value.fault(format!("expected {}, found an empty list", expected(kind)));
    }
    let mut keys = Vec::new();
    let mut unnamed = Vec::new();
    for item in &items {
        let Some((name, credential)) = item.section(|section| one(section, kind)) else { continue };
        let Some(mut credential) = credential else { continue };
        match name {
            None => unnamed.push(keys.len()),
            Some(name) if keys.iter().any(|other: &Credential| other.name == name) => {
                item.reading
                    .fault(&format!("{}.name", item.path), "expected a name of its own, found one that is taken");
            }
            Some(name) => credential.name = name,
        }
        keys.push(credential);
    }
    name_the_unnamed(&mut keys, &unnamed);
    Credentials::Keys(keys)
}

fn name_the_unnamed(keys: &mut [Credential], unnamed: &[usize]) {
    let mut number = 1;
    for at in unnamed {
        let mut name = default_name(number);
        while keys.iter().any(|other| other.name == name) {
            number += 1;
            name = default_name(number);
        }
        if let Some(key) = keys.get_mut(*at) {
            key.name = name;
        }
    }
}

fn default_name(number: usize) -> String {
    if number == 1 { "default".into() } else { format!("default-{number}") }
}

/// Reads one credential and the name it was given.
fn one(section: &mut Section, kind: &'static Provider) -> (Option<String>, Option<Credential>) {
    let name = section.optional("name", Value::label);
    let projects = match kind.job.project {
        Some(_) => section.optional("projects", projects),
        None => None,
    };
    let Some(present) = present_fields(section, kind) else { return (name, None) };
    let fits = |form: &&CredentialForm| {
        form.fields.len() == present.len() && present.iter().all(|(field, _)| form.fields.contains(field))
    };
    let Some(form) = kind.credentials.iter().find(fits) else {
        let found: Vec<&str> = present.iter().map(|(field, _)| *field).collect();
        let found = if found.is_empty() { "none of them".into() } else { found.join(" + ") };
        section.reading.fault(&section.path, format!("expected exactly {}, found {found}", forms(kind)));
        return (name, None);
    };
    let mut project = None;
    let secret = |field: &&'static str| {
        let (_, value) = present.iter().find(|(name, _)| name == field)?;
        match form.scheme {
            Scheme::GoogleServiceAccount => {
                let key = google_key::read(value)?;
                project = key.project.map(|project| vec![project]);
                Some(key.json)
            }
            scheme => sendable(value, scheme),
        }
    };
    // All are read before the first that failed counts, so that each is reported.
    let secrets: Vec<Option<Secret>> = form.fields.iter().map(secret).collect();
    let fields: Option<Vec<Secret>> = secrets.into_iter().collect();
    let project = projects.or(project);
    (name, fields.map(|fields| Credential { name: String::new(), scheme: form.scheme, fields, project }))
}

fn projects(value: &Value) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of at least one project id";
    let items = value.list(EXPECTED)?;
    if items.is_empty() {
        return value.wrong(EXPECTED);
    }
    items.iter().map(|item| item.text().map(str::to_owned)).collect()
}

/// The fields of the kind's forms that this credential has. A dot in a field's name is a mapping within; when
/// something else stands there, that is reported and there is nothing to compare with the forms.
fn present_fields<'a>(section: &mut Section<'a>, kind: &'static Provider) -> Option<Vec<(&'static str, Value<'a>)>> {
    let mut fields: Vec<&'static str> = Vec::new();
    for field in kind.credentials.iter().flat_map(|form| form.fields) {
        if !fields.contains(field) {
            fields.push(field);
        }
    }
    let mut present = Vec::new();
    let mut groups: Vec<&'static str> = Vec::new();
    for field in &fields {
        let Some((group, _)) = field.split_once('.') else {
            present.extend(section.take(field).map(|value| (*field, value)));
            continue;
        };
        if groups.contains(&group) {
            continue;
        }
        groups.push(group);
        let Some(value) = section.take(group) else { continue };
        value.section(|inner| {
            let members =
                fields.iter().filter_map(|field| Some((*field, field.strip_prefix(group)?.strip_prefix('.')?)));
            for (field, member) in members {
                present.extend(inner.take(member).map(|value| (field, value)));
            }
        })?;
    }
    Some(present)
}

/// A secret that its scheme can send.
fn sendable(value: &Value, scheme: Scheme) -> Option<Secret> {
    let secret = value.secret()?;
    let in_header = matches!(scheme, Scheme::Bearer | Scheme::Authorization(_) | Scheme::Header(_));
    let fits = |c: char| if in_header { c.is_ascii_graphic() } else { !c.is_control() };
    match secret.expose().chars().all(fits) {
        true => Some(secret),
        false => {
            value.fault(
                "expected a key that fits into a header, found spaces, line breaks or other characters that do not",
            );
            None
        }
    }
}
