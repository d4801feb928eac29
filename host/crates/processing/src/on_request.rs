//! Runs on request that write nothing: one entity validated, or a location and everything reachable from it (ref §7.8).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use greenroom_model::location::generated;
use greenroom_model::{Clock, Diagnostic, Entity, Level, LocationRef, Presence, annotations};
use greenroom_orchestrator::{Outcome, Verdict};
use greenroom_storage::Lane;
use thiserror::Error;

use crate::drive::{End, MadeRead, Ports, drive};
use crate::{Orchestrate, ProcessingError, ReadSource, TenantPipeline};

/// The most entities a dry run processes.
const MAX_ENTITIES: usize = 500;

/// What a dry run found.
#[derive(Debug)]
pub struct DryRun {
    /// The processed entities, the generated Location first.
    pub entities: Vec<Entity>,
}

/// Why a dry run found nothing to show.
#[derive(Debug, Error)]
pub enum DryRunError {
    /// Entities of it are wrong: every error diagnostic.
    #[error("the dry run found {} errors", .0.len())]
    Rejected(Vec<Diagnostic>),
    /// A read cannot be answered now.
    #[error("read what the dry run needs: {0}")]
    Unavailable(String),
    /// Ours.
    #[error(transparent)]
    Processing(#[from] ProcessingError),
}

/// Processes one entity as if it were read at `location`; answers it or what is wrong with it.
///
/// # Errors
/// See [`DryRunError`].
pub async fn validate_entity(
    mut entity: Entity,
    location: &LocationRef,
    pipeline: &Arc<TenantPipeline>,
    orchestrate: &dyn Orchestrate,
    reads: &dyn ReadSource,
    clock: &dyn Clock,
) -> Result<Entity, DryRunError> {
    entity.set_annotation(annotations::MANAGED_BY_LOCATION, location.to_string());
    entity.set_annotation(
        annotations::MANAGED_BY_ORIGIN_LOCATION,
        location.to_string(),
    );
    let outcome = run(&entity, pipeline, orchestrate, reads, clock).await?;
    match outcome.verdict {
        Verdict::Processed(processed) if processed.complete => Ok(processed.entity),
        Verdict::Processed(_) | Verdict::Rejected { .. } => {
            Err(DryRunError::Rejected(errors(outcome.diagnostics)))
        }
    }
}

/// Processes a location and everything reachable from it. Its Location entity says of its presence what was said.
///
/// # Errors
/// See [`DryRunError`]; any entity's error fails the whole, as in Backstage.
pub async fn dry_run_location(
    location: &LocationRef,
    presence: Option<Presence>,
    pipeline: &Arc<TenantPipeline>,
    orchestrate: &dyn Orchestrate,
    reads: &dyn ReadSource,
    clock: &dyn Clock,
) -> Result<DryRun, DryRunError> {
    let root = generated(location, presence, None).map_err(|error| {
        DryRunError::Rejected(vec![Diagnostic::error(error.name(), error.to_string())])
    })?;
    let mut seen = BTreeSet::from([root.entity_ref()]);
    let mut queue = VecDeque::from([root]);
    let mut entities = Vec::new();
    while let Some(entity) = queue.pop_front() {
        let outcome = run(&entity, pipeline, orchestrate, reads, clock).await?;
        let processed = match outcome.verdict {
            Verdict::Processed(processed) if processed.complete => processed,
            Verdict::Processed(_) | Verdict::Rejected { .. } => {
                return Err(DryRunError::Rejected(errors(outcome.diagnostics)));
            }
        };
        for child in processed.children {
            if !seen.insert(child.entity_ref.clone()) {
                let twice = format!("Duplicate nested entity: {}", child.entity_ref);
                return Err(DryRunError::Rejected(vec![Diagnostic::error(
                    "InputError",
                    twice,
                )]));
            }
            queue.push_back(child.entity);
        }
        entities.push(processed.entity);
        if entities.len() + queue.len() > MAX_ENTITIES {
            let many = format!(
                "the location reaches more than {MAX_ENTITIES} entities: register it without a dry run"
            );
            return Err(DryRunError::Rejected(vec![Diagnostic::error(
                "InputError",
                many,
            )]));
        }
    }
    Ok(DryRun { entities })
}

fn errors(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics
        .into_iter()
        .filter(|one| one.level == Level::Error)
        .collect()
}

/// One run; a read that cannot be answered ends it.
async fn run(
    entity: &Entity,
    pipeline: &Arc<TenantPipeline>,
    orchestrate: &dyn Orchestrate,
    reads: &dyn ReadSource,
    clock: &dyn Clock,
) -> Result<Outcome, DryRunError> {
    let ports = Ports {
        orchestrate,
        reads,
        clock,
    };
    Ok(run_with_reads(entity, pipeline, ports).await?.0)
}

/// The same, with the reads it made.
pub(crate) async fn run_with_reads(
    entity: &Entity,
    pipeline: &Arc<TenantPipeline>,
    ports: Ports<'_>,
) -> Result<(Outcome, Vec<MadeRead>), DryRunError> {
    let lane = Lane::OnRequest;
    match drive(entity.to_json(), pipeline, lane, None, ports).await? {
        (End::Outcome(outcome), reads) => Ok((*outcome, reads)),
        (End::Unavailable { reason, .. }, _) => Err(DryRunError::Unavailable(reason)),
    }
}
