//! Which hosts are known source hosts, and of which kind. Without credentials: the reader keeps
//! those, and guests see this list.

use serde::{Deserialize, Serialize};

use super::web_url::WebUrl;

/// The kind of a source host, named as app-config's `integrations` keys. In the order in which
/// Backstage asks them when two claim one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IntegrationType {
    /// Azure DevOps.
    Azure,
    /// bitbucket.org.
    BitbucketCloud,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// GitHub and GitHub Enterprise.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea.
    Gitea,
}

impl IntegrationType {
    /// The kind of that app-config key; none for one whose URLs are not understood.
    #[must_use]
    pub fn from_name(name: &str) -> Option<IntegrationType> {
        use IntegrationType::{Azure, BitbucketCloud, BitbucketServer, Gitea, Github, Gitlab};
        [
            Azure,
            BitbucketCloud,
            BitbucketServer,
            Gitea,
            Github,
            Gitlab,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
    }

    /// The app-config key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IntegrationType::Azure => "azure",
            IntegrationType::BitbucketCloud => "bitbucketCloud",
            IntegrationType::BitbucketServer => "bitbucketServer",
            IntegrationType::Github => "github",
            IntegrationType::Gitlab => "gitlab",
            IntegrationType::Gitea => "gitea",
        }
    }
}

/// One configured source host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Integration {
    /// Its kind.
    pub r#type: IntegrationType,
    /// Its host, with the port if it is not the default one.
    pub host: String,
}

impl Integration {
    /// A host of that kind.
    #[must_use]
    pub fn new(r#type: IntegrationType, host: impl Into<String>) -> Integration {
        Integration {
            r#type,
            host: host.into(),
        }
    }
}

/// All configured source hosts. `Default` knows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Integrations(Vec<Integration>);

impl Integrations {
    /// Exactly these hosts.
    #[must_use]
    pub fn new(mut hosts: Vec<Integration>) -> Integrations {
        hosts.sort_by_key(|host| host.r#type);
        Integrations(hosts)
    }

    /// These hosts and the public ones Backstage always knows.
    #[must_use]
    pub fn with_public_hosts(mut hosts: Vec<Integration>) -> Integrations {
        for (r#type, host) in [
            (IntegrationType::Azure, "dev.azure.com"),
            (IntegrationType::BitbucketCloud, "bitbucket.org"),
            (IntegrationType::Github, "github.com"),
            (IntegrationType::Gitlab, "gitlab.com"),
        ] {
            if !hosts.iter().any(|known| known.host == host) {
                hosts.push(Integration::new(r#type, host));
            }
        }
        Integrations::new(hosts)
    }

    /// The hosts.
    #[must_use]
    pub fn as_slice(&self) -> &[Integration] {
        &self.0
    }

    /// The integration whose host is exactly that of the URL.
    #[must_use]
    pub fn by_url(&self, url: &str) -> Option<&Integration> {
        let host = WebUrl::parse(url)?.host;
        self.0.iter().find(|known| known.host == host)
    }
}
