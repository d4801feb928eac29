//! Runs on request.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::{HOSTILE_TEXT, TestClock, tenant};
use crate::{
    INSPECTION_ATTEMPTS, NewRun, QuotaOverrides, Run, RunId, RunKind, RunState, Storage, WorkerId,
};
use greenroom_model::{Clock, TenantId};

fn run_id(id: &str) -> RunId {
    RunId(id.into())
}

async fn create(storage: &dyn Storage, tenant: TenantId, id: &str) {
    let run = NewRun {
        id: run_id(id),
        kind: RunKind::DryRunLocation,
        request: HOSTILE_TEXT.into(),
    };
    storage.create_run(tenant, run).await.unwrap();
}

/// A worker with a lease.
async fn worker(storage: &dyn Storage, name: &str) -> WorkerId {
    let worker = WorkerId(name.into());
    storage.renew_lease(&worker).await.unwrap();
    worker
}

async fn find(storage: &dyn Storage, tenant: TenantId, id: &str) -> Run {
    storage
        .find_run(tenant, &run_id(id))
        .await
        .unwrap()
        .unwrap()
}

/// Nobody else ends it, and no other tenant sees it.
pub async fn a_run_is_claimed_once_and_finished_by_its_worker(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    create(storage, a, "r").await;
    let (one, two) = (worker(storage, "w1").await, worker(storage, "w2").await);
    assert!(storage.find_run(b, &run_id("r")).await.unwrap().is_none());
    let claimed = storage.claim_runs(&one, 5).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].tenant, a);
    assert_eq!(claimed[0].kind, RunKind::DryRunLocation);
    assert_eq!(claimed[0].state, RunState::Running);
    assert_eq!(claimed[0].request, HOSTILE_TEXT);
    assert_eq!(claimed[0].created_at, clock.now());
    assert!(storage.claim_runs(&two, 5).await.unwrap().is_empty());
    assert!(
        !storage
            .finish_run(a, &run_id("r"), &two, "{}")
            .await
            .unwrap()
    );
    assert!(
        !storage
            .finish_run(b, &run_id("r"), &one, "{}")
            .await
            .unwrap()
    );
    assert!(
        storage
            .finish_run(a, &run_id("r"), &one, HOSTILE_TEXT)
            .await
            .unwrap()
    );
    assert!(
        !storage
            .finish_run(a, &run_id("r"), &one, "{}")
            .await
            .unwrap()
    );
    let run = find(storage, a, "r").await;
    assert_eq!(run.state, RunState::Done);
    assert_eq!(run.result.as_deref(), Some(HOSTILE_TEXT));
}

/// Cancelling ends a queued or running run; a done one stays done.
pub async fn a_cancelled_run_is_not_finished(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let worker = worker(storage, "w").await;
    create(storage, tenant, "queued").await;
    storage.cancel_run(tenant, &run_id("queued")).await.unwrap();
    assert!(storage.claim_runs(&worker, 5).await.unwrap().is_empty());
    create(storage, tenant, "running").await;
    storage.claim_runs(&worker, 5).await.unwrap();
    storage
        .cancel_run(tenant, &run_id("running"))
        .await
        .unwrap();
    assert!(
        !storage
            .finish_run(tenant, &run_id("running"), &worker, "{}")
            .await
            .unwrap()
    );
    assert_eq!(
        find(storage, tenant, "running").await.state,
        RunState::Cancelled
    );
    create(storage, tenant, "done").await;
    storage.claim_runs(&worker, 5).await.unwrap();
    assert!(
        storage
            .finish_run(tenant, &run_id("done"), &worker, "{}")
            .await
            .unwrap()
    );
    storage.cancel_run(tenant, &run_id("done")).await.unwrap();
    assert_eq!(find(storage, tenant, "done").await.state, RunState::Done);
    storage
        .cancel_run(tenant, &run_id("missing"))
        .await
        .unwrap();
}

