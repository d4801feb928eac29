//! The memo of an entity (DESIGN §2.1): a digest of everything that decides its result. A run is skipped iff the memo is
//! equal and every traced read still has the same digest.
//!
//! Parts are labelled and length-framed (c29). Not in it: cache, limits, engine version, location key, others' relations.
//! A *failure* is remembered with limits and engine besides: more fuel, or another engine, may make of it a success, and
//! could make nothing else of a success.

use greenroom_model::{Digest, Entity};
use greenroom_orchestrator::{Pipeline, engine_name};
use greenroom_storage::TracedRead;

/// Raised when the host's own stages, policies or stitching change what they make of the same input.
const FORMAT: u32 = 1;

/// A memo's fixed part: what is known before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    success: Digest,
    failure: Digest,
}

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
    let mut limits = vec![b"greenroom failure".to_vec(), engine_name().into_bytes()];
    for (_, processor) in matching {
        limits.push(serde_json::to_vec(&processor.limits).unwrap_or_default());
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
    let success = Digest::of_parts(parts.iter().map(Vec::as_slice));
    limits.push(success.as_bytes().to_vec());
    Memo {
        success,
        failure: Digest::of_parts(limits.iter().map(Vec::as_slice)),
    }
}

impl Memo {
    /// The whole memo of a good run, with its reads.
    pub fn with_trace(&self, trace: &[TracedRead]) -> Digest {
        whole(&self.success, trace)
    }

    /// The whole memo of a deterministic failure, with its reads.
    pub fn of_failure(&self, trace: &[TracedRead]) -> Digest {
        whole(&self.failure, trace)
    }

    /// Whether a stored memo, of either kind, is what a run with these reads would be remembered by.
    pub fn is(&self, stored: Option<&Digest>, trace: &[TracedRead]) -> bool {
        stored.is_some_and(|stored| {
            *stored == self.with_trace(trace) || *stored == self.of_failure(trace)
        })
    }
}

fn whole(fixed: &Digest, trace: &[TracedRead]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![fixed.as_bytes()];
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

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_model::rules::CatalogRules;
    use greenroom_model::{ProcessorName, Stage};
    use greenroom_orchestrator::{CallLimits, Descriptor, PipelineProcessor, Track};

    fn pipeline(limits: CallLimits) -> Pipeline {
        Pipeline {
            processors: vec![PipelineProcessor {
                name: ProcessorName::parse("p").unwrap(),
                revision: Digest::of("wasm"),
                descriptor: Descriptor {
                    track: Track::V0_1,
                    stages: vec![Stage::PreProcess],
                    subscription: Vec::new(),
                    location_types: Vec::new(),
                    priority: 20,
                    config_schema: None,
                    time: None,
                    summary: None,
                },
                config: "{}".into(),
                limits,
                grants_digest: Digest::of("location"),
            }],
            rules: CatalogRules::default(),
            location_types: Vec::new(),
            integrations: [].into(),
            settings_digest: Digest::of("settings"),
        }
    }

    /// More fuel runs what ran out of it, and not what was good.
    #[test]
    fn c25_other_limits_forget_a_failure_and_keep_a_success() {
        let text = r#"{"apiVersion":"v1","kind":"Component","metadata":{"name":"a"}}"#;
        let entity = Entity::from_json(text).unwrap();
        let with = |limits| memo(text, Some(&entity), &pipeline(limits), 0);
        let (usual, more) = (
            with(CallLimits::default()),
            with(CallLimits {
                fuel: 2_000_000_000,
                ..CallLimits::default()
            }),
        );
        let (good, failed) = (usual.with_trace(&[]), usual.of_failure(&[]));
        assert_ne!(good, failed);
        assert!(usual.is(Some(&good), &[]) && usual.is(Some(&failed), &[]));
        assert!(more.is(Some(&good), &[]) && !more.is(Some(&failed), &[]));
        assert!(!usual.is(None, &[]));
    }
}
