//! Revisions that are ready to be called, and the bounded set of them.
//!
//! Bounded by weight, because a tenant decides how large its code is: the weight is the size of the
//! compiled code, near the memory it takes. When there is too much, what was used longest ago goes;
//! calls in flight keep theirs. Keyed by tenant also where the bytes are the same: whether somebody
//! else has uploaded them must not show (a17).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::{Digest, TenantId};

use crate::bindings::v0_1::CatalogProcessorPre;
use crate::guest_state::GuestState;
use crate::line_table::LineTable;

/// Whose revision it is; none for those we ship.
pub type Scope = Option<TenantId>;

/// A revision that can be called.
pub struct LoadedProcessor {
    pub(crate) revision: Digest,
    pub(crate) pre: CatalogProcessorPre<GuestState>,
    pub(crate) lines: LineTable,
    pub(crate) code_bytes: usize,
}

impl LoadedProcessor {
    /// The digest of its component.
    #[must_use]
    pub fn revision(&self) -> Digest {
        self.revision
    }
}

impl std::fmt::Debug for LoadedProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedProcessor")
            .field("revision", &self.revision)
            .field("code_bytes", &self.code_bytes)
            .finish_non_exhaustive()
    }
}

/// The set.
#[derive(Debug)]
pub(crate) struct LoadedSet {
    limit_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    entries: HashMap<(Scope, Digest), (Arc<LoadedProcessor>, u64)>,
    bytes: usize,
    uses: u64,
}

impl LoadedSet {
    pub(crate) fn new(limit_bytes: usize) -> LoadedSet {
        LoadedSet {
            limit_bytes,
            held: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, scope: Scope, revision: &Digest) -> Option<Arc<LoadedProcessor>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        let now = held.uses;
        let (loaded, used) = held.entries.get_mut(&(scope, *revision))?;
        *used = now;
        Some(Arc::clone(loaded))
    }

    /// Adds one and drops those used longest ago until all fit; the new one stays whatever its size.
    pub(crate) fn insert(&self, scope: Scope, loaded: &Arc<LoadedProcessor>) {
        let mut dropped = Vec::new();
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.uses += 1;
            let (key, now) = ((scope, loaded.revision), held.uses);
            held.bytes += loaded.code_bytes;
            if let Some((old, _)) = held.entries.insert(key, (Arc::clone(loaded), now)) {
                held.bytes -= old.code_bytes;
                dropped.push(old);
            }
            while held.bytes > self.limit_bytes && held.entries.len() > 1 {
                let oldest = held
                    .entries
                    .iter()
                    .min_by_key(|(_, (_, used))| *used)
                    .map(|(key, _)| *key);
                let Some((old, _)) = oldest.and_then(|key| held.entries.remove(&key)) else {
                    break;
                };
                held.bytes -= old.code_bytes;
                dropped.push(old);
            }
        }
        // Unmapping code takes a while: outside the lock.
        drop(dropped);
    }
}
