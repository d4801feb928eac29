//! Writing lists of entities: stored JSON text, unparsed where no `fields` are asked for, in short statements.
//!
//! The first rows are read before the reply begins, so that an error still has its status; the rest is read as the client
//! takes it. No storage snapshot lives across a socket write (h13), and one reader holds one chunk.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::stream;
use greenroom_model::filter::EntityFilter;
use greenroom_model::terms::terms;
use greenroom_model::{EntityUid, TenantId};
use greenroom_query::{Fields, Hit, ListRequest, WalkPosition};
use greenroom_storage::{FinalEntity, Storage};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::error::ApiError;
use super::extract::JSON;
use super::index::TenantIndex;
use super::validators::streamed;

/// Rows read by one statement, and bytes of bodies with which it ends: what one reader holds.
const ROWS: usize = 100;
const CHUNK_BYTES: usize = 512 * 1024;
/// Ids taken from the index at a time by a walk.
const WALK_IDS: u64 = 500;

/// Where the rows of a reply come from.
pub(crate) enum Rows {
    /// Hits of the index; a row that has gone meanwhile is left out.
    Hits(VecDeque<EntityUid>),
    /// Refs of a request; a row that is not there is `null`.
    Refs(VecDeque<String>, Option<EntityFilter>),
    /// A walk over everything.
    Walk(Box<Walk>),
}

/// A walk of `/entities` without paging.
pub(crate) struct Walk {
    pub(crate) index: Arc<TenantIndex>,
    pub(crate) request: Arc<ListRequest>,
    position: Option<WalkPosition>,
    ids: VecDeque<EntityUid>,
    ended: bool,
}

impl Walk {
    pub(crate) fn new(index: Arc<TenantIndex>, request: ListRequest) -> Self {
        Self {
            index,
            request: Arc::new(request),
            position: None,
            ids: VecDeque::new(),
            ended: false,
        }
    }

    async fn refill(&mut self) -> Result<(), ApiError> {
        while self.ids.is_empty() && !self.ended {
            let (request, position) = (Arc::clone(&self.request), self.position.take());
            let page = self
                .index
                .ask(move |index| index.walk(&request, position.as_ref(), WALK_IDS))
                .await??;
            self.ids.extend(page.hits.into_iter().map(|hit| hit.uid));
            self.ended = page.next.is_none();
            self.position = page.next;
        }
        Ok(())
    }
}

impl Rows {
    pub(crate) fn of(hits: Vec<Hit>) -> Self {
        Self::Hits(hits.into_iter().map(|hit| hit.uid).collect())
    }
}

/// A list being written.
pub(crate) struct List {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) tenant: TenantId,
    pub(crate) rows: Rows,
    pub(crate) fields: Option<Fields>,
}

impl List {
    /// The reply: `before`, the items between commas, `after`.
    pub(crate) async fn respond(mut self, before: &str, after: &str) -> Result<Response, ApiError> {
        let raw = self.fields.is_none();
        let mut text = before.to_owned();
        let mut written = false;
        let more = self.append(&mut text, &mut written).await?;
        let body = if more {
            let rest = Rest {
                list: self,
                after: after.to_owned(),
                written,
            };
            let first = stream::iter([Ok::<_, ApiErrorInStream>(text)]);
            Body::from_stream(futures_util::StreamExt::chain(
                first,
                stream::try_unfold(Some(rest), Rest::next),
            ))
        } else {
            text.push_str(after);
            Body::from(text)
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::OK;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        // The original streams bodies as they are stored; of a query with fields, and of refs, it answers them whole.
        Ok(if raw { streamed(response) } else { response })
    }

    /// Writes the next rows; whether there may be more.
    async fn append(&mut self, text: &mut String, written: &mut bool) -> Result<bool, ApiError> {
        let (found, nulls, more) = self.next_rows().await?;
        for row in found {
            let item = match row {
                Some(entity) => self.item(&entity)?,
                None if nulls => None,
                None => continue,
            };
            if *written {
                text.push(',');
            }
            *written = true;
            text.push_str(item.as_deref().unwrap_or("null"));
        }
        Ok(more)
    }

    async fn next_rows(&mut self) -> Result<(Vec<Option<FinalEntity>>, bool, bool), ApiError> {
        match &mut self.rows {
            Rows::Hits(ids) => {
                let uids = next(ids);
                let rows = self
                    .storage
                    .find_entities_by_uids(self.tenant, &uids, CHUNK_BYTES)
                    .await?;
                ids.drain(..rows.len());
                Ok((rows, false, !ids.is_empty()))
            }
            Rows::Refs(refs, _) => {
                let wanted = next(refs);
                let rows = self
                    .storage
                    .find_entities_by_refs(self.tenant, &wanted, CHUNK_BYTES)
                    .await?;
                refs.drain(..rows.len());
                Ok((rows, true, !refs.is_empty()))
            }
            Rows::Walk(walk) => {
                walk.refill().await?;
                let uids = next(&walk.ids);
                let rows = self
                    .storage
                    .find_entities_by_uids(self.tenant, &uids, CHUNK_BYTES)
                    .await?;
                walk.ids.drain(..rows.len());
                Ok((rows, false, !walk.ids.is_empty() || !walk.ended))
            }
        }
    }

    /// The text of one item; `None` if the filter of the request leaves it out.
    fn item(&self, entity: &FinalEntity) -> Result<Option<String>, ApiError> {
        let filter = match &self.rows {
            Rows::Refs(_, filter) => filter.as_ref(),
            Rows::Hits(_) | Rows::Walk(_) => None,
        };
        if filter.is_none() && self.fields.is_none() {
            return Ok(Some(entity.body.to_string()));
        }
        let body: Value = parse(entity)?;
        if let (Some(filter), Some(object)) = (filter, body.as_object())
            && !terms(object).is_ok_and(|terms| filter.matches(&terms))
        {
            return Ok(None);
        }
        Ok(Some(match &self.fields {
            Some(fields) => fields.project(&body).to_string(),
            None => entity.body.to_string(),
        }))
    }
}

/// What the next statement asks for.
fn next<T: Clone>(from: &VecDeque<T>) -> Vec<T> {
    from.iter().take(ROWS).cloned().collect()
}

/// A stored body as a value.
pub(crate) fn parse(entity: &FinalEntity) -> Result<Value, ApiError> {
    serde_json::from_str(&entity.body)
        .map_err(|error| ApiError::internal(format!("a stored body does not parse: {error}")))
}

struct Rest {
    list: List,
    after: String,
    written: bool,
}

impl Rest {
    async fn next(rest: Option<Self>) -> Result<Option<(String, Option<Self>)>, ApiErrorInStream> {
        let Some(mut rest) = rest else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut written = rest.written;
        let more = rest
            .list
            .append(&mut text, &mut written)
            .await
            .map_err(|_| ApiErrorInStream)?;
        rest.written = written;
        if more {
            return Ok(Some((text, Some(rest))));
        }
        text.push_str(&rest.after);
        Ok(Some((text, None)))
    }
}

/// A list that broke after its reply began: the connection is cut, so that the client sees no complete reply.
#[derive(Debug, thiserror::Error)]
#[error("storage failed while a list was being written")]
struct ApiErrorInStream;
