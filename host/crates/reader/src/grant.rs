//! What one processor may read of what its tenant may read.
//!
//! The default grant is the repository of the entity's own location; the grant `origin` is the
//! repository of its origin location; both are [`Grant::repository_of`]. Prefixes compare scheme,
//! host, port and whole path segments, on the normalised path in every reading a server could have
//! of it. A redirect is judged as a new URL, so a repository that moved to another owner is outside.

use std::path::{Path, PathBuf};

use url::Url;

use crate::files::normalise;
use crate::path::RequestPath;
use crate::policy::ReadPolicy;
use crate::repository::repository_prefix;

/// A set of readable places; empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    scopes: Vec<Scope>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// Whatever the tenant's policy names.
    Everything,
    Prefix(Prefix),
    /// Files below this root.
    FileRoot(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    origin: String,
    segments: Vec<String>,
}

/// A prefix that cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not an absolute http(s) URL without user info, query and fragment.
    #[error("`{0}` is not a URL prefix; write it like `https://host/folder/*`")]
    Prefix(String),
    /// A `*` elsewhere than as the last segment.
    #[error("`{0}` has a `*` that is not the whole last segment")]
    Wildcard(String),
}

impl Grant {
    /// Whatever the tenant's policy names, and every root: for the bundled location readers, which
    /// read the targets that a Location entity lists.
    #[must_use]
    pub fn everything() -> Grant {
        Grant {
            scopes: vec![Scope::Everything],
        }
    }

    /// The repository that `target`, the target of a `url` location, lies in. Nothing if the target
    /// is no URL of a file in a repository. A host without an integration is one repository.
    #[must_use]
    pub fn repository_of(target: &str, policy: &ReadPolicy) -> Grant {
        let prefix = Url::parse(target).ok().and_then(|url| {
            let segments = repository_prefix(policy.integration_of(&url), &url)?;
            Some(Scope::Prefix(Prefix {
                origin: origin_of(&url)?,
                segments,
            }))
        });
        Grant {
            scopes: prefix.into_iter().collect(),
        }
    }

    /// Listed prefixes, each `https://host/folder/` or `https://host/folder/*`.
    ///
    /// # Errors
    /// [`GrantError`] names the first text that is none.
    pub fn prefixes<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Grant, GrantError> {
        let scope = |text| parse_prefix(text).map(Scope::Prefix);
        let scopes = texts.into_iter().map(scope).collect::<Result<_, _>>()?;
        Ok(Grant { scopes })
    }

    /// Files at or below an absolute folder, normally a listed root (see `FileReader::root_of`).
    #[must_use]
    pub fn file_root(root: impl Into<PathBuf>) -> Grant {
        Grant {
            scopes: vec![Scope::FileRoot(root.into())],
        }
    }

    /// What either grant permits.
    #[must_use]
    pub fn or(mut self, other: Grant) -> Grant {
        self.scopes.extend(other.scopes);
        self
    }

    /// Whether `url` may be read.
    #[must_use]
    pub fn permits(&self, url: &Url) -> bool {
        let path = RequestPath::of(url);
        let origin = origin_of(url);
        self.scopes.iter().any(|scope| match scope {
            Scope::Everything => true,
            Scope::Prefix(prefix) => {
                origin.as_ref() == Some(&prefix.origin)
                    && path
                        .as_ref()
                        .is_some_and(|path| path.is_below(&prefix.segments))
            }
            Scope::FileRoot(_) => false,
        })
    }

    /// Whether the URL, or the absolute path with or without `file:`, that a want names may be read. A redirect from it is
    /// judged again.
    #[must_use]
    pub fn permits_target(&self, target: &str) -> bool {
        match Url::parse(target) {
            Ok(url) if url.scheme() != "file" => self.permits(&url),
            Ok(_) | Err(_) => normalise(target).is_some_and(|path| self.permits_file(&path)),
        }
    }

    /// Whether the file at `path` (absolute, without `.` and `..`) may be read.
    pub(crate) fn permits_file(&self, path: &Path) -> bool {
        self.scopes.iter().any(|scope| match scope {
            Scope::Everything => true,
            Scope::Prefix(_) => false,
            Scope::FileRoot(root) => path.starts_with(root),
        })
    }
}

