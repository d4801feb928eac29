//! Quotas of tenants: what has no room is refused where it would be added, and nothing is deleted for a quota.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::queue::{
    World, child, claim_all, entity_ref, provide, provided, record, success, worker,
};
use super::{TestClock, processor_name, tenant};
use crate::{
    AddedLocation, Counted, CreatedProcessor, Lane, MutationId, MutationKind, MutationLine,
    MutationOutcome, NO_ROOM_RETRY_MS, NewLocation, NewRevision, OverQuota, ProcessingStatus,
    QuotaOverrides, Quotas, Recorded, Refusal, RevisionDeleted, RunCalls, RunRecord, RunResult,
    Slots, Storage, UpdatedLocation, UploadId,
};
use bytes::Bytes;
use greenroom_model::{Digest, LocationRef, TenantId};
use serde_json::json;
use std::future::poll_fn;
use std::task::Poll;

async fn set(storage: &dyn Storage, tenant: TenantId, set: QuotaOverrides) {
    storage.put_quota_overrides(tenant, set).await.unwrap();
}

async fn entities(storage: &dyn Storage, tenant: TenantId, most: u64) {
    let quotas = QuotaOverrides {
        entities: Some(most),
        ..QuotaOverrides::default()
    };
    set(storage, tenant, quotas).await;
}

fn over(what: Counted, used: u64, limit: u64, wanted: u64) -> OverQuota {
    OverQuota {
        what,
        used,
        limit,
        wanted,
    }
}

fn refused(outcome: &MutationOutcome) -> Option<Refusal> {
    assert_eq!(
        (
            outcome.added,
            outcome.updated,
            outcome.unchanged,
            outcome.removed
        ),
        (0, 0, 0, 0)
    );
    outcome.refused
}

async fn count(storage: &dyn Storage, tenant: TenantId) -> u64 {
    storage.usage(tenant).await.unwrap().entities
}

/// Awaits all at once.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, done) in &mut futures {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        match futures.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}

/// What is set comes back and holds figure by figure, for its tenant alone.
pub async fn what_is_set_holds_for_its_tenant(storage: &dyn Storage, _clock: &TestClock) {
    let (a, b) = (tenant(storage, "a").await, tenant(storage, "b").await);
    let most = QuotaOverrides {
        entities: Some(u64::MAX),
        processors: Some(0),
        call_limits: json!({"fuel": 5}).as_object().cloned(),
        ..QuotaOverrides::default()
    };
    let version = storage.pipeline_version(a).await.unwrap();
    set(storage, a, most.clone()).await;
    assert_eq!(storage.quota_overrides(a).await.unwrap(), most);
    let quotas = storage.quotas(a).await.unwrap();
    assert_eq!((quotas.entities, quotas.processors), (u64::MAX, 0));
    assert_eq!(quotas.call_limits.fuel, 5);
    assert_eq!(quotas.component_bytes, Quotas::default().component_bytes);
    let raised = storage.pipeline_version(a).await.unwrap();
    assert!(raised > version, "pipelines are read anew");
    assert_eq!(storage.quotas(b).await.unwrap(), Quotas::default());
    set(storage, a, QuotaOverrides::default()).await;
    assert_eq!(storage.quotas(a).await.unwrap(), Quotas::default());
    assert!(storage.delete_tenant(a).await.unwrap());
    set(storage, a, most).await;
    assert_eq!(storage.quotas(a).await.unwrap(), Quotas::default());
}

