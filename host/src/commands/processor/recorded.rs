//! Saved faults: one call with everything it was made with, to be made again here. A file from elsewhere is hostile until
//! read: its size and depth are bounded before anything of it is looked at (l05).

use std::path::Path;

use anyhow::Context as _;
use greenroom_orchestrator::{document_fault, new_wants};
use greenroom_sandbox::{
    CallOutcome, CallReport, Called, KeptDocuments, LoadedProcessor, RecordedCall, StageAnswer,
    engine_name,
};

use super::recorder::MadeCall;
use super::workshop::Workshop;
use crate::commands::files;

/// A saved fault in a file.
pub(super) fn read(path: &Path) -> anyhow::Result<RecordedCall> {
    parse(&files::read(path, files::TEXT_BYTES)?)
        .with_context(|| format!("read the saved fault `{}`", path.display()))
}

/// A saved fault as bytes.
pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<RecordedCall> {
    Ok(RecordedCall::from_json(bytes)?)
}

/// A call that was made here, as a saved one.
pub(super) fn of(made: &MadeCall) -> anyhow::Result<RecordedCall> {
    Ok(RecordedCall::new(
        greenroom_model::ProcessorName::parse(&made.processor)?,
        made.revision,
        made.limits,
        made.seed,
        made.call.clone(),
    )
    .ended(made.fault.clone(), made.report.clone()))
}

/// Writes a saved fault.
pub(super) fn save(path: &Path, recorded: &RecordedCall) -> anyhow::Result<()> {
    files::write(path, recorded.to_json()?.as_bytes())
}

/// Makes the call again, with the limits and the randomness it had, and judges its wants as the run did: `read-limit` is the
/// orchestrator's verdict on what a call asks for, not the call's own end.
pub(super) fn again(
    workshop: &Workshop,
    loaded: &LoadedProcessor,
    recorded: &RecordedCall,
) -> anyhow::Result<Called<StageAnswer>> {
    let reads = &recorded.call.request().reads;
    if let Some(fault) = document_fault(reads) {
        return Ok(Called {
            outcome: CallOutcome::Faulted(fault),
            report: CallReport::default(),
        });
    }
    let mut called =
        workshop
            .sandbox
            .call(loaded, &recorded.call, &recorded.limits, recorded.seed)?;
    if let CallOutcome::Answered(StageAnswer::Pending {
        wants, carry: None, ..
    }) = &called.outcome
        && let Err(fault) = new_wants(reads, wants.clone())
    {
        called.outcome = CallOutcome::Faulted(fault);
    }
    Ok(called)
}

/// What of this machine is not what the call was made with; empty where all is.
pub(super) fn mismatches(recorded: &RecordedCall, loaded: &LoadedProcessor) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.revision != loaded.revision() {
        found.push(format!(
            "the call was made with revision {}, this component is {}",
            recorded.revision,
            loaded.revision()
        ));
    }
    if recorded.engine != engine_name() {
        found.push(format!(
            "the call was made by engine {}, this is {}: fuel may differ",
            recorded.engine,
            engine_name()
        ));
    }
    if recorded.documents == KeptDocuments::Digests {
        found.push("the documents were kept as digests only, here they are empty: the call is not what it was".to_owned());
    }
    found
}
