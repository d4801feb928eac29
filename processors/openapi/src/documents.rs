//! The documents of an entity's placeholders: each read and parsed once, by its URL without a fragment.

use std::collections::BTreeMap;
use std::rc::Rc;

use greenroom_sdk::url_arithmetic::{is_absolute_url, resolve_target, resolve_url};
use greenroom_sdk::{Context, Document, LocationRef, ProcessorError, ReadError, Value, yaml};

/// Most documents of one entity: a stage has 64 reads.
const MAX_DOCUMENTS: usize = 60;
/// Most characters of a reference that a message shows.
const SHOWN_CHARS: usize = 200;
/// Files that are text and not data, as the original takes them.
const TEXT: [&str; 6] = [".txt", ".htm", ".html", ".md", ".xml", ".js"];

/// What keeps a placeholder from being replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A document is not read yet.
    Pending,
    /// A reference or a document is wrong: which, and what is wrong with it.
    Invalid(String, String),
    /// A document that must be there is not.
    Missing(String),
    /// A document may not be read.
    Refused(String, String),
    /// The whole is larger or deeper than may be.
    TooMuch(String),
}

impl Problem {
    /// The error told to the owner of the entity.
    pub(crate) fn of_placeholder(self, key: &str, reference: &str) -> ProcessorError {
        let of = format!("Placeholder {key} `{}`", shown(reference));
        match self {
            Problem::Pending => ReadError::Pending.into(),
            Problem::Invalid(place, why) => {
                ProcessorError::Invalid(format!("{of}: `{}` {why}", shown(&place)))
            }
            Problem::Missing(place) => ProcessorError::NotFound(format!(
                "{of}: could not read `{}`; it does not exist",
                shown(&place)
            )),
            Problem::Refused(place, why) => {
                ProcessorError::Refused(format!("{of}: could not read `{}`; {why}", shown(&place)))
            }
            Problem::TooMuch(why) => ProcessorError::Invalid(format!("{of}: {why}")),
        }
    }
}

/// A text for a message: cut, and without control characters.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN_CHARS) {
        match c.is_control() {
            true => shown.extend(c.escape_debug()),
            false => shown.push(c),
        }
    }
    shown
}

/// The documents met so far.
pub(crate) struct Documents<'a> {
    cx: &'a Context,
    parsed: BTreeMap<String, Result<Rc<Value>, Problem>>,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(cx: &'a Context) -> Self {
        Documents {
            cx,
            parsed: BTreeMap::new(),
        }
    }

    /// Where the entity itself was read.
    pub(crate) fn home(&self) -> &'a str {
        &self.cx.location().target
    }

    /// What makes the entity be processed again: every document.
    pub(crate) fn refresh_keys(&self) -> Vec<String> {
        let file = self.cx.location().r#type == "file";
        let key = |url: &String| match file {
            true => url.clone(),
            false => format!("url:{url}"),
        };
        self.parsed.keys().map(key).collect()
    }

    /// The URL, without a fragment, of what `reference` names in the document at `base`.
    pub(crate) fn url(&self, reference: &str, base: &str) -> Result<String, Problem> {
        let invalid = |why: &str| Problem::Invalid(reference.to_owned(), why.to_owned());
        let reference_path = reference.split('#').next().unwrap_or_default();
        match self.cx.location().r#type.as_str() {
            "url" => {
                let url = resolve_url(reference_path, base, self.cx.integrations())
                    .map_err(|error| invalid(&format!("names no URL: {error}")))?;
                if !url.starts_with("https://") && !url.starts_with("http://") {
                    return Err(invalid("is no http or https URL or relative path"));
                }
                Ok(url)
            }
            "file" if is_absolute_url(reference_path) || reference_path.starts_with('/') => Err(
                invalid("is not a path relative to the entity's file; copy the file beside it"),
            ),
            "file" => {
                // Whether `..` leads out of the root is the host's to say: it knows the root.
                let base = base.strip_prefix("file:").unwrap_or(base);
                let base = LocationRef::new("file", base);
                let path = resolve_target(&base, "file", reference_path, self.cx.integrations());
                Ok(format!("file:{path}"))
            }
            _ => Err(invalid(
                "is in an entity of neither a `url` nor a `file` location, where placeholders do not work",
            )),
        }
    }

    /// The document at a URL.
    pub(crate) fn get(&mut self, url: &str) -> Result<Rc<Value>, Problem> {
        if let Some(known) = self.parsed.get(url) {
            return known.clone();
        }
        if self.parsed.len() >= MAX_DOCUMENTS {
            return Err(Problem::TooMuch(format!(
                "the entity's definitions consist of more than {MAX_DOCUMENTS} files; bundle them where they are written"
            )));
        }
        let made = match self.cx.read(url) {
            Ok(document) => parse(url, document).map(Rc::new),
            Err(ReadError::Pending) => Err(Problem::Pending),
            Err(ReadError::NotFound { .. }) => Err(Problem::Missing(url.to_owned())),
            Err(ReadError::Refused { reason, .. }) => Err(Problem::Refused(url.to_owned(), reason)),
        };
        self.parsed.insert(url.to_owned(), made.clone());
        made
    }
}

/// A document by the extension of its name. Errors tell a place, and no word of the document.
fn parse(url: &str, document: &Document) -> Result<Value, Problem> {
    let invalid = |why: String| Problem::Invalid(url.to_owned(), why);
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    if TEXT.iter().any(|extension| path.ends_with(extension)) {
        return document
            .text()
            .map(|text| Value::String(text.to_owned()))
            .map_err(|_| invalid("is not UTF-8 text; save it as UTF-8".to_owned()));
    }
    // JSON is YAML, and bounded in depth as YAML is.
    yaml::document(document.bytes()).map_err(|error| {
        invalid(format!(
            "is not exactly one YAML or JSON document (line {}, column {})",
            error.line, error.column
        ))
    })
}
