//! Lower-casing as Backstage does it, in one place.
//!
//! Backstage 4.0 calls JavaScript's locale-insensitive `toLowerCase` (ref §1.3). Rust's
//! `str::to_lowercase` follows the same Unicode rules (full mappings, final sigma), so the two
//! agree; `to_ascii_lowercase` would not, and locale-aware casing would make identity depend on the
//! machine. Nothing is normalised: `é` composed and decomposed stay two names.

use std::borrow::Cow;

/// The lower-cased text, borrowed when it already is lower-case ASCII (nearly always).
#[must_use]
pub fn lower_case(text: &str) -> Cow<'_, str> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y10_lower_cases_as_javascript_does() {
        for (text, expected) in [
            ("Artist-Web", "artist-web"),
            ("already-low", "already-low"),
            ("\u{130}", "i\u{307}"),
            ("STRASSE ß", "strasse ß"),
            ("\u{212a}", "k"),
            ("ΟΔΟΣ", "οδος"),
            ("Ä", "ä"),
        ] {
            assert_eq!(lower_case(text), expected);
        }
    }
}
