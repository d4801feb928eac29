//! Inspecting an uploaded revision: compile it in the compile child, ask it in a sandbox child what it is, say `ready` or
//! what to change.

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_sandbox::{CallLimits, CallOutcome};
use greenroom_storage::{RevisionState, Storage};

use super::compile_child::CompileFailure;
use super::{Artifacts, Describe};
use crate::config_schema::ConfigSchema;

/// The state a revision gets; an error is ours and is tried again.
pub(crate) async fn inspect(
    artifacts: &Artifacts,
    describe: &dyn Describe,
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
    let state = match judge(artifacts, describe, tenant, &revision.digest).await {
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
    describe: &dyn Describe,
    tenant: TenantId,
    digest: &Digest,
) -> Result<String, CompileFailure> {
    let component = artifacts
        .component(tenant, digest)
        .await
        .map_err(CompileFailure::Failed)?;
    artifacts.compile(tenant, digest, component).await?;
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
