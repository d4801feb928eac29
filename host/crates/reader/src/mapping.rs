//! From the URL a browser shows to the request that returns the bytes.
//!
//! Pure: no lookup, no default-branch query. The API is asked when there is a token or no other way,
//! as Backstage does; the credential is a header of the request and marked sensitive, so that no log
//! of the HTTP client prints it.

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use url::Url;

use crate::integration::{HostKind, IntegrationConfig};
use crate::outcome::Stop;
use crate::repository::SourceFile;

/// The first request of a read.
#[derive(Debug)]
pub(crate) struct FirstRequest {
    pub(crate) url: Url,
    /// Sent with every hop.
    pub(crate) headers: HeaderMap,
    /// Sent to the origin of `url` until the chain leaves it.
    pub(crate) credential: HeaderMap,
    /// Whether an integration names the origin of `url`, so that redirects may stay on it. A host
    /// that is read as it is may have been named for some of its paths only.
    pub(crate) is_api: bool,
}

impl FirstRequest {
    /// A request without credential.
    pub(crate) fn plain(url: Url) -> FirstRequest {
        FirstRequest {
            url,
            headers: HeaderMap::new(),
            credential: HeaderMap::new(),
            is_api: false,
        }
    }
}

/// The request for the bytes of `source`.
pub(crate) fn content_request(
    integration: &IntegrationConfig,
    kind: HostKind,
    source: &SourceFile,
) -> Result<FirstRequest, Stop> {
    let project: Vec<&str> = source.project.iter().map(String::as_str).collect();
    let revision = source.revision.as_deref();
    let file = || source.file.split('/');
    let api = || api_base(integration, kind);
    let mut headers = HeaderMap::new();
    let url = match kind {
        HostKind::Github => match raw_base(integration).filter(|_| integration.token().is_none()) {
            Some(raw) => {
                let base = below(parse_base(&raw)?, project.into_iter().chain(revision))?;
                below(base, file())?
            }
            None => {
                headers.insert(
                    ACCEPT,
                    HeaderValue::from_static("application/vnd.github.v3.raw"),
                );
                let base = below(api()?, ["repos"].into_iter().chain(project))?;
                let url = below(base, ["contents"].into_iter().chain(file()))?;
                query(url, "ref", revision)
            }
        },
        HostKind::Gitlab => {
            let id = source.project.join("/");
            let url = below(
                api()?,
                ["projects", &id, "repository", "files", &source.file, "raw"],
            )?;
            query(url, "ref", revision)
        }
        HostKind::Gitea => {
            let base = below(api()?, ["repos"].into_iter().chain(project))?;
            let url = below(base, ["raw"].into_iter().chain(file()))?;
            query(url, "ref", revision)
        }
        HostKind::BitbucketCloud => {
            let base = below(api()?, ["repositories"].into_iter().chain(project))?;
            below(base, ["src"].into_iter().chain(revision).chain(file()))?
        }
        HostKind::BitbucketServer => {
            let [owner, name] = project.as_slice() else {
                return Err(Stop::refused("the URL names no repository"));
            };
            let base = below(api()?, ["projects", owner, "repos", name, "raw"])?;
            query(below(base, file())?, "at", revision)
        }
    };
    Ok(FirstRequest {
        url,
        headers,
        credential: credential(integration, kind)?,
        is_api: true,
    })
}

/// The request for the file tree of a GitHub revision, recursive.
pub(crate) fn github_tree_request(
    integration: &IntegrationConfig,
    source: &SourceFile,
) -> Result<FirstRequest, Stop> {
    let kind = HostKind::Github;
    let project = source.project.iter().map(String::as_str);
    let revision = source.revision.as_deref();
    let base = below(
        api_base(integration, kind)?,
        ["repos"].into_iter().chain(project),
    )?;
    let url = below(base, ["git", "trees"].into_iter().chain(revision))?;
    Ok(FirstRequest {
        url: query(url, "recursive", Some("1")),
        headers: HeaderMap::new(),
        credential: credential(integration, kind)?,
        is_api: true,
    })
}

/// The request for one page (from 1) of the file tree of a GitLab revision, recursive.
pub(crate) fn gitlab_tree_request(
    integration: &IntegrationConfig,
    source: &SourceFile,
    page: usize,
    page_entries: usize,
) -> Result<FirstRequest, Stop> {
    let kind = HostKind::Gitlab;
    let id = source.project.join("/");
    let mut url = below(
        api_base(integration, kind)?,
        ["projects", &id, "repository", "tree"],
    )?;
    url.query_pairs_mut()
        .append_pair("recursive", "true")
        .append_pair("per_page", &page_entries.to_string())
        .append_pair("page", &page.to_string());
    Ok(FirstRequest {
        url: query(url, "ref", source.revision.as_deref()),
        headers: HeaderMap::new(),
        credential: credential(integration, kind)?,
        is_api: true,
    })
}