fn origin_of(url: &Url) -> Option<String> {
    let origin = url.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn parse_prefix(text: &str) -> Result<Prefix, GrantError> {
    let bare = text.strip_suffix('*').unwrap_or(text);
    if bare.contains('*') || bare.len() < text.len() && !bare.ends_with('/') {
        return Err(GrantError::Wildcard(text.to_owned()));
    }
    let error = || GrantError::Prefix(text.to_owned());
    let url = Url::parse(bare).map_err(|_| error())?;
    let clean = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let path = RequestPath::of(&url).filter(|_| clean).ok_or_else(error)?;
    Ok(Prefix {
        origin: origin_of(&url).ok_or_else(error)?,
        segments: path.segments().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::IntegrationConfig;

    fn permits(grant: &Grant, text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| grant.permits(&url))
    }

    #[test]
    fn r07_prefixes_hold_on_the_normalised_path() {
        let grant = Grant::prefixes(["https://h.test/acme/*"]).expect("a grant");
        for text in [
            "https://h.test/acme/x",
            "https://h.test:443/other/../acme/x",
            "https://h.test/acme/x?a=/../..",
            "https://H.TEST/acme/x",
        ] {
            assert!(permits(&grant, text), "{text}");
        }
        for text in [
            "https://h.test/acme/../other",
            "https://h.test/acme/%2e%2e/other",
            "https://h.test/acme/..%2Fother",
            "https://h.test/acme/..;/other",
            "https://h.test//acme/x",
            "https://h.test/acmes/x",
            "https://h.test/ACME/x",
            "https://h.test/other?/acme/",
            "https://h.test/other;/acme/x",
            "http://h.test/acme/x",
            "https://h.test:8443/acme/x",
            "https://h.test.evil.test/acme/x",
            "https://acme.h.test/acme/x",
        ] {
            assert!(!permits(&grant, text), "{text}");
        }
    }

    #[test]
    fn y14_a_location_grants_its_repository_only() {
        let integration = IntegrationConfig {
            r#type: "github".to_owned(),
            host: "github.com".to_owned(),
            api_base_url: None,
            raw_base_url: None,
            token: None,
        };
        let policy = ReadPolicy::new(&[], vec![integration], Vec::new()).expect("a policy");
        let grant = Grant::repository_of(
            "https://github.com/acme/shop/blob/main/catalog-info.yaml",
            &policy,
        );
        assert!(permits(
            &grant,
            "https://github.com/acme/shop/blob/main/docs/x.md"
        ));
        assert!(permits(
            &grant,
            "https://github.com/acme/shop/blob/other/x.md"
        ));
        for text in [
            "https://github.com/acme/shop2/blob/main/x",
            "https://github.com/acme/secret/blob/main/x",
            "https://github.com/acme/shop/../secret/blob/main/x",
            "file:///etc/passwd",
            "https://raw.githubusercontent.com/acme/shop/main/x",
            "data:,x",
        ] {
            assert!(!permits(&grant, text), "{text}");
        }
        let plain = Grant::repository_of("https://plain.test/a/b.yaml", &policy);
        assert!(permits(&plain, "https://plain.test/c") && !permits(&plain, "http://plain.test/c"));
        assert_eq!(Grant::repository_of("not a url", &policy), Grant::default());
        assert_eq!(
            Grant::repository_of("file:///srv/x", &policy),
            Grant::default()
        );
    }

    #[test]
    fn file_grants_hold_by_whole_names() {
        let grant = Grant::file_root("/srv/catalog");
        assert!(grant.permits_file(Path::new("/srv/catalog/a")));
        assert!(!grant.permits_file(Path::new("/srv/catalogue/a")));
        assert!(!permits(&grant, "file:///srv/catalog/a"));
        assert!(!Grant::default().permits_file(Path::new("/srv")));
    }

    #[test]
    fn bad_prefixes_are_refused() {
        for text in [
            "",
            "h.test/a",
            "file:///a/",
            "https://u@h/a",
            "https://h/a?b",
            "https://h/a-*",
            "https://*.h/a",
            "https://h/*/b",
            "https://h/..%2f/",
        ] {
            assert!(Grant::prefixes([text]).is_err(), "{text}");
        }
    }
}
