//! `/tenants/{tenant}/processors/{name}/settings`: priority, configuration, limits, grants, subscription, on or off.
//!
//! Settings are replaced whole and checked before they are stored, so that nothing in a pipeline has to be guessed:
//! limits against what may be set, the configuration against the schema of the current revision (c27, c28). Those of bundled
//! processors are in `bundled`.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::{CallLimits, Matcher, ProcessorName, TenantId, check_subscription};
use greenroom_storage::{
    Processor, ProcessorSettings, Revision, RevisionState, SettingsPut, Storage,
};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::audit::Deed;
use super::auth::{Access, Deploy, Read};
use super::body::{JsonBody, typed};
use super::bundled;
use super::error::ApiError;
use super::etag::{IfMatch, changed, tagged};
use super::extract::{self, Params, Segments};
use super::processors::{ProcessorPath, named, no_processor};
use super::state::ApiState;
use crate::config_schema::ConfigSchema;

/// Most grants of one processor, and the longest.
const MAX_GRANTS: usize = 100;
const MAX_GRANT_BYTES: usize = 2_048;

/// `GET …/processors/{name}/settings`
pub(super) async fn find_processor_settings(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if let Some(listing) = bundled::named(&state, &name) {
        let set = bundled::settings(&state, access.tenant, listing).await?;
        let response = extract::json(StatusCode::OK, &set.settings);
        return Ok(tagged(response, set.settings_version));
    }
    let processor = state
        .storage
        .find_processor(access.tenant, &name)
        .await?
        .ok_or_else(|| no_processor(&name))?;
    let response = extract::json(StatusCode::OK, &processor.settings);
    Ok(tagged(response, processor.settings_version))
}

/// `PUT …/processors/{name}/settings`, with `If-Match` or without
pub(super) async fn update_processor_settings(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    if_match: IfMatch,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = named(&path.name)?;
    if let Some(listing) = bundled::named(&state, &name) {
        let body = body.unwrap_or_default();
        return bundled::update(&state, &access, listing, &if_match, body).await;
    }
    let quota = state.storage.quotas(access.tenant).await?.call_limits;
    let settings = settings_of(body.unwrap_or_default(), &quota)?;
    let before = state
        .storage
        .find_processor(access.tenant, &name)
        .await?
        .ok_or_else(|| no_processor(&name))?;
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "update_processor_settings",
        name.as_str(),
    );
    deed.before = Some(json!(before.settings).to_string());
    deed.after = Some(json!(settings).to_string());
    let storage = deed.on(&state);
    let version = put(
        &state,
        &*storage,
        access.tenant,
        &before,
        &settings,
        &if_match,
    )
    .await?;
    Ok(tagged(extract::json(StatusCode::OK, &settings), version))
}

/// Checks settings against the current revision and stores them through `storage` if they are new. Answers their version.
pub(super) async fn put(
    state: &ApiState,
    storage: &dyn Storage,
    tenant: TenantId,
    before: &Processor,
    settings: &ProcessorSettings,
    if_match: &IfMatch,
) -> Result<i64, ApiError> {
    let expected = if_match.expected(before.settings_version)?;
    if let Some(number) = before.current {
        let current = state
            .storage
            .find_revision(tenant, &before.name, number)
            .await?;
        if let Some(current) = current {
            check_config(&current, settings.config.as_ref())
                .map_err(|wrong| ApiError::input(format!("request/body/{wrong}")))?;
        }
    }
    let put = storage
        .put_processor_settings_if(tenant, &before.name, settings.clone(), expected)
        .await?;
    let version = match put {
        SettingsPut::Put(version) => version,
        SettingsPut::Changed(version) => return Err(changed(version)),
        SettingsPut::NoProcessor => return Err(no_processor(&before.name)),
    };
    state.wakes.outgoing.notify_one();
    Ok(version)
}

