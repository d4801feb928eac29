//! A source-code host that a tenant reads, with the keys of app-config.yaml's `integrations`.
//!
//! This is the only form of an integration that holds a credential. It never leaves the reader:
//! `Debug` hides the token, there is no `Serialize`, and URL arithmetic elsewhere works with type
//! and host alone.

use std::fmt;

use serde::Deserialize;
use url::Url;

/// One entry of `integrations.<type>[]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IntegrationConfig {
    /// The key it stands under: `github`, `gitlab`, `gitea`, `bitbucketCloud` or `bitbucketServer`.
    /// Other types are accepted, since URL arithmetic knows more of them, and read nothing.
    pub r#type: String,
    /// Host name, with a port if it is not 443.
    pub host: String,
    /// Where its API is; the type's usual place on `host` if absent.
    #[serde(default)]
    pub api_base_url: Option<String>,
    /// Where it serves raw files (GitHub only); used when there is no token.
    #[serde(default)]
    pub raw_base_url: Option<String>,
    /// Credential, sent to the origin of the first request of a read and to no other.
    #[serde(default)]
    pub token: Option<Token>,
}

/// A credential that does not print.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Wraps a credential.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Token {
        Token(secret.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The types whose files can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKind {
    Github,
    Gitlab,
    Gitea,
    BitbucketCloud,
    BitbucketServer,
}

impl IntegrationConfig {
    /// The kind of host, if its files can be read.
    pub(crate) fn kind(&self) -> Option<HostKind> {
        match self.r#type.as_str() {
            "github" => Some(HostKind::Github),
            "gitlab" => Some(HostKind::Gitlab),
            "gitea" => Some(HostKind::Gitea),
            "bitbucketCloud" => Some(HostKind::BitbucketCloud),
            "bitbucketServer" => Some(HostKind::BitbucketServer),
            _ => None,
        }
    }

    /// Whether `url` is on this host: name and port are equal, whatever the scheme.
    pub(crate) fn is_host_of(&self, url: &Url) -> bool {
        let Some(name) = url.host_str() else {
            return false;
        };
        match url.port() {
            Some(port) => self.host.eq_ignore_ascii_case(&format!("{name}:{port}")),
            None => self.host.eq_ignore_ascii_case(name),
        }
    }

    /// The token, unless it is empty.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token
            .as_ref()
            .filter(|token| !token.reveal().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(host: &str) -> IntegrationConfig {
        let json = format!(r#"{{"type":"github","host":"{host}","token":"s3cret"}}"#);
        serde_json::from_str(&json).expect("an integration")
    }

    #[test]
    fn tokens_do_not_print() {
        let text = format!("{:?}", github("github.com"));
        assert!(
            text.contains("Token(..)") && !text.contains("s3cret"),
            "{text}"
        );
    }

    #[test]
    fn keys_are_those_of_app_config() {
        let json = r#"{"type":"github","host":"h","apiBaseUrl":"https://h/api/v3","rawBaseUrl":"https://h/raw"}"#;
        assert!(serde_json::from_str::<IntegrationConfig>(json).is_ok());
        assert!(
            serde_json::from_str::<IntegrationConfig>(r#"{"type":"github","host":"h","apps":[]}"#)
                .is_err()
        );
    }

    #[test]
    fn r06_an_integration_is_its_host_and_port_only() {
        let plain = github("github.com");
        let ported = github("ghe.example:8443");
        let is =
            |i: &IntegrationConfig, text: &str| i.is_host_of(&Url::parse(text).expect("a URL"));
        assert!(is(&plain, "https://GITHUB.com:443/a/b"));
        assert!(is(&ported, "https://ghe.example:8443/a"));
        for text in [
            "https://github.com:22/",
            "https://github.com./",
            "https://github.com.evil.test/",
            "https://x.github.com/",
        ] {
            assert!(!is(&plain, text), "{text}");
        }
        assert!(!is(&ported, "https://ghe.example/"));
    }
}
