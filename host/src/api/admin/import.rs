//! `POST /admin/tenants/{tenant}/import`: a tenant from a file, under the name of the path.
//!
//! All or nothing to a reader: what arrives is checked line by line and stored beside everything else, as a tenant that has no
//! name; the last line's count decides, and one transaction gives it its name. What ends otherwise is dropped, by this process
//! or, where it died, by a sweep; a second try may begin at once.

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use greenroom_model::{Digest, TenantId, TenantName};
use greenroom_storage::{
    ImportEnd, Imported, MOVED_BYTES, MOVED_ROWS, MOVED_TABLES, MovedRow, NewTenant, Tenant,
    UploadId,
};
use http::StatusCode;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::move_file::{Line, Lines, PIECE_BYTES, Piece};
use super::tenants::{TenantPath, body_of, new_name};
use crate::api::audit::Deed;
use crate::api::auth::{Actor, OperatorAccess};
use crate::api::body::{Pieces, refuse_encoding};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params, Segments};
use crate::api::state::ApiState;
use crate::api::token::random_bytes;

/// Largest component (DESIGN §3.2).
const MAX_COMPONENT_BYTES: u64 = 32 << 20;

/// See the module's head.
pub(super) async fn import_tenant(
    access: OperatorAccess,
    State(state): State<ApiState>,
    Segments(path): Segments<TenantPath>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let name = new_name(&path.tenant)?;
    refuse_encoding(request.headers())?;
    if state.storage.find_tenant(&name).await?.is_some() {
        return Err(taken(&name));
    }
    let mut import = Import::begin(&state, name).await?;
    let mut lines = Lines::default();
    let mut pieces = Pieces::new(request.into_body());
    while let Some(piece) = pieces.next().await? {
        for line in lines.push(&piece)? {
            import.line(&line).await?;
        }
    }
    import.line(&lines.rest()).await?;
    let (tenant, lines) = import.finish(&access.actor).await?;
    state.directory.forget();
    state.wakes.outgoing.notify_one();
    let mut body = body_of(&tenant);
    body["lines"] = lines.into();
    Ok(extract::json(StatusCode::CREATED, &body))
}

fn taken(name: &TenantName) -> ApiError {
    ApiError::conflict(format!(
        "a tenant `{name}` exists; import under another name, or delete it first"
    ))
}

fn rested() -> ApiError {
    ApiError::conflict("the import rested for more than an hour and was given up; send it again")
}

/// A tenant on its way in. One that is dropped before its end is dropped from storage too.
struct Import {
    state: ApiState,
    /// `None` once it has ended.
    id: Option<TenantId>,
    tenant: NewTenant,
    /// Lines read, blank ones included.
    read: u64,
    /// Lines between the first and the last.
    counted: u64,
    headed: bool,
    ended: bool,
    table: usize,
    held: Vec<MovedRow>,
    held_bytes: usize,
    component: Option<Component>,
}

/// A component on its way in.
struct Component {
    digest: Digest,
    upload: UploadId,
    number: u32,
    bytes: u64,
    hasher: Sha256,
}

impl Import {
    async fn begin(state: &ApiState, name: TenantName) -> Result<Import, ApiError> {
        let tenant = NewTenant {
            name,
            secret: random_bytes(),
            epoch: uuid::Uuid::new_v4().to_string(),
        };
        let id = state.storage.begin_import(&tenant).await?;
        Ok(Import {
            state: state.clone(),
            id: Some(id),
            tenant,
            read: 0,
            counted: 0,
            headed: false,
            ended: false,
            table: 0,
            held: Vec::new(),
            held_bytes: 0,
            component: None,
        })
    }

    fn id(&self) -> Result<TenantId, ApiError> {
        self.id
            .ok_or_else(|| ApiError::internal("an import went on after its end"))
    }

    fn wrong(&self, problem: impl std::fmt::Display) -> ApiError {
        ApiError::input(format!(
            "line {} {problem}; nothing was imported",
            self.read
        ))
    }

    async fn line(&mut self, text: &[u8]) -> Result<(), ApiError> {
        self.read += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if self.ended {
            return Err(self.wrong("comes after the last line"));
        }
        let line = Line::parse(text).map_err(|problem| self.wrong(problem))?;
        match line {
            Line::Head(head) if !self.headed => {
                self.headed = true;
                head.known().map_err(|problem| self.wrong(problem))
            }
            _ if !self.headed => {
                Err(self
                    .wrong("is not the first line of an export, {\"greenroom\":{\"format\":…}}"))
            }
            Line::Head(_) => Err(self.wrong("begins another export")),
            Line::Row(table, row) => {
                self.counted += 1;
                self.row(table, row).await
            }
            Line::Piece(piece) => {
                self.counted += 1;
                self.piece(piece).await
            }
            Line::End(end) => {
                self.flush().await?;
                if end.lines != self.counted {
                    return Err(self.wrong(format!(
                        "says that there are {} lines before it, but there are {}",
                        end.lines, self.counted
                    )));
                }
                self.ended = true;
                Ok(())
            }
        }
    }

