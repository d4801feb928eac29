//! Trimming as Backstage does it, in one place.
//!
//! Filters, fields and full-text terms are trimmed before they are looked at, with JavaScript's `trim` (ref §7.3, §7.5, §7.7).
//! Rust's takes other characters: it leaves a byte order mark, which JavaScript calls white space, and takes U+0085, which
//! JavaScript does not.

/// The text without white space at its ends.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(|letter: char| {
        letter == '\u{feff}' || (letter.is_whitespace() && letter != '\u{85}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y10_trims_as_javascript_does() {
        for (text, expected) in [
            ("", ""),
            (" \t\r\n\u{b}\u{c} a b \u{a0}", "a b"),
            ("\u{feff}mark\u{feff}", "mark"),
            ("\u{3000}\u{2028}\u{2029}wide\u{1680}", "wide"),
            ("\u{85}line\u{85}", "\u{85}line\u{85}"),
            ("\u{200b}joined\u{200b}", "\u{200b}joined\u{200b}"),
        ] {
            assert_eq!(trim(text), expected, "{text:?}");
        }
    }
}
