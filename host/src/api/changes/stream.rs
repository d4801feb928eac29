//! One stream of server-sent events: a task that follows a log and writes what the connection takes.
//!
//! The log is the buffer, not this process: a client that leaves 64 KiB unread is closed and comes back where it was (h14). A
//! stream lives no longer than what admitted it: token, tenant and process are looked at beside it, so
//! that neither a slow storage nor a slow client delays its end (h15).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::Response;
use greenroom_model::TenantId;
use greenroom_storage::Change;
use http::{HeaderValue, header};
use serde_json::json;
use tokio::sync::watch;
use tracing::warn;

use super::cursor::Cursor;
use super::places::StreamPlace;
use super::unread::{self, Lagging, Writer};
use super::watch::LogEnd;
use super::{EVENT_STREAM, START_OVER};
use crate::api::auth::{Access, Read};
use crate::api::state::ApiState;

/// Events are written in pieces of about this many bytes.
const PIECE_BYTES: usize = 8 * 1024;
/// How often the token is looked at.
const ADMISSION_LOOK: Duration = Duration::from_secs(2);
/// Silence after which a comment is sent, so that neither end takes the other for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Changes read by one statement.
const CHANGES: u32 = 500;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The token was revoked or has expired.
    Unauthorized,
    /// The tenant is gone.
    TenantGone,
    /// The log is another one, or was trimmed past the stream.
    StartOver,
    /// The client does not read.
    Lagging,
    /// Storage did not answer.
    Unavailable,
    /// The process stops.
    Stopping,
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::TenantGone => "tenant-gone",
            Self::StartOver => "start-over",
            Self::Lagging => "lagging",
            Self::Unavailable => "unavailable",
            Self::Stopping => "stopping",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Unauthorized => "the token is no longer valid; come back with another",
            Self::TenantGone => "the tenant was deleted",
            Self::StartOver => START_OVER,
            Self::Lagging => "64 KiB were left unread; come back with the last id",
            Self::Unavailable | Self::Stopping => "come back with the last id",
        }
    }
}

/// What follows a log for one client.
pub(super) struct Follower {
    state: ApiState,
    tenant: TenantId,
    token_id: String,
    at: Cursor,
    log: watch::Receiver<LogEnd>,
}

impl Follower {
    /// A follower that has come as far as `at`.
    pub(super) fn new(
        state: ApiState,
        access: &Access<Read>,
        at: Cursor,
        log: watch::Receiver<LogEnd>,
    ) -> Self {
        Self {
            state,
            tenant: access.tenant,
            token_id: access.actor.token_id.clone(),
            at,
            log,
        }
    }

    /// The reply, with the follower at work behind it.
    pub(super) fn respond(self, place: StreamPlace) -> Response {
        let (writer, body) = unread::body();
        let state = self.state.clone();
        state.lifecycle.spawn(async move {
            self.run(writer).await;
            drop(place);
        });
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn run(mut self, writer: Writer) {
        let admitted = admitted(self.state.clone(), self.token_id.clone());
        let mut stopping = self.state.lifecycle.stopping();
        let end = tokio::select! {
            end = self.follow(&writer) => end,
            end = admitted => end,
            () = stopping.wait() => End::Stopping,
            () = writer.closed() => return,
        };
        let last = json!({"reason": end.reason(), "message": end.message()});
        writer.end(format!("event: end\ndata: {last}\n\n"));
    }

    async fn follow(&mut self, writer: &Writer) -> End {
        match self.events(writer).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn events(&mut self, writer: &Writer) -> Result<Infallible, End> {
        let position = json!({"next": self.at.to_string()});
        let first = format!("id: {}\nevent: position\ndata: {position}\n\n", self.at);
        writer.write(first).await?;
        loop {
            self.catch_up(writer).await?;
            tokio::select! {
                moved = self.log.changed() => {
                    moved.map_err(|_| End::Stopping)?;
                    self.same_log()?;
                }
                () = tokio::time::sleep(KEEP_ALIVE) => writer.write(":\n\n".to_owned()).await?,
            }
        }
    }

    /// Whether what is watched is still the log that the stream began with.
    fn same_log(&mut self) -> Result<(), End> {
        match &*self.log.borrow_and_update() {
            LogEnd::Gone => Err(End::TenantGone),
            LogEnd::At(end) if end.epoch != self.at.epoch => Err(End::StartOver),
            LogEnd::At(_) | LogEnd::Unseen => Ok(()),
        }
    }

    /// Sends every change after where the stream stands.
    async fn catch_up(&mut self, writer: &Writer) -> Result<(), End> {
        loop {
            let storage = &self.state.storage;
            let changes = storage.changes_after(self.tenant, self.at.seq, CHANGES);
            let changes = changes.await.map_err(|error| {
                warn!(%error, tenant.id = self.tenant.0, "a change stream cannot read on");
                End::Unavailable
            })?;
            let changes = changes.ok_or(End::StartOver)?;
            if changes.is_empty() {
                return Ok(());
            }
            let mut piece = String::new();
            for change in changes {
                self.at.seq = change.seq;
                piece.push_str(&event(&self.at, &change));
                if piece.len() >= PIECE_BYTES {
                    writer.write(std::mem::take(&mut piece)).await?;
                }
            }
            if !piece.is_empty() {
                writer.write(piece).await?;
            }
        }
    }
}

/// One change as an event. Its data is JSON, which has no line end of its own.
fn event(at: &Cursor, change: &Change) -> String {
    format!("id: {at}\ndata: {}\n\n", json!(change))
}

impl From<Lagging> for End {
    fn from(Lagging: Lagging) -> Self {
        Self::Lagging
    }
}

/// Ends when the token does.
async fn admitted(state: ApiState, token_id: String) -> End {
    loop {
        tokio::time::sleep(ADMISSION_LOOK).await;
        match state
            .directory
            .still_admits(&token_id, ADMISSION_LOOK)
            .await
        {
            Ok(true) => {}
            Ok(false) => return End::Unauthorized,
            Err(_) => return End::Unavailable,
        }
    }
}
