//! Makes one document of many.
//!
//! The result begins as the root document. References are taken plain ones first and, among those found
//! together, the shallowest first: one to another document is replaced by its value where nothing of it is
//! placed yet, and from then on every reference to that value, or to a part of it, points to that place. So
//! each value is copied at most once, whatever circles there are. References inside the root stay as written.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use greenroom_sdk::{Map, Value};

use crate::documents::{Documents, Problem};
use crate::pointer::{self, Place};
use crate::text;

/// Largest result, as JSON and as YAML: the entity it goes into may have no more.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting of the result; a guest's stack bears no more in every function that recurses.
pub(crate) const MAX_DEPTH: usize = 100;

/// The text of the document that `reference` names, with everything it refers to inside.
pub(crate) fn bundled(documents: &mut Documents<'_>, reference: &str) -> Result<String, Problem> {
    if reference.contains('#') {
        return Err(Problem::Invalid(
            reference.to_owned(),
            "names a part of a document; name the whole".to_owned(),
        ));
    }
    let url = documents.url(reference, documents.home())?;
    let root = documents.get(&url)?;
    let mut bundle = Bundle {
        root_url: Rc::from(url),
        result: Value::Null,
        bytes: 0,
        placed: BTreeMap::new(),
        plain: VecDeque::new(),
        extended: VecDeque::new(),
    };
    bundle.charge(&root, 0)?;
    bundle.result = (*root).clone();
    let root_url = Rc::clone(&bundle.root_url);
    bundle.find(&root, &[], &root_url);
    bundle.run(documents, &root)?;
    text::yaml(&bundle.result, MAX_BYTES).ok_or_else(too_large)
}

/// A reference of the result that is still to be looked at.
struct Found {
    /// Where it stands in the result.
    path: Vec<String>,
    /// The document it was written in.
    base: Rc<str>,
    text: String,
}

/// Where a value has been put.
struct Placed {
    path: Vec<String>,
    /// Keys that stood beside the reference and hide those of the value.
    hidden: Vec<String>,
}

struct Bundle {
    root_url: Rc<str>,
    result: Value,
    /// Bytes of JSON copied so far.
    bytes: usize,
    /// Where values of other documents are in the result.
    placed: BTreeMap<Place, Placed>,
    plain: VecDeque<Found>,
    /// References with other keys beside them. Where the value is placed at one, those keys are there too, so a
    /// plain one has precedence.
    extended: VecDeque<Found>,
}

impl Bundle {
    fn run(&mut self, documents: &mut Documents<'_>, root: &Value) -> Result<(), Problem> {
        let mut pending = false;
        while let Some(found) = self.plain.pop_front().or_else(|| self.extended.pop_front()) {
            match self.resolve(documents, root, &found) {
                // The others are looked at all the same, so that all reads are asked for together.
                Err(Problem::Pending) => pending = true,
                other => other?,
            }
        }
        if pending {
            return Err(Problem::Pending);
        }
        Ok(())
    }

    fn resolve(
        &mut self,
        documents: &mut Documents<'_>,
        root: &Value,
        found: &Found,
    ) -> Result<(), Problem> {
        let own = *found.base == *self.root_url && found.text.starts_with('#');
        let is_direct = own && pointer::is_direct(root, &pointer::tokens(&found.text)?);
        if !is_direct {
            let (place, document) = pointer::follow(documents, &found.text, &found.base)?;
            let known = if *place.url == *self.root_url {
                Some(place.tokens.clone())
            } else {
                self.place_of(&place)
            };
            match known {
                Some(path) => self.point(found, &path),
                None => {
                    let value = pointer::value_at(&document, &place.tokens);
                    return self.place(found, place, value.unwrap_or(&Value::Null));
                }
            }
        }
        let siblings = self.siblings_at(&found.path);
        self.find_in_siblings(&siblings, found);
        Ok(())
    }

    /// Where the place is in the result: it, or something that it is a part of, has been placed.
    fn place_of(&self, place: &Place) -> Option<Vec<String>> {
        (0..=place.tokens.len()).rev().find_map(|count| {
            let (start, rest) = place.tokens.split_at(count);
            let part = Place {
                url: place.url.clone(),
                tokens: start.to_vec(),
            };
            let placed = self.placed.get(&part)?;
            let is_hidden = rest.first().is_some_and(|key| placed.hidden.contains(key));
            let whole: Vec<String> = placed.path.iter().chain(rest).cloned().collect();
            (!is_hidden && pointer::is_direct(&self.result, &whole)).then_some(whole)
        })
    }

