//! The file that a tenant is moved by: NDJSON, a first line that says what it is, a line for each row and each piece of a
//! component, and a last line that says how many those were. What ends without it was cut.

use greenroom_model::{Digest, Timestamp};
use greenroom_storage::{MOVED_TABLES, MovedRow, MovedTable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::error::ApiError;

/// The media type.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// The version of the form and of the tables in it. A reader takes its own and no other.
const FORMAT: u64 = 1;
/// Longest line: the three bodies of an entity as strings of JSON, with what surrounds them.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;
/// Bytes of a component in one line.
pub(super) const PIECE_BYTES: usize = 192 << 10;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) format: u64,
    /// The name that the tenant had; it may get another.
    pub(super) tenant: String,
    pub(super) exported_at: Timestamp,
}

/// A piece of a component, in order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    pub(super) digest: Digest,
    pub(super) number: u32,
    /// In base64.
    pub(super) data: String,
    /// Whether it is the last one.
    pub(super) last: bool,
}

/// The last line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// Lines between the first one and this.
    pub(super) lines: u64,
    /// Whether the catalog stood still while it was read.
    pub(super) quiet: bool,
}

/// A line.
pub(super) enum Line {
    Head(Head),
    Row(usize, MovedRow),
    Piece(Piece),
    End(End),
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Line, String> {
        let line: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| format!("is no line of one: {error}"))?;
        let mut entries = line.into_iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            return Err("is not an object of one key".to_owned());
        };
        let wrong = |error: serde_json::Error| format!("is wrong: {error}");
        match name.as_str() {
            "greenroom" => serde_json::from_value(value).map(Line::Head).map_err(wrong),
            "component" => serde_json::from_value(value)
                .map(Line::Piece)
                .map_err(wrong),
            "end" => serde_json::from_value(value).map(Line::End).map_err(wrong),
            name => {
                let place = MOVED_TABLES.iter().position(|table| table.name == name);
                let known = place.and_then(|place| Some((place, MOVED_TABLES.get(place)?)));
                let Some((place, table)) = known else {
                    let name: String = name.chars().take(100).collect();
                    return Err(format!("is of `{name}`, which is not moved"));
                };
                let Value::Object(row) = value else {
                    return Err(format!("has no row of `{name}`"));
                };
                let row = table.from_json(row);
                row.map(|row| Line::Row(place, row))
                    .map_err(|error| format!("has a row of `{name}` whose {error}"))
            }
        }
    }
}

impl Head {
    pub(super) fn new(tenant: &str, exported_at: Timestamp) -> Head {
        Head {
            format: FORMAT,
            tenant: tenant.to_owned(),
            exported_at,
        }
    }

    /// Refuses the form of another version by name.
    pub(super) fn known(&self) -> Result<(), String> {
        if self.format == FORMAT {
            return Ok(());
        }
        Err(format!(
            "has format {}, this host knows {FORMAT}: export and import with the same version of greenroom",
            self.format
        ))
    }

    pub(super) fn line(&self) -> Value {
        json!({"greenroom": self})
    }
}

impl Piece {
    pub(super) fn line(&self) -> Value {
        json!({"component": self})
    }
}

impl End {
    pub(super) fn line(&self) -> Value {
        json!({"end": self})
    }
}

/// A row as a line.
pub(super) fn row_line(table: &MovedTable, row: &MovedRow) -> Value {
    let mut line = Map::new();
    line.insert(table.name.to_owned(), table.to_json(row));
    Value::Object(line)
}

