//! Reads JSON that a guest returned, and refuses what two readers could understand differently
//! (c14): duplicate keys, NUL characters, anything after the end. Depth, numbers out of range and
//! malformed text are refused by the parser below. What comes out is a value of ours; the guest's
//! bytes are never passed on.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Parses one JSON object.
///
/// # Errors
/// What is wrong and where, as a fragment such as ``duplicate key `a` at line 1 column 5``.
pub(crate) fn checked_object(text: &str) -> Result<Map<String, Value>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Checked
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| error.to_string())?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err("it is not an object".to_owned()),
    }
}

/// Depth is bounded by the parser's recursion limit of 128.
struct Checked;

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        without_nul(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Checked)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = items.next_key::<String>()? {
            without_nul(&key)?;
            match object.entry(key) {
                Entry::Occupied(entry) => {
                    let key = crate::printable::printable(entry.key(), 80);
                    return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
                }
                Entry::Vacant(entry) => entry.insert(items.next_value_seed(Checked)?),
            };
        }
        Ok(Value::Object(object))
    }
}

fn without_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.as_bytes().contains(&0) {
        return Err(E::custom("NUL character in a string"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_ambiguous_json_is_refused_with_its_position() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let number = format!("{{\"a\":{}}}", "9".repeat(1_000_000));
        for bad in [
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            &deep,
            &number,
            "{\"a\":1e400}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\u0000\"}",
            "{\"\\u0000\":1}",
            "\u{feff}{}",
            "{} x",
            "{}{}",
            "",
            "{",
        ] {
            let error = checked_object(bad).unwrap_err();
            assert!(error.contains("line 1 column"), "{error}");
        }
        assert!(checked_object("[]").is_err());
    }

    #[test]
    fn c14_good_json_keeps_its_order_and_numbers() {
        let text = r#"{"z":1,"a":[true,null,-2,1.5,18446744073709551615],"é":"\ud83d\ude00"}"#;
        let object = checked_object(text).unwrap();
        let expected = r#"{"z":1,"a":[true,null,-2,1.5,18446744073709551615],"é":"😀"}"#;
        assert_eq!(serde_json::to_string(&object).unwrap(), expected);
    }
}
