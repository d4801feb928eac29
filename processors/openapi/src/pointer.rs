//! JSON pointers in fragments, and following them through the references they meet.

use std::rc::Rc;

use greenroom_sdk::{Map, Value};

use crate::documents::{Documents, Problem};

/// Most references followed to get to one value: more is a circle.
const MAX_HOPS: usize = 100;

/// A value inside a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The document's URL.
    pub(crate) url: String,
    /// The keys from its root.
    pub(crate) tokens: Vec<String>,
}

/// The text of `$ref`, if the object is a reference: to a value of this document, or to another document. Anchors
/// (`#name`) are left to whoever reads the bundle.
pub(crate) fn reference(value: &Value) -> Option<&str> {
    let text = value.as_object()?.get("$ref")?.as_str()?;
    let pointer = text.strip_prefix('#');
    let is_reference = pointer.is_none_or(|rest| rest.is_empty() || rest.starts_with('/'));
    (!text.is_empty() && is_reference).then_some(text)
}

/// The keys of the fragment of a reference.
pub(crate) fn tokens(reference: &str) -> Result<Vec<String>, Problem> {
    let fragment = reference.split_once('#').map_or("", |(_, rest)| rest);
    if fragment.is_empty() {
        return Ok(Vec::new());
    }
    let Some(path) = fragment.strip_prefix('/') else {
        return Err(Problem::Invalid(
            reference.to_owned(),
            "names an anchor; only JSON pointers such as `#/a/b` can be followed".to_owned(),
        ));
    };
    Ok(path
        .split('/')
        .map(|token| percent_decoded(token).replace("~1", "/").replace("~0", "~"))
        .collect())
}

/// The fragment that names the keys.
pub(crate) fn fragment(tokens: &[String]) -> String {
    let mut text = String::from("#");
    for token in tokens {
        text.push('/');
        for byte in token.replace('~', "~0").replace('/', "~1").bytes() {
            match byte {
                b'%' | b'"' | b'<' | b'>' | b'`' | b'\\' | b'^' => encode(&mut text, byte),
                byte if byte <= b' ' || byte >= 0x7f => encode(&mut text, byte),
                byte => text.push(char::from(byte)),
            }
        }
    }
    text
}

fn encode(text: &mut String, byte: u8) {
    text.push_str(&format!("%{byte:02X}"));
}

/// The place that a reference in the document at `base` means in the end, which is no reference itself and is not
/// reached through one, and its value.
pub(crate) fn follow(
    documents: &mut Documents<'_>,
    reference_text: &str,
    base: &str,
) -> Result<(Place, Rc<Value>), Problem> {
    let mut place = target(documents, reference_text, base)?;
    for _ in 0..MAX_HOPS {
        let document = documents.get(&place.url)?;
        match first_reference(&document, &place.tokens) {
            Step::Value => return Ok((place, document)),
            Step::Missing => {
                return Err(Problem::Invalid(
                    reference_text.to_owned(),
                    "names nothing in its document".to_owned(),
                ));
            }
            Step::Reference(text, after) => {
                let rest = place.tokens.split_off(after);
                let url = place.url;
                place = target(documents, &text, &url)?;
                place.tokens.extend(rest);
            }
        }
    }
    Err(Problem::Invalid(
        reference_text.to_owned(),
        "leads from reference to reference without end".to_owned(),
    ))
}

/// Whether the keys lead to a value of the document, be it a reference, through no other reference.
pub(crate) fn is_direct(document: &Value, tokens: &[String]) -> bool {
    match first_reference(document, tokens) {
        Step::Value => true,
        Step::Reference(_, after) => after == tokens.len(),
        Step::Missing => false,
    }
}

fn target(documents: &Documents<'_>, reference: &str, base: &str) -> Result<Place, Problem> {
    let url = match reference.starts_with('#') {
        true => base.to_owned(),
        false => documents.url(reference, base)?,
    };
    Ok(Place {
        url,
        tokens: tokens(reference)?,
    })
}

enum Step {
    /// The keys lead to a value.
    Value,
    /// They lead nowhere.
    Missing,
    /// After so many keys there is a reference.
    Reference(String, usize),
}

/// Walks the keys up to the first reference.
fn first_reference(document: &Value, tokens: &[String]) -> Step {
    let mut value = document;
    for at in 0..=tokens.len() {
        // A key of the reference's own object is meant before what it refers to.
        let own = tokens.get(at).and_then(|token| child(value, token));
        if let (None, Some(text)) = (own, reference(value)) {
            return Step::Reference(text.to_owned(), at);
        }
        match (tokens.get(at), own) {
            (None, _) => return Step::Value,
            (Some(_), None) => return Step::Missing,
            (Some(_), Some(inner)) => value = inner,
        }
    }
    Step::Value
}

fn child<'v>(value: &'v Value, token: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The value at keys that [`follow`] has walked.
pub(crate) fn value_at<'v>(document: &'v Value, tokens: &[String]) -> Option<&'v Value> {
    tokens
        .iter()
        .try_fold(document, |value, token| child(value, token))
}

/// The object, but for its `$ref`.
pub(crate) fn siblings(reference: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    reference.iter().filter(|(key, _)| *key != "$ref")
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
