//! A value as the text of a YAML document, in the style of npm `yaml`: blocks, plain scalars where nothing can be
//! taken for something else, also by readers of YAML 1.1.

use greenroom_sdk::Value;

/// Longest key that may stand before its colon, with some room.
const MAX_IMPLICIT_KEY: usize = 1_000;
/// Words that some reader takes for something else than text.
const WORDS: [&str; 12] = [
    "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "=",
];

/// The text, or none if it would have more than `most` bytes: indentation may make it much longer than its value.
pub(crate) fn yaml(value: &Value, most: usize) -> Option<String> {
    let mut writer = Writer {
        text: String::new(),
        most,
    };
    match value {
        Value::Array(items) if !items.is_empty() => writer.items(items, 0, "")?,
        Value::Object(map) if !map.is_empty() => writer.members(map, 0, "")?,
        scalar => {
            writer.scalar(scalar, 1)?;
            writer.push("\n")?;
        }
    }
    Some(writer.text)
}

struct Writer {
    text: String,
    most: usize,
}

impl Writer {
    fn push(&mut self, text: &str) -> Option<()> {
        self.text.push_str(text);
        (self.text.len() <= self.most).then_some(())
    }

    fn indent(&mut self, level: usize) -> Option<()> {
        self.push(&"  ".repeat(level))
    }

    /// `first` stands before the first item, whose line has begun already unless it is empty.
    fn items(&mut self, items: &[Value], level: usize, first: &str) -> Option<()> {
        for (index, item) in items.iter().enumerate() {
            match index {
                0 if !first.is_empty() => self.push(first)?,
                _ => self.indent(level)?,
            }
            match item {
                Value::Array(inner) if !inner.is_empty() => self.items(inner, level + 1, "- ")?,
                Value::Object(map) if !map.is_empty() => self.members(map, level + 1, "- ")?,
                scalar => {
                    self.push("- ")?;
                    self.scalar(scalar, level + 1)?;
                    self.push("\n")?;
                }
            }
        }
        Some(())
    }

    fn members(
        &mut self,
        map: &greenroom_sdk::Map<String, Value>,
        level: usize,
        first: &str,
    ) -> Option<()> {
        for (index, (key, value)) in map.iter().enumerate() {
            match index {
                0 if !first.is_empty() => self.push(first)?,
                _ => self.indent(level)?,
            }
            let key = inline(key);
            if key.len() > MAX_IMPLICIT_KEY {
                self.push("? ")?;
                self.push(&key)?;
                self.push("\n")?;
                self.indent(level)?;
                self.push(":")?;
            } else {
                self.push(&key)?;
                self.push(":")?;
            }
            match value {
                Value::Array(items) if !items.is_empty() => {
                    self.push("\n")?;
                    self.items(items, level + 1, "")?;
                }
                Value::Object(inner) if !inner.is_empty() => {
                    self.push("\n")?;
                    self.members(inner, level + 1, "")?;
                }
                scalar => {
                    self.push(" ")?;
                    self.scalar(scalar, level + 1)?;
                    self.push("\n")?;
                }
            }
        }
        Some(())
    }

    /// A scalar or an empty collection; lines of a block are indented by `level`.
    fn scalar(&mut self, value: &Value, level: usize) -> Option<()> {
        match value {
            Value::String(text) if fits_block(text) => self.block(text, level),
            Value::String(text) => self.push(&inline(text)),
            // An empty collection is written as JSON writes it.
            other => self.push(&other.to_string()),
        }
    }

    /// A literal block without its last line end.
    fn block(&mut self, text: &str, level: usize) -> Option<()> {
        let body = text.trim_end_matches('\n');
        self.push(match text.len() - body.len() {
            0 => "|-",
            1 => "|",
            _ => "|+",
        })?;
        for line in body.split('\n') {
            self.push("\n")?;
            if !line.is_empty() {
                self.indent(level)?;
                self.push(line)?;
            }
        }
        let kept = text.len() - body.len();
        self.push(&"\n".repeat(kept.saturating_sub(1)))
    }
}

