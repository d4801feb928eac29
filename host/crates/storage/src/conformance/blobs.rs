//! Blobs.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{Blob, BlobKind, Storage};
use bytes::Bytes;
use greenroom_model::Digest;

fn component(text: &str) -> Blob {
    Blob {
        kind: BlobKind::Component,
        digest: Digest::of(text),
    }
}

fn artifact(text: &str, engine: &str) -> Blob {
    Blob {
        kind: BlobKind::Artifact(engine.into()),
        digest: Digest::of(text),
    }
}

/// Bytes that differ at every place, so that a chunk out of order is seen.
fn patterned(length: usize) -> Bytes {
    (0..length as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// Of every size around the chunks', the empty one included.
pub async fn a_blob_comes_back_whole(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let chunk = 256 << 10;
    for length in [0, 1, chunk - 1, chunk, chunk + 1, 20 * chunk + 17] {
        let blob = component(&length.to_string());
        assert!(storage.get_blob(tenant, &blob).await.unwrap().is_none());
        let bytes = patterned(length);
        storage
            .put_blob(tenant, &blob, bytes.clone())
            .await
            .unwrap();
        assert!(storage.get_blob(tenant, &blob).await.unwrap().unwrap() == bytes);
    }
}

/// The last bytes put are the ones read; removing is silent where there is nothing.
pub async fn a_blob_is_replaced_and_removed(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let blob = component("a");
    storage
        .put_blob(tenant, &blob, patterned(600_000))
        .await
        .unwrap();
    storage
        .put_blob(tenant, &blob, Bytes::from("short"))
        .await
        .unwrap();
    assert_eq!(
        storage.get_blob(tenant, &blob).await.unwrap().unwrap(),
        "short"
    );
    storage.delete_blob(tenant, &blob).await.unwrap();
    storage.delete_blob(tenant, &blob).await.unwrap();
    assert!(storage.get_blob(tenant, &blob).await.unwrap().is_none());
    storage
        .put_blob(tenant, &blob, Bytes::from("again"))
        .await
        .unwrap();
    assert_eq!(
        storage.get_blob(tenant, &blob).await.unwrap().unwrap(),
        "again"
    );
    // Nothing is left over to be swept.
    assert_eq!(storage.sweep().await.unwrap(), 0);
}

/// Kind, engine and tenant are part of the identity.
pub async fn component_and_artifacts_of_one_digest_are_apart(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let blobs = [
        component("x"),
        artifact("x", "48.0.8/x86_64"),
        artifact("x", HOSTILE_TEXT),
    ];
    for (number, blob) in blobs.iter().enumerate() {
        storage
            .put_blob(a, blob, Bytes::from(number.to_string()))
            .await
            .unwrap();
    }
    for (number, blob) in blobs.iter().enumerate() {
        let bytes = storage.get_blob(a, blob).await.unwrap().unwrap();
        assert_eq!(bytes, number.to_string());
        assert!(storage.get_blob(b, blob).await.unwrap().is_none());
    }
    storage.delete_blob(b, &blobs[0]).await.unwrap();
    storage.delete_blob(a, &blobs[1]).await.unwrap();
    assert!(storage.get_blob(a, &blobs[0]).await.unwrap().is_some());
    assert!(storage.get_blob(a, &blobs[1]).await.unwrap().is_none());
}

/// Not before a day has passed: an upload stores its blob before its revision.
pub async fn a_blob_no_revision_names_is_swept(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let (named, unnamed) = (component("named"), component("unnamed"));
    for blob in [&named, &unnamed] {
        storage
            .put_blob(tenant, blob, Bytes::from("bytes"))
            .await
            .unwrap();
    }
    let name = processor_name("p");
    storage.create_processor(tenant, &name).await.unwrap();
    storage
        .add_revision(tenant, &name, &named.digest, 5)
        .await
        .unwrap();
    storage.sweep().await.unwrap();
    assert!(storage.get_blob(tenant, &unnamed).await.unwrap().is_some());
    clock.advance(25 * 3_600_000);
    storage.sweep().await.unwrap();
    assert!(storage.get_blob(tenant, &unnamed).await.unwrap().is_none());
    assert!(storage.get_blob(tenant, &named).await.unwrap().is_some());
}