    async fn row(&mut self, table: usize, row: MovedRow) -> Result<(), ApiError> {
        if self.component.is_some() {
            return Err(self.wrong("comes before the last piece of a component"));
        }
        if table < self.table {
            return Err(self.wrong("is of a table that comes earlier"));
        }
        if table > self.table {
            self.flush().await?;
            self.table = table;
        }
        self.held_bytes += row.bytes();
        self.held.push(row);
        if self.held.len() >= MOVED_ROWS || self.held_bytes >= MOVED_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Stores the rows that are held.
    async fn flush(&mut self) -> Result<(), ApiError> {
        let rows = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let (Some(table), Some(_)) = (MOVED_TABLES.get(self.table), rows.first()) else {
            return Ok(());
        };
        let count = rows.len();
        let imported = self
            .state
            .storage
            .import_rows(self.id()?, table, rows)
            .await?;
        let name = table.name;
        match imported {
            Imported::Added => Ok(()),
            Imported::Twice => Err(self.wrong(format!(
                "or one of the {count} rows of `{name}` before it is there twice, or its name or uid is"
            ))),
            Imported::NoEntity => Err(self.wrong(format!(
                "or one of the {count} rows of `{name}` before it is of an entity that is not in the file"
            ))),
            Imported::Gone => Err(rested()),
        }
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), ApiError> {
        self.flush().await?;
        let data = STANDARD
            .decode(&piece.data)
            .map_err(|error| self.wrong(format!("has data that is no base64: {error}")))?;
        if data.len() > PIECE_BYTES {
            return Err(self.wrong(format!("has a piece of more than {PIECE_BYTES} bytes")));
        }
        let mut component = self.component.take().unwrap_or_else(|| Component {
            digest: piece.digest,
            upload: UploadId(uuid::Uuid::new_v4().to_string()),
            number: 0,
            bytes: 0,
            hasher: Sha256::new(),
        });
        if component.digest != piece.digest || component.number != piece.number {
            return Err(self.wrong("is not the next piece of a component"));
        }
        component.number += 1;
        component.bytes += data.len() as u64;
        if component.bytes > MAX_COMPONENT_BYTES {
            return Err(self.wrong("goes beyond 32 MiB, which a component may have"));
        }
        component.hasher.update(&data);
        let id = self.id()?;
        self.state
            .storage
            .stage_upload(id, &component.upload, piece.number, Bytes::from(data))
            .await?;
        if !piece.last {
            self.component = Some(component);
            return Ok(());
        }
        let digest = Digest::from_bytes(component.hasher.finalize().into());
        if digest != component.digest {
            return Err(self.wrong(format!(
                "ends a component whose digest is {digest} and not {}",
                component.digest
            )));
        }
        let imported = self
            .state
            .storage
            .import_component(id, &component.upload, &digest, component.bytes)
            .await?;
        match imported {
            Imported::Added => Ok(()),
            Imported::Twice | Imported::NoEntity => Err(self
                .wrong("ends a component that is there, or that no revision of that size names")),
            Imported::Gone => Err(rested()),
        }
    }

    /// Gives the tenant its name.
    async fn finish(mut self, actor: &Actor) -> Result<(Tenant, u64), ApiError> {
        if !self.ended {
            return Err(ApiError::input(
                "the file was cut: its last line, {\"end\":{\"lines\":N,…}}, is missing; nothing was imported",
            ));
        }
        let tenant = NewTenant {
            name: self.tenant.name.clone(),
            secret: self.tenant.secret,
            epoch: self.tenant.epoch.clone(),
        };
        let (id, name) = (self.id()?, tenant.name.clone());
        let mut deed = Deed::new(actor, Some(id), "import_tenant", name.as_str());
        deed.after = Some(json!({"lines": self.counted}).to_string());
        match deed.on(&self.state).finish_import(id, tenant).await? {
            ImportEnd::Finished(tenant) => {
                self.id = None;
                Ok((tenant, self.counted))
            }
            ImportEnd::NameTaken => Err(taken(&self.tenant.name)),
            ImportEnd::NoComponent(processor, number) => Err(ApiError::input(format!(
                "the bytes of revision {number} of processor `{processor}` are missing; nothing was imported"
            ))),
            ImportEnd::Gone => Err(rested()),
        }
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        // Outside a runtime the process is ending; the sweep finds what is left after an hour.
        if let Some(id) = self.id.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let state = self.state.clone();
            self.state.lifecycle.spawn(async move {
                if let Err(error) = state.storage.drop_import(id).await {
                    tracing::warn!(%error, "an unfinished import could not be removed; it is swept");
                }
            });
        }
    }
}
