//! What a run starts from and what one turn of it gives.

use crate::{Outcome, Suspended};
use greenroom_model::{ProcessorName, Stage};
use greenroom_sandbox::Want;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything about one entity that a run starts from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The unprocessed entity, JSON text.
    pub entity: String,
    /// What each processor cached at the last good run. A hint; empty after an activation or a forced refresh.
    pub caches: BTreeMap<ProcessorName, String>,
    /// Now, in milliseconds since the Unix epoch; guests see it only cut to the grain they declared.
    pub now_ms: u64,
    /// The tenant's secret that seeds its guests' randomness.
    pub tenant_secret: [u8; 32],
    /// A processor whose calls are reported one by one; none in an ordinary run.
    #[serde(default)]
    pub observe: Option<ProcessorName>,
}

/// What one turn of a run gives.
#[derive(Debug, Serialize, Deserialize)]
pub enum Step {
    /// The run is over.
    Done(Box<Outcome>),
    /// A processor needs reads. Resume with one outcome for each want, in order.
    Wants(Box<WantedReads>, Box<Suspended>),
}

/// What a processor wants read. The reader judges them under that processor's grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedReads {
    /// Its name.
    pub processor: ProcessorName,
    /// The stage it is in.
    pub stage: Stage,
    /// What it wants; each for the first time in this stage.
    pub wants: Vec<Want>,
    /// Where the entity was read; a grant of `location` or `origin` is relative to it.
    pub location: greenroom_model::LocationRef,
    /// What started the chain.
    pub origin_location: greenroom_model::LocationRef,
    /// In read-location: the target being read, which its reader may always read.
    pub target: Option<greenroom_model::LocationRef>,
}
