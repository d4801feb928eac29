//! Claims, fences, lanes and leases.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{
    World, child, claim_all, claim_only, entity_ref, provide, provided, record, refs, succeed,
    success, worker,
};
use super::{HOSTILE_TEXT, TestClock, tenant};
use crate::{
    Child, Lane, ReadKey, Recorded, RunCalls, RunRecord, RunResult, Slots, Storage, StoredOutcome,
    StoredRead, TracedRead,
};
use greenroom_model::{Clock, Digest, EntityRef, ProcessorName, Stage};

/// Everything a run starts from comes with the claim, and nobody else gets it.
pub async fn an_item_is_claimed_once_with_what_a_run_starts_from(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    assert_eq!(storage.next_due().await.unwrap(), None);
    provide(
        storage,
        tenant,
        "p",
        vec![provided("component:a", HOSTILE_TEXT, Some("k"))],
    )
    .await;
    assert_eq!(storage.queue_depth().await.unwrap(), [(Lane::New, 1)]);
    assert_eq!(storage.next_due().await.unwrap(), Some(clock.now()));
    let item = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(
        (item.claim.tenant, item.lane, item.attempts),
        (tenant, Lane::New, 0)
    );
    assert_eq!(item.unprocessed, HOSTILE_TEXT);
    assert_eq!(
        (item.caches.as_str(), item.memo, item.trace.len()),
        ("{}", None, 0)
    );
    assert_eq!(item.due_at, clock.now());
    assert!(claim_all(storage, &worker("x")).await.is_empty());
    assert!(storage.queue_depth().await.unwrap().is_empty());
    assert_eq!(storage.next_due().await.unwrap(), None);
    let mut done = success(&item, Vec::new());
    done.caches = HOSTILE_TEXT.into();
    let due = clock.now().plus_ms(60_000);
    done.due = Some(due);
    assert_eq!(succeed(storage, &item, done).await, Recorded::Applied);
    assert_eq!(storage.next_due().await.unwrap(), Some(due));
    assert!(claim_all(storage, &worker("w")).await.is_empty());
    clock.advance(60_000);
    let again = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(again.caches, HOSTILE_TEXT);
    assert_eq!(again.memo, Some(Digest::of(HOSTILE_TEXT)));
    assert!(again.claim.claim_no > item.claim.claim_no);
}

