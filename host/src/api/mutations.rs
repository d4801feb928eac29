//! `POST /tenants/{tenant}/providers/{name}/mutations?type=delta|full`: an entity provider over HTTP (DESIGN §5).
//!
//! The body is read in the room of one batch, whatever its size, and storage keeps what was read until the closing line says
//! that it is whole. From then on the mutation lives without its client: it is applied by a task of its own.

use axum::extract::{Request, State};
use axum::response::Response;
use greenroom_model::ProcessorName;
use greenroom_storage::{MutationKind, MutationOutcome, Refusal};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::audit::Deed;
use super::auth::{Access, Write};
use super::body::{Pieces, refuse_encoding};
use super::error::ApiError;
use super::extract::{self, Params, Segments};
use super::mutation_lines::MutationReader;
use super::mutation_staging::Staging;
use super::mutation_turns::Turn;
use super::processors::named;
use super::state::ApiState;

/// A full mutation may shrink its set by this share or this number without being asked whether it means to.
const SHRINK_PERCENT: u64 = 30;
const SHRINK_ENTITIES: u64 = 10;

/// The provider in a path.
#[derive(Deserialize)]
pub(super) struct ProviderPath {
    name: String,
}

impl ProviderPath {
    /// A provider is named by the same rule as a processor.
    fn provider(&self) -> Result<ProcessorName, ApiError> {
        named(&self.name)
            .map_err(|_| ApiError::input("a provider's name is 1 to 63 of a-z, 0-9 and -"))
    }

    /// What its edges say where they come from.
    pub(super) fn source_key(&self) -> Result<String, ApiError> {
        Ok(source_key(&self.provider()?))
    }
}

fn source_key(provider: &ProcessorName) -> String {
    format!("provider:{provider}")
}

/// See the module's head.
pub(super) async fn apply_mutation(
    access: Access<Write>,
    State(state): State<ApiState>,
    Segments(path): Segments<ProviderPath>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let params = params.only(&["type", "allow_shrink"])?;
    let kind = match params.one("type")? {
        Some("delta") => MutationKind::Delta,
        Some("full") => MutationKind::Full,
        _ => {
            return Err(ApiError::input(
                "request/query/type must be equal to one of the allowed values: delta, full",
            ));
        }
    };
    let allow_shrink = params.flag("allow_shrink")?;
    let provider = path.provider()?;
    refuse_encoding(request.headers())?;
    let turn = state.mutation_turns.begin(access.tenant, provider.as_str());
    let source_key = source_key(&provider);
    let mut reader = MutationReader::new(kind, provider.as_str());
    let mut staging = Staging::new(&state, access.tenant, source_key.clone(), kind);
    let mut pieces = Pieces::new(request.into_body());
    while let Some(piece) = pieces.next().await? {
        reader.push(&piece)?;
        if let Some(lines) = reader.batch() {
            staging.stage(lines).await?;
        }
    }
    staging.finish(reader.finish()?).await?;
    if kind == MutationKind::Full && !allow_shrink {
        let had = state
            .storage
            .count_provided(access.tenant, &source_key)
            .await?;
        guard_shrinking(had, staging.adds().await?)?;
    }
    let tenant = access.tenant;
    let outcome = applied(&state, access, turn, staging, source_key).await?;
    if let Some(refusal) = &outcome.refused {
        return Err(no_room(refusal));
    }
    let body = json!({
        "added": outcome.added,
        "updated": outcome.updated,
        "unchanged": outcome.unchanged,
        "removed": outcome.removed,
        "conflicts": outcome.conflicts,
    });
    if outcome.removed > 0 {
        state.indexes.wait_for(tenant, outcome.seq).await;
    }
    Ok(extract::json(StatusCode::OK, &body))
}

/// Applies a whole mutation in a task of the tracked set, and waits for it.
async fn applied(
    state: &ApiState,
    access: Access<Write>,
    turn: Turn,
    staging: Staging,
    source_key: String,
) -> Result<MutationOutcome, ApiError> {
    let (reply, answer) = oneshot::channel();
    let applying = state.clone();
    state.lifecycle.spawn(async move {
        let outcome = apply(&applying, &access, &turn, staging, source_key).await;
        // Nobody may be waiting any more.
        drop(reply.send(outcome));
    });
    let stopping = "the host is stopping; send the mutation again";
    answer.await.map_err(|_| ApiError::unavailable(stopping))?
}

async fn apply(
    state: &ApiState,
    access: &Access<Write>,
    turn: &Turn,
    staging: Staging,
    source_key: String,
) -> Result<MutationOutcome, ApiError> {
    let _turn = turn.apply().await?;
    // What it comes to is known at its end only; that it was made is told from its first step on, which is the one that counts.
    let mut deed = Deed::new(
        &access.actor,
        Some(access.tenant),
        "apply_mutation",
        source_key,
    );
    deed.after = Some(json!({"type": staging.kind(), "lines": staging.lines()}).to_string());
    let storage = deed.on(state);
    let outcome = staging.apply(&*storage).await?;
    state.wakes.outgoing.notify_one();
    Ok(outcome)
}

/// What new entities without room are answered with.
fn no_room(refusal: &Refusal) -> ApiError {
    let message = match refusal {
        Refusal::Whole(over) => format!("{over}. Nothing was changed"),
        Refusal::Partly(over) => {
            format!(
                "{over}. The rest of the mutation was applied; send it again when there is room"
            )
        }
    };
    ApiError::conflict(message)
}

fn guard_shrinking(had: u64, has: u64) -> Result<(), ApiError> {
    let lost = had.saturating_sub(has);
    if lost > SHRINK_ENTITIES && lost.saturating_mul(100) > had.saturating_mul(SHRINK_PERCENT) {
        let message = format!(
            "this would leave {has} of {had} entities; if that is meant, send it again with allow_shrink=true. \
             Nothing was changed"
        );
        return Err(ApiError::conflict(message));
    }
    Ok(())
}
