//! What a database says of itself, and that what grows is swept.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{World, worker};
use super::{TestClock, tenant};
use crate::{
    AuditEntry, Lane, NewRun, NewToken, Retention, RunId, RunKind, Scope, Slots, Storage,
    StorageFigures, TableFigures,
};
use greenroom_model::{Clock, TenantId, Timestamp};

fn table<'f>(figures: &'f StorageFigures, name: &str) -> &'f TableFigures {
    figures.tables.iter().find(|one| one.table == name).unwrap()
}

/// An empty catalog has nothing of anything, and a size; one with work says how much is due and since when.
pub async fn a_look_tells_what_is_due_held_and_kept(storage: &dyn Storage, clock: &TestClock) {
    let empty = storage.figures().await.unwrap();
    assert_eq!(
        (empty.lanes.len(), empty.held, empty.kinds.len()),
        (0, 0, 0)
    );
    assert!(empty.bytes > 0);
    let world = World::new(storage, clock).await;
    let roots = [
        "component:default/a",
        "component:default/b",
        "api:default/c",
    ];
    world.provide("p", &roots).await;
    clock.advance(60_000);
    let due = storage.figures().await.unwrap();
    assert_eq!(due.lanes.len(), 1);
    assert_eq!((due.lanes[0].lane, due.lanes[0].due), (Lane::New, 3));
    assert_eq!(due.lanes[0].oldest_age_ms, 60_000);
    assert!(due.lanes[0].drain_us > 0);
    storage.renew_lease(&worker("w")).await.unwrap();
    let claimed = storage.claim(&worker("w"), 2, Slots::Any).await.unwrap();
    assert_eq!(claimed.len(), 2);
    let held = storage.figures().await.unwrap();
    assert_eq!((held.held, held.live_workers, held.lanes[0].due), (2, 1, 1));
    assert_eq!(table(&held, "refresh_state").rows, 3);
    assert_eq!(table(&held, "work").rows, 3);
}

fn entry(tenant: TenantId) -> AuditEntry {
    AuditEntry {
        at: Timestamp(0),
        tenant: Some(tenant),
        actor: "t0".into(),
        action: "delete_location".into(),
        subject: "l".into(),
        remote: "127.0.0.1".into(),
        before: None,
        after: None,
    }
}

/// Every table of DESIGN §7 shows its bound, and the sweep keeps it: none of these rows is there after its time.
pub async fn s12_what_grows_is_swept_and_shows_its_bound(storage: &dyn Storage, clock: &TestClock) {
    let acme = tenant(storage, "acme").await;
    let token = |id: usize, expires| NewToken {
        id: format!("t{id}"),
        tenant: Some(acme),
        name: "ci".into(),
        secret_hash: [7; 32],
        scopes: vec![Scope::Read],
        not_before: None,
        expires_at: expires,
    };
    for id in 0..20 {
        storage.create_token(token(id, None)).await.unwrap();
        assert!(
            storage
                .revoke_token(Some(acme), &format!("t{id}"))
                .await
                .unwrap()
        );
    }
    let expires = Some(clock.now().plus_ms(1_000));
    storage.create_token(token(100, expires)).await.unwrap();
    storage.create_token(token(101, None)).await.unwrap();
    for id in 0..5 {
        let run = NewRun {
            id: RunId(format!("r{id}")),
            kind: RunKind::ValidateEntity,
            request: "{}".into(),
        };
        storage.create_run(acme, run).await.unwrap();
    }
    storage.append_audit(entry(acme)).await.unwrap();
    clock.advance(1_000);
    let young = storage.figures().await.unwrap();
    assert_eq!(table(&young, "tokens").rows, 22);
    assert_eq!(table(&young, "runs").rows, 5);
    assert_eq!(young.waiting_runs, 5);
    storage.sweep().await.unwrap();
    let kept = storage.figures().await.unwrap();
    assert_eq!(table(&kept, "tokens").rows, 22, "their time has not come");
    clock.advance(Retention::RUNS_MS);
    storage.sweep().await.unwrap();
    let no_runs = storage.figures().await.unwrap();
    assert_eq!(table(&no_runs, "runs").rows, 0);
    assert_eq!(table(&no_runs, "tokens").rows, 22);
    clock.advance(Retention::TOKENS_MS);
    storage.sweep().await.unwrap();
    let swept = storage.figures().await.unwrap();
    assert_eq!(table(&swept, "tokens").rows, 1, "the one that is valid");
    assert_eq!(table(&swept, "audit").rows, 1);
    clock.advance(Retention::AUDIT_MS);
    storage.sweep().await.unwrap();
    assert!(storage.list_audit(None, 10).await.unwrap().is_empty());
    for (name, limit_ms) in [
        ("changes", Retention::CHANGES_MS),
        ("faults", Retention::FAULTS_MS),
        ("runs", Retention::RUNS_MS),
        ("audit", Retention::AUDIT_MS),
        ("tokens", Retention::TOKENS_MS),
    ] {
        let shown = table(&young, name);
        assert_eq!(shown.age_limit_ms, Some(limit_ms.unsigned_abs()), "{name}");
        assert!(shown.age_ms <= shown.age_limit_ms, "{name}");
    }
    for name in ["tokens", "runs", "audit"] {
        assert_eq!(table(&young, name).age_ms, Some(1_000), "{name}");
    }
    for (name, limit) in [
        ("changes", Retention::CHANGES),
        ("faults", 100),
        ("reads", Retention::READ_BYTES),
    ] {
        assert_eq!(table(&young, name).largest, Some((0, limit)), "{name}");
    }
}
