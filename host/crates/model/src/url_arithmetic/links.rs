//! Resolving references and making links, per kind of source host.
//!
//! GitHub swaps `/blob/` for `/tree/` in whatever is resolved and for `/edit/` in edit links; a
//! leading `/` means the root of the repository; the query of the base (which names the branch on
//! some hosts) is kept. Without an integration the plain rules hold and only the view link exists
//! (ref §3).

use super::integration::{Integration, IntegrationType, Integrations};
use super::repository::Repository;
use super::web_url::WebUrl;

/// Why no URL can be formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The base is no http(s) URL.
    #[error("`{0}` is not an absolute http or https URL; check the entity's location")]
    Base(String),
    /// The reference does not parse.
    #[error("`{0}` is not a URL or relative path")]
    Reference(String),
    /// Encoded dots in the base.
    #[error("path traversal is not allowed in the URL `{0}`")]
    Traversal(String),
}

impl UrlError {
    /// Backstage's error name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        "TypeError"
    }
}

/// Whether the text is an absolute URL, as `new URL(text)` decides; for http(s) as [`WebUrl`] does.
#[must_use]
pub fn is_absolute_url(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c <= ' ');
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    let mut chars = scheme.chars();
    let is_scheme = chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_scheme && (!is_web || WebUrl::parse(text).is_some())
}

/// The URL that `reference` means in a document read from `base`.
///
/// # Errors
/// [`UrlError`] when the base is not http(s), the reference does not parse, or the base hides dots.
pub fn resolve_url(
    reference: &str,
    base: &str,
    integrations: &Integrations,
) -> Result<String, UrlError> {
    let kind = integrations.by_url(base).map(|known| known.r#type);
    let resolved = if is_absolute_url(reference) {
        reference.to_owned()
    } else {
        resolve_relative(reference, base, kind)?
    };
    Ok(match kind {
        Some(IntegrationType::Github) => github_type(&resolved, "tree"),
        _ => resolved,
    })
}

fn resolve_relative(
    reference: &str,
    base: &str,
    kind: Option<IntegrationType>,
) -> Result<String, UrlError> {
    let base_url = WebUrl::parse(base).ok_or_else(|| UrlError::Base(shown(base)))?;
    let repository = Repository::of(&base_url);
    if repository.as_ref().is_some_and(Repository::has_traversal) {
        return Err(UrlError::Traversal(shown(base)));
    }
    let bad = || UrlError::Reference(shown(reference));
    if kind == Some(IntegrationType::Azure)
        && let Some(repository) = &repository
    {
        let inside = WebUrl::parse(&format!("https://a.invalid/{}", repository.file_path))
            .and_then(|file| file.join(reference))
            .ok_or_else(bad)?;
        let mut made = base_url;
        made.set_query_value("path", &inside.path);
        return Ok(made.to_string());
    }
    let mut made = if reference.starts_with('/') {
        let file_path = repository.map_or(String::new(), |found| found.file_path);
        let root = base_url.path.strip_suffix(file_path.as_str());
        let root = root.unwrap_or(&base_url.path).trim_end_matches('/');
        base_url
            .join(&format!("{root}{reference}"))
            .ok_or_else(bad)?
    } else {
        base_url.join(reference).ok_or_else(bad)?
    };
    made.query = base_url.query;
    Ok(made.to_string())
}

/// The links annotated on an entity read from a `url` location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLinks {
    /// Where a person reads it: the target itself.
    pub view_url: String,
    /// Where a person edits it; absent for a fixed commit or an unknown host.
    pub edit_url: Option<String>,
    /// The directory it is in; absent for an unknown host.
    pub source_url: Option<String>,
}

impl SourceLinks {
    /// The links of a file at `target`.
    #[must_use]
    pub fn of(target: &str, integrations: &Integrations) -> SourceLinks {
        let known = integrations.by_url(target);
        let edit_url = known
            .filter(|_| !names_commit(target))
            .and_then(|known| edit_url(target, known));
        let source_url = known.and_then(|_| resolve_url("./", target, integrations).ok());
        SourceLinks {
            view_url: target.to_owned(),
            edit_url,
            source_url,
        }
    }
}

fn edit_url(target: &str, known: &Integration) -> Option<String> {
    match known.r#type {
        IntegrationType::Github => Some(github_type(target, "edit")),
        IntegrationType::Gitlab => Some(gitlab_type(target, "edit")),
        IntegrationType::Azure => Some(target.to_owned()),
        IntegrationType::BitbucketServer => {
            Some(target.split('?').next().unwrap_or(target).to_owned())
        }
        IntegrationType::BitbucketCloud => {
            let mut url = WebUrl::parse(target)?;
            let reference = Repository::of(&url).map_or(String::new(), |found| found.reference);
            url.set_query_value("mode", "edit");
            url.set_query_value("at", &reference);
            Some(url.to_string())
        }
        IntegrationType::Gitea => {
            let url = WebUrl::parse(target)?;
            let parts: Vec<&str> = url.segments().collect();
            let [owner, name, _src, _branch, reference, path @ ..] = parts.as_slice() else {
                return None;
            };
            let (scheme, host, path) = (&url.scheme, &url.host, path.join("/"));
            Some(format!(
                "{scheme}://{host}/{owner}/{name}/_edit/{reference}/{path}"
            ))
        }
    }
}

