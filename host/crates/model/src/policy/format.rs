//! The field formats of ref §1.2, matched by hand.
//!
//! Every accepted character is ASCII, so a length in bytes is a length in UTF-16 units wherever a
//! text can still be accepted. The words for each rule are Backstage's, including those that no
//! longer tell the whole rule (tags may contain `:`).

use serde_json::Value;

use super::PolicyViolation;
use crate::entity::Entity;

const OBJECT_NAME: &str = "a string that is sequences of [a-zA-Z0-9] separated by any of [-_.], at most 63 characters in total";
const PREFIX_SUFFIX: &str = "a valid prefix and/or suffix";
const DNS_LABEL: &str =
    "a string that is sequences of [a-z0-9] separated by [-], at most 63 characters in total";
const TAG: &str =
    "a string that is sequences of [a-z0-9+#] separated by [-], at most 63 characters in total";
const KIND: &str =
    "a string that is a sequence of [a-zA-Z][a-z0-9A-Z], at most 63 characters in total";
const URL: &str = "a string that is a valid url";
const NON_EMPTY: &str = "a non empty string";

/// `suffix` or `prefix/suffix`, prefix a DNS subdomain, suffix 1 to 63 letters and digits.
#[must_use]
pub fn is_api_version(text: &str) -> bool {
    is_prefixed(text, |suffix| {
        fits(suffix, 63) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A letter, then letters and digits, at most 63.
#[must_use]
pub fn is_kind(text: &str) -> bool {
    fits(text, 63)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Letters and digits with inner `-`, `_` and `.`, 1 to 63: entity names, label values.
#[must_use]
pub fn is_object_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    fits(text, 63)
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// An object name or the empty text.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_object_name(text)
}

/// Key of an annotation or a label: `suffix` or `prefix/suffix`, suffix an object name.
#[must_use]
pub fn is_annotation_key(text: &str) -> bool {
    is_prefixed(text, is_object_name)
}

/// Lower-case letters and digits with inner `-`, 1 to 63: namespaces.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    fits(text, 63)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| is_low(byte) || byte == b'-')
}

/// DNS labels joined by `.`, 1 to 253 in all.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    fits(text, 253) && text.split('.').all(is_dns_label)
}

/// Non-empty runs of `[a-z0-9:+#]` joined by single `-`, 1 to 63 in all.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    fits(text, 63)
        && text.split('-').all(|part| {
            let allowed = |byte| is_low(byte) || matches!(byte, b':' | b'+' | b'#');
            !part.is_empty() && part.bytes().all(allowed)
        })
}

fn is_prefixed(text: &str, is_suffix: impl Fn(&str) -> bool) -> bool {
    match text.split_once('/') {
        None => is_suffix(text),
        // A second slash is in the suffix, where no rule admits it.
        Some((prefix, suffix)) => is_dns_subdomain(prefix) && is_suffix(suffix),
    }
}

fn fits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
}

fn is_low(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// As `new URL(text)` decides.
fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok()
}

fn is_not_blank(text: &str) -> bool {
    text.contains(|c: char| !(c.is_whitespace() || c == '\u{feff}') || c == '\u{85}')
}

/// Checks the formats of all fields, in Backstage's order. Types hold by the schema.
pub(super) fn check_fields(entity: &Entity) -> Result<(), PolicyViolation> {
    let metadata = entity.metadata();
    demand(
        "apiVersion",
        entity.api_version(),
        PREFIX_SUFFIX,
        is_api_version,
    )?;
    demand("kind", entity.kind(), KIND, is_kind)?;
    demand("metadata.name", entity.name(), OBJECT_NAME, is_object_name)?;
    demand(
        "metadata.namespace",
        entity.namespace(),
        DNS_LABEL,
        is_dns_label,
    )?;
    for (key, value) in members(metadata.get("labels")) {
        let field = format!("labels.{key}");
        demand(&field, key, PREFIX_SUFFIX, is_annotation_key)?;
        demand(&field, text(value), OBJECT_NAME, is_label_value)?;
    }
    for (key, _) in members(metadata.get("annotations")) {
        demand(
            &format!("annotations.{key}"),
            key,
            PREFIX_SUFFIX,
            is_annotation_key,
        )?;
    }
    for (index, tag) in items(metadata.get("tags")) {
        demand(&format!("tags.{index}"), text(tag), TAG, is_tag)?;
    }
    for (index, link) in items(metadata.get("links")) {
        demand(
            &format!("links.{index}.url"),
            text(&link["url"]),
            URL,
            is_url,
        )?;
        for key in ["title", "icon"] {
            if let Some(value) = link.get(key) {
                demand(
                    &format!("links.{index}.{key}"),
                    text(value),
                    NON_EMPTY,
                    is_not_blank,
                )?;
            }
        }
    }
    Ok(())
}

fn demand(
    field: &str,
    value: &str,
    expected: &'static str,
    is_valid: impl Fn(&str) -> bool,
) -> Result<(), PolicyViolation> {
    if is_valid(value) {
        return Ok(());
    }
    Err(PolicyViolation::Format {
        field: field.chars().take(200).collect(),
        expected,
        found: value.chars().take(200).collect(),
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn items(value: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y11_lengths_end_at_63() {
        assert!(is_object_name(&"x".repeat(63)));
        assert!(!is_object_name(&"x".repeat(64)));
        assert!(is_dns_subdomain(&["x".repeat(63).as_str(); 3].join(".")));
        assert!(!is_dns_subdomain(&["x".repeat(63).as_str(); 4].join(".")));
    }

    #[test]
    fn y10_only_ascii_passes() {
        for text in ["İ", "ß", "\u{212a}", "a\u{200b}b", "а", "a\n"] {
            assert!(
                !is_object_name(text) && !is_kind(text) && !is_dns_label(text),
                "{text}"
            );
        }
    }

    #[test]
    fn rules_are_backstages() {
        for (rule, good, bad) in [
            (
                is_api_version as fn(&str) -> bool,
                &["v1", "1", "backstage.io/v1alpha1"][..],
                &["", "a/b/c", "/v1", "a.b/", "A.b/v1", "v1-2"][..],
            ),
            (is_kind, &["API", "A1"], &["1A", "", "a-b"]),
            (
                is_object_name,
                &["a", "a_-.b", "0"],
                &["", "-a", "a.", "a b"],
            ),
            (is_label_value, &["", "A"], &[" ", "a/b"]),
            (
                is_annotation_key,
                &["a", "b.c/D_e"],
                &["", "a/b/c", "B.c/d", "a/"],
            ),
            (is_dns_label, &["a--b", "1"], &["A", "-a", "a-", "a_b", ""]),
            (
                is_tag,
                &["c++", "c#", "a:b", "a-b"],
                &["", "A", "a--b", "-a", "a_b"],
            ),
            (
                is_not_blank,
                &["x", " x", "\u{85}"],
                &["", " \t\u{feff}\u{3000}"],
            ),
            (
                is_url,
                &["https://h", "mailto:x", "http:h"],
                &["h", "//h", "https://", "/x", ""],
            ),
        ] {
            for text in good {
                assert!(rule(text), "{text:?} should pass");
            }
            for text in bad {
                assert!(!rule(text), "{text:?} should not pass");
            }
        }
    }
}
