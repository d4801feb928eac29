//! What a child has been told: compiled code and pipelines. The worker bounds it, so that the child need not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use greenroom_model::Digest;
use greenroom_processing::TenantPipeline;
use greenroom_sandbox::Scope;

/// Pipelines a child holds at once. A pipeline is a few KiB; the one used longest ago is taken back.
const PIPELINES: usize = 256;
/// Revisions remembered as loaded. The child drops code by weight and says so when it is missed; when this many were told,
/// telling starts over.
const REVISIONS: usize = 4096;

/// A revision in the scope it is loaded for.
pub(super) type Loaded = (Scope, Digest);

/// What one child has been told.
#[derive(Debug, Default)]
pub(super) struct Known {
    revisions: HashSet<Loaded>,
    refused: HashMap<Loaded, String>,
    /// By address, which is a key and never followed.
    pipelines: HashMap<usize, Told>,
    next: u64,
    uses: u64,
}

#[derive(Debug)]
struct Told {
    /// Keeps the pipeline, so that no other can have its address.
    pipeline: Arc<TenantPipeline>,
    number: u64,
    used: u64,
}

impl Known {
    /// The number of a pipeline, if the child has it.
    pub(super) fn number_of(&mut self, pipeline: &Arc<TenantPipeline>) -> Option<u64> {
        self.uses += 1;
        let told = self.pipelines.get_mut(&Arc::as_ptr(pipeline).addr())?;
        told.used = self.uses;
        Some(told.number)
    }

    /// Takes a pipeline as told; answers its number and the number of one that has to go for it.
    pub(super) fn add(&mut self, pipeline: &Arc<TenantPipeline>) -> (u64, Option<u64>) {
        self.uses += 1;
        self.next += 1;
        let oldest = self
            .pipelines
            .iter()
            .min_by_key(|(_, told)| told.used)
            .map(|(key, _)| *key);
        let gone = match oldest {
            Some(key) if self.pipelines.len() >= PIPELINES => self.pipelines.remove(&key),
            _ => None,
        };
        let told = Told {
            pipeline: Arc::clone(pipeline),
            number: self.next,
            used: self.uses,
        };
        self.pipelines.insert(Arc::as_ptr(pipeline).addr(), told);
        (self.next, gone.map(|told| told.number))
    }

    /// Whether code was told.
    pub(super) fn has(&self, loaded: &Loaded) -> bool {
        self.revisions.contains(loaded)
    }

    /// Takes code as told.
    pub(super) fn load(&mut self, loaded: Loaded) {
        if self.revisions.len() >= REVISIONS {
            self.revisions.clear();
        }
        self.refused.remove(&loaded);
        self.revisions.insert(loaded);
    }

    /// Code that the child's engine does not take.
    pub(super) fn refuse(&mut self, loaded: Loaded, reason: String) {
        self.revisions.remove(&loaded);
        if self.refused.len() < REVISIONS {
            self.refused.insert(loaded, reason);
        }
    }

    /// Why the child's engine did not take code, if it did not.
    pub(super) fn refusal(&mut self, loaded: &Loaded) -> Option<String> {
        self.refused.remove(loaded)
    }

    /// The child misses code; answers the numbers of pipelines that have to be told again after it.
    pub(super) fn miss(&mut self, revision: &Digest) -> Vec<u64> {
        self.revisions.retain(|(_, known)| known != revision);
        let mut gone = Vec::new();
        self.pipelines.retain(|_, told| {
            let uses = told
                .pipeline
                .pipeline
                .processors
                .iter()
                .any(|processor| processor.revision == *revision);
            if uses {
                gone.push(told.number);
            }
            !uses
        });
        gone
    }
}
