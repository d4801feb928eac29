//! `GET /tenants/{tenant}/usage`: what the tenant may have, and what it has (DESIGN §4).
//!
//! Whoever may read the catalog may know how much of it there is: the figures name nothing, and it is the author who meets a
//! 409 that needs them. Rates are counted by each API process for itself, and so are those shown.

use axum::extract::State;
use axum::response::Response;
use greenroom_storage::{Quotas, TenantUsage};
use http::StatusCode;
use serde_json::{Value, json};

use super::auth::{Access, Read};
use super::error::ApiError;
use super::extract::{self, Params};
use super::rate::Limited;
use super::state::ApiState;

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 3_600;

/// See the module's head.
pub(super) async fn show_usage(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let quotas = state.storage.quotas(access.tenant).await?;
    let usage = state.storage.usage(access.tenant).await?;
    let rate = |what, per_minute| {
        let used = state
            .rates
            .used(access.tenant, what, per_minute, &*state.clock);
        within(used, per_minute, MINUTE_SECONDS)
    };
    let mut body = body_of(&quotas, &usage);
    body["uploadsPerMinute"] = rate(Limited::Uploads, quotas.uploads_per_minute);
    body["activationsPerMinute"] = rate(Limited::Activations, quotas.activations_per_minute);
    Ok(extract::json(StatusCode::OK, &body))
}

/// What storage knows.
fn body_of(quotas: &Quotas, usage: &TenantUsage) -> Value {
    // Of all that is held the tenant's part, in percent, rounded up.
    let threads = match usage.held_by_all {
        0 => 0,
        all => usage.held.saturating_mul(100).div_ceil(all),
    };
    json!({
        "entities": count(usage.entities, quotas.entities),
        "processors": count(usage.processors, quotas.processors),
        "componentBytes": count(usage.component_bytes, quotas.component_bytes),
        "revisionsPerProcessor": count(usage.most_revisions, quotas.revisions_per_processor),
        "waitingUploads": count(usage.waiting_uploads, quotas.waiting_uploads),
        "threadShare": count(threads, quotas.thread_share),
        "cpuSecondsPerMinute":
            within(usage.cpu_us.div_ceil(1_000_000), quotas.cpu_seconds_per_minute, MINUTE_SECONDS),
        "compileSecondsPerHour":
            within(usage.compile_ms.div_ceil(1_000), quotas.compile_seconds_per_hour, HOUR_SECONDS),
        "compileCpuSeconds": {"limit": quotas.compile_cpu_seconds},
        "callLimits": {"limit": quotas.call_limits},
    })
}

fn count(used: u64, limit: u64) -> Value {
    json!({"used": used, "limit": limit})
}

fn within(used: u64, limit: u64, window: u64) -> Value {
    json!({"used": used, "limit": limit, "windowSeconds": window})
}
