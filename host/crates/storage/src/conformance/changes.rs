//! Change logs before anything is served; what writes to them is in the tests of stitching and deletion.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{TestClock, tenant};
use crate::{LogPosition, Storage};
use greenroom_model::TenantId;

/// Positions come in the order asked for; each log has the epoch it was created with.
pub async fn a_new_log_is_empty_and_a_gone_one_is_none(storage: &dyn Storage, _clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let position = |epoch: &str| LogPosition {
        epoch: epoch.into(),
        seq: 0,
    };
    assert_eq!(storage.log_position(a).await.unwrap(), position("epoch-a"));
    let positions = storage
        .log_positions(&[b, TenantId(-1), a, b])
        .await
        .unwrap();
    assert_eq!(
        positions,
        [
            Some(position("epoch-b")),
            None,
            Some(position("epoch-a")),
            Some(position("epoch-b")),
        ]
    );
    assert!(storage.log_positions(&[]).await.unwrap().is_empty());
    let changes = storage.changes_after(a, 0, 10).await.unwrap();
    assert!(changes.unwrap().is_empty());
    // A cursor ahead of the log, or at the end of all numbers, finds nothing and breaks nothing.
    for after in [1, u64::MAX] {
        assert!(
            storage
                .changes_after(a, after, 10)
                .await
                .unwrap()
                .unwrap()
                .is_empty()
        );
    }
}

/// After a restore no cursor from before is taken; numbers go on.
pub async fn an_epoch_is_renewed_and_the_numbers_stay(storage: &dyn Storage, _clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    assert!(storage.renew_epoch(a, "another").await.unwrap());
    let position = storage.log_position(a).await.unwrap();
    assert_eq!((position.epoch.as_str(), position.seq), ("another", 0));
    let other = storage.log_position(b).await.unwrap();
    assert_eq!(other.epoch, "epoch-b");
    assert!(!storage.renew_epoch(TenantId(-1), "x").await.unwrap());
}

/// And not with reading. Another database of the same server may change it too, so that is looked at more than once.
pub async fn the_data_version_changes_with_every_commit(storage: &dyn Storage, _clock: &TestClock) {
    let mut stood = false;
    for _ in 0..1_000 {
        let before = storage.data_version().await.unwrap();
        storage.ping().await.unwrap();
        stood = storage.data_version().await.unwrap() == before;
        if stood {
            break;
        }
    }
    assert!(stood, "reading changes the data version");
    let before = storage.data_version().await.unwrap();
    tenant(storage, "a").await;
    let after = storage.data_version().await.unwrap();
    assert_ne!(after, before);
    tenant(storage, "b").await;
    assert_ne!(storage.data_version().await.unwrap(), after);
}
