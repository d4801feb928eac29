//! Where a URL points inside a source-code host: repository, revision and file.
//!
//! Pure parsing of the URLs a browser shows. What cannot be understood is `None`, never a guess: the
//! repository of a URL bounds what a processor may read.

use url::Url;

use crate::integration::{HostKind, IntegrationConfig};
use crate::path::{RequestPath, decode_once};

/// A file, or a pattern for files, at a revision of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Path segments of the repository, decoded: `[owner, name]`, GitLab's groups and name, or
    /// Bitbucket Server's `[project, name]`.
    pub(crate) project: Vec<String>,
    /// Branch, tag or commit; none for the default branch where URLs can leave it out.
    pub(crate) revision: Option<String>,
    /// Path from the repository's root, decoded, without a leading slash.
    pub(crate) file: String,
    /// How many leading segments of the URL's path come before the file.
    pub(crate) lead: usize,
}

/// Names in a URL that stand before a revision.
const VIEWS: [&str; 4] = ["blob", "raw", "tree", "edit"];

/// Reads the URL of a file at a host of `kind`.
pub(crate) fn source_file(kind: HostKind, url: &Url) -> Option<SourceFile> {
    // Refuses every path that a server could read differently from us.
    RequestPath::of(url)?;
    let segments: Vec<String> = url
        .path_segments()?
        .map(decode_once)
        .collect::<Option<_>>()?;
    let is_view = |at: usize| {
        segments
            .get(at)
            .is_some_and(|s| VIEWS.contains(&s.as_str()))
    };
    let (project, revision, lead) = match kind {
        HostKind::Github => (0..2, is_view(2).then_some(3)?, 4),
        HostKind::Gitlab => match segments.iter().position(|segment| segment == "-") {
            Some(dash) => (0..dash, is_view(dash + 1).then_some(dash + 2)?, dash + 3),
            None => {
                let view = (2..segments.len()).find(|&at| is_view(at))?;
                (0..view, view + 1, view + 2)
            }
        },
        HostKind::Gitea => match (segments.get(2)?.as_str(), segments.get(3)?.as_str()) {
            ("src" | "raw", "branch" | "tag" | "commit") => (0..2, 4, 5),
            _ => return None,
        },
        HostKind::BitbucketCloud => {
            matches!(segments.get(2)?.as_str(), "src" | "raw").then_some(())?;
            (0..2, 3, 4)
        }
        HostKind::BitbucketServer => {
            let shape = segments.get(0..5)?;
            let view = matches!(shape[4].as_str(), "browse" | "raw");
            if shape[0] != "projects" || shape[2] != "repos" || !view {
                return None;
            }
            let revision = url.query_pairs().find(|(name, _)| name == "at");
            return Some(SourceFile {
                project: vec![shape[1].clone(), shape[3].clone()],
                revision: revision.map(|(_, at)| at.into_owned()),
                file: file_of(&segments, 5)?,
                lead: 5,
            });
        }
    };
    let project = segments.get(project)?.to_vec();
    let revision = segments.get(revision)?.clone();
    if project.len() < 2 || project.iter().any(String::is_empty) || revision.is_empty() {
        return None;
    }
    let file = file_of(&segments, lead)?;
    Some(SourceFile {
        project,
        revision: Some(revision),
        file,
        lead,
    })
}

fn file_of(segments: &[String], lead: usize) -> Option<String> {
    let file = segments.get(lead..)?.join("/");
    (!file.is_empty()).then_some(file)
}