/// The last unit is given, one more is refused whole; lowered below what is there nothing goes, and none is none.
pub async fn q05_entities_are_refused_beyond_the_last_one(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let (x, y, z) = (
        "component:default/x",
        "component:default/y",
        "component:default/z",
    );
    entities(storage, world.tenant, 2).await;
    assert_eq!(world.provide("p", &[x, y]).await.added, 2);
    let more = world.provide("q", &[z]).await;
    let expected = over(Counted::Entities, 2, 2, 1);
    assert_eq!(refused(&more), Some(Refusal::Whole(expected)));
    // What is there is updated all the same, and what a mutation removes makes no room for what it adds.
    assert_eq!(world.provide("p", &[x, y]).await.unchanged, 2);
    let swapped = world.provide("p", &[x, z]).await;
    assert_eq!(refused(&swapped), Some(Refusal::Whole(expected)));
    entities(storage, world.tenant, 1).await;
    assert_eq!(count(storage, world.tenant).await, 2);
    let lowered = world.provide("q", &[z]).await;
    let expected = over(Counted::Entities, 2, 1, 1);
    assert_eq!(refused(&lowered), Some(Refusal::Whole(expected)));
    entities(storage, world.tenant, 0).await;
    assert_eq!(world.provide("p", &[]).await.removed, 2);
    assert_eq!(count(storage, world.tenant).await, 0);
    let none = world.provide("p", &[x]).await;
    assert_eq!(
        refused(&none),
        Some(Refusal::Whole(over(Counted::Entities, 0, 0, 1)))
    );
    entities(storage, world.tenant, u64::MAX).await;
    assert_eq!(world.provide("p", &[x]).await.added, 1);
}

/// Two that race for the last unit: one gets it.
pub async fn q05_of_two_that_race_for_the_last_entity_one_gets_it(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    entities(storage, tenant, 5).await;
    let push = |number: usize| async move {
        let name = format!("component:default/c{number}");
        let roots = vec![provided(&name, "x", None)];
        provide(storage, tenant, &format!("p{number}"), roots).await
    };
    let outcomes = all((0..8).map(push)).await;
    let added: u64 = outcomes.iter().map(|outcome| outcome.added).sum();
    let refused = outcomes.iter().filter(|outcome| outcome.refused.is_some());
    assert_eq!((added, refused.count()), (5, 3));
    assert_eq!(count(storage, tenant).await, 5);
}

/// A staged mutation is refused whole too, and is forgotten.
pub async fn q05_a_staged_mutation_without_room_changes_nothing(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    world.provide("p", &["component:default/x"]).await;
    entities(storage, tenant, 2).await;
    let stage = async |id: &str, names: &[&str]| {
        let lines = names.iter().map(|name| {
            MutationLine::Add(provided(&format!("component:default/{name}"), "new", None))
        });
        let id = MutationId(id.to_owned());
        let kind = MutationKind::Full;
        let staged = storage.stage_mutation(tenant, &id, "p", kind, 0, lines.collect());
        staged.await.unwrap();
        storage.apply_staged(tenant, &id).await.unwrap()
    };
    // One ref twice is one entity, and one that is there is none.
    let fits = stage("1", &["x", "y", "y"]).await.unwrap();
    assert_eq!((fits.added, fits.refused), (1, None));
    let more = stage("2", &["x", "y", "z"]).await.unwrap();
    let expected = over(Counted::Entities, 2, 2, 1);
    assert_eq!(refused(&more), Some(Refusal::Whole(expected)));
    let again = storage.apply_staged(tenant, &MutationId("2".into())).await;
    assert_eq!(again.unwrap(), None);
    assert_eq!(count(storage, tenant).await, 2);
}

/// What a parent emits beyond the quota is told it as an error: its other children are added and nothing of it is removed. It
/// is tried again after an hour, and at once when there is room.
pub async fn an_emission_without_room_is_an_error_of_its_parent(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let mut world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let kids = |names: &[&str]| {
        let kids = names
            .iter()
            .map(|name| child(&format!("component:default/{name}"), "x", None));
        kids.collect::<Vec<_>>()
    };
    let parent = "location:default/l";
    world.emits(parent, kids(&["a", "b"]));
    world.provide("p", &[parent]).await;
    world.settle().await;
    entities(storage, tenant, 4).await;
    world.settle().await;
    world.emits(parent, kids(&["c", "d", "e", "b"]));
    assert!(
        world
            .rerun(parent)
            .await
            .contains(&"component:default/c".to_owned())
    );
    let state = storage.find_processing(tenant, &entity_ref(parent)).await;
    let state = state.unwrap().unwrap();
    assert_eq!(state.status, ProcessingStatus::Partial);
    let told = &state.diagnostics[0];
    assert_eq!(told.name, "QuotaExceededError");
    assert_eq!(told.target.as_deref(), Some("component:default/d"));
    assert!(
        told.message.contains("and 1 more are not added"),
        "{}",
        told.message
    );
    let a = "component:default/a";
    assert!(world.served(a).await.is_some(), "nothing is removed");
    assert_eq!(count(storage, tenant).await, 4);
    assert!(world.settle().await.is_empty(), "it waits");
    clock.advance(NO_ROOM_RETRY_MS);
    assert_eq!(world.settle().await, [parent], "and is tried again");
    entities(storage, tenant, 6).await;
    let ran = world.settle().await;
    assert_eq!(
        ran.first().map(String::as_str),
        Some(parent),
        "there is room"
    );
    assert!(world.served("component:default/e").await.is_some());
    clock.advance(100_000);
    world.check_orphans().await;
    clock.advance(100_000);
    world.check_orphans().await;
    assert!(world.served(a).await.is_none(), "a whole run removes");
    assert_eq!(count(storage, tenant).await, 5);
}