/// Checks a configuration against the schema that a revision declares; without a configuration the guest gets `{}`.
pub(super) fn check_config(revision: &Revision, config: Option<&Value>) -> Result<(), String> {
    let (RevisionState::Ready { descriptor } | RevisionState::Damaged { descriptor, .. }) =
        &revision.state
    else {
        return Ok(());
    };
    let descriptor: Value = serde_json::from_str(descriptor).unwrap_or_default();
    check_against(
        descriptor.get("configSchema").and_then(Value::as_str),
        config,
    )
}

/// Checks a configuration against the text of a schema, if there is one.
pub(super) fn check_against(schema: Option<&str>, config: Option<&Value>) -> Result<(), String> {
    let Some(text) = schema else {
        return Ok(());
    };
    // A schema that does not read was refused at inspection; one inspected by an older host may be stricter than we are.
    let schema = ConfigSchema::parse(text).map_err(|error| {
        format!("config cannot be checked: {error}; upload the processor again")
    })?;
    let nothing = json!({});
    schema
        .check(config.unwrap_or(&nothing))
        .map_err(|wrong| wrong.to_string())
}

/// What is answered when a revision does not take the configuration it would run with.
pub(super) fn unfit_config(name: &ProcessorName, number: u32, wrong: &str) -> ApiError {
    ApiError::conflict(format!(
        "revision {number} of '{name}' does not take the present configuration: {wrong}; \
         change the settings, or send the new \"config\" with this request"
    ))
}

/// The settings in a body, checked as far as they can be without a revision; limits go up to the tenant's quota.
pub(super) fn settings_of(
    body: Map<String, Value>,
    quota: &CallLimits,
) -> Result<ProcessorSettings, ApiError> {
    let settings: ProcessorSettings = typed(Some(body))?;
    match &settings.limits {
        None => {}
        Some(Value::Object(limits)) => {
            CallLimits::from_partial(limits, quota)
                .map_err(|wrong| ApiError::input(format!("request/body/limits: {wrong}")))?;
        }
        Some(_) => return Err(ApiError::input("request/body/limits must be object")),
    }
    if let Some(config) = &settings.config {
        check_config_size(config, &limits_of(&settings, quota))?;
    }
    check_grants(settings.grants.as_deref())?;
    check_matchers(settings.subscription.as_deref())?;
    Ok(settings)
}

/// Checks what may be read.
pub(super) fn check_grants(grants: Option<&[String]>) -> Result<(), ApiError> {
    let grants = grants.unwrap_or_default();
    let sound = |grant: &String| {
        let web = grant.starts_with("https://") || grant.starts_with("http://");
        matches!(grant.as_str(), "location" | "origin") || (web && grant.len() <= MAX_GRANT_BYTES)
    };
    if grants.len() > MAX_GRANTS || !grants.iter().all(sound) {
        let expected =
            format!("at most {MAX_GRANTS} of `location`, `origin` and https:// prefixes");
        return Err(ApiError::input(format!(
            "request/body/grants must be {expected}"
        )));
    }
    Ok(())
}

/// Checks a subscription.
pub(super) fn check_matchers(subscription: Option<&[Matcher]>) -> Result<(), ApiError> {
    subscription.map_or(Ok(()), |subscription| {
        check_subscription(subscription)
            .map_err(|wrong| ApiError::input(format!("request/body/subscription {wrong}")))
    })
}

/// Checks that a configuration is an object that a call with these limits can be given (DESIGN §3.2).
pub(super) fn check_config_size(config: &Value, limits: &CallLimits) -> Result<(), ApiError> {
    if !config.is_object() {
        return Err(ApiError::input("request/body/config must be object"));
    }
    let (bytes, most) = (config.to_string().len(), limits.config_bytes);
    if bytes as u64 > most {
        return Err(ApiError::input(format!(
            "request/body/config has {bytes} bytes, of at most {most}; keep data in a file and read it"
        )));
    }
    Ok(())
}

/// The limits that calls of a processor with these settings have; settings that are stored were checked.
pub(super) fn limits_of(settings: &ProcessorSettings, quota: &CallLimits) -> CallLimits {
    let set = settings.limits.as_ref().and_then(Value::as_object);
    set.and_then(|set| CallLimits::from_partial(set, quota).ok())
        .unwrap_or_else(|| CallLimits::default().at_most(quota))
}
