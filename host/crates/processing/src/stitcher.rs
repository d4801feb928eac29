//! One turn of the stitcher: claim a batch of one tenant, stitch it, record it with its changes.

use std::time::Duration;

use greenroom_storage::{Stitched, Storage, StorageError};

use crate::stitch;

/// What became of a batch of refs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stitches {
    /// Those whose final entity is another now, or is gone.
    pub changed: usize,
    /// Those that were served as they are.
    pub unchanged: usize,
    /// How long each of them was due.
    pub waited: Vec<Duration>,
}

impl Stitches {
    /// Whether there was nothing to do.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Stitches up to `limit` refs.
///
/// # Errors
/// If the storage fails; the claims lapse by themselves.
pub async fn stitch_batch(storage: &dyn Storage, limit: u32) -> Result<Stitches, StorageError> {
    let inputs = storage.claim_stitches(limit).await?;
    let waited = inputs
        .iter()
        .map(|input| Duration::from_millis(input.waited_ms));
    let waited = waited.collect();
    let results: Vec<_> = inputs
        .into_iter()
        .map(|input| {
            let stitched = stitch(&input);
            (input, stitched)
        })
        .collect();
    let unchanged = |one: &&(_, Stitched)| matches!(one.1, Stitched::Unchanged);
    let unchanged = results.iter().filter(unchanged).count();
    let stitches = Stitches {
        changed: results.len() - unchanged,
        unchanged,
        waited,
    };
    if !stitches.is_none() {
        storage.record_stitches(results).await?;
    }
    Ok(stitches)
}
