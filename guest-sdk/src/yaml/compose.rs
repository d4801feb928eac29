//! Parser events to one JSON value, without recursion.
//!
//! Open collections are frames on a stack of our own, so depth is a check and not a stack overflow
//! (y02). Anchored values are copied when they end and again at each alias; both are charged to a
//! budget, and uses of an anchor are counted as npm `yaml` counts them (y01).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScanError, Span};
use serde_json::{Map, Value};

use super::keys::{Kind, admit, key_of};
use super::scalar::{self, Scalar};
use super::{MAX_ALIASED_BYTES, MAX_ALIASES, MAX_DEPTH, Position, YamlError};

/// Most repairs of one document; see [`document`].
const MAX_REPAIRS: usize = 100;
/// The parser's complaint about a tab between `:` and a value, which the grammar allows.
const TAB_AFTER_COLON: &str = "':' must be followed by a valid YAML whitespace";

/// The value of one document's text, and where its root stands.
///
/// The parser refuses some tabs after `:` that the grammar and npm `yaml` accept; such a tab is
/// made a space and the document read again, a bounded number of times.
pub(super) fn document(
    text: &str,
    first_line: u32,
    document: u32,
) -> Result<(Value, Position), YamlError> {
    let mut repaired = Cow::Borrowed(text);
    for _ in 0..MAX_REPAIRS {
        match compose(&repaired, first_line, document) {
            Err(error) if error.message == TAB_AFTER_COLON => {
                let Some(better) = without_tab(&repaired, first_line, &error) else {
                    return Err(error);
                };
                repaired = Cow::Owned(better);
            }
            result => return result,
        }
    }
    compose(&repaired, first_line, document)
}

/// The text with the white space before the place of an error made of spaces; none if there is no
/// tab in it.
fn without_tab(text: &str, first_line: u32, error: &YamlError) -> Option<String> {
    let line_index = usize::try_from(error.line.checked_sub(first_line)?).ok()?;
    let column = usize::try_from(error.column).ok()?.checked_sub(1)?;
    let line_start = match line_index {
        0 => 0,
        nth => text.match_indices('\n').nth(nth - 1)?.0 + 1,
    };
    let end = line_start + text[line_start..].char_indices().nth(column)?.0;
    let start = text[line_start..end].trim_end_matches([' ', '\t']).len() + line_start;
    text[start..end].contains('\t').then(|| {
        let blank = " ".repeat(end - start);
        [&text[..start], &blank, &text[end..]].concat()
    })
}

fn compose(text: &str, first_line: u32, document: u32) -> Result<(Value, Position), YamlError> {
    let mut composer = Composer {
        first_line,
        document,
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        copied_bytes: 0,
        root: None,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| composer.scan_error(&error))?;
        composer.event(event, span)?;
    }
    Ok(composer.root.unwrap_or_default())
}

struct Composer {
    first_line: u32,
    document: u32,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Anchor>,
    copied_bytes: usize,
    root: Option<(Value, Position)>,
}

/// A collection that is still open.
struct Frame {
    anchor: usize,
    start: Position,
    /// Largest alias count among its children.
    aliases: u64,
    open: Open,
}

enum Open {
    Sequence(Vec<Value>),
    Mapping {
        map: Map<String, Value>,
        /// Key whose value comes next.
        key: Option<String>,
        /// Keys that are not plain strings, and strings that meet one of them.
        unusual: BTreeSet<(Kind, String)>,
    },
}

struct Anchor {
    /// None while the anchored collection is open.
    node: Option<Node>,
    uses: u64,
}

#[derive(Clone)]
struct Node {
    value: Completed,
    bytes: usize,
    aliases: u64,
}

/// A finished node; a scalar keeps its kind, because keys need it.
#[derive(Clone)]
pub(super) enum Completed {
    Scalar(Scalar),
    Collection(Value),
}

impl Completed {
    fn into_value(self) -> Value {
        match self {
            Completed::Scalar(scalar) => scalar.into_value(),
            Completed::Collection(value) => value,
        }
    }
}

