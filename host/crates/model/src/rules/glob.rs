//! Globs over location targets, as minimatch reads them with `nocase` and `dot`.
//!
//! `*`, `?` and `[…]` stay within one segment, `**` as a whole segment spans any number, `{a,b}`
//! and `{1..3}` are alternatives, a leading `!` negates, a leading `#` is a comment that matches
//! nothing. Runs of `/` count as one. Not here: extended globs such as `@(a|b)`. Patterns come from
//! configuration, targets from tenants; both are bounded, and matching is a table, never
//! backtracking, so its time is at most pattern × target.

use crate::casing::lower_case;

/// Most alternatives a pattern may expand to; further ones are dropped and match nothing.
const MAX_ALTERNATIVES: usize = 256;
/// Longest pattern and target that are compared, in bytes; a longer one matches nothing.
const MAX_BYTES: usize = 8192;

/// Whether the glob matches the whole target, without regard to case.
#[must_use]
pub fn glob_matches(pattern: &str, target: &str) -> bool {
    if pattern.starts_with('#') || pattern.len() > MAX_BYTES || target.len() > MAX_BYTES {
        return false;
    }
    let bare = pattern.trim_start_matches('!');
    let negated = (pattern.len() - bare.len()) % 2 == 1;
    let target = lower_case(target);
    let segments = split(&target);
    let found = alternatives(&lower_case(bare))
        .iter()
        .any(|pattern| path_matches(&split(pattern), &segments));
    found != negated
}

fn split(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    let count = path.split('/').count();
    for (index, part) in path.split('/').enumerate() {
        if !part.is_empty() || index == 0 || index + 1 == count {
            parts.push(part);
        }
    }
    parts
}

/// Expands the first brace of every pending pattern until none is left.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut pending = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = pending.pop() {
        if done.len() + pending.len() >= MAX_ALTERNATIVES {
            break;
        }
        match brace(&pattern) {
            Some((before, choices, after)) => {
                let room = MAX_ALTERNATIVES - done.len() - pending.len();
                let expanded = choices.iter().take(room);
                pending.extend(expanded.map(|choice| format!("{before}{choice}{after}")));
            }
            None => done.push(pattern),
        }
    }
    done
}

/// The first balanced `{…}` that holds a comma or a range, cut out: (before, choices, after).
fn brace(pattern: &str) -> Option<(&str, Vec<String>, &str)> {
    let mut from = 0;
    while let Some(open) = pattern[from..].find('{').map(|at| from + at) {
        if let Some((choices, end)) = choices(&pattern[open + 1..]) {
            return Some((&pattern[..open], choices, &pattern[open + 1 + end..]));
        }
        from = open + 1;
    }
    None
}

/// Reads up to the closing brace: the choices, and the offset after it.
fn choices(text: &str) -> Option<(Vec<String>, usize)> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..at].to_owned());
                start = at + 1;
            }
            '}' => {
                let last = &text[start..at];
                if found.is_empty() {
                    found = range(last)?;
                } else {
                    found.push(last.to_owned());
                }
                return Some((found, at + 1));
            }
            _ => {}
        }
    }
    None
}

/// `1..3` as its numbers.
fn range(text: &str) -> Option<Vec<String>> {
    let (low, high) = text.split_once("..")?;
    let (low, high): (i32, i32) = (low.parse().ok()?, high.parse().ok()?);
    let numbers = low.min(high)..=low.max(high);
    Some(
        numbers
            .take(MAX_ALTERNATIVES)
            .map(|n| n.to_string())
            .collect(),
    )
}

/// Segments against segments; `reachable[i]` says the pattern so far can eat `i` segments.
fn path_matches(pattern: &[&str], target: &[&str]) -> bool {
    let mut reachable = vec![false; target.len() + 1];
    reachable[0] = true;
    for (index, segment) in pattern.iter().enumerate() {
        let mut next = vec![false; target.len() + 1];
        if *segment == "**" {
            // At the end it eats at least one segment, elsewhere none is enough.
            let least = usize::from(index + 1 == pattern.len());
            let first = reachable.iter().position(|reached| *reached);
            if let Some(first) = first {
                next.iter_mut()
                    .skip(first + least)
                    .for_each(|reached| *reached = true);
            }
        } else {
            let tokens = tokens(segment);
            for (at, part) in target.iter().enumerate() {
                next[at + 1] = reachable[at] && segment_matches(&tokens, part);
            }
        }
        reachable = next;
    }
    reachable[target.len()]
}

