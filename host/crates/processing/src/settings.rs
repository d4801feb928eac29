//! A tenant's catalog settings as stored: the part of app-config that decides how its entities are processed.
//!
//! Keys are app-config.yaml's. Credentials are not here: they stay in the configuration of the process that reads.

use std::collections::BTreeMap;

use greenroom_model::Digest;
use greenroom_model::rules::CatalogRules;
use greenroom_orchestrator::{Integration, KeptDocuments};
use serde::{Deserialize, Serialize};

/// Settings of one tenant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantConfig {
    /// `catalog`.
    pub catalog: CatalogSettings,
    /// `reading`, carried for the reader.
    pub reading: serde_json::Value,
    /// `integrations`, by type, without credentials.
    pub integrations: BTreeMap<String, Vec<IntegrationSettings>>,
    /// `faults`.
    pub faults: FaultSettings,
}

/// What is kept of faults. Not an input of any run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultSettings {
    /// `whole` (the default), so that a fault can be replayed as it was, or `digests` (l04).
    pub documents: KeptDocuments,
}

/// `catalog` of app-config.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CatalogSettings {
    /// Which kinds may come from where; Component, API and Location by default (ref §2.6).
    pub rules: CatalogRules,
    /// `delete` (the default) or `keep` (ref §5.5).
    pub orphan_strategy: Option<String>,
    /// Whether locations are not changed over the API; the API's business, and no input of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
    /// `reject` (the default) or `refresh`; the API's business too (ref §7.8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_location_conflict_strategy: Option<String>,
}

/// One source-code host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationSettings {
    /// Host name, with a port if it is not the default one.
    pub host: String,
}

impl TenantConfig {
    /// The source-code hosts as guests see them.
    pub fn integrations(&self) -> Vec<Integration> {
        self.integrations
            .iter()
            .flat_map(|(r#type, hosts)| {
                hosts.iter().map(|one| Integration {
                    r#type: r#type.clone(),
                    host: one.host.clone(),
                })
            })
            .collect()
    }

    /// Digest of what of the settings is an input of every run.
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_string(&(&self.catalog.rules, &self.reading, &self.integrations));
        Digest::of(text.unwrap_or_default().as_bytes())
    }
}
