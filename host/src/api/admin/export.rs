//! `GET /admin/tenants/{tenant}/export`: a tenant as a file, read in short statements and written as it is read.
//!
//! Nothing is held but a page, or one component. The catalog is not stopped: who wants an exact copy lets nobody write
//! meanwhile, and the last line says whether anybody did.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use greenroom_model::Digest;
use greenroom_storage::{
    Blob, BlobKind, LogPosition, MOVED_TABLES, MovedRow, MovedTable, MovedValue, StorageError,
    Tenant,
};
use http::{HeaderValue, header};
use serde_json::Value;
use tracing::warn;

use super::move_file::{End, Head, MAX_LINE_BYTES, NDJSON, PIECE_BYTES, Piece, row_line};
use super::tenants::{TenantPath, find};
use crate::api::audit::Deed;
use crate::api::auth::OperatorAccess;
use crate::api::error::ApiError;
use crate::api::extract::{Params, Segments};
use crate::api::state::ApiState;

/// How long the token of an export is believed without asking storage.
const BELIEVED: std::time::Duration = std::time::Duration::from_secs(5);

/// See the module's head.
pub(super) async fn export_tenant(
    access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TenantPath>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let tenant = find(&state, &path).await?;
    let began = state.storage.log_position(tenant.id).await?;
    Deed::new(
        &access.actor,
        Some(tenant.id),
        "export_tenant",
        tenant.name.as_str(),
    )
    .record(&state)
    .await?;
    let file = format!("attachment; filename=\"{}.ndjson\"", tenant.name);
    let export = Export {
        began,
        token_id: access.actor.token_id,
        next: Next::Head,
        digests: VecDeque::new(),
        lines: 0,
        state,
        tenant,
    };
    let pieces = stream::try_unfold(export, |mut export| async move {
        let piece = export.piece().await.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            warn!(tenant.name = %export.tenant.name, error, "an export was cut");
        })?;
        Ok::<_, ExportCut>(piece.map(|piece| (piece, export)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    Ok(response)
}

/// Why a file ends without its last line.
#[derive(Debug, thiserror::Error)]
enum ExportCut {
    #[error("read the tenant")]
    Storage(#[from] StorageError),
    #[error("the token is no longer valid")]
    Token,
    #[error("the tenant was deleted")]
    Tenant,
    #[error("a row of `{0}` is larger than a line may be")]
    TooLarge(&'static str),
    #[error("the bytes of component {0} are not there: delete its revision, or upload it again")]
    NoComponent(Digest),
}

/// What comes next.
enum Next {
    Head,
    Rows(usize, Option<MovedRow>),
    /// Components, then the table of that place.
    Components(usize),
    /// The rest of a component.
    Pieces(usize, Digest, Bytes, u32),
    End,
    Nothing,
}

/// A tenant on its way out.
struct Export {
    state: ApiState,
    tenant: Tenant,
    token_id: String,
    began: LogPosition,
    next: Next,
    /// Components to be written.
    digests: VecDeque<Digest>,
    lines: u64,
}

impl Export {
    /// The next piece of the file; `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, ExportCut> {
        loop {
            let piece = match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => return Ok(None),
                Next::Head => {
                    self.next = Next::Rows(0, None);
                    let head = Head::new(self.tenant.name.as_str(), self.state.clock.now());
                    written([head.line()])
                }
                Next::Rows(place, after) => self.rows(place, after).await?,
                Next::Components(then) => {
                    self.component(then).await?;
                    continue;
                }
                Next::Pieces(then, digest, rest, number) => self.bytes(then, digest, rest, number),
                Next::End => self.end().await?,
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    async fn rows(&mut self, place: usize, after: Option<MovedRow>) -> Result<Bytes, ExportCut> {
        let Some(table) = MOVED_TABLES.get(place) else {
            self.next = Next::End;
            return Ok(Bytes::new());
        };
        let believed = self.state.directory.still_admits(&self.token_id, BELIEVED);
        if !believed.await.unwrap_or(false) {
            return Err(ExportCut::Token);
        }
        let storage = &self.state.storage;
        let rows = storage
            .export_rows(self.tenant.id, table, after.as_ref())
            .await?;
        self.note_components(table, &rows);
        self.lines += rows.len() as u64;
        let mut text = Vec::new();
        for row in &rows {
            let start = text.len();
            write_line(&mut text, &row_line(table, row));
            if text.len() - start > MAX_LINE_BYTES {
                return Err(ExportCut::TooLarge(table.name));
            }
        }
        self.next = match rows.into_iter().next_back() {
            Some(last) => Next::Rows(place, Some(last)),
            None if self.digests.is_empty() => Next::Rows(place + 1, None),
            None => Next::Components(place + 1),
        };
        Ok(text.into())
    }

    /// Remembers which components a page of revisions names.
    fn note_components(&mut self, table: &MovedTable, rows: &[MovedRow]) {
        if table.name != "processor_revisions" {
            return;
        }
        for row in rows {
            let damaged = table.value(row, "state").text().is_some_and(|state| {
                serde_json::from_str::<greenroom_storage::RevisionState>(state)
                    .is_ok_and(|state| state.is_damaged())
            });
            if let MovedValue::Digest(digest) = table.value(row, "digest")
                && !damaged
                && !self.digests.contains(digest)
            {
                self.digests.push_back(*digest);
            }
        }
    }

    async fn component(&mut self, then: usize) -> Result<(), ExportCut> {
        let Some(digest) = self.digests.pop_front() else {
            self.next = Next::Rows(then, None);
            return Ok(());
        };
        let blob = Blob {
            kind: BlobKind::Component,
            digest,
        };
        let bytes = self.state.storage.get_blob(self.tenant.id, &blob).await;
        let bytes = match bytes {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(StorageError::Damaged { .. }) => {
                return Err(ExportCut::NoComponent(digest));
            }
            Err(error) => return Err(error.into()),
        };
        self.next = Next::Pieces(then, digest, bytes, 0);
        Ok(())
    }

    fn bytes(&mut self, then: usize, digest: Digest, mut rest: Bytes, number: u32) -> Bytes {
        let data = rest.split_to(rest.len().min(PIECE_BYTES));
        let last = rest.is_empty();
        let piece = Piece {
            digest,
            number,
            data: STANDARD.encode(&data),
            last,
        };
        self.lines += 1;
        self.next = if last {
            Next::Components(then)
        } else {
            Next::Pieces(then, digest, rest, number + 1)
        };
        written([piece.line()])
    }

    async fn end(&self) -> Result<Bytes, ExportCut> {
        // A tenant that is gone has no rows: an empty file would look whole.
        let found = self.state.storage.find_tenant_by_id(self.tenant.id).await?;
        if found.is_none() {
            return Err(ExportCut::Tenant);
        }
        let end = End {
            lines: self.lines,
            quiet: self.state.storage.log_position(self.tenant.id).await? == self.began,
        };
        Ok(written([end.line()]))
    }
}

fn written(lines: impl IntoIterator<Item = Value>) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        write_line(&mut text, &line);
    }
    text.into()
}

fn write_line(text: &mut Vec<u8>, line: &Value) {
    text.extend_from_slice(line.to_string().as_bytes());
    text.push(b'\n');
}