/// Many children are placed in parts, and the last ones find no room.
pub async fn many_emissions_stop_at_the_quota(storage: &dyn Storage, clock: &TestClock) {
    let mut world = World::new(storage, clock).await;
    let kids = (0..700).map(|n| child(&format!("component:default/c{n:03}"), "x", None));
    world.emits("location:default/l", kids.collect());
    entities(storage, world.tenant, 601).await;
    world.provide("p", &["location:default/l"]).await;
    world.settle().await;
    assert_eq!(count(storage, world.tenant).await, 601);
    let parent = entity_ref("location:default/l");
    let state = storage.find_processing(world.tenant, &parent).await;
    let told = state.unwrap().unwrap().diagnostics.remove(0);
    assert!(
        told.message
            .contains("`component:default/c600` and 99 more"),
        "{}",
        told.message
    );
}

fn location(target: &str) -> NewLocation {
    NewLocation {
        id: format!("id-{target}"),
        location: LocationRef::new("url", target),
        entity: provided(&format!("location:default/{target}"), target, Some(target)),
    }
}

/// A location without room for its entity is not registered.
pub async fn a_location_without_room_is_not_registered(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    entities(storage, tenant, 1).await;
    let add = async |target| {
        storage
            .add_location(tenant, location(target))
            .await
            .unwrap()
    };
    assert!(matches!(add("a").await, AddedLocation::Added(_)));
    let AddedLocation::OverQuota(told) = add("b").await else {
        panic!("it was registered");
    };
    assert_eq!(told, over(Counted::Entities, 1, 1, 1));
    assert_eq!(storage.list_locations(tenant).await.unwrap().len(), 1);
    world.settle().await;
    let served = world.served("location:default/a").await.unwrap();
    storage.delete_entity(tenant, &served.uid).await.unwrap();
    entities(storage, tenant, 0).await;
    let (to, entity) = (LocationRef::new("url", "c"), location("a").entity);
    let updated = storage.update_location(tenant, "id-a", to, entity).await;
    assert!(matches!(updated.unwrap(), UpdatedLocation::OverQuota(_)));
    let kept = storage
        .find_location(tenant, "id-a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.location.target, "a");
}

/// Who lost a ref and finds no room when its owner goes keeps its conflict.
pub async fn a_loser_without_room_stays_one(storage: &dyn Storage, clock: &TestClock) {
    let world = World::new(storage, clock).await;
    let tenant = world.tenant;
    let give = async |source: &str| {
        let roots = vec![provided("component:default/x", source, Some(source))];
        provide(storage, tenant, source, roots).await
    };
    assert_eq!(give("p").await.added, 1);
    assert_eq!(give("q").await.conflicts.len(), 1);
    entities(storage, tenant, 0).await;
    assert_eq!(provide(storage, tenant, "p", Vec::new()).await.removed, 1);
    assert_eq!(count(storage, tenant).await, 0);
    assert_eq!(storage.list_conflicts(tenant, 10).await.unwrap().len(), 1);
}

/// Processors and bytes of components are counted for the tenant; what is deleted makes room at once, and nothing else does.
pub async fn q04_processors_and_components_are_counted_for_the_tenant(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let quotas = QuotaOverrides {
        processors: Some(2),
        component_bytes: Some(10),
        ..QuotaOverrides::default()
    };
    set(storage, tenant, quotas).await;
    let create = async |name| {
        let name = processor_name(name);
        match storage.create_processor(tenant, &name).await.unwrap() {
            CreatedProcessor::There(_) => None,
            CreatedProcessor::OverQuota(over) => Some(over),
        }
    };
    assert_eq!(
        (create("a").await, create("b").await, create("a").await),
        (None, None, None)
    );
    assert_eq!(create("c").await, Some(over(Counted::Processors, 2, 2, 1)));
    let upload = async |name, bytes: &'static str| {
        let id = UploadId(format!("{name} {bytes}"));
        let staged = storage.stage_upload(tenant, &id, 0, Bytes::from_static(bytes.as_bytes()));
        staged.await.unwrap();
        let (name, digest) = (processor_name(name), Digest::of(bytes));
        let length = bytes.len() as u64;
        let published = storage
            .publish_revision(tenant, &name, &id, &digest, length)
            .await;
        match published.unwrap().unwrap() {
            NewRevision::Added(revision) => Ok(revision.number),
            NewRevision::Known(_) => Ok(0),
            NewRevision::OverQuota(over) => Err(over),
        }
    };
    assert_eq!(upload("a", "sixsix").await, Ok(1));
    // The same bytes are stored once, whatever names them.
    assert_eq!(upload("b", "sixsix").await, Ok(1));
    assert_eq!(
        upload("a", "fives").await,
        Err(over(Counted::ComponentBytes, 6, 10, 5))
    );
    assert_eq!(upload("a", "four").await, Ok(2));
    let usage = storage.usage(tenant).await.unwrap();
    assert_eq!(
        (
            usage.processors,
            usage.component_bytes,
            usage.most_revisions
        ),
        (2, 10, 2)
    );
    let deleted = storage
        .delete_revision(tenant, &processor_name("a"), 2)
        .await;
    assert_eq!(deleted.unwrap(), RevisionDeleted::Deleted);
    assert_eq!(storage.usage(tenant).await.unwrap().component_bytes, 6);
    // Deleted and made again, it has what is there and no more.
    assert!(
        storage
            .delete_processor(tenant, &processor_name("a"))
            .await
            .unwrap()
    );
    assert_eq!(
        storage.usage(tenant).await.unwrap().component_bytes,
        6,
        "b has them"
    );
    assert_eq!(create("a").await, None);
    assert_eq!(
        upload("a", "fives").await,
        Err(over(Counted::ComponentBytes, 6, 10, 5))
    );
    assert!(
        storage
            .delete_processor(tenant, &processor_name("b"))
            .await
            .unwrap()
    );
    assert_eq!(storage.usage(tenant).await.unwrap().component_bytes, 0);
    assert_eq!(upload("a", "fives").await, Ok(1));
}

