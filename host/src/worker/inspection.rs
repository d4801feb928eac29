//! Inspecting an uploaded revision: compile it in the compile child, ask it in a sandbox child what it is, say `ready` or
//! what to change.

use std::time::{Duration, Instant};

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_sandbox::{CallLimits, CallOutcome};
use greenroom_storage::{RevisionState, Storage};
use tracing::{info, warn};

use super::compile_child::CompileFailure;
use super::{Artifacts, Describe};
use crate::config::Quotas;
use crate::config_schema::ConfigSchema;

/// The state a revision gets; an error is ours and is tried again.
pub(crate) async fn inspect(
    artifacts: &Artifacts,
    describe: &dyn Describe,
    storage: &dyn Storage,
    tenant: TenantId,
    processor: &ProcessorName,
    number: u32,
    quotas: &Quotas,
) -> Result<Option<RevisionState>, String> {
    let found = storage
        .find_revision(tenant, processor, number)
        .await
        .map_err(|error| error.to_string())?;
    let Some(revision) = found else {
        return Ok(None);
    };
    if revision.state != RevisionState::Inspecting {
        return Ok(Some(revision.state));
    }
    let judged = judge(
        artifacts,
        describe,
        storage,
        tenant,
        &revision.digest,
        quotas,
    )
    .await;
    let state = match judged {
        Ok(descriptor) => RevisionState::Ready { descriptor },
        Err(CompileFailure::Rejected(reason)) => RevisionState::Rejected { reason },
        Err(CompileFailure::Failed(reason)) => return Err(reason),
    };
    storage
        .finish_inspection(tenant, processor, number, state.clone())
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(state))
}

/// Compiles, and charges the tenant for it, however it ended: for as long as the child lived, at most its limit.
async fn compile(
    artifacts: &Artifacts,
    storage: &dyn Storage,
    tenant: TenantId,
    digest: &Digest,
    quotas: &Quotas,
) -> Result<(), CompileFailure> {
    let component = artifacts
        .component(tenant, digest)
        .await
        .map_err(CompileFailure::Failed)?;
    let began = Instant::now();
    let compiled = artifacts.compile(tenant, digest, component).await;
    let most = Duration::from_secs(u64::from(quotas.compile_cpu_seconds));
    let cpu_ms = u64::try_from(began.elapsed().min(most).as_millis()).unwrap_or(u64::MAX);
    info!(tenant.id = tenant.0, processor.digest = %digest, cpu_ms, "compiled an upload");
    if let Err(error) = storage.charge_compilation(tenant, cpu_ms).await {
        warn!(%error, tenant.id = tenant.0, "could not charge a compilation");
    }
    compiled.map(drop)
}

/// The descriptor of a component that may run.
async fn judge(
    artifacts: &Artifacts,
    describe: &dyn Describe,
    storage: &dyn Storage,
    tenant: TenantId,
    digest: &Digest,
    quotas: &Quotas,
) -> Result<String, CompileFailure> {
    // Another processor of the tenant may have the same bytes: they are compiled once.
    let stored = artifacts.stored(tenant, digest).await;
    if stored.map_err(CompileFailure::Failed)?.is_none() {
        compile(artifacts, storage, tenant, digest, quotas).await?;
    }
    let failed =
        |error: &dyn std::fmt::Display| CompileFailure::Failed(format!("describe it: {error}"));
    let called = describe
        .describe(tenant, digest, &CallLimits::default())
        .await
        .map_err(|error| failed(&error))?;
    match called.outcome {
        CallOutcome::Answered(descriptor) => {
            if let Some(schema) = &descriptor.config_schema {
                ConfigSchema::parse(schema)
                    .map_err(|error| CompileFailure::Rejected(error.to_string()))?;
            }
            serde_json::to_string(&descriptor).map_err(|error| failed(&error))
        }
        CallOutcome::Faulted(fault) => Err(CompileFailure::Rejected(format!(
            "`describe` ended with the fault `{}`: {}",
            fault.kind, fault.message
        ))),
    }
}
