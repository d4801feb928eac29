//! Inspecting an uploaded revision: compile it in the compile child, ask it what it is, say `ready` or what to change.

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_sandbox::{CallLimits, CallOutcome};
use greenroom_storage::{RevisionState, Storage};

use super::Artifacts;
use super::compile_child::CompileFailure;
use crate::config_schema::ConfigSchema;

/// The state a revision gets; an error is ours and is tried again.
pub(crate) async fn inspect(
    artifacts: &Artifacts,
    storage: &dyn Storage,
    tenant: TenantId,
    processor: &ProcessorName,
    number: u32,
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
    let state = match judge(artifacts, tenant, &revision.digest).await {
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

/// The descriptor of a component that may run.
async fn judge(
    artifacts: &Artifacts,
    tenant: TenantId,
    digest: &Digest,
) -> Result<String, CompileFailure> {
    let component = artifacts
        .component(tenant, digest)
        .await
        .map_err(CompileFailure::Failed)?;
    let artifact = artifacts.compile(tenant, digest, component).await?;
    let sandbox = std::sync::Arc::clone(artifacts.sandbox());
    let described = tokio::task::spawn_blocking(move || {
        let loaded = sandbox.load(Some(tenant), &artifact)?;
        sandbox.describe(&loaded, &CallLimits::default())
    });
    let failed =
        |error: &dyn std::fmt::Display| CompileFailure::Failed(format!("describe it: {error}"));
    let called = described
        .await
        .map_err(|error| failed(&error))?
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