impl Composer {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let start = self.position(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar::resolve(&text, style, tag.as_deref());
                self.remember(anchor, Completed::Scalar(scalar.clone()), 1, start)?;
                self.complete(Completed::Scalar(scalar), 1, false, start)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, start, Open::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let open = Open::Mapping {
                    map: Map::new(),
                    key: None,
                    unusual: BTreeSet::new(),
                };
                self.open(anchor, start, open)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, start),
            Event::DocumentStart(_) if self.root.is_some() => Err(self.error(
                "a second document begins without a marker on a line of its own",
                start,
            )),
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, start: Position, open: Open) -> Result<(), YamlError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.error(&too_deep(), start));
        }
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchor {
                    node: None,
                    uses: 1,
                },
            );
        }
        self.frames.push(Frame {
            anchor,
            start,
            aliases: 0,
            open,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), YamlError> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let value = match frame.open {
            Open::Sequence(items) => Value::Array(items),
            Open::Mapping { map, .. } => Value::Object(map),
        };
        if frame.anchor != 0 {
            let copy = Completed::Collection(value.clone());
            self.remember(frame.anchor, copy, frame.aliases, frame.start)?;
        }
        let value = Completed::Collection(value);
        self.complete(value, frame.aliases, false, frame.start)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), YamlError> {
        let Some(Anchor { node, uses }) = self.anchors.get_mut(&anchor) else {
            return Err(self.error("an alias names an anchor that is not set before it", at));
        };
        let Some(node) = node.clone() else {
            return Err(self.error("an alias contains itself", at));
        };
        *uses += 1;
        let uses = *uses;
        if uses.saturating_mul(node.aliases) > MAX_ALIASES {
            let message = format!(
                "aliases are used more than the limit of {MAX_ALIASES} times; write the values out"
            );
            return Err(self.error(&message, at));
        }
        self.charge(node.bytes, at)?;
        self.complete(node.value, uses * node.aliases, true, at)
    }

    fn remember(
        &mut self,
        anchor: usize,
        value: Completed,
        aliases: u64,
        at: Position,
    ) -> Result<(), YamlError> {
        if anchor == 0 {
            return Ok(());
        }
        let bytes = match &value {
            Completed::Scalar(Scalar::Text(text)) => text.len() + 16,
            Completed::Scalar(_) => 16,
            Completed::Collection(value) => weight(value),
        };
        self.charge(bytes, at)?;
        let node = Some(Node {
            value,
            bytes,
            aliases,
        });
        self.anchors.insert(anchor, Anchor { node, uses: 1 });
        Ok(())
    }

    fn charge(&mut self, bytes: usize, at: Position) -> Result<(), YamlError> {
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copied_bytes > MAX_ALIASED_BYTES {
            let message = format!(
                "anchors and aliases copy more than the limit of {MAX_ALIASED_BYTES} bytes; write the values out"
            );
            return Err(self.error(&message, at));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into the open collection, or as the root.
    fn complete(
        &mut self,
        node: Completed,
        aliases: u64,
        by_alias: bool,
        at: Position,
    ) -> Result<(), YamlError> {
        let Some(frame) = self.frames.last_mut() else {
            self.root.get_or_insert((node.into_value(), at));
            return Ok(());
        };
        frame.aliases = frame.aliases.max(aliases);
        match &mut frame.open {
            Open::Sequence(items) => items.push(node.into_value()),
            Open::Mapping { map, key, unusual } => {
                if let Some(key) = key.take() {
                    map.insert(key, node.into_value());
                } else {
                    let (kind, text) = key_of(node, by_alias);
                    if !admit(map, unusual, kind, &text) {
                        return Err(self.error("map keys must be unique", at));
                    }
                    // Reserves the place, and marks the key as seen.
                    map.insert(text.clone(), Value::Null);
                    *key = Some(text);
                }
            }
        }
        Ok(())
    }

    fn position(&self, span: &Span) -> Position {
        let mark = span.start;
        Position {
            document: self.document,
            line: u32::try_from(mark.line().saturating_sub(1))
                .unwrap_or(u32::MAX)
                .saturating_add(self.first_line),
            column: u32::try_from(mark.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn scan_error(&self, error: &ScanError) -> YamlError {
        let at = self.position(&Span::empty(*error.marker()));
        let message = match error.info() {
            "recursion limit exceeded" => too_deep(),
            info => plain_words(info),
        };
        self.error(&message, at)
    }

    fn error(&self, message: &str, at: Position) -> YamlError {
        YamlError {
            message: message.to_owned(),
            document: at.document,
            line: at.line,
            column: at.column,
        }
    }
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH}")
}

/// The parser's words, and npm `yaml`'s where owners of templates meet them daily.
fn plain_words(info: &str) -> String {
    match info {
        "unexpected character: `%'" => {
            "a plain value cannot start with `%`; quote it, or keep templates out of the catalog"
                .to_owned()
        }
        "unexpected character: `@'" => "a plain value cannot start with `@`; quote it".to_owned(),
        "unexpected character: ``'" => {
            "a plain value cannot start with a backquote; quote it".to_owned()
        }
        info => info.to_owned(),
    }
}

/// Bytes a copy of the value takes, roughly; the depth is bounded.
fn weight(value: &Value) -> usize {
    32 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| key.len() + 32 + weight(value))
            .sum(),
        _ => 0,
    }
}
