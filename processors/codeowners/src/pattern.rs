//! Which files a pattern means, by the rules that GitHub documents: gitignore's, except that `docs/*`
//! means the files of `docs` and none below, and that `[` and `!` are nothing special.
//!
//! A pattern comes from a repository and is hostile. Stars are matched without backtracking into each
//! other, and all patterns of a file share one budget of steps.

/// Steps for all patterns of a file: far more than a real one takes, far less than the fuel of a call.
const MAX_STEPS: u32 = 20_000_000;

/// What is left of the steps.
pub(crate) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Budget(MAX_STEPS)
    }
}

/// The budget is used up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooCostly;

impl Budget {
    fn step(&mut self) -> Result<(), TooCostly> {
        self.steps(1)
    }

    fn steps(&mut self, count: usize) -> Result<(), TooCostly> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0 = self.0.checked_sub(count).ok_or(TooCostly)?;
        Ok(())
    }
}

/// Whether the pattern means the file at that path from the repository's root.
pub(crate) fn matches(pattern: &str, path: &str, budget: &mut Budget) -> Result<bool, TooCostly> {
    budget.steps(pattern.len())?;
    let directory_only = pattern.ends_with('/');
    let inner = pattern.trim_end_matches('/');
    let anchored = inner.contains('/');
    let inner = inner.trim_start_matches('/');
    let mut segments: Vec<&str> = inner.split('/').collect();
    if inner.is_empty() {
        // `/` alone is the root, and so everything.
        return Ok(!pattern.is_empty());
    }
    if !anchored {
        segments.insert(0, "**");
    }
    let only_direct = anchored && !directory_only && segments.last() == Some(&"*");
    let parts: Vec<&str> = path.split('/').collect();
    let longest = parts.len() - usize::from(directory_only);
    // What matches a directory matches everything below it.
    for end in (1..=longest).rev() {
        if only_direct && end < parts.len() {
            break;
        }
        if segments_match(&segments, &parts[..end], budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Segment by segment, `**` for any number of them. The last `**` met is widened when what follows it fails;
/// earlier ones need not be, because it can take whatever they would.
fn segments_match(
    pattern: &[&str],
    parts: &[&str],
    budget: &mut Budget,
) -> Result<bool, TooCostly> {
    let (mut at, mut part, mut widened) = (0, 0, None);
    while part < parts.len() {
        budget.step()?;
        match pattern.get(at) {
            Some(&"**") => {
                // At the end of a pattern it needs something to stand for.
                widened = Some((at, part));
                at += 1;
                if at == pattern.len() {
                    return Ok(true);
                }
                continue;
            }
            Some(segment) if glob(segment, parts[part], budget)? => {
                at += 1;
                part += 1;
                continue;
            }
            _ => {}
        }
        let Some((star, from)) = widened else {
            return Ok(false);
        };
        widened = Some((star, from + 1));
        (at, part) = (star + 1, from + 1);
    }
    Ok(at == pattern.len())
}

/// One segment: `*` for any text, `?` for one character, a backslash before what means itself.
fn glob(pattern: &str, text: &str, budget: &mut Budget) -> Result<bool, TooCostly> {
    budget.steps(pattern.len() + text.len())?;
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen, mut widened) = (0, 0, None);
    while seen < text.len() {
        budget.step()?;
        let escaped = pattern.get(at) == Some(&'\\') && at + 1 < pattern.len();
        let wanted = pattern.get(at + usize::from(escaped)).copied();
        match wanted {
            Some('*') if !escaped => {
                widened = Some((at, seen));
                at += 1;
                continue;
            }
            Some(c) if c == text[seen] || (c == '?' && !escaped) => {
                at += 1 + usize::from(escaped);
                seen += 1;
                continue;
            }
            _ => {}
        }
        let Some((star, from)) = widened else {
            return Ok(false);
        };
        widened = Some((star, from + 1));
        (at, seen) = (star + 1, from + 1);
    }
    Ok(pattern[at.min(pattern.len())..].iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(pattern: &str, path: &str) -> bool {
        matches(pattern, path, &mut Budget::default()).expect("cheap")
    }

    /// The examples of GitHub's documentation, and gitignore's corners.
    #[test]
    fn patterns_mean_what_github_says() {
        for (pattern, path, expected) in [
            ("*", "a/b/c.yaml", true),
            ("*.yaml", "a/b/c.yaml", true),
            ("*.js", "a/b/c.yaml", false),
            ("/build/logs/", "build/logs/x/c.yaml", true),
            ("/build/logs/", "a/build/logs/c.yaml", false),
            ("docs/*", "docs/c.yaml", true),
            ("docs/*", "docs/app/c.yaml", false),
            ("apps/", "x/apps/y/c.yaml", true),
            ("apps/", "apps", false),
            ("/docs/", "docs/x/c.yaml", true),
            ("/docs", "docs/x/c.yaml", true),
            ("/docs", "x/docs/c.yaml", false),
            ("**/logs", "deeply/nested/logs/c.yaml", true),
            ("**/logs", "logs/c.yaml", true),
            ("a/**/c.yaml", "a/c.yaml", true),
            ("a/**/c.yaml", "a/x/y/c.yaml", true),
            ("a/**/c.yaml", "b/a/c.yaml", false),
            ("a/**", "a/x/c.yaml", true),
            ("a/**", "a", false),
            ("c.yaml", "a/c.yaml", true),
            ("/c.yaml", "a/c.yaml", false),
            ("/c.yaml", "c.yaml", true),
            ("a/?.yaml", "a/c.yaml", true),
            ("a\\ b/", "a b/c.yaml", true),
            ("\\*.yaml", "c.yaml", false),
            ("\\*.yaml", "*.yaml", true),
            ("[c].yaml", "c.yaml", false),
            ("/", "a/c.yaml", true),
            ("//", "a/c.yaml", true),
            ("C.yaml", "c.yaml", false),
            ("b*.yaml", "abc.yaml", false),
            ("*b*", "abc.yaml", true),
        ] {
            assert_eq!(means(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn no_pattern_takes_exponential_time() {
        let pattern = "*a".repeat(200);
        let mut budget = Budget::default();
        let found = matches(&pattern, &"a".repeat(500), &mut budget);
        assert_eq!(found, Ok(true));
        assert!(MAX_STEPS - budget.0 < 1_000_000);
        let deep = "**/a/".repeat(200);
        let path = format!("{}c.yaml", "a/".repeat(300));
        let mut budget = Budget::default();
        assert_eq!(matches(&format!("{deep}x"), &path, &mut budget), Ok(false));
        assert!(MAX_STEPS - budget.0 < 10_000_000);
    }

    #[test]
    fn the_budget_ends() {
        let mut budget = Budget(10);
        assert_eq!(
            matches("*a*b*c", "aaaaaaaaaaaaaaaaaaaaab", &mut budget),
            Err(TooCostly)
        );
    }
}
