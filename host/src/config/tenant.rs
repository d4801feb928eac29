//! What the operator's file sets for one tenant, with the keys of app-config.yaml.

use std::collections::BTreeMap;

use greenroom_model::rules::{AllowedKind, CatalogRules};
use greenroom_processing::FaultSettings;
use greenroom_reader::{IntegrationConfig, ReadingAllow};
use serde::Deserialize;

/// `[tenants.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSection {
    /// `catalog`.
    pub catalog: CatalogSection,
    /// `reading`, which is `backend.reading` of app-config.
    pub reading: ReadingSection,
    /// `integrations`: by type, a list of hosts.
    pub integrations: BTreeMap<String, Vec<IntegrationHost>>,
    /// `faults`; a key of ours.
    pub faults: FaultSettings,
}

/// `catalog` of app-config.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct CatalogSection {
    /// Static locations. The only way to name `file` locations.
    pub locations: Vec<ConfigLocation>,
    /// Which kinds may come from where; Component, API and Location if absent (ref §2.6).
    pub rules: Option<CatalogRules>,
    /// `delete` (the default) or `keep`.
    pub orphan_strategy: Option<OrphanStrategy>,
    /// Whether locations can be registered, changed and removed over the API; `false` if absent.
    pub readonly: Option<bool>,
    /// What registering a location does that is registered already: `reject` (the default) or `refresh`.
    pub default_location_conflict_strategy: Option<ConflictStrategy>,
}

/// What registering a known location does (ref §7.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictStrategy {
    /// It is an error.
    Reject,
    /// It runs the location again.
    Refresh,
}

impl ConflictStrategy {
    /// The word of app-config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Refresh => "refresh",
        }
    }
}

/// What becomes of an entity that nothing emits any more (ref §5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrphanStrategy {
    /// It goes after 30 s.
    Delete,
    /// It stays, with the orphan annotation.
    Keep,
}

impl OrphanStrategy {
    /// The word in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Keep => "keep",
        }
    }
}

/// One of `catalog.locations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigLocation {
    /// `url` or `file`.
    pub r#type: String,
    /// A URL, or a path relative to the configuration file.
    pub target: String,
    /// Kinds allowed from this location beside `catalog.rules`.
    #[serde(default)]
    pub rules: Vec<LocationRule>,
}

/// One of `catalog.locations[].rules`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationRule {
    /// Kinds it allows.
    pub allow: Vec<AllowedKind>,
}

/// `backend.reading` of app-config.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingSection {
    /// Hosts that may be read without an integration.
    pub allow: Vec<ReadingAllow>,
}

/// One host of an integration type; the keys of app-config but `type`, which is the table's name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IntegrationHost {
    /// Host name, with a port if it is not the default one.
    pub host: String,
    /// Base URL of its API.
    #[serde(default)]
    pub api_base_url: Option<String>,
    /// Base URL of raw files.
    #[serde(default)]
    pub raw_base_url: Option<String>,
    /// Its credential.
    #[serde(default)]
    pub token: Option<greenroom_reader::Token>,
}

impl TenantSection {
    /// The rules with those of the static locations added.
    pub fn rules(&self) -> CatalogRules {
        let mut rules = self.catalog.rules.clone().unwrap_or_default();
        for location in &self.catalog.locations {
            let kinds: Vec<AllowedKind> = location
                .rules
                .iter()
                .flat_map(|rule| rule.allow.clone())
                .collect();
            if !kinds.is_empty() {
                let at = greenroom_model::LocationRef::new(
                    location.r#type.clone(),
                    location.target.clone(),
                );
                rules.allow_from(&at, kinds);
            }
        }
        rules
    }

    /// The integrations as the reader takes them.
    pub fn integrations(&self) -> Vec<IntegrationConfig> {
        self.integrations
            .iter()
            .flat_map(|(r#type, hosts)| {
                hosts.iter().map(|one| IntegrationConfig {
                    r#type: r#type.clone(),
                    host: one.host.clone(),
                    api_base_url: one.api_base_url.clone(),
                    raw_base_url: one.raw_base_url.clone(),
                    token: one.token.clone(),
                })
            })
            .collect()
    }
}
