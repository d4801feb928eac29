//! What one tenant may read at all: its integrations and its `reading.allow`.
//!
//! Nothing is readable unless one of them names the host. A plain-http URL needs an entry of
//! `reading.allow`, since integrations are https. The addresses behind a name are another gate.

use std::sync::Arc;

use greenroom_model::Digest;
use url::Url;

use crate::address::Network;
use crate::allow::{AllowRule, ReadingAllow};
use crate::integration::{HostKind, IntegrationConfig};
use crate::outcome::Stop;
use crate::repository::{SourceFile, source_file};

/// The reading configuration of a tenant, checked.
#[derive(Clone, Debug, Default)]
pub struct ReadPolicy {
    allow: Vec<AllowRule>,
    integrations: Vec<IntegrationConfig>,
    networks: Arc<[Network]>,
}

/// A reading configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A `host` of `reading.allow` has no usable form.
    #[error(
        "`{0}` in `reading.allow` is not a host; write `name`, `name:port`, `name:first-last` or `*.suffix`"
    )]
    Host(String),
    /// A path of the entry for this host does not begin with a slash.
    #[error("a path of `{0}` in `reading.allow` does not begin with `/`")]
    Path(String),
    /// An integration names no host.
    #[error("integration host `{0}` is not a host; write `name` or `name:port`")]
    IntegrationHost(String),
    /// A base URL of the integration for this host is no http(s) URL.
    #[error("integration `{0}` has a base URL that is not an http or https URL")]
    BaseUrl(String),
}

/// How a URL is read.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// As it is, without credential.
    Plain,
    /// Through the API of a source-code host.
    Source(&'a IntegrationConfig, HostKind, SourceFile),
}

impl ReadPolicy {
    /// Checks a tenant's configuration. `private_networks` are those the operator permits it.
    ///
    /// # Errors
    /// [`PolicyError`] names the first entry that cannot be used.
    pub fn new(
        allow: &[ReadingAllow],
        integrations: Vec<IntegrationConfig>,
        private_networks: Vec<Network>,
    ) -> Result<ReadPolicy, PolicyError> {
        let allow = allow.iter().map(AllowRule::new).collect::<Result<_, _>>()?;
        for integration in &integrations {
            check_integration(integration)?;
        }
        Ok(ReadPolicy {
            allow,
            integrations,
            networks: private_networks.into(),
        })
    }

    /// Names the credential that a read of `url` would use, without telling it. Two reads may share
    /// stored documents only if tenant, URL and this are equal. None: no credential.
    #[must_use]
    pub fn credential_key(&self, url: &str) -> Option<Digest> {
        let url = Url::parse(url).ok()?;
        let integration = self.integration_of(&url)?;
        let token = integration.token()?;
        let parts = [
            "credential",
            &integration.r#type,
            &integration.host,
            token.reveal(),
        ];
        Some(Digest::of_parts(parts.map(str::as_bytes)))
    }

    /// The networks that may be dialled although they are not public.
    pub(crate) fn networks(&self) -> &Arc<[Network]> {
        &self.networks
    }

    /// The integration whose host `url` is on.
    pub(crate) fn integration_of(&self, url: &Url) -> Option<&IntegrationConfig> {
        self.integrations
            .iter()
            .find(|integration| integration.is_host_of(url))
    }

    /// Whether the configuration names `url`, as a browser would show it.
    pub(crate) fn names(&self, url: &Url) -> bool {
        self.allows(url) || url.scheme() == "https" && self.integration_of(url).is_some()
    }

    /// Whether an entry of `reading.allow` names `url`.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        self.allow.iter().any(|rule| rule.names(url))
    }

    /// How `url` is read.
    pub(crate) fn route(&self, url: &Url) -> Result<Route<'_>, Stop> {
        if !self.names(url) {
            return Err(Stop::refused(format!(
                "`{}` is not configured for reading; add it to `integrations` or `reading.allow`",
                url.host_str().unwrap_or_default()
            )));
        }
        let Some(integration) = self.integration_of(url) else {
            return Ok(Route::Plain);
        };
        let source = integration
            .kind()
            .map(|kind| (kind, source_file(kind, url)));
        match source {
            Some((kind, Some(source))) => Ok(Route::Source(integration, kind, source)),
            _ if self.allows(url) => Ok(Route::Plain),
            Some((_, None)) => Err(Stop::refused(
                "the URL names no file of a repository; give the URL that the host shows for the file",
            )),
            None => Err(Stop::refused(format!(
                "integrations of type `{}` are not read yet; add the host to `reading.allow`",
                integration.r#type
            ))),
        }
    }
}

fn check_integration(integration: &IntegrationConfig) -> Result<(), PolicyError> {
    let host = &integration.host;
    let parsed = Url::parse(&format!("https://{host}/"));
    if !parsed.is_ok_and(|url| integration.is_host_of(&url) && url.path() == "/") {
        return Err(PolicyError::IntegrationHost(host.clone()));
    }
    for base in [&integration.api_base_url, &integration.raw_base_url]
        .into_iter()
        .flatten()
    {
        let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !Url::parse(base).is_ok_and(|url| usable(&url)) {
            return Err(PolicyError::BaseUrl(host.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::Token;

    fn github(host: &str, token: &str) -> IntegrationConfig {
        IntegrationConfig {
            r#type: "github".to_owned(),
            host: host.to_owned(),
            api_base_url: None,
            raw_base_url: None,
            token: Some(Token::new(token)),
        }
    }

    fn policy(integrations: Vec<IntegrationConfig>) -> ReadPolicy {
        ReadPolicy::new(&[], integrations, Vec::new()).expect("a policy")
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn r03_nothing_is_named_by_default() {
        assert!(!ReadPolicy::default().names(&url("https://github.com/o/r/blob/main/x")));
        assert!(
            ReadPolicy::default()
                .route(&url("https://github.com/"))
                .is_err()
        );
    }

    #[test]
    fn integrations_are_https_and_name_files() {
        let policy = policy(vec![github("github.com", "t")]);
        assert!(
            policy
                .route(&url("https://github.com/o/r/blob/main/x"))
                .is_ok()
        );
        assert!(
            policy
                .route(&url("http://github.com/o/r/blob/main/x"))
                .is_err()
        );
        assert!(policy.route(&url("https://github.com/o/r")).is_err());
    }

    #[test]
    fn r08_documents_of_two_credentials_have_two_keys() {
        let target = "https://github.com/o/r/blob/main/x";
        let key = |token| policy(vec![github("github.com", token)]).credential_key(target);
        assert!(key("a").is_some() && key("a") == key("a"));
        assert_ne!(key("a"), key("b"));
        assert_eq!(key(""), None);
        assert_eq!(ReadPolicy::default().credential_key(target), None);
    }

    #[test]
    fn unusable_integrations_are_refused() {
        for host in [
            "",
            "https://github.com",
            "github.com/x",
            "u@github.com",
            "a b",
        ] {
            let made = ReadPolicy::new(&[], vec![github(host, "t")], Vec::new());
            assert!(made.is_err(), "{host}");
        }
        let mut odd = github("github.com", "t");
        odd.api_base_url = Some("file:///etc".to_owned());
        assert!(ReadPolicy::new(&[], vec![odd], Vec::new()).is_err());
    }
}
