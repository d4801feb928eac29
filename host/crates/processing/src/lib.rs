//! What processing means around the stages: claiming, the memo, recording, stitching, orphan checks.
//!
//! This crate decides *what* happens to an entity; *when* is the worker's loop in the host, and the stages themselves are
//! `greenroom-orchestrator`, reached through the port [`Orchestrate`] so that they can live on threads or in another
//! process. Reads are asked of the port [`ReadSource`]. Everything is kept through `greenroom-storage`; nothing is kept
//! here but a cache of pipelines that is checked by version.
//!
//! Runs are idempotent: a run that is repeated, in whole or from any point, records the same.

mod analyze;
mod audit;
mod canary;
mod diff;
mod drive;
mod dry_run;
mod error;
mod memo;
mod on_request;
mod pipelines;
mod ports;
mod preview;
mod reads;
mod record;
mod run;
mod settings;
mod stitch;
mod stitcher;
mod validation;

pub use analyze::{Analysis, analyze_location};
pub use audit::{Audit, Audited};
pub use canary::start_canaries;
pub use diff::{Change, ChangeKind, diff};
pub use drive::Ports;
pub use dry_run::{DryRunOutcome, DryRunReport, dry_run};
pub use error::ProcessingError;
pub use memo::{Memo, memo};
pub use on_request::{DryRun, DryRunError, dry_run_location, validate_entity};
pub use pipelines::{BundledProcessor, Grant, Instead, Pipelines, TenantPipeline};
pub use ports::{Orchestrate, OrchestrateError, ReadAnswer, ReadSource, Reading, Wanted};
pub use preview::{Preview, PreviewReport};
pub use reads::jittered_interval_ms;
pub use run::{Ran, process};
pub use settings::{CatalogSettings, FaultSettings, IntegrationSettings, TenantConfig};
pub use stitch::stitch;
pub use stitcher::{Stitches, stitch_batch};
pub use validation::{
    CatalogChange, DocumentOutcome, MAX_BATCH_DOCUMENTS, ValidatedDocument, ValidationReport,
    ValidationSummary, validate_documents,
};
