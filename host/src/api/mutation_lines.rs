//! The lines of a mutation (DESIGN §5): NDJSON, closed by `{"commit":{"count":N}}`.
//!
//! Bytes come in pieces and are cut into lines here. What was read is handed out in batches, so that a mutation of any size is
//! read in the room of one batch; whether it is whole is known with its closing line, and until then nobody may act on it (h21).

use greenroom_model::annotations::{MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION};
use greenroom_model::{Entity, EntityRef};
use greenroom_storage::{Mutation, MutationKind, MutationLine, ProvidedEntity};
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;

/// Largest entity, and so the longest line with what surrounds it.
const MAX_ENTITY_BYTES: usize = 4 * 1024 * 1024;
const MAX_LINE_BYTES: usize = MAX_ENTITY_BYTES + 64 * 1024;
/// Largest mutation: a million entities of a kilobyte, which storage keeps until the last line.
const MAX_BYTES: usize = 1024 * 1024 * 1024;
/// Lines and bytes from which on what was read is a batch: a transaction's worth (DESIGN §7).
const BATCH_LINES: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    Add(AddLine),
    Remove(RemoveLine),
    Commit(CommitLine),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AddLine {
    entity: Value,
    location_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RemoveLine {
    entity_ref: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CommitLine {
    count: u64,
}

/// A mutation being read.
pub(super) struct MutationReader {
    /// What is written into the managed-by annotations where an entity has none.
    default_location: String,
    kind: MutationKind,
    /// What was read and not handed out.
    batch: Vec<MutationLine>,
    batch_bytes: usize,
    pending: Vec<u8>,
    read: usize,
    lines: u64,
    committed: bool,
}

impl MutationReader {
    pub(super) fn new(kind: MutationKind, provider: &str) -> Self {
        Self {
            default_location: format!("provider:{provider}"),
            kind,
            batch: Vec::new(),
            batch_bytes: 0,
            pending: Vec::new(),
            read: 0,
            lines: 0,
            committed: false,
        }
    }

    /// Takes the next piece of the body.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), ApiError> {
        self.read += piece.len();
        if self.read > MAX_BYTES {
            return Err(ApiError::too_large(
                "a mutation may have 1 GiB; split it into deltas",
            ));
        }
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.extend(&piece[..end])?;
            self.end_line()?;
            piece = &piece[end + 1..];
        }
        self.extend(piece)
    }

    /// What was read since the last batch, if it is enough for one.
    pub(super) fn batch(&mut self) -> Option<Vec<MutationLine>> {
        let full = self.batch.len() >= BATCH_LINES || self.batch_bytes >= BATCH_BYTES;
        full.then(|| {
            self.batch_bytes = 0;
            std::mem::take(&mut self.batch)
        })
    }

    /// What was read since the last batch, if the closing line was there and right.
    pub(super) fn finish(mut self) -> Result<Vec<MutationLine>, ApiError> {
        self.end_line()?;
        if self.committed {
            Ok(self.batch)
        } else {
            Err(ApiError::input(
                "the last line must be {\"commit\":{\"count\":N}}; nothing was changed",
            ))
        }
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        if self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            return Err(self.wrong("is longer than an entity may be (4 MiB)"));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    fn wrong(&self, problem: impl std::fmt::Display) -> ApiError {
        ApiError::input(format!(
            "line {} {problem}; nothing was changed",
            self.lines + 1
        ))
    }

    fn end_line(&mut self) -> Result<(), ApiError> {
        let line = std::mem::take(&mut self.pending);
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if self.committed {
            return Err(self.wrong("comes after the commit line"));
        }
        let line: Line = serde_json::from_slice(&line)
            .map_err(|error| self.wrong(format!("is no mutation line: {error}")))?;
        match line {
            Line::Add(add) => {
                let entity = self.entity(add)?;
                self.batch_bytes += entity.unprocessed.len();
                self.batch.push(MutationLine::Add(entity));
            }
            Line::Remove(_) if self.kind == MutationKind::Full => {
                return Err(self.wrong("removes, which only a delta may; leave the entity out"));
            }
            Line::Remove(remove) => {
                let entity_ref =
                    EntityRef::parse(&remove.entity_ref).map_err(|error| self.wrong(error))?;
                self.batch_bytes += entity_ref.as_str().len();
                self.batch.push(MutationLine::Remove(entity_ref));
            }
            Line::Commit(commit) if commit.count == self.lines => self.committed = true,
            Line::Commit(commit) => {
                return Err(self.wrong(format!(
                    "commits {} lines after {}",
                    commit.count, self.lines
                )));
            }
        }
        self.lines += 1;
        Ok(())
    }

    fn entity(&self, add: AddLine) -> Result<ProvidedEntity, ApiError> {
        let mut entity = Entity::from_value(add.entity)
            .map_err(|error| self.wrong(format!("has no entity: {error}")))?;
        for annotation in [MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION] {
            match entity.annotation(annotation) {
                None => entity.set_annotation(annotation, self.default_location.clone()),
                Some(location) if is_file(location) => {
                    return Err(self.wrong(format!(
                        "says `{annotation}` is a file: type not allowed for providers"
                    )));
                }
                Some(_) => {}
            }
        }
        let unprocessed = entity.to_json();
        if unprocessed.len() > MAX_ENTITY_BYTES {
            return Err(self.wrong("has an entity above 4 MiB"));
        }
        Ok(ProvidedEntity {
            entity_ref: entity.entity_ref(),
            unprocessed,
            location_key: add.location_key,
        })
    }
}

/// Reads a whole mutation from its pieces, without a request around it.
///
/// # Errors
/// What the client would be told.
pub fn read_mutation<'a>(
    kind: MutationKind,
    provider: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Mutation, String> {
    let mut reader = MutationReader::new(kind, provider);
    let mut lines = Vec::new();
    let read = pieces.into_iter().try_for_each(|piece| {
        reader.push(piece)?;
        lines.extend(reader.batch().into_iter().flatten());
        Ok(())
    });
    read.and_then(|()| reader.finish())
        .map(|last| whole(kind, lines.into_iter().chain(last)))
        .map_err(|error: ApiError| error.message().to_owned())
}

/// The mutation that lines are.
pub(super) fn whole(kind: MutationKind, lines: impl IntoIterator<Item = MutationLine>) -> Mutation {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            MutationLine::Add(entity) => added.push(entity),
            MutationLine::Remove(entity_ref) => removed.push(entity_ref),
        }
    }
    Mutation {
        kind,
        added,
        removed,
    }
}

