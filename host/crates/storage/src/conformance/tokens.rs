//! Tokens.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{HOSTILE_TEXT, TestClock, tenant};
use crate::{NewToken, Scope, Storage};
use greenroom_model::{Clock, TenantId, Timestamp};

fn token(id: &str, tenant: Option<TenantId>) -> NewToken {
    NewToken {
        id: id.into(),
        tenant,
        name: format!("name of {id}"),
        secret_hash: [3; 32],
        scopes: vec![Scope::Read, Scope::Deploy],
        not_before: Some(Timestamp(4)),
        expires_at: Some(Timestamp(5)),
    }
}

/// All of a token comes back; revoking is noted once, at its time.
pub async fn a_token_is_stored_listed_and_revoked(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    storage
        .create_token(token("t1", Some(tenant)))
        .await
        .unwrap();
    clock.advance(1000);
    storage
        .create_token(token("t2", Some(tenant)))
        .await
        .unwrap();
    let found = storage.find_token("t1").await.unwrap().unwrap();
    assert_eq!(found.name, "name of t1");
    assert_eq!(found.secret_hash, [3; 32]);
    assert_eq!(found.scopes, [Scope::Read, Scope::Deploy]);
    assert_eq!(found.not_before, Some(Timestamp(4)));
    assert_eq!(found.expires_at, Some(Timestamp(5)));
    assert_eq!(found.revoked_at, None);
    let listed = storage.list_tokens(Some(tenant)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|token| token.id.as_str()).collect();
    assert_eq!(ids, ["t2", "t1"]);

    let revoked_at = clock.now();
    assert!(storage.revoke_token(Some(tenant), "t1").await.unwrap());
    clock.advance(1000);
    assert!(storage.revoke_token(Some(tenant), "t1").await.unwrap());
    let found = storage.find_token("t1").await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(revoked_at));
    assert!(!storage.revoke_token(Some(tenant), "t3").await.unwrap());
    // An id is given once.
    assert!(storage.create_token(token("t1", None)).await.is_err());
}

/// One tenant neither lists nor revokes another's tokens or an operator's.
pub async fn a_tenants_tokens_are_its_own(storage: &dyn Storage, _clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    storage.create_token(token("ta", Some(a))).await.unwrap();
    storage.create_token(token("op", None)).await.unwrap();
    assert!(storage.list_tokens(Some(b)).await.unwrap().is_empty());
    for (tenant, id) in [(Some(b), "ta"), (None, "ta"), (Some(a), "op")] {
        assert!(!storage.revoke_token(tenant, id).await.unwrap());
    }
    let operators = storage.list_tokens(None).await.unwrap();
    assert_eq!(operators.len(), 1);
    assert_eq!(operators[0].tenant, None);
    assert!(storage.revoke_token(None, "op").await.unwrap());
}

/// Quotes, NUL and the like are data.
pub async fn hostile_text_comes_back_as_it_was(storage: &dyn Storage, _clock: &TestClock) {
    let mut new = token(HOSTILE_TEXT, None);
    new.name = HOSTILE_TEXT.into();
    storage.create_token(new).await.unwrap();
    let found = storage.find_token(HOSTILE_TEXT).await.unwrap().unwrap();
    assert_eq!(found.id, HOSTILE_TEXT);
    assert_eq!(found.name, HOSTILE_TEXT);
    // What a C string would make of it is another id.
    let cut = HOSTILE_TEXT.split('\0').next().unwrap();
    assert!(storage.find_token(cut).await.unwrap().is_none());
    assert!(storage.find_token("' OR ''='").await.unwrap().is_none());
}