enum Token {
    Char(char),
    Any,
    Star,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

fn tokens(segment: &str) -> Vec<Token> {
    let chars: Vec<char> = segment.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let (token, end) = match chars[at] {
            '*' => (Token::Star, at + 1),
            '?' => (Token::Any, at + 1),
            '\\' if at + 1 < chars.len() => (Token::Char(chars[at + 1]), at + 2),
            '[' => class(&chars, at).unwrap_or((Token::Char('['), at + 1)),
            c => (Token::Char(c), at + 1),
        };
        tokens.push(token);
        at = end;
    }
    tokens
}

/// Reads `[a-z]` at `open`; the token and the offset after it, `None` when it does not close.
fn class(chars: &[char], open: usize) -> Option<(Token, usize)> {
    let mut at = open + 1;
    let negated = matches!(chars.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let (start, mut ranges) = (at, Vec::new());
    loop {
        match *chars.get(at)? {
            ']' if at > start => return Some((Token::Class { negated, ranges }, at + 1)),
            low => match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('-'), Some(&high)) if high != ']' => {
                    ranges.push((low, high));
                    at += 3;
                }
                _ => {
                    ranges.push((low, low));
                    at += 1;
                }
            },
        }
    }
}

/// One segment; a pattern that begins with a wildcard needs at least one character.
fn segment_matches(tokens: &[Token], text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        return tokens.is_empty();
    }
    let mut reachable = vec![false; chars.len() + 1];
    reachable[0] = true;
    for token in tokens {
        let mut next = vec![false; chars.len() + 1];
        if matches!(token, Token::Star) {
            let mut reached = false;
            for (slot, here) in next.iter_mut().zip(&reachable) {
                reached |= here;
                *slot = reached;
            }
        } else {
            for (at, c) in chars.iter().enumerate() {
                next[at + 1] = reachable[at] && token.matches(*c);
            }
        }
        reachable = next;
    }
    reachable[chars.len()]
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Char(own) => *own == c,
            Token::Any | Token::Star => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_minimatch() {
        for (pattern, target, expected) in [
            ("https://github.com/o/*", "https://github.com/o/r", true),
            ("https://github.com/o/*", "https://github.com/o/r/x", false),
            ("https://github.com/o/*", "https://github.com/o/", false),
            ("https://github.com/o/**", "https://github.com/o/r/.x", true),
            ("https://github.com/o/**", "https://github.com/o", false),
            ("https://h/**/c.yaml", "https://h/c.yaml", true),
            ("https://h/**/c.yaml", "https://h/a/b/C.YAML", true),
            ("https://h/a**", "https://h/ab/c", false),
            ("https://h/{a,b{c,d}}.y", "https://h/bd.y", true),
            ("https://h/{a,b}", "https://h/c", false),
            ("https://h/{1..3}", "https://h/2", true),
            ("https://h/[a-c]?", "https://h/bz", true),
            ("https://h/[!a]", "https://h/a", false),
            ("!https://h/a", "https://h/a", false),
            ("#x", "#x", false),
            ("a[", "a[", true),
            ("", "", true),
        ] {
            assert_eq!(
                glob_matches(pattern, target),
                expected,
                "{pattern} on {target}"
            );
        }
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let stars = "*a".repeat(2000);
        assert!(!glob_matches(&stars, &"a".repeat(1999)));
        assert!(!glob_matches(&"{a,b}".repeat(1000), "c"));
        assert!(!glob_matches(&"{".repeat(4000), "c"));
        assert!(!glob_matches("{0..2147483647}", "x"));
    }
}