fn api_base(integration: &IntegrationConfig, kind: HostKind) -> Result<Url, Stop> {
    let host = &integration.host;
    let usual = match kind {
        HostKind::Github if host.eq_ignore_ascii_case("github.com") => {
            "https://api.github.com".to_owned()
        }
        HostKind::BitbucketCloud if host.eq_ignore_ascii_case("bitbucket.org") => {
            "https://api.bitbucket.org/2.0".to_owned()
        }
        HostKind::Github => format!("https://{host}/api/v3"),
        HostKind::Gitlab => format!("https://{host}/api/v4"),
        HostKind::Gitea => format!("https://{host}/api/v1"),
        HostKind::BitbucketCloud => format!("https://{host}/2.0"),
        HostKind::BitbucketServer => format!("https://{host}/rest/api/1.0"),
    };
    parse_base(integration.api_base_url.as_ref().unwrap_or(&usual))
}

fn raw_base(integration: &IntegrationConfig) -> Option<String> {
    integration.raw_base_url.clone().or_else(|| {
        let public = integration.host.eq_ignore_ascii_case("github.com");
        public.then(|| "https://raw.githubusercontent.com".to_owned())
    })
}

fn parse_base(text: &str) -> Result<Url, Stop> {
    let usable = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(usable).ok_or_else(|| {
        Stop::refused("the integration's base URL is not a URL; correct its settings")
    })
}

fn below<'a>(mut base: Url, segments: impl IntoIterator<Item = &'a str>) -> Result<Url, Stop> {
    match base.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(segments);
        }
        Err(()) => {
            return Err(Stop::refused(
                "the integration's base URL has no path; correct its settings",
            ));
        }
    }
    Ok(base)
}

fn query(mut url: Url, name: &str, value: Option<&str>) -> Url {
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    url
}

fn credential(integration: &IntegrationConfig, kind: HostKind) -> Result<HeaderMap, Stop> {
    let mut headers = HeaderMap::new();
    if let Some(token) = integration.token() {
        let scheme = match kind {
            HostKind::Gitea => "token",
            _ => "Bearer",
        };
        let value = format!("{scheme} {}", token.reveal());
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            Stop::refused("the integration's token has characters no header can hold")
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::Token;
    use crate::repository::source_file;

    fn integration(kind: &str, host: &str, token: Option<&str>) -> IntegrationConfig {
        IntegrationConfig {
            r#type: kind.to_owned(),
            host: host.to_owned(),
            api_base_url: None,
            raw_base_url: None,
            token: token.map(Token::new),
        }
    }

    fn mapped(integration: &IntegrationConfig, url: &str) -> FirstRequest {
        let kind = integration.kind().expect("a readable type");
        let source = source_file(kind, &Url::parse(url).expect("a URL")).expect("a file");
        content_request(integration, kind, &source).expect("a request")
    }

    #[test]
    fn github_reads_raw_without_a_token_and_the_api_with_one() {
        let url = "https://github.com/o/r/blob/main/a%20b/c%23.yaml";
        let open = mapped(&integration("github", "github.com", None), url);
        assert_eq!(
            open.url.as_str(),
            "https://raw.githubusercontent.com/o/r/main/a%20b/c%23.yaml"
        );
        assert!(open.credential.is_empty());
        let closed = mapped(&integration("github", "github.com", Some("t")), url);
        assert_eq!(
            closed.url.as_str(),
            "https://api.github.com/repos/o/r/contents/a%20b/c%23.yaml?ref=main"
        );
        assert!(closed.credential[AUTHORIZATION].is_sensitive());
        let own = mapped(
            &integration("github", "ghe.example:8443", None),
            "https://ghe.example:8443/o/r/tree/v1/x",
        );
        assert_eq!(
            own.url.as_str(),
            "https://ghe.example:8443/api/v3/repos/o/r/contents/x?ref=v1"
        );
    }

    #[test]
    fn other_hosts_have_their_own_apis() {
        for (kind, host, url, expected) in [
            (
                "gitlab",
                "gitlab.com",
                "https://gitlab.com/g/s/r/-/blob/main/a/b.yaml",
                "https://gitlab.com/api/v4/projects/g%2Fs%2Fr/repository/files/a%2Fb.yaml/raw?ref=main",
            ),
            (
                "gitea",
                "git.example",
                "https://git.example/o/r/src/branch/main/a/b.yaml",
                "https://git.example/api/v1/repos/o/r/raw/a/b.yaml?ref=main",
            ),
            (
                "bitbucketCloud",
                "bitbucket.org",
                "https://bitbucket.org/w/r/src/main/a/b.yaml",
                "https://api.bitbucket.org/2.0/repositories/w/r/src/main/a/b.yaml",
            ),
            (
                "bitbucketServer",
                "bb.example",
                "https://bb.example/projects/P/repos/r/browse/a/b.yaml?at=x%2Fy",
                "https://bb.example/rest/api/1.0/projects/P/repos/r/raw/a/b.yaml?at=x%2Fy",
            ),
        ] {
            assert_eq!(
                mapped(&integration(kind, host, None), url).url.as_str(),
                expected
            );
        }
    }

    #[test]
    fn a_token_that_fits_no_header_is_refused_without_being_quoted() {
        let broken = integration("github", "github.com", Some("t\r\nX-Evil: 1"));
        let kind = HostKind::Github;
        let url = Url::parse("https://github.com/o/r/blob/main/x").expect("a URL");
        let source = source_file(kind, &url).expect("a file");
        let refusal = content_request(&broken, kind, &source).expect_err("no header");
        assert!(!format!("{refusal:?}").contains("Evil"));
    }
}
