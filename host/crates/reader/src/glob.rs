//! Patterns for paths, with the meaning of npm's `glob` and `minimatch` (ref §3).
//!
//! `*` and `?` stop at `/`; `**` as a whole segment spans folders; `{a,b}` and `[a-z]` as usual. A
//! name that begins with a dot is matched only by a segment that writes the dot.

use globset::{GlobBuilder, GlobMatcher};

/// Longest pattern, in bytes. The compiled matcher is bounded by the regex engine's own limit.
const PATTERN_BYTES: usize = 1024;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct PathPattern {
    whole: GlobMatcher,
    /// The segments that begin with a dot, each for itself.
    dotted: Vec<GlobMatcher>,
    base: String,
}

/// Whether `path` is a pattern and not a plain path.
pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

impl PathPattern {
    /// Compiles a pattern for relative paths; none if it is no pattern or too long.
    pub(crate) fn new(pattern: &str) -> Option<PathPattern> {
        if pattern.len() > PATTERN_BYTES {
            return None;
        }
        let dotted = pattern
            .split('/')
            .filter(|segment| segment.starts_with('.'));
        let plain: Vec<&str> = pattern
            .split('/')
            .take_while(|segment| !is_pattern(segment))
            .collect();
        Some(PathPattern {
            whole: compile(pattern)?,
            dotted: dotted.map(compile).collect::<Option<_>>()?,
            base: plain.join("/"),
        })
    }

    /// The folder below which all matches lie, relative; empty for the top.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether the relative `path` matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.whole.is_match(path) && path.split('/').all(|name| self.admits(name))
    }

    /// Whether a file or folder of this name can be part of a match.
    pub(crate) fn admits(&self, name: &str) -> bool {
        !name.starts_with('.') || self.dotted.iter().any(|dotted| dotted.is_match(name))
    }
}

fn compile(pattern: &str) -> Option<GlobMatcher> {
    let mut builder = GlobBuilder::new(pattern);
    builder
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true);
    Some(builder.build().ok()?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).expect("a pattern").matches(path)
    }

    #[test]
    fn patterns_mean_what_npm_means() {
        for (pattern, path) in [
            ("*.yaml", "a.yaml"),
            ("**/*.yaml", "a.yaml"),
            ("**/*.yaml", "x/y/a.yaml"),
            ("x/**/a.yaml", "x/a.yaml"),
            ("x/**", "x/y/z"),
            ("{a,b}/c.y?ml", "b/c.yaml"),
            ("[ab].yaml", "a.yaml"),
            (".github/*.yaml", ".github/a.yaml"),
            ("**/.x/*", "y/.x/a"),
            ("a{,b}.yaml", "a.yaml"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.yaml", "x/a.yaml"),
            ("*.yaml", ".a.yaml"),
            ("**/*.yaml", ".git/a.yaml"),
            ("**/*", "x/.env"),
            ("x/**", "y/z"),
            ("a?b", "a/b"),
            (".x/*", ".x/.y"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn the_base_ends_before_the_first_pattern() {
        let base = |text: &str| PathPattern::new(text).expect("a pattern").base().to_owned();
        assert_eq!(base("a/b/*.yaml"), "a/b");
        assert_eq!(base("**/x"), "");
        assert_eq!(base("a/b*/c"), "a");
    }

    #[test]
    fn y16_hostile_patterns_are_refused_or_cheap() {
        assert!(PathPattern::new(&"*".repeat(PATTERN_BYTES + 1)).is_none());
        assert!(PathPattern::new("{a").is_none());
        assert!(PathPattern::new("[a").is_none());
        assert!(!matches(&"{a*,*a}".repeat(60), &"a".repeat(59)));
        let _ = PathPattern::new(&"{".repeat(PATTERN_BYTES));
    }
}
