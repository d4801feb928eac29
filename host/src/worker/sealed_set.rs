//! Code in sealed memory, kept so that the next child has it without storage: bounded in bytes, by last use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::Digest;
use greenroom_sandbox::{Scope, SealedCode};

/// Bytes kept: what we ship and some dozen revisions of tenants. A child keeps what it uses by itself.
const KEPT_BYTES: u64 = 128 << 20;

/// The set.
#[derive(Debug, Default)]
pub(crate) struct SealedSet(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    codes: HashMap<(Scope, Digest), (Arc<SealedCode>, u64)>,
    bytes: u64,
    uses: u64,
}

impl SealedSet {
    pub(crate) fn get(&self, scope: Scope, revision: &Digest) -> Option<Arc<SealedCode>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        let now = held.uses;
        let (code, used) = held.codes.get_mut(&(scope, *revision))?;
        *used = now;
        Some(Arc::clone(code))
    }

    /// Keeps code, in place of what there was of the same revision, and drops what was used longest ago until all fits.
    pub(crate) fn insert(&self, scope: Scope, code: SealedCode) -> Arc<SealedCode> {
        let code = Arc::new(code);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        held.bytes += code.bytes();
        let entry = (Arc::clone(&code), held.uses);
        if let Some((old, _)) = held.codes.insert((scope, code.revision()), entry) {
            held.bytes -= old.bytes();
        }
        while held.bytes > KEPT_BYTES && held.codes.len() > 1 {
            let oldest = held
                .codes
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| *key);
            let Some((old, _)) = oldest.and_then(|key| held.codes.remove(&key)) else {
                break;
            };
            held.bytes -= old.bytes();
        }
        code
    }
}
