//! One turn of the stitcher: claim a batch of one tenant, stitch it, record it with its changes.

use greenroom_storage::{Storage, StorageError};

use crate::stitch;

/// Stitches up to `limit` refs; answers how many, so that zero means there is nothing to do.
///
/// # Errors
/// If the storage fails; the claims lapse by themselves.
pub async fn stitch_batch(storage: &dyn Storage, limit: u32) -> Result<usize, StorageError> {
    let inputs = storage.claim_stitches(limit).await?;
    let results: Vec<_> = inputs
        .into_iter()
        .map(|input| {
            let stitched = stitch(&input);
            (input, stitched)
        })
        .collect();
    let count = results.len();
    if count > 0 {
        storage.record_stitches(results).await?;
    }
    Ok(count)
}
