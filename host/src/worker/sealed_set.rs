//! Code in sealed memory, kept so that the next child has it without storage: bounded in bytes, by last use, and dropped when
//! nobody has asked for it for a while. A child keeps what it was told by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greenroom_model::Digest;
use greenroom_sandbox::{Scope, SealedCode};

/// Bytes kept: what we ship and some dozen revisions of tenants. A child keeps what it uses by itself.
const KEPT_BYTES: u64 = 128 << 20;

/// The set.
#[derive(Debug, Default)]
pub(crate) struct SealedSet(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    codes: HashMap<(Scope, Digest), (Arc<SealedCode>, Instant)>,
    bytes: u64,
}

impl SealedSet {
    pub(crate) fn get(&self, scope: Scope, revision: &Digest) -> Option<Arc<SealedCode>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (code, used) = held.codes.get_mut(&(scope, *revision))?;
        *used = Instant::now();
        Some(Arc::clone(code))
    }

    /// Keeps code, in place of what there was of the same revision, and drops what was used longest ago until all fits.
    pub(crate) fn insert(&self, scope: Scope, code: SealedCode) -> Arc<SealedCode> {
        let code = Arc::new(code);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += code.bytes();
        let entry = (Arc::clone(&code), Instant::now());
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

    /// Drops what nobody has asked for during `idle`.
    pub(crate) fn sweep(&self, idle: Duration) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.codes.retain(|_, (_, used)| used.elapsed() < idle);
        held.bytes = held.codes.values().map(|(code, _)| code.bytes()).sum();
    }

    /// How many there are, and their bytes.
    pub(crate) fn held(&self) -> (usize, u64) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (held.codes.len(), held.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_bundle::bundled;

    #[test]
    fn code_that_nobody_asks_for_goes_untouched() {
        let set = SealedSet::default();
        let shipped = &bundled()[0];
        let code = SealedCode::new(&shipped.artifact().unwrap()).unwrap();
        let bytes = code.bytes();
        let kept = set.insert(None, code);
        assert_eq!(set.held(), (1, bytes));
        set.sweep(Duration::from_secs(600));
        assert_eq!(set.held(), (1, bytes), "its time has not come");
        std::thread::sleep(Duration::from_millis(2));
        set.sweep(Duration::from_millis(1));
        assert_eq!(set.held(), (0, 0));
        assert!(set.get(None, &kept.revision()).is_none());
    }
}
