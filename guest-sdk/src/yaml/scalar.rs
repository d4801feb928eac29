//! Scalars to values: the YAML 1.2 core schema as npm `yaml` implements it (y04, y06, y07).

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::Value;

use super::number;

/// A resolved scalar. Numbers stay doubles until they are a value or a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Scalar {
    pub(super) fn into_value(self) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Number(value) => number::json(value),
            Scalar::Text(text) => Value::String(text),
        }
    }

    /// The key JavaScript makes of it.
    pub(super) fn into_key(self) -> String {
        match self {
            Scalar::Null => String::new(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Number(value) => number::text(value),
            Scalar::Text(text) => text,
        }
    }
}

/// Resolves a scalar by its tag, or by its looks when it is plain and has none. A tag that is
/// unknown, or does not fit, leaves the text.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    let plain = style == ScalarStyle::Plain;
    let kind = tag.map(core_name);
    let resolved = match kind {
        None if plain => null(text)
            .or_else(|| boolean(text))
            .or_else(|| integer(text))
            .or_else(|| float(text)),
        Some(Some("null")) => null(text),
        Some(Some("bool")) => boolean(text),
        Some(Some("int")) => integer(text),
        Some(Some("float")) => float(text),
        _ => None,
    };
    resolved.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// The name of a tag of the YAML repository.
fn core_name(tag: &Tag) -> Option<&str> {
    const PREFIX: &str = "tag:yaml.org,2002:";
    if tag.handle == PREFIX {
        Some(&tag.suffix)
    } else if tag.handle.is_empty() || tag.handle == "!" {
        tag.suffix.strip_prefix(PREFIX)
    } else {
        None
    }
}

fn null(text: &str) -> Option<Scalar> {
    matches!(text, "" | "~" | "null" | "Null" | "NULL").then_some(Scalar::Null)
}

fn boolean(text: &str) -> Option<Scalar> {
    match text {
        "true" | "True" | "TRUE" => Some(Scalar::Bool(true)),
        "false" | "False" | "FALSE" => Some(Scalar::Bool(false)),
        _ => None,
    }
}

fn integer(text: &str) -> Option<Scalar> {
    let number = if let Some(digits) = text.strip_prefix("0o") {
        all(digits, |b| matches!(b, b'0'..=b'7')).then(|| number::from_digits(digits, 3))
    } else if let Some(digits) = text.strip_prefix("0x") {
        all(digits, |b| b.is_ascii_hexdigit()).then(|| number::from_digits(digits, 4))
    } else if all(unsigned(text), |b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    };
    number.map(Scalar::Number)
}

fn float(text: &str) -> Option<Scalar> {
    let digits = unsigned(text);
    match digits {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Some(Scalar::Number(f64::INFINITY * sign));
        }
        ".nan" | ".NaN" | ".NAN" if digits.len() == text.len() => {
            return Some(Scalar::Number(f64::NAN));
        }
        _ => {}
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let exponent_fits = exponent.is_none_or(|e| all(unsigned(e), |b| b.is_ascii_digit()));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, |b| b.is_ascii_digit()),
        Some((whole, fraction)) => {
            all(whole, |b| b.is_ascii_digit()) && fraction.bytes().all(|b| b.is_ascii_digit())
        }
        None => exponent.is_some() && all(mantissa, |b| b.is_ascii_digit()),
    };
    if exponent_fits && mantissa_fits {
        text.parse().ok().map(Scalar::Number)
    } else {
        None
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all(text: &str, test: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(test)
}
