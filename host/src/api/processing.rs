//! `/tenants/{tenant}/processing`: where every entity is in its life, conflicts, forced refresh and re-drive (DESIGN §5).
//!
//! A ref stands in the path as one percent-encoded segment `kind:namespace%2Fname`, or as three segments.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use greenroom_model::{EntityRef, Timestamp};
use greenroom_storage::{ProcessingFilter, ProcessingState, ProcessingStatus, RefreshScope};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::audit::Deed;
use super::auth::{Access, Read, Write};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::runs;
use super::state::ApiState;

/// Rows of one reply.
const DEFAULT_LIMIT: u64 = 200;
const MAX_LIMIT: u64 = 1_000;
/// Pause between two looks at an entity that is being refreshed.
const LOOK: Duration = Duration::from_millis(50);

/// A ref in a path: one segment `ref`, or the other three.
#[derive(Deserialize)]
pub(super) struct RefPath {
    r#ref: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl RefPath {
    fn entity_ref(&self) -> Result<EntityRef, ApiError> {
        if let (Some(kind), Some(namespace), Some(name)) = (&self.kind, &self.namespace, &self.name)
        {
            return Ok(EntityRef::new(kind, namespace, name));
        }
        let text = self.r#ref.as_deref().unwrap_or_default();
        EntityRef::parse(text).map_err(|error| ApiError::input(error.to_string()))
    }
}

fn limit_of(params: &Params) -> Result<u32, ApiError> {
    let limit = params
        .integer("limit", 1)?
        .unwrap_or(DEFAULT_LIMIT)
        .min(MAX_LIMIT);
    Ok(u32::try_from(limit).unwrap_or(u32::MAX))
}

fn status_of(text: &str) -> Result<ProcessingStatus, ApiError> {
    match text {
        "pending" => Ok(ProcessingStatus::Pending),
        "ok" => Ok(ProcessingStatus::Ok),
        "partial" => Ok(ProcessingStatus::Partial),
        "failed" => Ok(ProcessingStatus::Failed),
        "waiting" => Ok(ProcessingStatus::Waiting),
        _ => {
            let known = "pending, ok, partial, failed, waiting";
            Err(ApiError::input(format!(
                "request/query/status must be equal to one of the allowed values: {known}"
            )))
        }
    }
}

/// `GET /processing?status&deadLetters&after&limit`
pub(super) async fn list_processing(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["status", "deadLetters", "after", "limit"])?;
    let filter = ProcessingFilter {
        status: params.one("status")?.map(status_of).transpose()?,
        dead_letters: params.flag("deadLetters")?,
    };
    let after = params.one("after")?.map(EntityRef::parse).transpose();
    let after = after.map_err(|error| ApiError::input(error.to_string()))?;
    let limit = limit_of(&params)?;
    let items = state
        .storage
        .list_processing(access.tenant, filter, after.as_ref(), limit)
        .await?;
    let next = items
        .last()
        .filter(|_| items.len() >= limit as usize)
        .map(|last| last.entity_ref.clone());
    Ok(extract::json(
        StatusCode::OK,
        &json!({"items": items, "next": next}),
    ))
}

/// `GET /processing/conflicts?limit`
pub(super) async fn list_conflicts(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["limit"])?;
    let items = state
        .storage
        .list_conflicts(access.tenant, limit_of(&params)?)
        .await?;
    Ok(extract::json(StatusCode::OK, &json!({"items": items})))
}

/// `GET /processing/{ref}`
pub(super) async fn find_processing(
    access: Access<Read>,
    State(state): State<ApiState>,
    Segments(path): Segments<RefPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let entity_ref = path.entity_ref()?;
    match state
        .storage
        .find_processing(access.tenant, &entity_ref)
        .await?
    {
        Some(found) => Ok(extract::json(StatusCode::OK, &found)),
        None => Err(not_found(&entity_ref)),
    }
}

/// `POST /processing/{ref}/refresh?wait`: clears the memo; 200 when the run that this made is served, else 202.
pub(super) async fn force_refresh(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<RefPath>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["wait"])?;
    let until = Instant::now() + runs::wait_of(&params)?;
    let entity_ref = path.entity_ref()?;
    let before = state
        .storage
        .find_processing(access.tenant, &entity_ref)
        .await?;
    let deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "force_refresh",
        entity_ref.as_str(),
    );
    if !deed
        .on(&state)
        .refresh_entity(access.tenant, &entity_ref, RefreshScope::Forced)
        .await?
    {
        return Err(not_found(&entity_ref));
    }
    state.wakes.outgoing.notify_one();
    let ran_before = before.and_then(|before| before.last_run);
    loop {
        let now = state
            .storage
            .find_processing(access.tenant, &entity_ref)
            .await?;
        let now = now.ok_or_else(|| not_found(&entity_ref))?;
        if is_done(&now, ran_before, state.clock.now()) {
            return Ok(extract::json(StatusCode::OK, &now));
        }
        // A process that stops has no time to wait for what another will do.
        if Instant::now() >= until || state.lifecycle.stopping().is_stopping() {
            return Ok(extract::json(StatusCode::ACCEPTED, &now));
        }
        tokio::time::sleep(LOOK.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

/// Whether a run that began after the refresh has ended and is served. One that was under way when the refresh came runs once
/// more: its item is still due.
fn is_done(state: &ProcessingState, ran_before: Option<Timestamp>, now: Timestamp) -> bool {
    let ran = state.last_run.is_some() && state.last_run != ran_before;
    let due = state.next_due.is_some_and(|due| due <= now);
    ran && !due && !state.stitching
}

/// `POST /processing/{ref}/redrive`
pub(super) async fn redrive_entity(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<RefPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let entity_ref = path.entity_ref()?;
    let deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "redrive_entity",
        entity_ref.as_str(),
    );
    if !deed.on(&state).redrive(access.tenant, &entity_ref).await? {
        return Err(not_found(&entity_ref));
    }
    state.wakes.outgoing.notify_one();
    Ok(extract::json(
        StatusCode::ACCEPTED,
        &json!({"entityRef": entity_ref}),
    ))
}

fn not_found(entity_ref: &EntityRef) -> ApiError {
    ApiError::not_found(format!("Entity {entity_ref} not found"))
}
