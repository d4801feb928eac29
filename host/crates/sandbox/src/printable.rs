//! Makes a guest's text safe to show: control and direction characters are escaped, and it is cut.
//! For log lines, function names and messages, which end up in terminals and pages (a18).

/// Longest function or file name shown, in characters.
pub(crate) const NAME_CHARS: usize = 256;
/// Longest message shown, in bytes before escaping.
pub(crate) const MESSAGE_BYTES: usize = 4096;

/// `text` with its first `chars` characters, escaped where they would not print; `…` marks the cut.
pub(crate) fn printable(text: &str, chars: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars));
    for (index, character) in text.chars().enumerate() {
        if index == chars {
            shown.push('…');
            break;
        }
        if character.is_control() && character != '\n' && character != '\t' || is_format(character)
        {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that change how their surroundings are shown.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

/// The longest start of `text` that has at most `bytes` bytes.
pub(crate) fn start_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_control_and_direction_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(printable("\u{1b}[31m\u{202e}x", 9), "\\u{1b}[31m\\u{202e}x");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(start_of("aé", 2), "a");
    }
}
