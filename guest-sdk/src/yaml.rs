//! YAML streams as the catalog reads them: what npm `yaml` 2 gives with its defaults.
//!
//! YAML 1.2 core schema; `<<` is a plain key; duplicate keys are errors; nothing is constructed from
//! a tag; numbers become what JavaScript's `JSON.stringify` prints. A stream is cut at its document
//! markers first, so that a broken document costs neither the ones before it nor the ones after.
//! Everything is bounded: see the constants. Deviations from npm `yaml`: a NUL character and any
//! encoding but UTF-8 are errors (there: replaced), `!!binary`, `!!set` and the other YAML 1.1 tags
//! construct nothing, and the order of integer-like keys is that of writing.

mod compose;
mod encoding;
mod keys;
mod number;
mod scalar;
mod stream;

use serde_json::Value;

pub(crate) use encoding::decode;

/// Longest stream, in bytes.
pub const MAX_STREAM_BYTES: usize = 16 << 20;
/// Most documents in a stream, blank ones included.
pub const MAX_DOCUMENTS: usize = 1000;
/// Deepest nesting of sequences and mappings.
pub const MAX_DEPTH: usize = 128;
/// What `npm yaml` calls `maxAliasCount`: most uses of an anchor, times those in it.
pub const MAX_ALIASES: u64 = 100;
/// Most bytes that anchors and aliases may copy in one document.
pub const MAX_ALIASED_BYTES: usize = 4 << 20;

/// Where a document's first node stands. Lines and columns count from 1, documents from 0, blank
/// ones counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Index of the document in its stream.
    pub document: u32,
    /// Line in the stream.
    pub line: u32,
    /// Column in Unicode scalar values.
    pub column: u32,
}

/// Why a document, or the stream, could not be read. Quotes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct YamlError {
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// Index of the document in its stream.
    pub document: u32,
    /// Line in the stream, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl YamlError {
    /// Where the fault is.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            document: self.document,
            line: self.line,
            column: self.column,
        }
    }
}

/// Every document of a stream that is not blank, in order, each on its own good or bad.
///
/// A stream that is no UTF-8, too long or has too many documents gives one error (after the
/// documents up to the limit).
#[must_use]
pub fn documents(bytes: &[u8]) -> Vec<Result<(Value, Position), YamlError>> {
    if bytes.len() > MAX_STREAM_BYTES {
        return vec![Err(stream_error(
            0,
            format!("the stream is longer than {MAX_STREAM_BYTES} bytes; split the file"),
        ))];
    }
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(error) => return vec![Err(error)],
    };
    let mut results = Vec::new();
    for (index, chunk) in stream::chunks(text).enumerate() {
        let document = u32::try_from(index).unwrap_or(u32::MAX);
        if index >= MAX_DOCUMENTS {
            let mut error = stream_error(
                document,
                format!("the stream has more than {MAX_DOCUMENTS} documents; split the file"),
            );
            error.line = chunk.first_line;
            results.push(Err(error));
            break;
        }
        match compose::document(chunk.text, chunk.first_line, document) {
            Ok((Value::Null, _)) => {}
            other => results.push(other),
        }
    }
    results
}

/// The one document of a stream.
///
/// # Errors
/// [`YamlError`] if it cannot be read, or if there is not exactly one (blank ones count).
pub fn document(bytes: &[u8]) -> Result<Value, YamlError> {
    let text = decode(bytes)?;
    let mut chunks = stream::chunks(text);
    let first = chunks.next();
    if let Some(second) = chunks.next() {
        let mut error = stream_error(1, "expected exactly one document".to_owned());
        error.line = second.first_line;
        return Err(error);
    }
    match first {
        Some(_) if bytes.len() > MAX_STREAM_BYTES => Err(stream_error(
            0,
            format!("the stream is longer than {MAX_STREAM_BYTES} bytes; split the file"),
        )),
        Some(chunk) => compose::document(chunk.text, chunk.first_line, 0).map(|(value, _)| value),
        None => Err(stream_error(0, "expected exactly one document".to_owned())),
    }
}

fn stream_error(document: u32, message: String) -> YamlError {
    YamlError {
        message,
        document,
        line: 1,
        column: 1,
    }
}

#[cfg(test)]
mod tests;
