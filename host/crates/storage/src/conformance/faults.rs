//! Reading faults. They are written by recording a run, so how many are kept is in the tests of the work queue.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::Storage;

/// Neither a list nor a look-up is an error where there is nothing.
pub async fn a_processor_without_faults_has_none(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let name = processor_name("p");
    assert!(
        storage
            .list_faults(tenant, &name, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        storage
            .find_fault(tenant, &name, HOSTILE_TEXT)
            .await
            .unwrap()
            .is_none()
    );
}