/// The path prefix that holds everything of the repository of `url` and nothing of another one.
///
/// Without an integration there is no repository, and the whole origin is one. Where the type is not
/// understood, it is the folder of the file.
pub(crate) fn repository_prefix(
    integration: Option<&IntegrationConfig>,
    url: &Url,
) -> Option<Vec<String>> {
    let path = RequestPath::of(url)?;
    let segments = path.segments();
    let Some(integration) = integration else {
        return Some(Vec::new());
    };
    let length = match integration.r#type.as_str() {
        "github" | "gitea" | "bitbucketCloud" => 2,
        "gitlab" => match segments.iter().position(|segment| segment == "-") {
            Some(dash) => dash,
            None => (2..segments.len()).find(|&at| VIEWS.contains(&segments[at].as_str()))?,
        },
        "bitbucketServer" => 4,
        "azure" => segments.iter().position(|segment| segment == "_git")? + 2,
        _ => segments.len().saturating_sub(1),
    };
    let prefix = segments.get(..length)?;
    let complete = length > 0 && prefix.iter().all(|segment| !segment.is_empty());
    complete.then(|| prefix.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: HostKind, text: &str) -> Option<(String, Option<String>, String)> {
        let found = source_file(kind, &Url::parse(text).expect("a URL"))?;
        Some((found.project.join(" "), found.revision, found.file))
    }

    #[test]
    fn browser_urls_are_understood() {
        let main = Some("main".to_owned());
        for (kind, url, project) in [
            (
                HostKind::Github,
                "https://h/o/r/blob/main/a/b%20c.yaml",
                "o r",
            ),
            (
                HostKind::Gitlab,
                "https://h/g/s/r/-/blob/main/a/b%20c.yaml",
                "g s r",
            ),
            (
                HostKind::Gitlab,
                "https://h/g/r/raw/main/a/b%20c.yaml",
                "g r",
            ),
            (
                HostKind::Gitea,
                "https://h/o/r/src/branch/main/a/b%20c.yaml",
                "o r",
            ),
            (
                HostKind::BitbucketCloud,
                "https://h/o/r/src/main/a/b%20c.yaml",
                "o r",
            ),
            (
                HostKind::BitbucketServer,
                "https://h/projects/P/repos/r/browse/a/b%20c.yaml?at=main",
                "P r",
            ),
        ] {
            let expected = (project.to_owned(), main.clone(), "a/b c.yaml".to_owned());
            assert_eq!(file(kind, url), Some(expected), "{url}");
        }
    }

    #[test]
    fn other_urls_are_not_files() {
        for text in [
            "https://h/",
            "https://h/o/r",
            "https://h/o/r/blob/main",
            "https://h/o/r/blob/main/",
            "https://h/o/r/issues/1/x",
            "https://h//r/blob/main/x",
            "https://h/o/r/blob//x",
            "https://h/o/r/blob/main/..%2f..%2fx",
        ] {
            assert_eq!(file(HostKind::Github, text), None, "{text}");
        }
        assert_eq!(file(HostKind::Gitlab, "https://h/g/-/blob/main/x"), None);
        assert_eq!(
            file(
                HostKind::BitbucketServer,
                "https://h/projects/P/repos/r/commits/x"
            ),
            None
        );
    }

    #[test]
    fn repositories_bound_a_location() {
        let prefix = |kind: &str, text: &str| {
            let integration = IntegrationConfig {
                r#type: kind.to_owned(),
                host: "h".to_owned(),
                api_base_url: None,
                raw_base_url: None,
                token: None,
            };
            let url = Url::parse(text).expect("a URL");
            repository_prefix(Some(&integration), &url).map(|prefix| prefix.join("/"))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(prefix("github", "https://h/o/r/blob/main/x"), some("o/r"));
        assert_eq!(
            prefix("gitlab", "https://h/g/s/r/-/blob/main/x"),
            some("g/s/r")
        );
        assert_eq!(
            prefix("azure", "https://h/o/p/_git/r?path=/x"),
            some("o/p/_git/r")
        );
        assert_eq!(prefix("gerrit", "https://h/a/b/x"), some("a/b"));
        assert_eq!(prefix("github", "https://h/o"), None);
        assert_eq!(prefix("github", "https://h/o/"), None);
        assert_eq!(prefix("gitlab", "https://h/-/x"), None);
    }
}
