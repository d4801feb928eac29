//! The memo of an entity (DESIGN §2.1): a digest of everything that decides its result. A run is skipped iff the memo is
//! equal and every traced read still has the same digest.
//!
//! Parts are labelled and length-framed (c29). Not in it: cache, limits, engine version, location key, others' relations.

use greenroom_model::{Digest, Entity};
use greenroom_orchestrator::Pipeline;
use greenroom_storage::TracedRead;

/// Raised when the host's own stages, policies or stitching change what they make of the same input.
const FORMAT: u32 = 1;

/// A memo's fixed part: what is known before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo(Digest);

/// The fixed part of an entity's memo. `entity` is `unprocessed` parsed; one that has no envelope matches no processor.
pub fn memo(unprocessed: &str, entity: Option<&Entity>, pipeline: &Pipeline, now_ms: u64) -> Memo {
    let mut parts: Vec<Vec<u8>> = vec![
        b"greenroom memo".to_vec(),
        FORMAT.to_be_bytes().to_vec(),
        unprocessed.as_bytes().to_vec(),
        pipeline.settings_digest.as_bytes().to_vec(),
    ];
    let matching = entity
        .into_iter()
        .flat_map(|entity| pipeline.matching(entity));
    for (_, processor) in matching {
        parts.push(b"processor".to_vec());
        parts.push(processor.name.as_str().as_bytes().to_vec());
        parts.push(processor.revision.as_bytes().to_vec());
        let stages: Vec<&str> = processor
            .descriptor
            .stages
            .iter()
            .map(|stage| stage.as_str())
            .collect();
        parts.push(stages.join(",").into_bytes());
        parts.push(Digest::of(processor.config.as_bytes()).as_bytes().to_vec());
        parts.push(processor.grants_digest.as_bytes().to_vec());
        if let Some(grain) = processor.descriptor.time {
            parts.push((now_ms / grain.milliseconds()).to_be_bytes().to_vec());
        }
    }
    Memo(Digest::of_parts(parts.iter().map(Vec::as_slice)))
}

impl Memo {
    /// The whole memo, with the reads of a run.
    pub fn with_trace(&self, trace: &[TracedRead]) -> Digest {
        let mut parts: Vec<&[u8]> = vec![self.0.as_bytes()];
        for read in trace {
            parts.extend([
                read.stage.as_str().as_bytes(),
                read.processor.as_str().as_bytes(),
                read.key.credential.as_bytes(),
                read.key.want.as_bytes(),
                read.digest.as_bytes().as_slice(),
            ]);
        }
        Digest::of_parts(parts)
    }
}