/// Whether a location ref has the type `file`, however it is spaced or cased (y15).
fn is_file(location: &str) -> bool {
    location
        .split(':')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: &str =
        r#"{"add":{"entity":{"apiVersion":"v1","kind":"Component","metadata":{"name":"a"}}}}"#;

    fn read(kind: MutationKind, text: &str) -> Result<Mutation, ApiError> {
        let mut reader = MutationReader::new(kind, "p");
        for piece in text.as_bytes().chunks(7) {
            reader.push(piece)?;
        }
        Ok(whole(kind, reader.finish()?))
    }

    #[test]
    fn a_committed_mutation_has_its_entities_with_annotations() {
        let text = format!(
            "{ADD}\n{{\"remove\":{{\"entityRef\":\"component:default/b\"}}}}\n{{\"commit\":{{\"count\":2}}}}"
        );
        let mutation = read(MutationKind::Delta, &text).unwrap();
        assert_eq!((mutation.added.len(), mutation.removed.len()), (1, 1));
        assert!(
            mutation.added[0]
                .unprocessed
                .contains(r#""backstage.io/managed-by-location":"provider:p""#)
        );
    }

    #[test]
    fn h21_without_the_matching_closing_line_nothing_is_handed_out() {
        let whole = format!("{ADD}\n{{\"commit\":{{\"count\":1}}}}\n");
        assert!(read(MutationKind::Full, &whole).is_ok());
        for cut in 0..whole.len() - 2 {
            assert!(read(MutationKind::Full, &whole[..cut]).is_err(), "{cut}");
        }
        for bad in [
            format!("{ADD}\n{{\"commit\":{{\"count\":2}}}}"),
            format!("{{\"commit\":{{\"count\":0}}}}\n{ADD}"),
            format!("{whole}{whole}"),
            "null\n".to_owned(),
            "{\"remove\":{\"entityRef\":\"component:default/b\"}}\n{\"commit\":{\"count\":1}}"
                .to_owned(),
        ] {
            assert!(read(MutationKind::Full, &bad).is_err(), "{bad}");
        }
        let mut reader = MutationReader::new(MutationKind::Full, "p");
        assert!(reader.push(&vec![b'x'; MAX_LINE_BYTES + 1]).is_err());
    }

    #[test]
    fn lines_are_handed_out_by_the_transaction() {
        let mut reader = MutationReader::new(MutationKind::Full, "p");
        let line = format!("{ADD}\n");
        for _ in 1..BATCH_LINES {
            reader.push(line.as_bytes()).unwrap();
        }
        assert!(reader.batch().is_none());
        reader.push(line.as_bytes()).unwrap();
        assert_eq!(reader.batch().unwrap().len(), BATCH_LINES);
        assert!(reader.batch().is_none());
        let large = line.replace("v1", &"x".repeat(BATCH_BYTES));
        reader.push(large.as_bytes()).unwrap();
        assert_eq!(reader.batch().unwrap().len(), 1);
        let commit = format!("{{\"commit\":{{\"count\":{}}}}}", BATCH_LINES + 1);
        reader.push(commit.as_bytes()).unwrap();
        assert!(reader.finish().unwrap().is_empty());
    }

    #[test]
    fn h21_a_mutation_has_1_gib() {
        let blank = [vec![b' '; (1 << 20) - 1], vec![b'\n']].concat();
        let mut reader = MutationReader::new(MutationKind::Full, "p");
        reader.read = MAX_BYTES - 2 * blank.len();
        for _ in 0..2 {
            assert!(reader.push(&blank).is_ok());
        }
        let refused = reader.push(b" ").unwrap_err();
        assert!(refused.message().contains("1 GiB"), "{}", refused.message());
    }

    #[test]
    fn y15_a_provider_cannot_name_files() {
        for location in ["file:/etc/passwd", " FILE :/etc/passwd", "file:"] {
            let mut line: Value = serde_json::from_str(ADD).unwrap();
            line["add"]["entity"]["metadata"]["annotations"][MANAGED_BY_LOCATION] = location.into();
            let text = format!("{line}\n{{\"commit\":{{\"count\":1}}}}");
            assert!(read(MutationKind::Delta, &text).is_err(), "{location}");
        }
    }
}