/// Two that race for the last processor: one gets it.
pub async fn q05_of_two_that_race_for_the_last_processor_one_gets_it(
    storage: &dyn Storage,
    _clock: &TestClock,
) {
    let tenant = tenant(storage, "acme").await;
    let quotas = QuotaOverrides {
        processors: Some(1),
        ..QuotaOverrides::default()
    };
    set(storage, tenant, quotas).await;
    let create = |number: usize| async move {
        let name = processor_name(&format!("p{number}"));
        storage.create_processor(tenant, &name).await.unwrap()
    };
    let created = all((0..4).map(create)).await;
    let there = created
        .iter()
        .filter(|one| matches!(one, CreatedProcessor::There(_)));
    assert_eq!(there.count(), 1);
    assert_eq!(storage.list_processors(tenant).await.unwrap().len(), 1);
}

/// Claims and records good runs that took so much CPU time; the lanes of what was claimed.
async fn work(storage: &dyn Storage, limit: u32, cpu_us: u64) -> Vec<(TenantId, Lane)> {
    let claimed = storage
        .claim(&worker("w"), limit, Slots::Any)
        .await
        .unwrap();
    let lanes = claimed
        .iter()
        .map(|item| (item.claim.tenant, item.lane))
        .collect();
    let records = claimed.iter().map(|item| RunRecord {
        claim: item.claim.clone(),
        result: RunResult::Succeeded(Box::new(success(item, Vec::new()))),
        faults: Vec::new(),
        cpu_us,
        calls: RunCalls::default(),
    });
    let recorded = storage.record(records.collect()).await.unwrap();
    assert!(recorded.iter().all(|one| *one == Recorded::Applied));
    lanes
}

