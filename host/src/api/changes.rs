//! `GET /tenants/{tenant}/changes`: what changed in the final entities, gap-free and in commit order, by pages or as a stream
//! of server-sent events (DESIGN §7).
//!
//! A cursor says how far its holder has come in which log. Whoever has none gets one for the end of the log, lists the
//! entities, and follows from there: a change tells which entity is another now and with which etag, never its body, so
//! that nobody applies an old one. A cursor is a hint: it is looked for in the log of the tenant that the token admits to
//! and in no other (h14). Nothing is kept for a follower but its stream; where it stands is in its own hands.

mod cursor;
mod places;
mod stream;
mod unread;
mod watch;

use axum::extract::State;
use axum::response::Response;
use greenroom_model::TenantId;
use greenroom_storage::LogPosition;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::auth::{Access, Read};
use super::error::ApiError;
use super::extract::{self, Params};
use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;
use super::state::ApiState;
use cursor::Cursor;
pub(crate) use places::StreamPlaces;
use stream::Follower;
pub(crate) use watch::{LogWatch, watch};

/// Changes of a page, if not said.
const DEFAULT_LIMIT: u64 = 200;
/// Most changes of a page.
const MAX_LIMIT: u64 = 1_000;
/// What a client asks for that wants a stream.
const EVENT_STREAM: &str = "text/event-stream";
/// What a stream's client sends when it comes back.
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) fn routes() -> Routes {
    Routes::below("/tenants/{tenant}/changes").get(
        "",
        list_changes,
        Doc::new("What changed in the served entities, in the order of commits and without a gap.")
            .details(
                "Ask without a cursor, list the entities, then follow from `next`. A change names the entity, and the etag that \
                 it was then served with; read the entity for its body. With `Accept: text/event-stream` the answer is a \
                 stream: an event `position` first, then one without a name for each change, with its cursor as id; an event \
                 `end` says why a stream ends. A stream whose client leaves 64 KiB unread is closed.",
            )
            .query(
                "cursor",
                QueryKind::Text,
                "`next` of the page before, or the id of an event; the end of the log if not said.",
            )
            .query(
                "limit",
                QueryKind::Number(1),
                "Most changes of a page, 200 if not said and 1 000 at most; not for streams.",
            )
            .header("Last-Event-ID", "Of a stream: the id of the last event; counts more than `cursor`.")
            .answer(200, Some(Content::JsonOrEvents("ChangePage")), "A page, or a stream.")
            .error(410, "The cursor is of another log, ahead of this one, or older than what is kept: start over.")
            .error(429, "Too many streams are open; try again after `Retry-After`."),
    )
}

/// `GET /changes?cursor&limit`
pub(super) async fn list_changes(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = params.only(&["cursor", "limit"])?;
    let streamed = wants_stream(&headers);
    let given = match last_event_id(&headers)? {
        Some(id) if streamed => Some(id),
        _ => params.one("cursor")?,
    };
    let given = given.map(Cursor::parse).transpose()?;
    let limit = params.integer("limit", 1)?;
    let tenant = access.tenant;
    if !streamed {
        let at = start(&state, tenant, given).await?;
        let limit = limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
        return page(&state, tenant, at, limit).await;
    }
    if limit.is_some() {
        return Err(ApiError::input(
            "request/query/limit is for pages; a stream goes on until it is closed",
        ));
    }
    let place = state.stream_places.take(tenant, &state.sheet)?;
    // Before the look at the log, so that a change between the two wakes the stream.
    let log = state.log_watch.subscribe(tenant);
    let at = start(&state, tenant, given).await?;
    Ok(Follower::new(state, &access, at, log).respond(place))
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let essence = range.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case(EVENT_STREAM)
        })
}

/// An empty one is what a client sends that has seen no event yet.
fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| cursor::malformed())?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Where to begin: at the cursor if the log can be followed from there, else at the log's end.
async fn start(
    state: &ApiState,
    tenant: TenantId,
    given: Option<Cursor>,
) -> Result<Cursor, ApiError> {
    let end = state.storage.log_positions(&[tenant]).await?.pop();
    let Some(LogPosition { epoch, seq }) = end.flatten() else {
        return Err(ApiError::not_found("No tenant of that name"));
    };
    match given {
        None => Ok(Cursor { epoch, seq }),
        Some(given) if given.epoch != epoch => Err(start_over(
            "the cursor is of another log: the catalog was restored, moved or made anew since",
        )),
        Some(given) if given.seq > seq => Err(start_over("the cursor is ahead of the log")),
        Some(given) => {
            let kept = state.storage.changes_after(tenant, given.seq, 1).await?;
            kept.map(|_| given).ok_or_else(trimmed)
        }
    }
}

async fn page(
    state: &ApiState,
    tenant: TenantId,
    at: Cursor,
    limit: u64,
) -> Result<Response, ApiError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let changes = state.storage.changes_after(tenant, at.seq, limit).await?;
    let changes = changes.ok_or_else(trimmed)?;
    let next = Cursor {
        seq: changes.last().map_or(at.seq, |last| last.seq),
        epoch: at.epoch,
    };
    let body = json!({"items": changes, "next": next.to_string()});
    Ok(extract::json(StatusCode::OK, &body))
}

/// 410 for a cursor that is older than what is kept.
fn trimmed() -> ApiError {
    start_over("the changes after the cursor are no longer kept")
}

/// 410, with what to do.
fn start_over(reason: &str) -> ApiError {
    ApiError::new(
        StatusCode::GONE,
        "GoneError",
        format!("{reason}; {START_OVER}"),
    )
}

/// What to do when a log cannot be followed on.
const START_OVER: &str = "ask for changes without a cursor, list the entities again, then follow from the cursor you get";