/// Replaces `blob`, `tree` or `edit` after `//host/owner/name/`.
fn github_type(url: &str, to: &str) -> String {
    let mut parts: Vec<&str> = url.split('/').collect();
    // scheme:, "", host, owner, name, kind, and something after it
    let complete =
        parts.len() > 6 && parts[1].is_empty() && parts[2..5].iter().all(|p| !p.is_empty());
    if complete && matches!(parts[5], "blob" | "tree" | "edit") {
        parts[5] = to;
    }
    parts.join("/")
}

/// Replaces the first `/-/blob/`, `/-/tree/` or `/-/edit/`.
fn gitlab_type(url: &str, to: &str) -> String {
    let first = ["/-/blob/", "/-/tree/", "/-/edit/"]
        .into_iter()
        .filter_map(|marker| url.find(marker).map(|at| (at, marker)))
        .min();
    match first {
        Some((at, marker)) => {
            format!("{}/-/{to}/{}", &url[..at], &url[at + marker.len()..])
        }
        None => url.to_owned(),
    }
}

/// Whether some whole word of the URL is 40 or more lower-case hex digits.
fn names_commit(url: &str) -> bool {
    url.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| {
            word.len() >= 40
                && word
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
}

fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> Integrations {
        Integrations::with_public_hosts(vec![Integration::new(
            IntegrationType::BitbucketServer,
            "b.test",
        )])
    }

    #[test]
    fn references_resolve_per_host() {
        for (base, reference, expected) in [
            (
                "https://github.com/o/r/blob/main/a/all.yaml",
                "./x.yaml",
                "https://github.com/o/r/tree/main/a/x.yaml",
            ),
            (
                "https://github.com/o/r/blob/main/a/all.yaml",
                "/x.yaml",
                "https://github.com/o/r/tree/main/x.yaml",
            ),
            (
                "https://github.com/o/r/blob/main/all.yaml",
                "../../../x",
                "https://github.com/o/x",
            ),
            (
                "https://gitlab.com/g/r/-/blob/main/all.yaml",
                "b/x.yaml",
                "https://gitlab.com/g/r/-/blob/main/b/x.yaml",
            ),
            (
                "https://b.test/projects/P/repos/r/browse/all.yaml?at=dev",
                "/x.yaml",
                "https://b.test/projects/P/repos/r/browse/x.yaml?at=dev",
            ),
            (
                "https://dev.azure.com/o/p/_git/r?path=%2Fa%2Fall.yaml",
                "./x.yaml",
                "https://dev.azure.com/o/p/_git/r?path=%2Fa%2Fx.yaml",
            ),
            ("http://h/a/all.yaml?q=1", "x.yaml", "http://h/a/x.yaml?q=1"),
            ("http://h/a.yaml", "https://x/y", "https://x/y"),
        ] {
            assert_eq!(resolve_url(reference, base, &public()).unwrap(), expected);
        }
        assert!(resolve_url("x", "not a url", &public()).is_err());
        let hidden = "https://github.com/o/r/blob/main/%252e%252e/c.yaml";
        assert!(matches!(
            resolve_url("/x", hidden, &public()),
            Err(UrlError::Traversal(_))
        ));
    }

    #[test]
    fn links_are_backstages() {
        let links = SourceLinks::of("https://github.com/o/r/blob/main/a/c.yaml", &public());
        assert_eq!(
            links.edit_url.as_deref(),
            Some("https://github.com/o/r/edit/main/a/c.yaml")
        );
        assert_eq!(
            links.source_url.as_deref(),
            Some("https://github.com/o/r/tree/main/a/")
        );
        let fixed = format!("https://github.com/o/r/blob/{}/c.yaml", "0a".repeat(20));
        assert_eq!(SourceLinks::of(&fixed, &public()).edit_url, None);
        let plain = SourceLinks::of("http://h/c.yaml", &public());
        assert_eq!((plain.edit_url, plain.source_url), (None, None));
        let cloud = SourceLinks::of("https://bitbucket.org/o/r/src/main/c.yaml", &public());
        assert_eq!(
            cloud.edit_url.as_deref(),
            Some("https://bitbucket.org/o/r/src/main/c.yaml?mode=edit&at=main")
        );
    }
}
