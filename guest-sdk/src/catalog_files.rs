//! Reads catalog files, as a location reader does: a target or a pattern, its YAML documents as
//! emissions.
//!
//! One bad file or document costs an `error` diagnostic and nothing else. A pattern is walked in
//! steps of [`FILES_PER_STEP`] files, carrying only the last path and the diagnostics so far, so
//! that memory stays bounded however many files match. What reading means (which URL stands for a
//! target) is the caller's [`Source`].

mod carry;

use greenroom_model::{Entity, Level, LocationRef};
use serde_json::Value;

use crate::document::{Document, ReadError};
use crate::error::ProcessorError;
use crate::outcome::{Handled, Target};
use crate::yaml::{Position, YamlError};
use crate::{Context, Emitter};
use carry::{Carry, Problem};

/// Files read in one step: a stage has at most 64 reads and 16 MiB.
pub const FILES_PER_STEP: usize = 16;
/// Most files of one pattern.
pub const MAX_FILES: usize = 10_000;

/// How a location type is read.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// What stands before a target to make it a URL to read; empty if it is one.
    pub url_prefix: &'static str,
    /// Whether a target is a pattern to list.
    pub is_pattern: fn(&str) -> bool,
    /// Whether a pattern that matches nothing is an error of a required location.
    pub empty_is_missing: bool,
}

impl Source {
    /// The URL of a target, or of a path that the host listed, which may have the prefix already.
    fn url(&self, path: &str) -> String {
        if path.starts_with(self.url_prefix) {
            path.to_owned()
        } else {
            format!("{}{path}", self.url_prefix)
        }
    }
}

/// Reads a target of that source and emits its entities. Also emits the refresh key
/// `<type>:<target>`.
///
/// # Errors
/// [`ProcessorError`] while pending, and if the target itself is refused.
pub fn read(
    source: &Source,
    target: &Target,
    cx: &Context,
    out: &mut Emitter,
) -> Result<Handled, ProcessorError> {
    if (source.is_pattern)(target.target()) {
        read_pattern(source, target, cx, out)?;
    } else {
        read_one(source, target, cx, out)?;
    }
    Ok(Handled::Yes)
}

fn read_one(
    source: &Source,
    target: &Target,
    cx: &Context,
    out: &mut Emitter,
) -> Result<(), ProcessorError> {
    let read = cx.read(&source.url(target.target()));
    if let Err(error @ (ReadError::Pending | ReadError::Refused { .. })) = read {
        return Err(error.into());
    }
    out.refresh_key(target.location.to_string());
    let mut problems = Carry::default();
    match read {
        Ok(document) => emit_documents(document, &target.location, &mut problems, out),
        Err(_) if target.is_optional() => {}
        Err(_) => problems.add(missing(target)),
    }
    problems.report(&target.location, out);
    Ok(())
}

fn read_pattern(
    source: &Source,
    target: &Target,
    cx: &Context,
    out: &mut Emitter,
) -> Result<(), ProcessorError> {
    let pattern = source.url(target.target());
    let mut carry = Carry::of(cx)?;
    let matches = match cx.list(&pattern) {
        Ok(matches) => matches,
        Err(ReadError::NotFound { .. }) => &[],
        Err(error) => return Err(error.into()),
    };
    let start =
        matches.partition_point(|path| carry.after.as_ref().is_some_and(|last| path <= last));
    let end = matches.len().min(start + FILES_PER_STEP).min(MAX_FILES);
    let batch = matches.get(start..end).unwrap_or_default();
    let reads = cx.read_each(batch.iter().map(|path| source.url(path)));
    if reads.contains(&Err(ReadError::Pending)) {
        return Err(ReadError::Pending.into());
    }
    if carry.after.is_none() {
        out.refresh_key(target.location.to_string());
        if matches.is_empty() && source.empty_is_missing && !target.is_optional() {
            carry.add(missing(target));
        }
        if matches.len() > MAX_FILES {
            carry.add(Problem::new(&format!(
                "`{}` matches more than {MAX_FILES} files; the rest is not read, narrow the pattern",
                target.target()
            )));
        }
    }
    for (url, read) in batch.iter().zip(reads) {
        let path = url.strip_prefix(source.url_prefix).unwrap_or(url);
        let location = LocationRef::new(target.kind(), path);
        match read {
            Ok(document) => emit_documents(document, &location, &mut carry, out),
            Err(error) => carry.add(Problem::new(&error.to_string()).at(&location, None)),
        }
    }
    let rest = matches.get(end..).unwrap_or_default();
    match batch.last() {
        Some(last) if end < MAX_FILES && !rest.is_empty() => {
            carry.after = Some(last.clone());
            out.carry(carry.to_text());
            out.next_list(pattern);
            for url in rest.iter().take(FILES_PER_STEP) {
                out.next_read(source.url(url));
            }
        }
        _ => carry.report(&target.location, out),
    }
    Ok(())
}

/// Emits every document of a file; what is no entity is a problem with its place.
fn emit_documents(
    document: &Document,
    location: &LocationRef,
    problems: &mut Carry,
    out: &mut Emitter,
) {
    for result in document.yaml() {
        match result
            .map_err(|error| broken(&error, location))
            .and_then(|(value, position)| match entity(value) {
                Ok(entity) => Ok((entity, position)),
                Err(message) => {
                    Err(Problem::new(&format!("{message} ({location})"))
                        .at(location, Some(position)))
                }
            }) {
            Ok((entity, position)) => out.entity_at(location, position, entity),
            Err(problem) => problems.add(problem),
        }
    }
}

fn broken(error: &YamlError, location: &LocationRef) -> Problem {
    Problem::new(&format!("YAML error at {location}, {error}")).at(location, Some(error.position()))
}

/// The entity in a document, its envelope checked here so that one bad one cannot fail the rest.
fn entity(value: Value) -> Result<Entity, String> {
    const MAX_ENTITY_BYTES: usize = 4 << 20;
    let found = match &value {
        Value::Object(_) => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("boolean"),
        Value::Null => Some("null"),
    };
    if let Some(found) = found {
        return Err(format!("expected object at root, got {found}"));
    }
    let entity =
        Entity::from_value(value).map_err(|error| format!("malformed envelope, {error}"))?;
    if entity.to_json().len() > MAX_ENTITY_BYTES {
        return Err("the entity is larger than 4 MiB; move data into files of its own".to_owned());
    }
    Ok(entity)
}

fn missing(target: &Target) -> Problem {
    Problem::new(&format!(
        "`{}` does not exist; correct the target, or set `presence: optional`",
        target.target()
    ))
}

impl Carry {
    /// Tells the owner of the Location everything that went wrong.
    fn report(&self, target: &LocationRef, out: &mut Emitter) {
        for problem in &self.problems {
            let location = problem
                .path
                .as_ref()
                .map(|path| LocationRef::new(target.r#type.clone(), path.clone()));
            let position = problem.position.map(|(document, line, column)| Position {
                document,
                line,
                column,
            });
            out.diagnostic_at(
                Level::Error,
                &problem.message,
                location.as_ref().unwrap_or(target),
                position,
            );
        }
        if self.more_problems > 0 {
            out.diagnostic(
                Level::Error,
                format!("and {} more problems", self.more_problems),
            );
        }
    }
}

#[cfg(test)]
mod tests;
