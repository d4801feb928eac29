//! Texts as Postgres stores them: it has no NUL in a text, and what comes from outside may have one.
//!
//! NUL becomes U+0001 `0`, and U+0001 itself U+0001 `1`. That keeps the order of UTF-8 bytes, which is what every text column
//! is compared by (`COLLATE "C"`), leaves every other text as it is, and is never met in JSON, which escapes both.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A text on its way into the database, as a parameter or in an array of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

/// A text as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredText(pub(crate) String);

/// The parameter of an array of texts.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Text<'a>> {
    values.into_iter().map(Text).collect()
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', '\u{1}']) {
        Cow::Owned(text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0"))
    } else {
        Cow::Borrowed(text)
    }
}

fn unescaped(text: &str) -> String {
    if text.contains('\u{1}') {
        text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
    } else {
        text.to_owned()
    }
}

impl ToSql for Text<'_> {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(escaped(self.0).as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for StoredText {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        <&str as FromSql>::from_sql(ty, raw).map(|text| StoredText(unescaped(text)))
    }

    fn accepts(ty: &Type) -> bool {
        <&str as FromSql>::accepts(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_keeps_its_place() {
        let mut all = vec![
            "", "\0", "\0\0", "\0\u{1}", "\u{1}", "\u{1}0", "\u{1}1", "\u{2}", "0", "a\0b",
            "a\u{1}0b", "ä",
        ];
        for text in &all {
            let stored = escaped(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&stored), *text);
        }
        all.sort_unstable();
        let stored: Vec<_> = all.iter().map(|text| escaped(text)).collect();
        assert!(stored.is_sorted(), "{stored:?}");
    }
}
