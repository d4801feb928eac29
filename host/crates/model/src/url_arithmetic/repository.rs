//! The repository and file a URL names, by the path conventions of the source hosts.
//!
//! Recognised by shape, not by host, as Backstage's git-url-parse does: `/<owner>/<name>/blob/…`
//! (also `tree`, `raw`, `src`, `edit`, with GitLab's `/-/`), Bitbucket Server's
//! `/projects/<key>/repos/<name>/browse/…`, Azure's `/<org>/<project>/_git/<name>?path=…`.

use super::web_url::{WebUrl, percent_decode};

/// A repository, and what the URL names inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Host, with a port that is not the default.
    pub host: String,
    /// Path of the repository below the host, such as `owner/name`.
    pub full_name: String,
    /// Branch, tag or commit; empty when the URL gives none.
    pub reference: String,
    /// Path of the file or directory in the repository, as encoded in the URL; empty at its root.
    pub file_path: String,
}

impl Repository {
    /// The repository of a URL, `None` when its shape is not known.
    #[must_use]
    pub fn of(url: &WebUrl) -> Option<Repository> {
        let parts: Vec<&str> = url.segments().collect();
        let made = |full_name: String, reference: String, file_path: String| Repository {
            host: url.host.clone(),
            full_name,
            reference,
            file_path,
        };
        if let Some(git) = parts.iter().position(|part| *part == "_git") {
            let full_name = parts.get(..git + 2)?.join("/");
            let path = url.query_value("path").unwrap_or_default();
            let version = url.query_value("version").unwrap_or_default();
            let branch = version.get(2..).unwrap_or_default().to_owned();
            return Some(made(
                full_name,
                branch,
                path.trim_start_matches('/').to_owned(),
            ));
        }
        if let [
            owners @ ("projects" | "users"),
            key,
            "repos",
            name,
            rest @ ..,
        ] = parts.as_slice()
        {
            let file_path = match rest {
                ["raw" | "browse", path @ ..] => path.join("/"),
                _ => String::new(),
            };
            let at = url.query_value("at").unwrap_or_default();
            return Some(made(format!("{owners}/{key}/repos/{name}"), at, file_path));
        }
        let marker = (2..parts.len()).find(|at| {
            matches!(parts[*at], "blob" | "tree" | "raw" | "src" | "edit") || parts[*at] == "-"
        })?;
        let kind = marker + usize::from(parts[marker] == "-");
        if !matches!(
            parts.get(kind)?,
            &("blob" | "tree" | "raw" | "src" | "edit")
        ) {
            return None;
        }
        let reference = (*parts.get(kind + 1)?).to_owned();
        let file_path = parts.get(kind + 2..).unwrap_or_default().join("/");
        Some(made(parts[..marker].join("/"), reference, file_path))
    }

    /// The repository of the text of a URL, `None` when it is no http(s) URL or its shape is not known.
    #[must_use]
    pub fn of_text(url: &str) -> Option<Repository> {
        Repository::of(&WebUrl::parse(url)?)
    }

    /// The file path as it is in the repository, percent-decoded once.
    #[must_use]
    pub fn decoded_file_path(&self) -> String {
        percent_decode(&self.file_path)
    }

    /// Whether a segment of the file path is `.` or `..` behind one or more percent-encodings.
    #[must_use]
    pub(super) fn has_traversal(&self) -> bool {
        // Each round of decoding shortens the text, so this ends.
        let mut path = self.file_path.clone();
        loop {
            let decoded = percent_decode(&path);
            if decoded.len() >= path.len() {
                return path.split('/').any(|part| part == "." || part == "..");
            }
            path = decoded;
        }
    }
}

/// Whether two URLs lie in one repository: what a placeholder may reach from its entity. Stricter
/// than Backstage, which lets everything pass that it cannot parse: without a known repository
/// shape on both sides the scheme and host must be equal, and one side known alone is a refusal.
#[must_use]
pub fn same_repository(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (WebUrl::parse(one), WebUrl::parse(other)) else {
        return false;
    };
    if one.scheme != other.scheme || one.host != other.host {
        return false;
    }
    match (Repository::of(&one), Repository::of(&other)) {
        (Some(one), Some(other)) => {
            one.full_name == other.full_name && !one.has_traversal() && !other.has_traversal()
        }
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_recognised() {
        for (url, full_name, reference, file_path) in [
            (
                "https://github.com/o/r/blob/main/a/c.yaml",
                "o/r",
                "main",
                "a/c.yaml",
            ),
            (
                "https://gitlab.com/g/s/r/-/tree/main/a",
                "g/s/r",
                "main",
                "a",
            ),
            (
                "https://bitbucket.org/o/r/src/main/c.yaml",
                "o/r",
                "main",
                "c.yaml",
            ),
            (
                "https://b.test/projects/P/repos/r/browse/c.yaml?at=dev",
                "projects/P/repos/r",
                "dev",
                "c.yaml",
            ),
            (
                "https://dev.azure.com/o/p/_git/r?path=%2Fc.yaml&version=GBx",
                "o/p/_git/r",
                "x",
                "c.yaml",
            ),
        ] {
            let found = Repository::of(&WebUrl::parse(url).unwrap()).unwrap();
            assert_eq!(
                (
                    found.full_name.as_str(),
                    found.reference.as_str(),
                    found.file_path.as_str()
                ),
                (full_name, reference, file_path)
            );
        }
        assert!(Repository::of(&WebUrl::parse("https://h/c.yaml").unwrap()).is_none());
    }

    #[test]
    fn file_paths_are_decoded_once() {
        let found =
            Repository::of_text("https://github.com/o/r/blob/main/a%20b/%2541.yaml").unwrap();
        assert_eq!(found.decoded_file_path(), "a b/%41.yaml");
        assert!(Repository::of_text("file:///o/r/blob/main/a").is_none());
    }

    #[test]
    fn y14_only_one_repository() {
        let own = "https://github.com/o/r/blob/main/c.yaml";
        assert!(same_repository("https://github.com/o/r/tree/main/x", own));
        for other in [
            "https://github.com/o/other/blob/main/x",
            "https://github.com/o/r/blob/main/../../../../other/blob/main/x",
            "https://github.com/o/r/blob/main/%252e%252e/x",
            "https://evil.test/o/r/blob/main/x",
            "http://github.com/o/r/blob/main/x",
            "https://github.com/o/r",
            "file:///etc/passwd",
        ] {
            assert!(!same_repository(other, own), "{other}");
        }
        assert!(same_repository("http://h/a", "http://h/b/c.yaml"));
    }
}