/// The lease is what holds a run: with it the run is taken again, and the first worker's answer is refused.
pub async fn runs_of_a_dead_worker_are_queued_again(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    create(storage, tenant, "r").await;
    let first = worker(storage, "w1").await;
    storage.claim_runs(&first, 5).await.unwrap();
    clock.advance(9_000);
    let second = worker(storage, "w2").await;
    assert!(storage.claim_runs(&second, 5).await.unwrap().is_empty());
    clock.advance(2_000);
    assert_eq!(storage.claim_runs(&second, 5).await.unwrap().len(), 1);
    assert!(
        !storage
            .finish_run(tenant, &run_id("r"), &first, "{}")
            .await
            .unwrap()
    );
    assert!(
        storage
            .finish_run(tenant, &run_id("r"), &second, "{}")
            .await
            .unwrap()
    );
    // Also when its end was told and not waited for.
    create(storage, tenant, "r2").await;
    storage.claim_runs(&second, 5).await.unwrap();
    storage.expire_worker(&second).await.unwrap();
    let third = worker(storage, "w3").await;
    assert_eq!(storage.claim_runs(&third, 5).await.unwrap().len(), 1);
}

/// A tenant with many runs leaves room, and takes it all where nobody else waits.
pub async fn one_tenant_takes_at_most_half_while_others_wait(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let (many, few) = (tenant(storage, "many").await, tenant(storage, "few").await);
    for number in 0..20 {
        create(storage, many, &format!("m{number}")).await;
    }
    clock.advance(1);
    create(storage, few, "f0").await;
    create(storage, few, "f1").await;
    let worker = worker(storage, "w").await;
    let claimed = storage.claim_runs(&worker, 4).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|run| run.id.0.as_str()).collect();
    assert_eq!(ids, ["m0", "m1", "f0", "f1"]);
    assert_eq!(storage.claim_runs(&worker, 4).await.unwrap().len(), 4);
    assert!(storage.claim_runs(&worker, 0).await.unwrap().is_empty());
}

/// Then they are swept.
pub async fn runs_are_kept_for_a_day(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    create(storage, tenant, "old").await;
    clock.advance(23 * 3_600_000);
    create(storage, tenant, "young").await;
    assert_eq!(storage.sweep().await.unwrap(), 0);
    clock.advance(2 * 3_600_000);
    assert_eq!(storage.sweep().await.unwrap(), 1);
    assert!(
        storage
            .find_run(tenant, &run_id("old"))
            .await
            .unwrap()
            .is_none()
    );
    find(storage, tenant, "young").await;
}

/// By kind, so that one cannot crowd out another; what is done or cancelled does not count.
pub async fn a_tenant_has_a_bounded_number_of_unfinished_runs(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let create = async |tenant, id: &str, kind| {
        let run = NewRun {
            id: run_id(id),
            kind,
            request: HOSTILE_TEXT.into(),
        };
        storage.create_bounded_run(tenant, run, 2).await.unwrap()
    };
    let (dry, preview) = (RunKind::DryRunRevision, RunKind::PreviewRevision);
    assert!(create(a, "1", dry).await && create(a, "2", dry).await);
    let worker = worker(storage, "w").await;
    let claimed = storage.claim_runs(&worker, 1).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].kind), (1, dry));
    assert!(!create(a, "3", dry).await);
    assert!(storage.find_run(a, &run_id("3")).await.unwrap().is_none());
    assert!(create(a, "4", preview).await && create(b, "5", dry).await);
    let finished = storage.finish_run(a, &claimed[0].id, &worker, "{}").await;
    assert!(finished.unwrap());
    assert!(create(a, "6", dry).await && !create(a, "7", dry).await);
    storage.cancel_run(a, &run_id("6")).await.unwrap();
    assert!(create(a, "8", dry).await);
    assert_eq!(find(storage, a, "4").await.kind, preview);
}

async fn upload(storage: &dyn Storage, tenant: TenantId, id: &str) {
    let run = NewRun {
        id: run_id(id),
        kind: RunKind::InspectRevision,
        request: "{}".into(),
    };
    storage.create_run(tenant, run).await.unwrap();
}

async fn inspection(storage: &dyn Storage, worker: &WorkerId) -> Option<String> {
    let claimed = storage.claim_inspection(worker).await.unwrap();
    claimed.map(|run| run.id.0)
}

