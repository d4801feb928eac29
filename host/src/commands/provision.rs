//! Applies the configuration file to storage: tenants, their settings and their static locations.

use anyhow::Context as _;
use greenroom_model::location::generated;
use greenroom_model::{LocationRef, TenantName};
use greenroom_processing::{CatalogSettings, IntegrationSettings, TenantConfig};
use greenroom_storage::{
    Mutation, MutationKind, NewTenant, ProvidedEntity, Refusal, Storage, Tenant,
};
use tracing::warn;

use super::data_dir::random_bytes;
use crate::config::{Config, TenantSection};

/// The source key of static locations.
const SOURCE_KEY: &str = "config";

/// Makes storage say what the file says. What is not in the file any more goes, with what only it reached.
pub(super) async fn apply(config: &Config, storage: &dyn Storage) -> anyhow::Result<()> {
    for (name, section) in &config.tenants {
        let tenant = tenant(name, storage).await?;
        let settings =
            serde_json::to_string(&settings(section)).context("write the tenant's settings")?;
        storage
            .put_tenant_settings(tenant.id, &settings)
            .await
            .context("store the tenant's settings")?;
        let mutation = Mutation {
            kind: MutationKind::Full,
            added: locations(name, section)?,
            removed: Vec::new(),
        };
        let outcome = storage
            .apply_mutation(tenant.id, SOURCE_KEY, mutation)
            .await
            .with_context(|| format!("register the static locations of tenant `{name}`"))?;
        if let Some(Refusal::Whole(over) | Refusal::Partly(over)) = outcome.refused {
            warn!(tenant.name = name.as_str(), %over, "static locations are left out");
        }
    }
    Ok(())
}

async fn tenant(name: &TenantName, storage: &dyn Storage) -> anyhow::Result<Tenant> {
    if let Some(known) = storage.find_tenant(name).await? {
        return Ok(known);
    }
    let new = NewTenant {
        name: name.clone(),
        secret: random_bytes()?,
        epoch: uuid::Uuid::new_v4().to_string(),
    };
    match storage.create_tenant(new).await? {
        Some(created) => Ok(created),
        None => storage
            .find_tenant(name)
            .await?
            .with_context(|| format!("create tenant `{name}`")),
    }
}

fn settings(section: &TenantSection) -> TenantConfig {
    let hosts = |hosts: &Vec<crate::config::IntegrationHost>| {
        hosts
            .iter()
            .map(|one| IntegrationSettings {
                host: one.host.clone(),
            })
            .collect()
    };
    TenantConfig {
        catalog: CatalogSettings {
            rules: section.rules(),
            orphan_strategy: section
                .catalog
                .orphan_strategy
                .map(|strategy| strategy.as_str().to_owned()),
            readonly: section.catalog.readonly,
            default_location_conflict_strategy: section
                .catalog
                .default_location_conflict_strategy
                .map(|strategy| strategy.as_str().to_owned()),
        },
        reading: serde_json::json!({"allow": section.reading.allow}),
        integrations: section
            .integrations
            .iter()
            .map(|(r#type, list)| (r#type.clone(), hosts(list)))
            .collect(),
        faults: section.faults.clone(),
    }
}

fn locations(name: &TenantName, section: &TenantSection) -> anyhow::Result<Vec<ProvidedEntity>> {
    section
        .catalog
        .locations
        .iter()
        .map(|location| {
            let at = LocationRef::new(location.r#type.clone(), location.target.clone());
            let entity = generated(&at, None, None).with_context(|| {
                format!(
                    "`catalog.locations` of tenant `{name}`: `{}`",
                    location.target
                )
            })?;
            Ok(ProvidedEntity {
                entity_ref: entity.entity_ref(),
                unprocessed: entity.to_json(),
                location_key: Some(at.to_string()),
            })
        })
        .collect()
}
