//! The lines of CODEOWNERS: a pattern and its owners, the last line that matches decides.

use crate::pattern::{Budget, TooCostly, matches};

/// The first owner in the last line whose pattern matches; none if no line matches or that line has none.
pub(crate) fn first_owner<'a>(
    text: &'a str,
    file_path: &str,
) -> Result<Option<&'a str>, TooCostly> {
    let mut budget = Budget::default();
    for line in text.lines().rev() {
        let line = content(line);
        let (pattern, owners) = split_pattern(line);
        // GitLab's section headings and what gitignore calls a negation match no file.
        if pattern.is_empty() || line.starts_with(['[', '!']) || line.starts_with("^[") {
            continue;
        }
        if matches(pattern, file_path, &mut budget)? {
            return Ok(owners.split_whitespace().next());
        }
    }
    Ok(None)
}

/// The line without its comment: from a `#` at its start or after white space.
fn content(line: &str) -> &str {
    let mut after_space = true;
    for (at, c) in line.char_indices() {
        if c == '#' && after_space {
            return line[..at].trim();
        }
        after_space = c.is_whitespace();
    }
    line.trim()
}

/// Up to the first white space that no backslash escapes, and the rest.
fn split_pattern(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if c.is_whitespace() && !escaped {
            return line.split_at(at);
        }
        escaped = c == '\\' && !escaped;
    }
    (line, "")
}