    /// Makes the reference point to a place in the result.
    fn point(&mut self, found: &Found, path: &[String]) {
        if let Some(Value::Object(map)) = slot(&mut self.result, &found.path) {
            map.insert("$ref".to_owned(), Value::String(pointer::fragment(path)));
        }
    }

    /// Puts a value in the reference's stead; keys beside the reference win over those of the value.
    fn place(&mut self, found: &Found, place: Place, value: &Value) -> Result<(), Problem> {
        self.charge(value, found.path.len())?;
        let siblings = self.siblings_at(&found.path);
        let url: Rc<str> = Rc::from(place.url.as_str());
        let mut made = value.clone();
        let mut hidden = Vec::new();
        if let Value::Object(map) = &mut made {
            for (key, own) in pointer::siblings(&siblings) {
                map.insert(key.clone(), own.clone());
                hidden.push(key.clone());
            }
            self.find_in_siblings(&siblings, found);
        }
        match value {
            Value::Object(map) if !hidden.is_empty() => {
                for (key, inner) in map.iter().filter(|(key, _)| !hidden.contains(key)) {
                    let path: Vec<String> = found.path.iter().chain([key]).cloned().collect();
                    self.find(inner, &path, &url);
                }
            }
            whole => self.find(whole, &found.path, &url),
        }
        let path = found.path.clone();
        self.placed.insert(place, Placed { path, hidden });
        if let Some(slot) = slot(&mut self.result, &found.path) {
            *slot = made;
        }
        Ok(())
    }

    /// The object of a reference in the result.
    fn siblings_at(&mut self, path: &[String]) -> Map<String, Value> {
        match slot(&mut self.result, path) {
            Some(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        }
    }

    fn find_in_siblings(&mut self, siblings: &Map<String, Value>, found: &Found) {
        for (key, value) in pointer::siblings(siblings) {
            let path: Vec<String> = found.path.iter().chain([key]).cloned().collect();
            self.find(value, &path, &found.base);
        }
    }

    /// Notes every reference of a value that stands at `path` and was written in `base`.
    fn find(&mut self, value: &Value, path: &[String], base: &Rc<str>) {
        let mut found = Vec::new();
        collect(value, &mut path.to_vec(), base, &mut found);
        found.sort_by_key(|(found, _): &(Found, bool)| found.path.len());
        for (found, is_extended) in found {
            match is_extended {
                true => self.extended.push_back(found),
                false => self.plain.push_back(found),
            }
        }
    }

    /// Counts a value that is copied to that depth.
    fn charge(&mut self, value: &Value, depth: usize) -> Result<(), Problem> {
        self.bytes += weight(value, depth)?;
        if self.bytes > MAX_BYTES {
            return Err(too_large());
        }
        Ok(())
    }
}

fn too_large() -> Problem {
    Problem::TooMuch(format!(
        "bundled it is larger than {MAX_BYTES} bytes; split the API"
    ))
}

/// Roughly the bytes of a value as JSON.
fn weight(value: &Value, depth: usize) -> Result<usize, Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::TooMuch(format!(
            "bundled it is nested deeper than {MAX_DEPTH}; flatten it"
        )));
    }
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 4,
        Value::Array(items) => {
            let mut sum = 8;
            for item in items {
                sum += weight(item, depth + 1)?;
            }
            sum
        }
        Value::Object(map) => {
            let mut sum = 8;
            for (key, inner) in map {
                sum += key.len() + 4 + weight(inner, depth + 1)?;
            }
            sum
        }
    })
}

/// Depth first; what is in a reference is not looked at here.
fn collect(value: &Value, path: &mut Vec<String>, base: &Rc<str>, found: &mut Vec<(Found, bool)>) {
    if let Some(text) = pointer::reference(value) {
        let is_extended = value.as_object().is_some_and(|map| map.len() > 1);
        let reference = Found {
            path: path.clone(),
            base: Rc::clone(base),
            text: text.to_owned(),
        };
        found.push((reference, is_extended));
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                collect(item, path, base, found);
                path.pop();
            }
        }
        Value::Object(map) => {
            for (key, inner) in map {
                path.push(key.clone());
                collect(inner, path, base, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn slot<'v>(value: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => items.get_mut(token.parse::<usize>().ok()?),
        _ => None,
    })
}
