//! The directory of tenants.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{HOSTILE_TEXT, TestClock, processor_name, tenant};
use crate::{
    Blob, BlobKind, NewRun, NewTenant, NewToken, RunId, RunKind, Scope, Storage, WorkerId,
};
use bytes::Bytes;
use greenroom_model::{Clock, Digest, TenantId, TenantName};

/// All of a tenant comes back, by name and by id; no other name finds it.
pub async fn a_tenant_is_found_by_name_and_id(storage: &dyn Storage, clock: &TestClock) {
    let name = TenantName::parse("acme").unwrap();
    let new = NewTenant {
        name: name.clone(),
        secret: [9; 32],
        epoch: "e1".into(),
    };
    let created = storage.create_tenant(new).await.unwrap().unwrap();
    for found in [
        storage.find_tenant(&name).await.unwrap().unwrap(),
        storage
            .find_tenant_by_id(created.id)
            .await
            .unwrap()
            .unwrap(),
    ] {
        assert_eq!(found.id, created.id);
        assert_eq!(found.name, name);
        assert_eq!(found.secret, [9; 32]);
        assert_eq!(found.created_at, clock.now());
    }
    tenant(storage, "a").await;
    let names: Vec<_> = storage.list_tenants().await.unwrap();
    let names: Vec<_> = names.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["a", "acme"]);
    let other = TenantName::parse("acm").unwrap();
    assert!(storage.find_tenant(&other).await.unwrap().is_none());
    assert!(
        storage
            .find_tenant_by_id(TenantId(-1))
            .await
            .unwrap()
            .is_none()
    );
}

/// A name is free again after a deletion, an id never is.
pub async fn a_name_is_taken_once_and_an_id_never_comes_back(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let name = TenantName::parse("acme").unwrap();
    let new = || NewTenant {
        name: name.clone(),
        secret: [0; 32],
        epoch: "e".into(),
    };
    let first = storage.create_tenant(new()).await.unwrap().unwrap();
    assert!(storage.create_tenant(new()).await.unwrap().is_none());
    assert!(storage.delete_tenant(first.id).await.unwrap());
    assert!(!storage.delete_tenant(first.id).await.unwrap());
    assert!(storage.find_tenant_by_id(first.id).await.unwrap().is_none());
    // Not even after everything of it has been swept.
    clock.advance(2 * 3_600_000);
    storage.sweep().await.unwrap();
    let second = storage.create_tenant(new()).await.unwrap().unwrap();
    assert!(second.id > first.id);
}

/// Everything of the tenant goes; another tenant keeps everything.
pub async fn deleting_a_tenant_takes_everything_in_it_and_nothing_else(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (gone, kept) = (tenant(storage, "gone").await, tenant(storage, "kept").await);
    let blob = Blob {
        kind: BlobKind::Component,
        digest: Digest::of("wasm"),
    };
    let name = processor_name("p");
    for (tenant, token) in [(gone, "t1"), (kept, "t2")] {
        storage.create_processor(tenant, &name).await.unwrap();
        storage
            .add_revision(tenant, &name, &blob.digest, 4)
            .await
            .unwrap();
        storage
            .put_blob(tenant, &blob, Bytes::from("wasm"))
            .await
            .unwrap();
        storage
            .put_tenant_settings(tenant, r#"{"rules":[]}"#)
            .await
            .unwrap();
        let run = NewRun {
            id: RunId("r".into()),
            kind: RunKind::ValidateEntity,
            request: "{}".into(),
        };
        storage.create_run(tenant, run).await.unwrap();
        let token = NewToken {
            id: token.into(),
            tenant: Some(tenant),
            name: "n".into(),
            secret_hash: [1; 32],
            scopes: vec![Scope::Read],
            not_before: None,
            expires_at: None,
        };
        storage.create_token(token).await.unwrap();
    }
    assert!(storage.delete_tenant(gone).await.unwrap());

    assert!(storage.find_token("t1").await.unwrap().is_none());
    assert!(storage.list_processors(gone).await.unwrap().is_empty());
    assert!(
        storage
            .list_revisions(gone, &name)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(storage.get_blob(gone, &blob).await.unwrap().is_none());
    assert_eq!(storage.tenant_settings(gone).await.unwrap().json, "{}");
    assert_eq!(storage.pipeline_version(gone).await.unwrap(), 0);
    assert_eq!(storage.log_positions(&[gone]).await.unwrap(), [None]);

    assert!(storage.find_token("t2").await.unwrap().is_some());
    assert_eq!(storage.list_revisions(kept, &name).await.unwrap().len(), 1);
    assert_eq!(
        storage.get_blob(kept, &blob).await.unwrap().unwrap(),
        "wasm"
    );
    let claimed = storage.claim_runs(&WorkerId("w".into()), 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].tenant, kept);
}

/// Settings are text to the storage: `{}` at first, then exactly what was put; the version counts changes.
pub async fn settings_have_a_version_that_rises_with_each_change(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let settings = storage.tenant_settings(tenant).await.unwrap();
    assert_eq!((settings.json.as_str(), settings.version), ("{}", 0));
    storage
        .put_tenant_settings(tenant, HOSTILE_TEXT)
        .await
        .unwrap();
    storage
        .put_tenant_settings(tenant, HOSTILE_TEXT)
        .await
        .unwrap();
    let settings = storage.tenant_settings(tenant).await.unwrap();
    assert_eq!(
        (settings.json.as_str(), settings.version),
        (HOSTILE_TEXT, 1)
    );
    storage.put_tenant_settings(tenant, "{}").await.unwrap();
    assert_eq!(storage.tenant_settings(tenant).await.unwrap().version, 2);
    // A tenant that is gone is not made again by its settings.
    storage
        .put_tenant_settings(TenantId(4711), r#"{"a":1}"#)
        .await
        .unwrap();
    assert_eq!(
        storage.tenant_settings(TenantId(4711)).await.unwrap().json,
        "{}"
    );
}
