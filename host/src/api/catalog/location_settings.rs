//! What a tenant's settings say of registering locations: `catalog.readonly` and
//! `catalog.defaultLocationConflictStrategy` of app-config (ref §7.8).

use greenroom_model::TenantId;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::state::ApiState;

/// The part of the stored settings that is looked at here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    catalog: LocationSettings,
}

/// The two keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LocationSettings {
    readonly: bool,
    default_location_conflict_strategy: OnConflict,
}

/// What registering a location does that is registered already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnConflict {
    /// 409.
    #[default]
    Reject,
    /// 201 with the known location, whose entity runs again.
    Refresh,
}

impl LocationSettings {
    /// Those of a tenant.
    pub(super) async fn of(state: &ApiState, tenant: TenantId) -> Result<Self, ApiError> {
        let stored = state.storage.tenant_settings(tenant).await?;
        if stored.json.is_empty() {
            return Ok(Self::default());
        }
        let settings: Settings = serde_json::from_str(&stored.json).map_err(|error| {
            ApiError::internal(format!("a tenant's settings do not parse: {error}"))
        })?;
        Ok(settings.catalog)
    }

    /// Refuses to change locations where that is not allowed.
    pub(super) fn may_change(&self) -> Result<(), ApiError> {
        if self.readonly {
            return Err(ApiError::not_allowed(
                "This operation not allowed in readonly mode",
            ));
        }
        Ok(())
    }

    /// What to do unless the request says otherwise.
    pub(super) fn on_conflict(&self) -> OnConflict {
        self.default_location_conflict_strategy
    }
}