/// Ten of one tenant are ten turns; another's upload waits for one of them at most.
pub async fn a09_uploads_are_inspected_one_of_a_tenant_and_tenants_in_turn(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let (many, few) = (tenant(storage, "many").await, tenant(storage, "few").await);
    for number in 0..10 {
        upload(storage, many, &format!("m{number}")).await;
    }
    let (one, two) = (worker(storage, "w1").await, worker(storage, "w2").await);
    assert!(
        storage.claim_runs(&one, 8).await.unwrap().is_empty(),
        "uploads take no place of other runs"
    );
    assert_eq!(inspection(storage, &one).await.as_deref(), Some("m0"));
    assert_eq!(inspection(storage, &two).await, None, "one of a tenant");
    upload(storage, few, "f0").await;
    upload(storage, few, "f1").await;
    assert_eq!(inspection(storage, &two).await.as_deref(), Some("f0"));
    for (tenant, id, worker) in [(many, "m0", &one), (few, "f0", &two)] {
        assert!(
            storage
                .finish_run(tenant, &run_id(id), worker, "{}")
                .await
                .unwrap()
        );
    }
    // In turn from here on, whichever worker asks and however old the uploads are.
    let mut turns = Vec::new();
    for _ in 0..4 {
        let id = inspection(storage, &one).await.unwrap();
        let tenant = if id.starts_with('m') { many } else { few };
        storage
            .finish_run(tenant, &run_id(&id), &one, "{}")
            .await
            .unwrap();
        turns.push(id);
    }
    assert_eq!(turns, ["m1", "f1", "m2", "m3"]);
    let open = storage
        .open_runs(many, RunKind::InspectRevision)
        .await
        .unwrap();
    assert_eq!(open, 6);
}

/// What it used an hour ago is forgotten.
pub async fn a09_a_tenant_waits_when_its_hour_is_used_up(storage: &dyn Storage, clock: &TestClock) {
    let (greedy, other) = (
        tenant(storage, "greedy").await,
        tenant(storage, "other").await,
    );
    let worker = worker(storage, "w").await;
    let minute = QuotaOverrides {
        compile_seconds_per_hour: Some(60),
        ..QuotaOverrides::default()
    };
    storage.put_quota_overrides(greedy, minute).await.unwrap();
    upload(storage, greedy, "g0").await;
    storage.charge_compilation(greedy, 59_999).await.unwrap();
    assert_eq!(inspection(storage, &worker).await.as_deref(), Some("g0"));
    storage.charge_compilation(greedy, 1).await.unwrap();
    storage
        .finish_run(greedy, &run_id("g0"), &worker, "{}")
        .await
        .unwrap();
    upload(storage, greedy, "g1").await;
    upload(storage, other, "o").await;
    assert_eq!(inspection(storage, &worker).await.as_deref(), Some("o"));
    assert_eq!(inspection(storage, &worker).await, None);
    clock.advance(3_600_000);
    storage.renew_lease(&worker).await.unwrap();
    assert_eq!(inspection(storage, &worker).await.as_deref(), Some("g1"));
}

/// A failure of ours or a dead worker each cost an attempt; then it ends, and says whose failure it was.
pub async fn an_inspection_is_tried_three_times(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    let one = worker(storage, "w1").await;
    upload(storage, tenant, "r").await;
    assert!(inspection(storage, &one).await.is_some());
    let later = clock.now().plus_ms(1_000);
    assert!(
        storage
            .retry_run(tenant, &run_id("r"), &one, later)
            .await
            .unwrap()
    );
    assert_eq!(inspection(storage, &one).await, None, "not before its time");
    clock.advance(1_000);
    assert!(inspection(storage, &one).await.is_some());
    // A worker that dies.
    storage.expire_worker(&one).await.unwrap();
    let two = worker(storage, "w2").await;
    assert!(inspection(storage, &two).await.is_some());
    let id = run_id("r");
    let last = storage.retry_run(tenant, &id, &two, clock.now());
    assert!(
        !last.await.unwrap(),
        "attempt {INSPECTION_ATTEMPTS} is the last"
    );
    storage.expire_worker(&two).await.unwrap();
    let three = worker(storage, "w3").await;
    assert_eq!(inspection(storage, &three).await, None);
    let run = find(storage, tenant, "r").await;
    assert_eq!(run.state, RunState::Done);
    assert!(run.result.unwrap().contains("unavailable"));
}
