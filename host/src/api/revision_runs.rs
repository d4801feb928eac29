//! `POST …/processors/{name}/runs` and `…/preview`: what a revision would do, without doing it (DESIGN §5).
//!
//! Both are runs that a worker carries out. They are answered when they are done within `wait`, else with 202 and the
//! run's address; a client that leaves before it is answered cancels its run. At most 8 of a kind of one tenant are
//! unfinished (h16).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::location::{origin_location, own_location};
use greenroom_model::{Entity, EntityRef, annotations};
use greenroom_storage::{Processor, Quotas, Revision, RunKind};
use serde_json::{Map, Value, json};

use super::auth::{Access, Deploy};
use super::body::{EntityJsonBody, JsonBody, Properties as _};
use super::error::ApiError;
use super::extract::{Params, Segments};
use super::processors::{ProcessorPath, named};
use super::revisions::{processor, ready, revision};
use super::runs;
use super::settings::{check_config, check_config_size, limits_of, unfit_config};
use super::state::ApiState;

/// Where a given entity is said to be from, when it does not say so itself. Nothing can be read relative to it.
const NOWHERE: &str = "url:https://dry-run.invalid/catalog-info.yaml";

/// `POST …/processors/{name}/runs?wait` with `{"revision"?, "entity" | "entityRef", "config"?}`
pub(super) async fn create_dry_run(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    EntityJsonBody(body): EntityJsonBody,
) -> Result<Response, ApiError> {
    let params = params.only(&["wait"])?;
    let patience = runs::wait_of(&params)?;
    let name = named(&path.name)?;
    let body = body.unwrap_or_default();
    only(&body, &["revision", "entity", "entityRef", "config"])?;
    let processor = processor(&state, access.tenant, &name).await?;
    let wanted = body.integer("revision", 1)?;
    let number = wanted.or(processor.current.map(u64::from)).ok_or_else(|| {
        ApiError::conflict(format!(
            "'{name}' has no current revision; name one as \"revision\""
        ))
    })?;
    let revision = revision(&state, access.tenant, &name, number).await?;
    ready(&revision)?;
    let mut request = json!({"processor": name, "revision": revision.number});
    match (body.get("entity"), body.text("entityRef")?) {
        (Some(entity), None) => request["entity"] = given(entity)?,
        (None, Some(text)) => {
            let entity_ref = EntityRef::parse(text)
                .map_err(|error| ApiError::input(format!("request/body/entityRef: {error}")))?;
            request["entityRef"] = json!(entity_ref);
        }
        _ => {
            return Err(ApiError::input(
                "request/body must have either 'entity' or 'entityRef'",
            ));
        }
    }
    let config = body.get("config");
    let quotas = state.storage.quotas(access.tenant).await?;
    check_runnable(&quotas, &processor, &revision, config)?;
    if let Some(config) = config {
        request["config"] = config.clone();
    }
    let kind = RunKind::DryRunRevision;
    runs::answer_or_accept(&state, access.tenant, kind, &request, patience).await
}

/// `POST …/processors/{name}/preview?wait` with `{"revision", "entities": a number or "all"}`
pub(super) async fn create_preview(
    access: Access<Deploy>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProcessorPath>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let params = params.only(&["wait"])?;
    let patience = runs::wait_of(&params)?;
    let name = named(&path.name)?;
    let body = body.unwrap_or_default();
    only(&body, &["revision", "entities"])?;
    body.required("revision")?;
    let number = body.integer("revision", 1)?.unwrap_or_default();
    let entities = match body.required("entities")? {
        Value::String(all) if all == "all" => None,
        Value::Number(_) => body.integer("entities", 1)?,
        _ => {
            return Err(ApiError::input(
                "request/body/entities must be a number of at least 1, or \"all\"",
            ));
        }
    };
    let processor = processor(&state, access.tenant, &name).await?;
    let revision = revision(&state, access.tenant, &name, number).await?;
    ready(&revision)?;
    let quotas = state.storage.quotas(access.tenant).await?;
    check_runnable(&quotas, &processor, &revision, None)?;
    let request = json!({"processor": name, "revision": revision.number, "entities": entities});
    let kind = RunKind::PreviewRevision;
    runs::answer_or_accept(&state, access.tenant, kind, &request, patience).await
}

/// Checks the configuration that a run would use: a given one is the client's mistake, a stored one a conflict.
fn check_runnable(
    quotas: &Quotas,
    processor: &Processor,
    revision: &Revision,
    given: Option<&Value>,
) -> Result<(), ApiError> {
    match given {
        Some(given) => {
            let limits = limits_of(&processor.settings, &quotas.call_limits);
            check_config_size(given, &limits)?;
            check_config(revision, Some(given))
                .map_err(|wrong| ApiError::input(format!("request/body/{wrong}")))
        }
        None => check_config(revision, processor.settings.config.as_ref())
            .map_err(|wrong| unfit_config(&processor.name, revision.number, &wrong)),
    }
}

/// A given entity as it goes into the run. It may not claim to be from a file: those are the operator's (DESIGN §3.4).
fn given(entity: &Value) -> Result<Value, ApiError> {
    let wrong =
        |error: &dyn std::fmt::Display| ApiError::input(format!("request/body/entity: {error}"));
    let mut entity = Entity::from_value(entity.clone()).map_err(|error| wrong(&error))?;
    for key in [
        annotations::MANAGED_BY_LOCATION,
        annotations::MANAGED_BY_ORIGIN_LOCATION,
    ] {
        if entity.annotation(key).is_none() {
            entity.set_annotation(key, NOWHERE);
        }
    }
    for location in [own_location(&entity), origin_location(&entity)] {
        let location = location.map_err(|error| wrong(&error))?;
        if location.r#type != "url" {
            return Err(wrong(&format!(
                "its location `{location}` must be of the type `url`"
            )));
        }
    }
    Ok(entity.into_value())
}

fn only(body: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let shown: String = key.chars().take(80).collect();
            Err(ApiError::input(format!(
                "request/body must NOT have additional property '{shown}'"
            )))
        }
    }
}
