//! Makes any text safe for a terminal (a18, l01, l05): what comes out of a component, an entity, a file name or a host can
//! move the cursor, change colours, reorder its neighbours or forge a line only as text that says so.
//!
//! Not a filter: nothing is dropped, so that what is shown can be told apart from what was there.

/// Longest text shown in one piece, in characters; the rest is cut with a mark.
pub(super) const SHOWN_CHARS: usize = 4096;
/// Longest name shown, in characters.
pub(super) const NAME_CHARS: usize = 256;

/// `text` on one line, its first `chars` characters, everything that does not print escaped.
pub(super) fn one_line(text: &str, chars: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars));
    for (index, character) in text.chars().enumerate() {
        if index == chars {
            shown.push('…');
            break;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            other if prints_nothing(other) => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
    }
    shown
}

/// JSON text with the same characters as `\u` escapes. They stand in strings only, where the escape means the same; the
/// serialiser itself escapes no more than the format demands, which leaves the one-byte control sequence introducer.
pub(super) fn json_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        if character != '\n' && prints_nothing(character) {
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, and those that only change how their surroundings are shown.
fn prints_nothing(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clear screen, one-byte introducer, a forged line, right-to-left override, a tag character.
    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\r\nb\u{202e}c\u{e0041}\u{7}";

    #[test]
    fn l01_nothing_that_is_not_text_gets_through() {
        let shown = one_line(HOSTILE, SHOWN_CHARS);
        assert!(!shown.chars().any(prints_nothing), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}[2J\\u{9b}31m\\r\\nb\\u{202e}c"));
    }

    #[test]
    fn a18_long_names_are_cut_with_a_mark() {
        let shown = one_line(&"x".repeat(1 << 20), NAME_CHARS);
        assert_eq!(shown.chars().count(), NAME_CHARS + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn l05_json_keeps_its_meaning_and_holds_no_control_character() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE] });
        let shown = json_text(&value.to_string());
        assert!(!shown.chars().any(prints_nothing), "{shown:?}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }
}
