//! Processors that ship with the host, as a tenant sees them: listed beside its own, with settings and without revisions.
//!
//! Each is on or off by default, as what it is modelled on is in Backstage's default backend. A tenant that puts settings
//! decides itself: `enabled` is true unless it says otherwise, so that configuring one turns it on. Code and limits are the
//! operator's; there is nothing to upload, activate, quarantine or delete.

use axum::response::Response;
use greenroom_model::{CallLimits, Digest, ProcessorName, TenantId};
use greenroom_storage::{BundledSettings, SetBundled, SettingsPut};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::audit::Deed;
use super::auth::{Access, Deploy};
use super::body::typed;
use super::error::ApiError;
use super::etag::{IfMatch, changed, tagged};
use super::extract;
use super::processors::no_processor;
use super::settings::{check_against, check_config_size, check_grants, check_matchers};
use super::state::ApiState;

/// A processor that ships with the host.
#[derive(Debug, Clone)]
pub struct BundledListing {
    /// Its name, which no tenant's processor may have.
    pub name: ProcessorName,
    /// SHA-256 of its component.
    pub digest: Digest,
    /// One line about it.
    pub summary: Option<String>,
    /// Its place among the processors of a tenant who set none.
    pub priority: i32,
    /// JSON Schema of its configuration, JSON text.
    pub config_schema: Option<String>,
    /// Whether it is called for a tenant who has set nothing on it.
    pub on_by_default: bool,
}

impl BundledListing {
    /// What is set where a tenant has set nothing.
    fn as_shipped(&self) -> SetBundled {
        SetBundled {
            name: self.name.clone(),
            settings: BundledSettings {
                enabled: self.on_by_default,
                ..BundledSettings::default()
            },
            settings_version: 0,
        }
    }

    fn schema(&self) -> Option<&str> {
        self.config_schema.as_deref()
    }
}

/// The bundled processor of that name.
pub(super) fn named<'a>(state: &'a ApiState, name: &ProcessorName) -> Option<&'a BundledListing> {
    state.bundled.iter().find(|one| one.name == *name)
}

/// What a tenant has on one, set or as it ships.
pub(super) async fn settings(
    state: &ApiState,
    tenant: TenantId,
    listing: &BundledListing,
) -> Result<SetBundled, ApiError> {
    let set = state.storage.list_bundled_settings(tenant).await?;
    let own = set.into_iter().find(|one| one.name == listing.name);
    Ok(own.unwrap_or_else(|| listing.as_shipped()))
}

/// All of them, as a list of processors has them.
pub(super) async fn bodies(state: &ApiState, tenant: TenantId) -> Result<Vec<Value>, ApiError> {
    let set = state.storage.list_bundled_settings(tenant).await?;
    let body = |listing: &BundledListing| {
        let own = set.iter().find(|one| one.name == listing.name).cloned();
        body_of(listing, &own.unwrap_or_else(|| listing.as_shipped()))
    };
    Ok(state.bundled.iter().map(body).collect())
}

pub(super) fn body_of(listing: &BundledListing, set: &SetBundled) -> Value {
    let schema = listing
        .schema()
        .map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    json!({
        "name": listing.name,
        "settings": set.settings,
        "current": null,
        "held": false,
        "createdAt": null,
        "activation": null,
        "bundled": {
            "digest": listing.digest,
            "summary": listing.summary,
            "priority": listing.priority,
            "configSchema": schema,
            "onByDefault": listing.on_by_default,
        },
    })
}

/// Checks and stores what a tenant puts.
pub(super) async fn update(
    state: &ApiState,
    access: &Access<Deploy>,
    listing: &BundledListing,
    if_match: &IfMatch,
    body: Map<String, Value>,
) -> Result<Response, ApiError> {
    let put: BundledSettings = typed(Some(body))?;
    check(listing, &put)?;
    let before = settings(state, access.tenant, listing).await?;
    let expected = if_match.expected(before.settings_version)?;
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "update_processor_settings",
        listing.name.as_str(),
    );
    deed.before = Some(json!(before.settings).to_string());
    deed.after = Some(json!(put).to_string());
    let stored = deed
        .on(state)
        .put_bundled_settings(access.tenant, &listing.name, put.clone(), expected)
        .await?;
    let version = match stored {
        SettingsPut::Put(version) => version,
        SettingsPut::Changed(version) => return Err(changed(version)),
        SettingsPut::NoProcessor => return Err(no_processor(&listing.name)),
    };
    state.wakes.outgoing.notify_one();
    Ok(tagged(extract::json(StatusCode::OK, &put), version))
}

fn check(listing: &BundledListing, settings: &BundledSettings) -> Result<(), ApiError> {
    if let Some(config) = &settings.config {
        check_config_size(config, &CallLimits::default())?;
    }
    // One that is off needs no configuration; if it has one all the same, that is right.
    if settings.enabled || settings.config.is_some() {
        check_against(listing.schema(), settings.config.as_ref())
            .map_err(|wrong| ApiError::input(format!("request/body/{wrong}")))?;
    }
    check_grants(settings.grants.as_deref())?;
    check_matchers(settings.subscription.as_deref())
}

/// What is answered to who would upload or activate a revision of one.
pub(super) fn no_revisions(name: &ProcessorName) -> ApiError {
    ApiError::not_found(format!(
        "'{name}' comes with the host and has no revisions; set it up with PUT …/processors/{name}/settings, \
         or give your processor another name"
    ))
}
