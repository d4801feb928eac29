//! `POST /locations/by-query`: a page of registered locations by predicate, ordered by id (ref §7.4, §7.8).
//!
//! Locations are walked in short statements and only those of the page are kept, so that a tenant with very many of them
//! costs time and no memory. Every page counts anew, as Backstage's does. The cursor holds limit and query.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::TenantId;
use greenroom_model::filter::{LocationFields, LocationFilter};
use greenroom_query::{LocationCursor, MAX_PAGE};
use greenroom_storage::Location;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::locations::body_of;
use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::state::ApiState;

/// Locations of a page when the caller names no limit.
const DEFAULT_LIMIT: u64 = 1_000;
/// Rows read by one statement.
const ROWS: u32 = 1_000;

/// What one pass over the locations found.
#[derive(Default)]
struct Page {
    items: Vec<Location>,
    total: u64,
    more: bool,
}

/// `POST /locations/by-query`
pub(super) async fn query_locations(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let mut asked = asked_of(&body.unwrap_or_default())?;
    asked.limit = asked.limit.min(MAX_PAGE);
    let filter = match &asked.query {
        Some(query) => LocationFilter::from_predicate(query)?,
        None => LocationFilter::everything(),
    };
    let page = page_of(&state, access.tenant, &filter, &asked).await?;
    let mut info = Map::new();
    if page.more {
        asked.after_id = page.items.last().map(|location| location.id.clone());
        info.insert("nextCursor".to_owned(), asked.encode().into());
    }
    let items: Vec<Value> = page.items.iter().map(body_of).collect();
    let body = json!({"items": items, "totalItems": page.total, "pageInfo": info});
    Ok(extract::json(StatusCode::OK, &body))
}

/// Where the page begins and what it asks for; beside a cursor nothing else counts.
fn asked_of(body: &Map<String, Value>) -> Result<LocationCursor, ApiError> {
    if let Some(cursor) = body.text("cursor")? {
        if cursor.is_empty() {
            return Err(ApiError::input("Cursor cannot be empty"));
        }
        return Ok(LocationCursor::decode(cursor)?);
    }
    Ok(LocationCursor {
        limit: body.integer("limit", 1)?.unwrap_or(DEFAULT_LIMIT),
        after_id: None,
        query: body.get("query").cloned(),
    })
}

async fn page_of(
    state: &ApiState,
    tenant: TenantId,
    filter: &LocationFilter,
    asked: &LocationCursor,
) -> Result<Page, ApiError> {
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let begin = asked.after_id.as_deref().unwrap_or_default();
    let mut page = Page::default();
    let mut walked: Option<String> = None;
    loop {
        let rows = state
            .storage
            .scan_locations(tenant, walked.as_deref(), ROWS)
            .await?;
        let Some(last) = rows.last() else {
            return Ok(page);
        };
        walked = Some(last.id.clone());
        for row in rows {
            if !filter.matches(&fields_of(&row)) {
                continue;
            }
            page.total += 1;
            if row.id.as_str() <= begin {
                continue;
            }
            if page.items.len() < limit {
                page.items.push(row);
            } else {
                page.more = true;
            }
        }
    }
}

fn fields_of(location: &Location) -> LocationFields<'_> {
    LocationFields {
        id: &location.id,
        r#type: &location.location.r#type,
        target: &location.location.target,
        entity_ref: location.entity_ref.as_str(),
    }
}
