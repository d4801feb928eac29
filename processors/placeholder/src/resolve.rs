//! Reads what placeholders name, all of an entity in one round, and makes values of it.

use std::collections::BTreeSet;

use greenroom_sdk::{Context, Document, Emitter, ProcessorError, ReadError, Value, yaml};

use crate::reference::{self, Refusal};
use crate::walk::Kind;

/// Most documents of one entity: a stage has 64 reads.
const MAX_DOCUMENTS: usize = 60;
/// Most characters of a reference that a message shows.
const SHOWN_CHARS: usize = 200;

/// Resolves placeholders one by one and remembers the first error, so that all wants are recorded
/// before the call gives up.
pub(crate) struct Resolver<'a> {
    cx: &'a Context,
    out: &'a mut Emitter,
    urls: BTreeSet<String>,
    error: Option<ProcessorError>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(cx: &'a Context, out: &'a mut Emitter) -> Self {
        Resolver {
            cx,
            out,
            urls: BTreeSet::new(),
            error: None,
        }
    }

    /// The value, or none for an error that [`Resolver::finish`] tells.
    pub(crate) fn resolve(&mut self, kind: Kind, reference: &str) -> Option<Value> {
        match self.try_resolve(kind, reference) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// The first error.
    pub(crate) fn finish(self) -> Result<(), ProcessorError> {
        self.error.map_or(Ok(()), Err)
    }

    fn try_resolve(&mut self, kind: Kind, reference: &str) -> Result<Value, ProcessorError> {
        let shown: String = reference.chars().take(SHOWN_CHARS).collect();
        let key = kind.key();
        let place = reference::place(reference, self.cx.location(), self.cx.integrations())
            .map_err(|refusal| match refusal {
                Refusal::Unresolvable(why) => ProcessorError::Invalid(format!(
                    "Placeholder {key} could not form a URL of `{shown}`: {why}"
                )),
                Refusal::Foreign(why) => {
                    ProcessorError::Refused(format!("Placeholder {key}: `{shown}` {why}"))
                }
            })?;
        if self.urls.insert(place.url.clone()) {
            if self.urls.len() > MAX_DOCUMENTS {
                return Err(ProcessorError::Invalid(format!(
                    "the entity has placeholders for more than {MAX_DOCUMENTS} documents; split it"
                )));
            }
            self.out.refresh_key(place.refresh_key);
        }
        let document = self.cx.read(&place.url).map_err(|error| match error {
            ReadError::NotFound { .. } => ProcessorError::NotFound(format!(
                "Placeholder {key} could not read location {shown}; it does not exist"
            )),
            ReadError::Refused { reason, .. } => ProcessorError::Refused(format!(
                "Placeholder {key} could not read location {shown}; {reason}"
            )),
            pending @ ReadError::Pending => pending.into(),
        })?;
        value(kind, document)
            .map_err(|why| ProcessorError::Invalid(format!("Placeholder {key}: `{shown}` {why}")))
    }
}

/// The value a document stands for. Errors tell a place, and no word of the document.
fn value(kind: Kind, document: &Document) -> Result<Value, String> {
    match kind {
        Kind::Text => document
            .text()
            .map(|text| Value::String(text.to_owned()))
            .map_err(|_| "is not UTF-8 text; save it as UTF-8".to_owned()),
        Kind::Json => document.json().map_err(|error| error.to_string()),
        Kind::Yaml => yaml::document(document.bytes()).map_err(|error| {
            format!(
                "is not exactly one YAML document (line {}, column {})",
                error.line, error.column
            )
        }),
    }
}