/// Its item is another worker's by then; nothing is written.
pub async fn a_record_of_an_expired_worker_is_dropped(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let lost = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(storage.expire_worker(&worker("w")).await.unwrap(), 1);
    let mine = claim_only(storage, &worker("x"), "component:default/a").await;
    let emitted = vec![child("component:b", "b", None)];
    assert_eq!(
        succeed(storage, &lost, success(&lost, emitted)).await,
        Recorded::LostClaim
    );
    assert!(
        storage
            .find_processing(world.tenant, &entity_ref("component:b"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        succeed(storage, &mine, success(&mine, Vec::new())).await,
        Recorded::Applied
    );
    assert_eq!(
        succeed(storage, &mine, success(&mine, Vec::new())).await,
        Recorded::LostClaim
    );
}

/// A row made anew does not start at a number that the same worker held before.
pub async fn an_old_claim_does_not_fit_a_new_item(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let old = claim_only(storage, &worker("w"), "component:default/a").await;
    succeed(storage, &old, success(&old, Vec::new())).await;
    storage
        .redrive(world.tenant, &old.entity_ref)
        .await
        .unwrap();
    let new = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!(new.claim.uid, old.claim.uid);
    assert_eq!(
        record(storage, &old, RunResult::Skipped { due: None }).await,
        Recorded::LostClaim
    );
    assert_eq!(
        record(storage, &new, RunResult::Skipped { due: None }).await,
        Recorded::Applied
    );
}

/// New bytes during a run: recorded, then run again.
pub async fn an_item_queued_while_held_runs_once_more(storage: &dyn Storage, _clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    provide(
        storage,
        tenant,
        "p",
        vec![provided("component:a", "1", None)],
    )
    .await;
    let first = claim_only(storage, &worker("w"), "component:default/a").await;
    provide(
        storage,
        tenant,
        "p",
        vec![provided("component:a", "2", None)],
    )
    .await;
    assert!(claim_all(storage, &worker("x")).await.is_empty());
    assert_eq!(
        succeed(storage, &first, success(&first, Vec::new())).await,
        Recorded::Applied
    );
    let second = claim_only(storage, &worker("x"), "component:default/a").await;
    assert_eq!(
        (second.unprocessed.as_str(), second.memo),
        ("2", Some(Digest::of("1")))
    );
    succeed(storage, &second, success(&second, Vec::new())).await;
    assert!(claim_all(storage, &worker("x")).await.is_empty());
}

/// A re-drive during a run: the run's memo would let the next one be skipped.
pub async fn a_memo_cleared_during_a_run_stays_cleared(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    let first = claim_only(storage, &worker("w"), "component:default/a").await;
    assert!(
        storage
            .redrive(world.tenant, &first.entity_ref)
            .await
            .unwrap()
    );
    assert!(
        !storage
            .redrive(world.tenant, &entity_ref("component:none"))
            .await
            .unwrap()
    );
    succeed(storage, &first, success(&first, Vec::new())).await;
    let second = claim_only(storage, &worker("w"), "component:default/a").await;
    assert_eq!((second.memo, second.lane), (None, Lane::OnRequest));
}

/// Unchanged, due now, in their lane.
pub async fn released_items_are_due_again(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world
        .provide("p", &["component:default/a", "component:default/b"])
        .await;
    let held = claim_all(storage, &worker("w")).await;
    let claims: Vec<_> = held.iter().map(|item| item.claim.clone()).collect();
    storage.release(&claims).await.unwrap();
    assert_eq!(storage.queue_depth().await.unwrap(), [(Lane::New, 2)]);
    storage.release(&claims).await.unwrap();
    let again = claim_all(storage, &worker("x")).await;
    assert_eq!(refs(&again), ["component:default/a", "component:default/b"]);
    assert_eq!(again[0].attempts, 0);
    let stale = record(storage, &held[0], RunResult::Skipped { due: None }).await;
    assert_eq!(stale, Recorded::LostClaim);
}

/// 10 s after its last renewal, not before.
pub async fn a_lease_runs_out_by_the_storages_clock(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/a"]).await;
    storage.renew_lease(&worker("w")).await.unwrap();
    claim_only(storage, &worker("w"), "component:default/a").await;
    clock.advance(9_000);
    storage.renew_lease(&worker("w")).await.unwrap();
    clock.advance(9_000);
    assert_eq!(storage.release_expired().await.unwrap(), 0);
    clock.advance(1_000);
    assert_eq!(storage.release_expired().await.unwrap(), 1);
    claim_only(storage, &worker("x"), "component:default/a").await;
    assert_eq!(storage.release_expired().await.unwrap(), 0);
}

/// Before an older backlog, and alone in kept slots where its tenant holds something.
pub async fn on_request_goes_first(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let backlog: Vec<String> = (0..20)
        .map(|number| format!("component:default/c{number}"))
        .collect();
    let backlog: Vec<&str> = backlog.iter().map(String::as_str).collect();
    world.provide("p", &backlog).await;
    clock.advance(1_000);
    let held = storage.claim(&worker("w"), 1, Slots::Any).await.unwrap();
    assert_eq!(held.len(), 1);
    let kept = storage.claim(&worker("w"), 5, Slots::Kept).await.unwrap();
    assert!(kept.is_empty());
    // Which of the backlog is held is chance: all of it is due at the same instant.
    let mut waiting = backlog
        .iter()
        .filter(|name| **name != held[0].entity_ref.as_str());
    let (first, second) = (waiting.next().unwrap(), waiting.next().unwrap());
    storage
        .redrive(world.tenant, &entity_ref(first))
        .await
        .unwrap();
    let asked = storage.claim(&worker("w"), 5, Slots::Kept).await.unwrap();
    assert_eq!(refs(&asked), [*first]);
    storage
        .redrive(world.tenant, &entity_ref(second))
        .await
        .unwrap();
    let both = storage.claim(&worker("w"), 5, Slots::Any).await.unwrap();
    assert_eq!((both.len(), both[0].entity_ref.as_str()), (5, *second));
    assert_eq!(both[1].lane, Lane::New);
}

/// However much others hold: one item each, by pass, and no second one while that is held.
pub async fn kept_slots_are_for_tenants_that_hold_nothing(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut tenants = Vec::new();
    for name in ["busy", "b", "c"] {
        let world = World::named(storage, clock, name).await;
        let refs: Vec<String> = (0..10).map(|n| format!("component:default/c{n}")).collect();
        let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
        world.provide("p", &refs).await;
        if name == "busy" {
            let all = storage.claim(&worker("w"), 9, Slots::Any).await.unwrap();
            assert_eq!(all.len(), 9);
        } else {
            tenants.push(world.tenant);
        }
    }
    let kept = storage.claim(&worker("w"), 8, Slots::Kept).await.unwrap();
    let of: Vec<_> = kept.iter().map(|item| item.claim.tenant).collect();
    assert_eq!(of, tenants);
    let more = storage.claim(&worker("x"), 8, Slots::Kept).await.unwrap();
    assert!(more.is_empty());
    storage.release(&[kept[1].claim.clone()]).await.unwrap();
    let more = storage.claim(&worker("x"), 8, Slots::Kept).await.unwrap();
    assert_eq!(more[0].claim.tenant, tenants[1]);
    assert_eq!(more.len(), 1);
}

/// A flood of requests takes half while another tenant has routine work, and all of what is left.
pub async fn q02_a_flood_of_requests_leaves_others_their_half(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let flood = World::named(storage, clock, "flood").await;
    let other = World::named(storage, clock, "other").await;
    let names: Vec<String> = (0..60).map(|n| format!("component:default/c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    flood.provide("p", &names).await;
    flood.settle().await;
    for name in &names {
        storage
            .redrive(flood.tenant, &entity_ref(name))
            .await
            .unwrap();
    }
    other.provide("p", &names[..8]).await;
    let mut of = [Vec::new(), Vec::new()];
    for _ in 0..3 {
        let claimed = storage.claim(&worker("w"), 8, Slots::Any).await.unwrap();
        for (tenant, of) in [flood.tenant, other.tenant].iter().zip(&mut of) {
            let theirs = claimed.iter().filter(|item| item.claim.tenant == *tenant);
            of.push(theirs.count());
        }
    }
    assert_eq!(of, [vec![4, 4, 8], vec![4, 4, 0]]);
}

/// Who never stops asking gets to his own routine work too: *on request* goes first up to its credit and then in turn.
pub async fn q02_a_flood_of_requests_does_not_starve_its_own_tenant(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    world.provide("p", &["component:default/asked"]).await;
    world.settle().await;
    world.provide("q", &["component:default/routine"]).await;
    let asked = entity_ref("component:default/asked");
    let mut first = 0;
    loop {
        storage.redrive(world.tenant, &asked).await.unwrap();
        let claimed = storage.claim(&worker("w"), 1, Slots::Any).await.unwrap();
        if claimed[0].entity_ref != asked {
            break;
        }
        first += 1;
        assert!(first < 20, "routine work is starved");
        let record = RunRecord {
            claim: claimed[0].claim.clone(),
            result: RunResult::Skipped { due: None },
            faults: Vec::new(),
            cpu_us: 5_000_000,
            calls: RunCalls::default(),
        };
        storage.record(vec![record]).await.unwrap();
    }
    assert!(first >= 3, "it goes first for a while: {first}");
}

/// One tenant's million does not fill a claim while another has something.
pub async fn a_tenant_takes_half_while_another_waits(storage: &dyn Storage, _clock: &TestClock) {
    let (big, small) = (tenant(storage, "big").await, tenant(storage, "small").await);
    let many = |count: usize| {
        (0..count)
            .map(|number| provided(&format!("component:c{number}"), "x", None))
            .collect()
    };
    provide(storage, big, "p", many(100)).await;
    provide(storage, small, "p", many(8)).await;
    let claimed = storage.claim(&worker("w"), 16, Slots::Any).await.unwrap();
    let of = |tenant| {
        claimed
            .iter()
            .filter(|item| item.claim.tenant == tenant)
            .count()
    };
    assert_eq!((of(big), of(small)), (8, 8));
    // Alone, it may have all.
    let claimed = storage.claim(&worker("w"), 16, Slots::Any).await.unwrap();
    assert_eq!(claimed.len(), 16);
    assert!(claimed.iter().all(|item| item.claim.tenant == big));
}

/// Slow calls buy no more time than quick ones.
pub async fn tenants_share_cpu_time_and_not_items(storage: &dyn Storage, _clock: &TestClock) {
    let (slow, quick) = (
        tenant(storage, "slow").await,
        tenant(storage, "quick").await,
    );
    for tenant in [slow, quick] {
        let many = (0..900).map(|number| provided(&format!("component:c{number}"), "x", None));
        provide(storage, tenant, "p", many.collect()).await;
    }
    // Four threads, and a virtual clock: what is running, by the time it ends.
    let mut used = [0_u64; 2];
    let mut running = Vec::new();
    let mut now = 0;
    for _ in 0..600 {
        let free = 4 - running.len() as u32;
        for item in storage.claim(&worker("w"), free, Slots::Any).await.unwrap() {
            let cpu_us = if item.claim.tenant == slow {
                9_000
            } else {
                1_000
            };
            running.push((now + cpu_us, item, cpu_us));
        }
        running.sort_by_key(|(ends, ..)| std::cmp::Reverse(*ends));
        let (ends, item, cpu_us) = running.pop().unwrap();
        now = ends;
        used[usize::from(item.claim.tenant == slow)] += cpu_us;
        let record = RunRecord {
            claim: item.claim.clone(),
            result: RunResult::Skipped { due: None },
            faults: Vec::new(),
            cpu_us,
            calls: RunCalls::default(),
        };
        storage.record(vec![record]).await.unwrap();
    }
    let ratio = used[1] as f64 / used[0] as f64;
    assert!(
        (0.7..1.5).contains(&ratio),
        "slow used {ratio} times what quick used"
    );
}

/// Eight to four to one, and none starves, while all three have work.
pub async fn lanes_of_a_tenant_share_its_time_by_weight(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let some = |prefix: &str| {
        (0..130)
            .map(|number| provided(&format!("component:{prefix}{number}"), "x", None))
            .collect()
    };
    provide(storage, tenant, "bulk", some("bulk")).await;
    provide(storage, tenant, "reads", some("reads")).await;
    let read = |digest: &str| StoredRead {
        key: ReadKey {
            credential: String::new(),
            want: "get https://h/x".into(),
        },
        outcome: StoredOutcome::NotFound,
        digest: Digest::of(digest),
        etag: None,
        last_modified: None,
        next_due: clock.now().plus_ms(100_000),
    };
    storage.put_read(tenant, read("1")).await.unwrap();
    for item in claim_all(storage, &worker("w")).await {
        let mut done = success(&item, Vec::new());
        if item.entity_ref.name().starts_with("reads") {
            done.trace = vec![TracedRead {
                stage: Stage::PreProcess,
                processor: ProcessorName::parse("p").unwrap(),
                key: read("1").key,
                digest: Digest::of("1"),
            }];
        }
        succeed(storage, &item, done).await;
    }
    world.stitch().await;
    storage.put_read(tenant, read("2")).await.unwrap();
    storage.enqueue_all(tenant).await.unwrap();
    provide(storage, tenant, "new", some("new")).await;
    let mut runs = [0_u32; 4];
    for _ in 0..130 {
        let claimed = storage.claim(&worker("w"), 1, Slots::Any).await.unwrap();
        runs[claimed[0].lane as usize] += 1;
        record(storage, &claimed[0], RunResult::Skipped { due: None }).await;
    }
    let [on_request, new, changed, bulk] = runs;
    assert_eq!(on_request, 0);
    for (lane, runs, share) in [
        ("new", new, 80),
        ("changed", changed, 40),
        ("bulk", bulk, 10),
    ] {
        let about = share * 4 / 5..=share * 6 / 5;
        assert!(about.contains(&runs), "{lane} had {runs} of 130 runs");
    }
}

/// Each entity once, and whatever is held runs again.
pub async fn a_whole_tenant_is_queued_in_lane_bulk(storage: &dyn Storage, clock: &TestClock) {
    let tenant = tenant(storage, "acme").await;
    assert_eq!(storage.enqueue_all(tenant).await.unwrap(), 0);
    let many = (0..1_200).map(|number| provided(&format!("component:c{number}"), "x", None));
    provide(storage, tenant, "p", many.collect()).await;
    let mut claimed = Vec::new();
    while claimed.len() < 1_200 {
        claimed.extend(claim_all(storage, &worker("w")).await);
    }
    let held = claimed.pop().unwrap();
    for item in &claimed {
        record(storage, item, RunResult::Skipped { due: None }).await;
    }
    assert_eq!(storage.enqueue_all(tenant).await.unwrap(), 1_200);
    assert_eq!(storage.queue_depth().await.unwrap(), [(Lane::Bulk, 1_200)]);
    assert!(storage.next_due().await.unwrap().unwrap() <= clock.now());
    let mut again = Vec::new();
    loop {
        let more = claim_all(storage, &worker("w")).await;
        if more.is_empty() {
            break;
        }
        again.extend(more);
    }
    assert_eq!(again.len(), 1_199);
    assert!(again.iter().all(|item| item.lane == Lane::Bulk));
    record(storage, &held, RunResult::Skipped { due: None }).await;
    assert_eq!(
        claim_all(storage, &worker("w")).await[0].claim.uid,
        held.claim.uid
    );
}

/// Through the reads of its last run, failed or not.
pub async fn a_changed_read_queues_its_users(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    world
        .provide("p", &["location:default/a", "location:default/b"])
        .await;
    let key = ReadKey {
        credential: HOSTILE_TEXT.into(),
        want: "get https://h/x".into(),
    };
    for item in claim_all(storage, &worker("w")).await {
        let mut done = success(&item, Vec::new());
        if item.entity_ref.name() == "a" {
            done.trace = vec![TracedRead {
                stage: Stage::ReadLocation,
                processor: ProcessorName::parse("url-reader").unwrap(),
                key: key.clone(),
                digest: Digest::of("1"),
            }];
        }
        succeed(storage, &item, done).await;
    }
    let read = |digest: &str| StoredRead {
        key: key.clone(),
        outcome: StoredOutcome::NotFound,
        digest: Digest::of(digest),
        etag: None,
        last_modified: None,
        next_due: clock.now().plus_ms(100_000),
    };
    storage.put_read(world.tenant, read("1")).await.unwrap();
    let first = claim_all(storage, &worker("w")).await;
    for item in &first {
        assert_eq!(item.trace[0].key, key);
        succeed(storage, item, success(item, Vec::new())).await;
    }
    // Now nobody uses it any more, if it was the first time stored that queued its user.
    storage.put_read(world.tenant, read("2")).await.unwrap();
    let second = claim_all(storage, &worker("w")).await;
    assert_eq!(first.len() + second.len(), 1, "one change, one run");
}

/// What no policy has refused yet may have a kind like `a/b`.
pub async fn y12_a_hostile_ref_does_not_stop_the_queue(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let hostile = [
        EntityRef::new("a/b", "default", "x"),
        EntityRef::new("a:b", "c/d", "e:f"),
        EntityRef::new("'; DROP TABLE work; --", "%", "_\u{0}\u{202e}"),
    ];
    let emitted = hostile
        .iter()
        .map(|entity_ref| Child {
            entity_ref: entity_ref.clone(),
            unprocessed: HOSTILE_TEXT.into(),
            location_key: Some(HOSTILE_TEXT.into()),
        })
        .collect();
    world.emits("location:default/l", emitted);
    world.provide("p", &["location:default/l"]).await;
    let ran = world.settle().await;
    assert_eq!(ran.len(), 4);
    for entity_ref in &hostile {
        let state = storage
            .find_processing(world.tenant, entity_ref)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&state.entity_ref, entity_ref);
        assert!(state.served);
    }
    assert_eq!(world.provide("p", &[]).await.removed, 4);
}
