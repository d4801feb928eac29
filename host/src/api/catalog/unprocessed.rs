//! `/entities/unprocessed/…`: what was never served, because its runs fail or because none has ended yet (ref §7.9).
//!
//! Rows have the shape of Backstage's `refresh_state`, as its page of unprocessed entities reads them, without Backstage's
//! two faults: a pending row names its entity, and what failed is listed. They are written as they are read, in short
//! statements. `…/processing` says more of each.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use greenroom_model::{Diagnostic, EntityRef, EntityUid, Level, TenantId};
use greenroom_storage::{ProcessingFilter, ProcessingState, ProcessingStatus, Storage};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::by_uid::{self, UidPath};
use crate::api::auth::{Access, Read, Write};
use crate::api::error::ApiError;
use crate::api::extract::{JSON, Params, Segments, json_text};
use crate::api::state::ApiState;

/// Rows read by one statement.
const ROWS: u32 = 100;

/// `GET /entities/unprocessed/failed?owner`
pub(super) async fn list_failed_entities(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let statuses = [ProcessingStatus::Failed];
    let rows = Unprocessed::new(&state, access.tenant, params, statuses)?;
    rows.respond("failed").await
}

/// `GET /entities/unprocessed/pending?owner`
pub(super) async fn list_pending_entities(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let statuses = [ProcessingStatus::Pending, ProcessingStatus::Waiting];
    let rows = Unprocessed::new(&state, access.tenant, params, statuses)?;
    rows.respond("pending").await
}

/// `DELETE /entities/unprocessed/delete/:entity_id`: as by uid, and as idempotent.
pub(super) async fn delete_unprocessed_entity(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<UidPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let uid = EntityUid::new(path.uid);
    by_uid::delete(&access, &state, &uid, "delete_unprocessed_entity").await
}

/// A walk over what was never served.
struct Unprocessed {
    storage: Arc<dyn Storage>,
    tenant: TenantId,
    /// `spec.owner` exactly as written.
    owner: Option<String>,
    /// Still to be walked; the first is under way.
    statuses: VecDeque<ProcessingStatus>,
    after: Option<EntityRef>,
    written: bool,
}

impl Unprocessed {
    fn new(
        state: &ApiState,
        tenant: TenantId,
        params: Params,
        statuses: impl Into<VecDeque<ProcessingStatus>>,
    ) -> Result<Self, ApiError> {
        let params = params.only(&["owner"])?;
        Ok(Self {
            storage: Arc::clone(&state.storage),
            tenant,
            owner: params.one("owner")?.map(str::to_owned),
            statuses: statuses.into(),
            after: None,
            written: false,
        })
    }

    /// The reply; its first rows are read before it begins, so that an error still has its status.
    async fn respond(mut self, r#type: &'static str) -> Result<Response, ApiError> {
        let first = self.next().await?.unwrap_or_default();
        let second = self.next().await?;
        let head = format!("{{\"type\":\"{type}\",\"entities\":[{first}");
        let Some(second) = second else {
            return Ok(json_text(StatusCode::OK, head + "]}"));
        };
        let rest = stream::try_unfold(Some(self), |rows| async move {
            let Some(mut rows) = rows else {
                return Ok(None);
            };
            match rows.next().await {
                Ok(Some(text)) => Ok(Some((text, Some(rows)))),
                Ok(None) => Ok(Some(("]}".to_owned(), None))),
                Err(_) => Err(BrokenOff),
            }
        });
        let head = stream::iter([Ok::<_, BrokenOff>(head), Ok(second)]);
        let body = Body::from_stream(futures_util::StreamExt::chain(head, rest));
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        Ok(response)
    }

    /// The text of the next rows; `None` at the end.
    async fn next(&mut self) -> Result<Option<String>, ApiError> {
        while let Some(status) = self.statuses.front().copied() {
            let filter = ProcessingFilter {
                status: Some(status),
                dead_letters: false,
            };
            let states = self
                .storage
                .list_processing(self.tenant, filter, self.after.as_ref(), ROWS)
                .await?;
            self.after = states.last().map(|state| state.entity_ref.clone());
            if self.after.is_none() {
                self.statuses.pop_front();
            }
            let mut text = String::new();
            for state in states.iter().filter(|state| !state.served) {
                let Some(row) = self.row(state).await? else {
                    continue;
                };
                if self.written {
                    text.push(',');
                }
                self.written = true;
                text.push_str(&row.to_string());
            }
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// One row; `None` if another owner's, or gone meanwhile.
    async fn row(&self, state: &ProcessingState) -> Result<Option<Value>, ApiError> {
        let found = self
            .storage
            .find_unprocessed(self.tenant, &state.entity_ref)
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let entity: Value = serde_json::from_str(&found.unprocessed).map_err(|error| {
            ApiError::internal(format!("an unprocessed entity does not parse: {error}"))
        })?;
        let owner = entity["spec"]["owner"].as_str();
        if self.owner.is_some() && self.owner.as_deref() != owner {
            return Ok(None);
        }
        let errors = state
            .diagnostics
            .iter()
            .filter(|one| one.level == Level::Error);
        Ok(Some(json!({
            "entity_id": state.uid,
            "entity_ref": state.entity_ref,
            "unprocessed_entity": entity,
            "unprocessed_hash": null,
            "result_hash": null,
            "location_key": state.location_key,
            "next_update_at": state.next_due,
            "last_discovery_at": null,
            "errors": errors.map(error_of).collect::<Value>(),
        })))
    }
}

fn error_of(diagnostic: &Diagnostic) -> Value {
    let mut error = json!({"name": diagnostic.name, "message": diagnostic.message});
    if let Some(cause) = &diagnostic.cause {
        error["cause"] = json!(cause);
    }
    error
}

/// Storage failed after the reply began: the connection is cut, so that the client sees no complete reply.
#[derive(Debug, thiserror::Error)]
#[error("storage failed while a list was being written")]
struct BrokenOff;