/// Cuts what arrives in pieces into lines.
#[derive(Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes a piece; the lines that end in it.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
        let mut lines = Vec::new();
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.extend(&piece[..end])?;
            lines.push(std::mem::take(&mut self.pending));
            piece = &piece[end + 1..];
        }
        self.extend(piece)?;
        Ok(lines)
    }

    /// What is left at the end.
    pub(super) fn rest(self) -> Vec<u8> {
        self.pending
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        if self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            return Err(ApiError::too_large(
                "a line of an export has at most 64 MiB; nothing was imported",
            ));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut_and_have_an_end() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\n{\"c\"";
        for size in 1..text.len() {
            let (mut lines, mut whole) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                whole.extend(lines.push(piece).unwrap());
            }
            assert_eq!(
                whole,
                [b"{\"a\":1}".to_vec(), b"".to_vec(), b"{\"b\":2}".to_vec()]
            );
            assert_eq!(lines.rest(), b"{\"c\"");
        }
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; MAX_LINE_BYTES]).is_ok());
        let refused = lines.push(b"x").unwrap_err();
        assert!(
            refused.message().contains("64 MiB"),
            "{}",
            refused.message()
        );
    }

    #[test]
    fn a_hostile_line_is_refused_by_what_is_wrong_with_it() {
        let uid = "11111111-1111-4111-8111-111111111111";
        let body = r#"{\"apiVersion\":\"v\",\"kind\":\"Component\",\"metadata\":{\"name\":\"a\"}}"#;
        let state = |entity_ref: &str, body: &str, more: &str| {
            format!(
                r#"{{"refresh_state":{{"entity_id":"{uid}","entity_ref":"{entity_ref}","status":1,"dead_letter":false,"attempts":0,"trace":"[]","diagnostics":"[]","cache":"{{}}","unprocessed_entity":"{body}","revisions":"[]"{more}}}}}"#
            )
        };
        let edge = |more: &str| {
            format!(
                r#"{{"refresh_state_references":{{"target_entity_ref":"component:default/a",{more}}}}}"#
            )
        };
        assert!(matches!(
            Line::parse(state("component:default/a", body, "").as_bytes()),
            Ok(Line::Row(..))
        ));
        let deep = format!(
            "{{\"tenant_settings\":{}1{}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        for (line, said) in [
            ("null".to_owned(), "is no line of one"),
            ("{".to_owned(), "is no line of one"),
            (deep, "recursion limit"),
            ("{}".to_owned(), "is not an object of one key"),
            (
                r#"{"a":{},"b":{}}"#.to_owned(),
                "is not an object of one key",
            ),
            (
                r#"{"tokens":{"token_id":"x"}}"#.to_owned(),
                "is of `tokens`, which is not moved",
            ),
            (
                r#"{"pipelines":[1]}"#.to_owned(),
                "has no row of `pipelines`",
            ),
            (r#"{"pipelines":{}}"#.to_owned(), "`version` is missing"),
            (
                r#"{"pipelines":{"version":-1}}"#.to_owned(),
                "`version` is no whole number",
            ),
            (
                r#"{"pipelines":{"version":1e30}}"#.to_owned(),
                "`version` is no whole number",
            ),
            (
                r#"{"pipelines":{"version":"1"}}"#.to_owned(),
                "`version` is of another type",
            ),
            (
                r#"{"pipelines":{"version":1,"tenant_id":2}}"#.to_owned(),
                "`tenant_id` is no column",
            ),
            (
                state("Component:Default/a", body, ""),
                "`entity_ref` is not written as `component:default/a`",
            ),
            (
                state("component:", body, ""),
                "`entity_ref` Entity reference",
            ),
            (
                state("component:default/b", body, ""),
                "is of `component:default/a` and not of",
            ),
            (state("component:default/a", "{}", ""), "is no entity"),
            (
                state("component:default/a", body, r#","trace":"{}""#),
                "`trace` does not read back",
            ),
            (
                state("component:default/a", body, r#","memo":"00""#),
                "`memo`",
            ),
            (
                state("component:default/a", body, r#","status":9"#),
                "`status` is none",
            ),
            (
                state("component:default/a", body, r#","entity_id":"../x""#),
                "`entity_id` is no id",
            ),
            (
                edge(r#""source_key":"","source_entity_ref":"""#),
                "exactly one of",
            ),
            (
                edge(r#""source_key":"p","source_entity_ref":"component:default/b""#),
                "exactly one of",
            ),
            (
                r#"{"component":{"digest":"xyz","number":0,"data":"","last":true}}"#.to_owned(),
                "is wrong",
            ),
            (r#"{"end":{"lines":1}}"#.to_owned(), "missing field `quiet`"),
        ] {
            let Err(refused) = Line::parse(line.as_bytes()) else {
                panic!("{line} is taken");
            };
            assert!(refused.contains(said), "{line}: {refused}");
        }
        let old = Head {
            format: 2,
            ..Head::new("a", Timestamp(0))
        };
        assert!(
            old.known()
                .unwrap_err()
                .contains("has format 2, this host knows 1")
        );
    }
}
