//! One entry of `backend.reading.allow`, with the keys and the meaning of app-config.yaml.
//!
//! `host` is `name`, `name:port`, `name:first-last` or `*.suffix` of those. Without a port only the
//! scheme's own port matches. `paths` are plain prefixes of the normalised path, as in Backstage, so
//! one that means a folder ends in `/`.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::path::RequestPath;
use crate::policy::PolicyError;

/// A host that a tenant may read without an integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingAllow {
    /// `host`, `host:port`, `host:first-last`, each also as `*.suffix`.
    pub host: String,
    /// Path prefixes; absent means all paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

/// A [`ReadingAllow`] in the form it is compared in.
#[derive(Clone, Debug)]
pub(crate) struct AllowRule {
    name: HostName,
    ports: Option<(u16, u16)>,
    paths: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
enum HostName {
    Exact(String),
    /// Begins with a dot.
    Suffix(String),
}

impl AllowRule {
    /// Checks and compiles an entry.
    pub(crate) fn new(entry: &ReadingAllow) -> Result<AllowRule, PolicyError> {
        let error = || PolicyError::Host(entry.host.clone());
        let text = entry.host.to_ascii_lowercase();
        let (name, ports) = split_port(&text);
        let ports = ports
            .map(|ports| {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                let first: u16 = first.parse().map_err(|_| error())?;
                let last: u16 = last.parse().map_err(|_| error())?;
                if first == 0 || first > last {
                    return Err(error());
                }
                Ok((first, last))
            })
            .transpose()?;
        let (wildcard, bare) = match name.strip_prefix("*.") {
            Some(bare) => (true, bare),
            None => (false, name),
        };
        // The parser that reads wanted URLs also spells this host, so both sides agree on
        // punycode and on addresses.
        let host = url::Host::parse(bare).map_err(|_| error())?.to_string();
        if bare.contains('*') || wildcard && host != bare {
            return Err(error());
        }
        if entry
            .paths
            .iter()
            .flatten()
            .any(|path| !path.starts_with('/'))
        {
            return Err(PolicyError::Path(entry.host.clone()));
        }
        Ok(AllowRule {
            name: if wildcard {
                HostName::Suffix(format!(".{host}"))
            } else {
                HostName::Exact(host)
            },
            ports,
            paths: entry.paths.clone(),
        })
    }

    /// Whether this entry names `url`. The scheme is not part of an entry.
    pub(crate) fn names(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let name = match &self.name {
            HostName::Exact(name) => host == name,
            HostName::Suffix(suffix) => host.ends_with(suffix.as_str()),
        };
        let port = match (self.ports, url.port()) {
            (None, port) => port.is_none(),
            (Some((first, last)), _) => url
                .port_or_known_default()
                .is_some_and(|port| (first..=last).contains(&port)),
        };
        name && port && self.names_path(url)
    }

    fn names_path(&self, url: &Url) -> bool {
        let Some(paths) = &self.paths else {
            return true;
        };
        let Some(path) = RequestPath::of(url) else {
            return false;
        };
        let (literal, decoded) = (path.literal_text(), path.split_text());
        paths.iter().any(|prefix| {
            literal.starts_with(prefix.as_str()) && decoded.starts_with(prefix.as_str())
        })
    }
}

/// Splits `name:port`, leaving a bracketed IPv6 address whole.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    match text[after_brackets..].find(':') {
        Some(at) => {
            let at = after_brackets + at;
            (&text[..at], Some(&text[at + 1..]))
        }
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str, paths: Option<&[&str]>) -> AllowRule {
        let paths = paths.map(|paths| paths.iter().map(ToString::to_string).collect());
        AllowRule::new(&ReadingAllow {
            host: host.to_owned(),
            paths,
        })
        .expect("a good entry")
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn r06_hosts_are_compared_exactly_after_parsing() {
        let rule = rule("GitHub.com", None);
        for text in [
            "https://github.com/a",
            "https://GITHUB.com:443/a",
            "https://x@github.com/",
        ] {
            assert!(rule.names(&url(text)), "{text}");
        }
        for text in [
            "https://github.com.evil.test/",
            "https://github.com@evil.test/",
            "https://evil.test#github.com",
            "https://evil.test/?github.com",
            "https://evil.test\\@github.com/",
            "https://github.com:22/",
            "https://github.com./",
            "https://g\u{131}thub.com/",
            "https://gith\u{75c}b.com/",
            "https://a.github.com/",
        ] {
            assert!(
                !Url::parse(text).is_ok_and(|url| rule.names(&url)),
                "{text}"
            );
        }
        // A backslash ends the host, so this one asks github.com for a path.
        let backslash = url("https://github.com\\@evil.test/");
        assert_eq!(backslash.host_str(), Some("github.com"));
    }

    #[test]
    fn ports_wildcards_and_paths_mean_what_backstage_means() {
        let ranged = rule("*.example.com:8000-8002", None);
        assert!(ranged.names(&url("https://a.example.com:8001/")));
        assert!(!ranged.names(&url("https://a.example.com/")));
        assert!(!ranged.names(&url("https://example.com:8001/")));
        assert!(!ranged.names(&url("https://aexample.com:8001/")));
        assert!(rule("example.com:443", None).names(&url("https://example.com/")));
        assert!(rule("[fd00::1]:8080", None).names(&url("http://[fd00::1]:8080/")));

        let paths = rule("example.com", Some(&["/docs/", "/open"]));
        assert!(paths.names(&url("https://example.com/docs/a")));
        assert!(paths.names(&url("https://example.com/openapi")));
        for text in [
            "/",
            "/doc",
            "/docs/../secret",
            "/docs/%2e%2e/secret",
            "/docs/..%2fsecret",
            "/docs%2Fa",
        ] {
            let text = format!("https://example.com{text}");
            assert!(!paths.names(&url(&text)), "{text}");
        }
    }

    #[test]
    fn bad_entries_are_refused() {
        for host in [
            "",
            "*",
            "*.",
            "https://a",
            "a/b",
            "a:0",
            "a:9-1",
            "a:99999",
            "a:x",
            "a b",
        ] {
            let entry = ReadingAllow {
                host: host.to_owned(),
                paths: None,
            };
            assert!(AllowRule::new(&entry).is_err(), "{host}");
        }
        let relative = ReadingAllow {
            host: "a".to_owned(),
            paths: Some(vec!["x".to_owned()]),
        };
        assert!(AllowRule::new(&relative).is_err());
        let unknown = serde_json::from_str::<ReadingAllow>(r#"{"host":"a","path":["/"]}"#);
        assert!(unknown.is_err());
    }
}