/// A tenant whose minute is used up waits, in lane *on request* too; others go on, and so does it when the minute has room or
/// the quota is raised.
pub async fn a_tenant_without_cpu_time_waits_until_its_minute_has_room(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let greedy = World::named(storage, clock, "greedy").await;
    let other = World::named(storage, clock, "other").await;
    let cpu = async |seconds| {
        let quotas = QuotaOverrides {
            cpu_seconds_per_minute: Some(seconds),
            ..QuotaOverrides::default()
        };
        set(storage, greedy.tenant, quotas).await;
    };
    cpu(6).await;
    let first = "component:default/a";
    // Half a minute's worth, and all of it.
    greedy.provide("p", &[first]).await;
    assert_eq!(work(storage, 1, 3_000_000).await.len(), 1);
    greedy.provide("q", &["component:default/b"]).await;
    assert_eq!(work(storage, 1, 3_000_000).await.len(), 1);
    assert_eq!(
        storage.usage(greedy.tenant).await.unwrap().cpu_us,
        6_000_000
    );
    greedy.provide("r", &["component:default/c"]).await;
    let first = entity_ref(first);
    assert!(storage.redrive(greedy.tenant, &first).await.unwrap());
    other.provide("p", &["component:default/o"]).await;
    assert_eq!(work(storage, 9, 1).await, [(other.tenant, Lane::New)]);
    assert!(work(storage, 9, 1).await.is_empty());
    clock.advance(10);
    let served = work(storage, 9, 60_000_000).await;
    let lanes = [Lane::OnRequest, Lane::New].map(|lane| (greedy.tenant, lane));
    assert_eq!(served, lanes);
    // A bill of twenty minutes, which a larger quota pays at once.
    greedy.provide("s", &["component:default/d"]).await;
    clock.advance(600_000);
    assert!(work(storage, 9, 1).await.is_empty());
    cpu(600).await;
    assert_eq!(work(storage, 9, 1).await.len(), 1);
    cpu(0).await;
    greedy.provide("t", &["component:default/e"]).await;
    clock.advance(3_600_000);
    assert!(work(storage, 9, 1).await.is_empty(), "0 means none");
}

/// What a tenant's entities hold of the threads is at most its share, also when nobody else waits.
pub async fn a_tenant_holds_no_more_than_its_share_of_threads(
    storage: &dyn Storage,
    clock: &TestClock,
) {
    let world = World::new(storage, clock).await;
    let share = async |percent| {
        let quotas = QuotaOverrides {
            thread_share: Some(percent),
            ..QuotaOverrides::default()
        };
        set(storage, world.tenant, quotas).await;
    };
    let roots: Vec<String> = (0..20).map(|n| format!("component:default/c{n}")).collect();
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    world.provide("p", &roots).await;
    share(25).await;
    let claim = async || storage.claim(&worker("w"), 8, Slots::Any).await.unwrap();
    let held = claim().await;
    assert_eq!(held.len(), 2);
    let usage = storage.usage(world.tenant).await.unwrap();
    assert_eq!((usage.held, usage.held_by_all), (2, 2));
    // Two are held and six threads are free: no more than two.
    let six = storage.claim(&worker("w"), 6, Slots::Any).await.unwrap();
    assert!(six.is_empty());
    for item in &held {
        let done = RunResult::Skipped { due: None };
        record(storage, item, done).await;
    }
    share(0).await;
    assert!(claim().await.is_empty());
    share(u64::MAX).await;
    assert_eq!(claim_all(storage, &worker("w")).await.len(), 18);
}