/// Whether a text of several lines can stand as a literal block and be read back as it was.
fn fits_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    let is_line = |line: &str| line.is_empty() || !line.trim_matches(' ').is_empty();
    body.contains('\n')
        && !body.starts_with(['\n', ' '])
        && body
            .split('\n')
            .all(|line| is_line(line) && !line.starts_with('\t'))
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

/// A text on one line.
fn inline(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            c => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML lets stand as it is. Everything else that is not ASCII is below U+10000 and fits `\uXXXX`.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{FEFF}' | '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= '\u{A0}',
    }
}

/// Whether a text without quotes is read as that text, as a key and as a value, in block and flow.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let special = "-?:,[]{}#&*!|>'\"%@`+.0123456789";
    let number_or_mark = special.contains(first) && !is_dotted_path(text);
    !number_or_mark
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        && !text.ends_with([' ', ':'])
        && first != ' '
        && !text.contains(": ")
        && !text.contains(" #")
        && text
            .chars()
            .all(|c| is_printable(c) && !",[]{}".contains(c))
}

/// Three or more runs of digits between dots, as a version is written: `1.0.0` is no number anywhere.
fn is_dotted_path(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() >= 3
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use greenroom_sdk::{json, yaml as read};

    use super::*;

    fn written(value: &Value) -> String {
        yaml(value, usize::MAX).expect("no limit")
    }

    #[test]
    fn documents_look_as_people_write_them() {
        let value = json!({
            "openapi": "3.0.0",
            "info": {"title": "Pets: all of them", "version": "1.0", "empty": {}, "none": []},
            "servers": [{"url": "http://petstore.example/v1", "x": [["a", 1], []]}],
            "text": "one\n  two\n", "no": true, "'200'": null, "200": 1.5
        });
        let expected = "\
openapi: 3.0.0
info:
  title: \"Pets: all of them\"
  version: \"1.0\"
  empty: {}
  none: []
servers:
  - url: http://petstore.example/v1
    x:
      - - a
        - 1
      - []
text: |
  one
    two
\"no\": true
\"'200'\": null
\"200\": 1.5
";
        assert_eq!(written(&value), expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let texts = [
            "",
            " ",
            "a",
            "a: b",
            "a #b",
            "#a",
            "- a",
            "-",
            "---",
            "...",
            "? a",
            "true",
            "Null",
            "~",
            "1",
            "-1",
            "0x1f",
            "1e3",
            ".5",
            ".inf",
            "+1",
            "1.2.3",
            "1_000",
            "2020-01-01",
            "12:30:45",
            "a\nb",
            "a\nb\n",
            "a\nb\n\n\n",
            "\n",
            "\na\nb",
            " a\nb",
            "a\n\tb",
            "a\n  b",
            "a\r\nb",
            "\u{7}",
            "\u{1b}[31m",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{feff}a",
            "\u{ffff}",
            "😀",
            "é: ",
            "a:",
            ":",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "[a]",
            "{a}",
            "a, b",
            "\"a\"",
            "'a'",
            "a\\b",
            "|",
            ">",
            "yes",
            "a\n \nb",
            "a \n b ",
            "=",
            "<<",
            "a\n---\nb",
        ];
        let long = "k".repeat(3_000);
        let mut map = greenroom_sdk::Map::new();
        for (index, text) in texts.iter().copied().chain([long.as_str()]).enumerate() {
            map.insert(
                text.to_owned(),
                json!([text, {"x": text, "n": index}, [[text]]]),
            );
        }
        let value = Value::Object(map);
        let read_back = read::document(written(&value).as_bytes()).expect("it is YAML");
        assert_eq!(read_back, value);
        for scalar in [
            json!("a\nb"),
            json!("x"),
            json!(null),
            json!([]),
            json!({}),
            json!(-1.5e300),
        ] {
            let read_back = read::document(written(&scalar).as_bytes()).expect("it is YAML");
            assert_eq!(read_back, scalar);
        }
    }

    #[test]
    fn the_limit_holds_for_indentation_too() {
        let mut deep = json!([]);
        deep = json!(vec![deep; 1_000]);
        for _ in 0..90 {
            deep = json!([deep]);
        }
        assert!(deep.to_string().len() < 10_000);
        assert_eq!(yaml(&deep, 100_000), None);
        assert!(yaml(&deep, 1_000_000).is_some());
    }
}
