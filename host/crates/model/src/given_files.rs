//! A batch of catalog files on its way from whoever validates it to whoever can: paths below a base, and texts.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where files are said to be if nobody said where. Nothing else is there.
pub const NOWHERE: &str = "https://validate.invalid/";
/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 1_024;

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenFile {
    /// Where it is below the base: names between `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// The files of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenFiles {
    /// URL of the folder that paths are below; it ends with `/`.
    pub base: String,
    /// Catalog files, whose documents are validated.
    pub files: Vec<GivenFile>,
    /// What they may refer to, such as the target of a `$text`.
    #[serde(default)]
    pub references: Vec<GivenFile>,
}

/// Why a path is none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// It names no file below the base.
    #[error("a path is names with `/` between them, without `.`, `..` and empty ones")]
    Form,
    /// It is too long.
    #[error("a path has at most {MAX_PATH_BYTES} bytes")]
    Length,
    /// Two files are at it.
    #[error("another file has this path")]
    Twice,
}

impl GivenFiles {
    /// Checks the paths; the path that is wrong, and why.
    ///
    /// # Errors
    /// [`PathError`] for the first path that is none.
    pub fn check(&self) -> Result<(), (String, PathError)> {
        let mut seen = BTreeSet::new();
        for GivenFile { path, .. } in self.files.iter().chain(&self.references) {
            let shown = || path.chars().take(80).collect::<String>();
            if path.len() > MAX_PATH_BYTES {
                return Err((shown(), PathError::Length));
            }
            let plain = |name: &str| {
                !matches!(name, "" | "." | "..") && !name.chars().any(char::is_control)
            };
            if !path.split('/').all(plain) {
                return Err((shown(), PathError::Form));
            }
            if !seen.insert(path) {
                return Err((shown(), PathError::Twice));
            }
        }
        Ok(())
    }

    /// The URL of a path. A name that holds `*` or `?` is no pattern and no query.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        let mut url = self.base.clone();
        for byte in path.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    url.push(char::from(byte));
                }
                _ => {
                    let _ = write!(url, "%{byte:02X}");
                }
            }
        }
        url
    }

    /// A message with paths in place of URLs that nobody gave.
    #[must_use]
    pub fn shown(&self, message: &str) -> String {
        if self.base != NOWHERE {
            return message.to_owned();
        }
        message
            .replace(&format!("url:{NOWHERE}"), "")
            .replace(NOWHERE, "")
    }

    /// The path of a URL below the base.
    #[must_use]
    pub fn path_of(&self, url: &str) -> Option<String> {
        let plain = url.split(['?', '#']).next().unwrap_or(url);
        plain.strip_prefix(&self.base).map(decoded)
    }
}

/// A path as its owner writes it; one that is no text stays as it is.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(first));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(paths: &[&str]) -> GivenFiles {
        let file = |path: &&str| GivenFile {
            path: (*path).to_owned(),
            text: String::new(),
        };
        GivenFiles {
            base: NOWHERE.to_owned(),
            files: paths.iter().map(file).collect(),
            references: Vec::new(),
        }
    }

    #[test]
    fn a_path_names_a_file_below_the_base_and_only_one() {
        assert_eq!(
            given(&["a.yaml", "b/ü *?#.yaml", ".hidden/a"]).check(),
            Ok(())
        );
        for bad in ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\0", "a\nb"] {
            assert_eq!(
                given(&[bad]).check(),
                Err((bad.to_owned(), PathError::Form)),
                "{bad:?}"
            );
        }
        let twice = given(&["a", "b", "a"]).check();
        assert_eq!(twice, Err(("a".to_owned(), PathError::Twice)));
        let long = "x".repeat(MAX_PATH_BYTES + 1);
        assert_eq!(given(&[&long]).check().unwrap_err().1, PathError::Length);
    }

    #[test]
    fn a_path_comes_back_from_its_url() {
        let files = given(&[]);
        for path in ["a/b.yaml", "ü *?#%.yaml", "%2F"] {
            let url = files.url_of(path);
            assert!(!url.contains(['*', '?', '#', ' ']), "{url}");
            assert_eq!(files.path_of(&url).as_deref(), Some(path));
        }
        assert_eq!(decoded("%ff%zz%"), "%ff%zz%");
    }

    #[test]
    fn messages_name_files_and_not_where_nobody_put_them() {
        let text =
            "YAML error at url:https://validate.invalid/a.yaml, see https://validate.invalid/b";
        assert_eq!(given(&[]).shown(text), "YAML error at a.yaml, see b");
    }
}
