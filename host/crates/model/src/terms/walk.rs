//! The depth-first walk behind [`super::terms`]: paths, collisions, de-duplication and bounds.
//!
//! Keys are judged before they are dropped: two over-long keys that collide by case are an error in
//! Backstage too. Repeated (key, value) pairs cost no memory, so a list of a million equal numbers
//! is one term.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{
    MAX_DEPTH, MAX_KEY_BYTES, MAX_TERMS, MAX_TEXT_UNITS, Term, TermError, number::number_text,
};
use crate::casing::lower_case;

/// Subtrees that give no terms of their own (ref §5.7). Compared exactly, as Backstage does.
const EXCLUDED: [&str; 7] = [
    "attachments",
    "relations",
    "status",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.etag",
];

pub(super) struct Walk {
    path: String,
    /// By lower-cased key.
    keys: HashMap<String, Key>,
    /// The values of keys with more than one: (number of the key, value).
    seen: HashSet<(usize, Option<String>)>,
    terms: Vec<Term>,
    collisions: Vec<String>,
    key_bytes: usize,
}

/// A key that was met.
struct Key {
    number: usize,
    /// As first written, if that is not lower case.
    written: Option<String>,
    /// Its first term; `None` if the key is too long to have any.
    first: Option<usize>,
}

impl Walk {
    pub(super) fn new() -> Walk {
        Walk {
            path: String::new(),
            keys: HashMap::new(),
            seen: HashSet::new(),
            terms: Vec::new(),
            collisions: Vec::new(),
            key_bytes: 0,
        }
    }

    /// Walks the members of an object below the current path.
    pub(super) fn object(
        &mut self,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TermError> {
        let parent = self.path.len();
        for (key, value) in object {
            if parent > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
            self.visit(value, depth + 1)?;
            self.path.truncate(parent);
        }
        Ok(())
    }

    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), TermError> {
        if EXCLUDED.contains(&self.path.as_str()) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(TermError::TooDeep);
        }
        match value {
            Value::Object(object) => self.object(object, depth),
            Value::Array(items) => {
                for item in items {
                    self.visit(item, depth + 1)?;
                    if let Value::String(text) = item {
                        self.membership(text)?;
                    }
                }
                Ok(())
            }
            scalar => {
                let path = std::mem::take(&mut self.path);
                let result = self.scalar(&path, Some(scalar));
                self.path = path;
                result
            }
        }
    }

    /// `path.<item>` = `true`, unless that key was met before in any casing.
    fn membership(&mut self, item: &str) -> Result<(), TermError> {
        let key = format!("{}.{item}", self.path);
        self.charge(key.len())?;
        if self.keys.contains_key(lower_case(&key).as_ref()) {
            return Ok(());
        }
        self.text(&key, "true")
    }

    /// Adds a scalar under a key; objects and arrays, which have no text, count as null.
    pub(super) fn scalar(&mut self, key: &str, value: Option<&Value>) -> Result<(), TermError> {
        match value {
            Some(Value::String(text)) => self.text(key, text),
            Some(Value::Bool(flag)) => self.text(key, if *flag { "true" } else { "false" }),
            Some(Value::Number(number)) => self.text(key, &number_text(number)),
            _ => self.add(key, None),
        }
    }

    /// Adds a text under a key.
    pub(super) fn text(&mut self, key: &str, text: &str) -> Result<(), TermError> {
        let lowered = lower_case(text);
        if units_exceed(&lowered, MAX_TEXT_UNITS) {
            self.add(key, None)
        } else {
            self.add(key, Some((lowered.into_owned(), text.to_owned())))
        }
    }

    fn add(&mut self, key: &str, value: Option<(String, String)>) -> Result<(), TermError> {
        // Charged for repeats too: lower-casing a 2 MB key for each item of a list is the cost.
        self.charge(key.len())?;
        let lowered = lower_case(key);
        let Some(known) = self.keys.get(lowered.as_ref()) else {
            let keep = !units_exceed(&lowered, MAX_TEXT_UNITS);
            let known = Key {
                number: self.keys.len(),
                written: (lowered != key).then(|| key.to_owned()),
                first: keep.then_some(self.terms.len()),
            };
            let lowered = lowered.into_owned();
            if keep {
                self.push(lowered.clone(), value)?;
            }
            self.keys.insert(lowered, known);
            return Ok(());
        };
        let written = known.written.as_deref().unwrap_or(lowered.as_ref());
        if written != key && self.collisions.len() < 5 {
            let lowered = lowered.clone().into_owned();
            if !self.collisions.contains(&lowered) {
                self.collisions.push(lowered);
            }
        }
        let Some(first) = known.first else {
            return Ok(());
        };
        let (number, first) = (known.number, &self.terms[first].value);
        let text = value.as_ref().map(|(text, _)| text);
        if first.as_ref() == text || !self.seen.insert((number, text.cloned())) {
            return Ok(());
        }
        self.push(lowered.into_owned(), value)
    }

    fn push(&mut self, key: String, value: Option<(String, String)>) -> Result<(), TermError> {
        if self.terms.len() == MAX_TERMS {
            return Err(TermError::TooMany);
        }
        let (value, original) = value.unzip();
        self.terms.push(Term {
            key,
            value,
            original,
        });
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), TermError> {
        self.key_bytes += bytes;
        if self.key_bytes > MAX_KEY_BYTES {
            return Err(TermError::TooMany);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<Term>, TermError> {
        if self.collisions.is_empty() {
            Ok(self.terms)
        } else {
            Err(TermError::CaseCollision(self.collisions))
        }
    }
}

/// Whether a text is longer than so many UTF-16 code units, as JavaScript counts.
fn units_exceed(text: &str, limit: usize) -> bool {
    text.len() > limit && text.encode_utf16().take(limit + 1).count() > limit
}
