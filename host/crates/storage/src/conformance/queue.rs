//! The second half of the suite, and its fixtures: entities, edges and the queues.
//!
//! [`World`] is a worker in miniature: it claims, "processes" an entity into its own text with the children the test says
//! it emits, records, and stitches. So tests speak of what is emitted and of what is served.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use crate::{
    Child, Claimed, FinalEntity, Mutation, MutationKind, MutationOutcome, ProvidedEntity, Recorded,
    RunCalls, RunRecord, RunResult, Slots, Stitched, Storage, Success, WorkerId,
};
use greenroom_model::{Digest, EntityRef, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A ref.
#[must_use]
pub fn entity_ref(text: &str) -> EntityRef {
    EntityRef::parse(text).expect("the suite's refs are well-formed")
}

/// A root entity.
#[must_use]
pub fn provided(text: &str, body: &str, key: Option<&str>) -> ProvidedEntity {
    ProvidedEntity {
        entity_ref: entity_ref(text),
        unprocessed: body.to_owned(),
        location_key: key.map(str::to_owned),
    }
}

/// An emitted entity.
#[must_use]
pub fn child(text: &str, body: &str, key: Option<&str>) -> Child {
    Child {
        entity_ref: entity_ref(text),
        unprocessed: body.to_owned(),
        location_key: key.map(str::to_owned),
    }
}

/// A good run without anything but its children.
#[must_use]
pub fn success(claimed: &Claimed, children: Vec<Child>) -> Success {
    Success {
        processed: format!("processed {}", claimed.unprocessed),
        memo: Digest::of(&claimed.unprocessed),
        trace: Vec::new(),
        caches: "{}".to_owned(),
        relations: Vec::new(),
        refresh_keys: Vec::new(),
        children,
        complete: true,
        diagnostics: Vec::new(),
        due: None,
    }
}

/// A worker's name.
#[must_use]
pub fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

/// Claims everything that is due.
pub async fn claim_all(storage: &dyn Storage, worker: &WorkerId) -> Vec<Claimed> {
    storage.claim(worker, 1_000, Slots::Any).await.unwrap()
}

/// Claims everything that is due; there is one item, and it is that entity.
pub async fn claim_only(storage: &dyn Storage, worker: &WorkerId, text: &str) -> Claimed {
    let mut claimed = claim_all(storage, worker).await;
    assert_eq!(refs(&claimed), [text]);
    claimed.remove(0)
}

/// The refs of what was claimed, sorted.
#[must_use]
pub fn refs(claimed: &[Claimed]) -> Vec<String> {
    let mut refs: Vec<_> = claimed
        .iter()
        .map(|item| item.entity_ref.to_string())
        .collect();
    refs.sort();
    refs
}

/// A run that made one call and had no fault.
#[must_use]
pub fn run_record(claimed: &Claimed, result: RunResult) -> RunRecord {
    RunRecord {
        claim: claimed.claim.clone(),
        result,
        faults: Vec::new(),
        cpu_us: 100,
        calls: RunCalls::default(),
    }
}

/// Records one run.
pub async fn record(storage: &dyn Storage, claimed: &Claimed, result: RunResult) -> Recorded {
    let record = run_record(claimed, result);
    storage.record(vec![record]).await.unwrap()[0]
}

/// Records one good run.
pub async fn succeed(storage: &dyn Storage, claimed: &Claimed, success: Success) -> Recorded {
    record(storage, claimed, RunResult::Succeeded(Box::new(success))).await
}

/// Applies a full mutation.
pub async fn provide(
    storage: &dyn Storage,
    tenant: TenantId,
    source: &str,
    added: Vec<ProvidedEntity>,
) -> MutationOutcome {
    let mutation = Mutation {
        kind: MutationKind::Full,
        added,
        removed: Vec::new(),
    };
    storage
        .apply_mutation(tenant, source, mutation)
        .await
        .unwrap()
}

/// A tenant whose entities emit what the test says.
pub struct World<'a> {
    /// The storage.
    pub storage: &'a dyn Storage,
    /// Its clock.
    pub clock: &'a TestClock,
    /// The tenant.
    pub tenant: TenantId,
    emits: BTreeMap<String, Vec<Child>>,
}

impl<'a> World<'a> {
    /// A new tenant.
    pub async fn new(storage: &'a dyn Storage, clock: &'a TestClock) -> World<'a> {
        World::named(storage, clock, "acme").await
    }

    /// A new tenant of that name.
    pub async fn named(storage: &'a dyn Storage, clock: &'a TestClock, name: &str) -> World<'a> {
        let tenant = super::tenant(storage, name).await;
        World {
            storage,
            clock,
            tenant,
            emits: BTreeMap::new(),
        }
    }

    /// What an entity emits from now on.
    pub fn emits(&mut self, parent: &str, children: Vec<Child>) {
        self.emits.insert(parent.to_owned(), children);
    }

    /// Gives root entities, each with its ref as its body and no location key.
    pub async fn provide(&self, source: &str, roots: &[&str]) -> MutationOutcome {
        let roots = roots
            .iter()
            .map(|root| provided(root, root, None))
            .collect();
        provide(self.storage, self.tenant, source, roots).await
    }

    /// Runs and stitches until nothing is due; answers the refs that ran, in order. A run whose memo is equal is
    /// skipped, as a worker would.
    pub async fn settle(&self) -> Vec<String> {
        let mut ran = Vec::new();
        for _ in 0..50 {
            let claimed = claim_all(self.storage, &worker("settler")).await;
            if claimed.is_empty() {
                self.stitch().await;
                return ran;
            }
            for item in claimed {
                if item.memo == Some(Digest::of(&item.unprocessed)) {
                    record(self.storage, &item, RunResult::Skipped { due: None }).await;
                    continue;
                }
                let children = self.emits.get(item.entity_ref.as_str()).cloned();
                let done = success(&item, children.unwrap_or_default());
                assert_eq!(succeed(self.storage, &item, done).await, Recorded::Applied);
                ran.push(item.entity_ref.to_string());
            }
        }
        panic!("the queue does not run dry: {ran:?}");
    }

    /// Runs an entity again although nothing of it changed, then whatever follows.
    pub async fn rerun(&self, text: &str) -> Vec<String> {
        assert!(
            self.storage
                .redrive(self.tenant, &entity_ref(text))
                .await
                .unwrap()
        );
        self.settle().await
    }

    /// Stitches everything that is queued; the body tells what went into it.
    pub async fn stitch(&self) {
        stitch(self.storage).await;
    }

    /// Does the orphan checks that are due, and what follows from them.
    pub async fn check_orphans(&self) -> u64 {
        let mut deleted = 0;
        for _ in 0..100 {
            let report = self.storage.check_orphans(10).await.unwrap();
            deleted += report.deleted;
            if report.checked == 0 {
                self.stitch().await;
                return deleted;
            }
        }
        panic!("orphan checks do not run dry");
    }

    /// The served entity.
    pub async fn served(&self, text: &str) -> Option<FinalEntity> {
        self.storage
            .find_entity(self.tenant, &entity_ref(text))
            .await
            .unwrap()
    }

    /// The refs that are served, sorted.
    pub async fn all_served(&self) -> Vec<String> {
        let served = self
            .storage
            .scan_entities(self.tenant, None, 10_000)
            .await
            .unwrap();
        let mut refs: Vec<_> = served
            .iter()
            .map(|entity| entity.entity_ref.to_string())
            .collect();
        refs.sort();
        refs
    }

    /// The log, as `+ref` and `-ref`; checks that it has no gap.
    pub async fn log(&self) -> Vec<String> {
        let changes = self
            .storage
            .changes_after(self.tenant, 0, 10_000)
            .await
            .unwrap()
            .unwrap();
        for (index, change) in changes.iter().enumerate() {
            assert_eq!(change.seq, index as u64 + 1, "the log has a gap");
        }
        let position = self.storage.log_position(self.tenant).await.unwrap();
        assert_eq!(position.seq, changes.len() as u64);
        changes
            .iter()
            .map(|change| match change.kind {
                crate::ChangeKind::Upsert => format!("+{}", change.entity_ref),
                crate::ChangeKind::Delete => format!("-{}", change.entity_ref),
            })
            .collect()
    }
}

/// Stitches everything that is queued, of all tenants.
pub async fn stitch(storage: &dyn Storage) {
    loop {
        let inputs = storage.claim_stitches(100).await.unwrap();
        if inputs.is_empty() {
            return;
        }
        let results = inputs.into_iter().map(|input| {
            let stitched = match (&input.uid, &input.processed) {
                (Some(uid), Some(processed)) => {
                    let relations: Vec<_> = input
                        .relations
                        .iter()
                        .map(|(r#type, to)| format!("{type} {to}"))
                        .collect();
                    let said: Vec<_> = input
                        .diagnostics
                        .iter()
                        .map(|said| said.message.clone())
                        .collect();
                    let body = format!("{processed}|{relations:?}|{said:?}|{}", input.orphan);
                    let etag = Digest::of(&body).to_string();
                    if input.served_etag.as_ref() == Some(&etag) {
                        Stitched::Unchanged
                    } else {
                        Stitched::Changed(FinalEntity {
                            uid: uid.clone(),
                            entity_ref: input.entity_ref.clone(),
                            etag,
                            body: Arc::from(body),
                        })
                    }
                }
                _ => Stitched::Abandoned,
            };
            (input, stitched)
        });
        storage.record_stitches(results.collect()).await.unwrap();
    }
}

/// The tests of this half, for [`storage_conformance!`](crate::storage_conformance)'s kind of function.
#[macro_export]
macro_rules! queue_conformance {
    ($run:path) => {
        $crate::storage_conformance!(@group $run, work, [
            an_item_is_claimed_once_with_what_a_run_starts_from,
            a_record_of_an_expired_worker_is_dropped,
            an_old_claim_does_not_fit_a_new_item,
            an_item_queued_while_held_runs_once_more,
            a_memo_cleared_during_a_run_stays_cleared,
            released_items_are_due_again,
            a_lease_runs_out_by_the_storages_clock,
            on_request_goes_first,
            kept_slots_are_for_tenants_that_hold_nothing,
            a_tenant_takes_half_while_another_waits,
            q02_a_flood_of_requests_leaves_others_their_half,
            q02_a_flood_of_requests_does_not_starve_its_own_tenant,
            tenants_share_cpu_time_and_not_items,
            lanes_of_a_tenant_share_its_time_by_weight,
            a_whole_tenant_is_queued_in_lane_bulk,
            a_changed_read_queues_its_users,
            y12_a_hostile_ref_does_not_stop_the_queue,
        ]);
        $crate::storage_conformance!(@group $run, record, [
            a_failure_keeps_the_last_good_state,
            a_deterministic_failure_waits_and_another_is_tried_again,
            a_waiting_run_says_why_and_a_skipped_one_ends_it,
            a_child_is_queued_only_if_it_changed,
            a_run_with_errors_removes_nothing,
            many_children_are_placed_in_parts,
            relations_are_replaced_by_difference,
            children_of_a_request_are_on_request,
            a_run_that_changed_nothing_is_not_stitched,
            the_longest_names_are_kept,
        ]);
        $crate::storage_conformance!(@group $run, chain, [
            c19_an_endless_chain_ends_32_steps_from_its_origin,
            c19_two_that_emit_each_other_end,
            c19_what_is_there_stays_where_a_chain_became_longer,
            c19_a_chain_that_hangs_from_a_cycle_ends,
            c19_many_at_the_end_of_a_chain_are_told_once,
        ]);
        $crate::storage_conformance!(@group $run, mutations, [
            a_full_mutation_is_a_difference,
            a_delta_touches_what_it_names,
            a_removed_root_takes_what_only_it_reached,
            a_cycle_goes_with_its_root,
            a_conflict_is_listed_and_the_loser_takes_over,
            a_provider_that_lost_takes_over_too,
            an_entity_without_a_key_is_taken_over,
            every_emitter_keeps_its_edge,
            the_last_of_equal_refs_wins,
            h21_what_is_staged_changes_nothing_until_it_is_applied,
            a_staged_full_mutation_is_a_difference,
            a_staged_delta_touches_what_it_names,
            a_staged_mutation_takes_conflicts_as_another_does,
        ]);
        $crate::storage_conformance!(@group $run, quotas, [
            what_is_set_holds_for_its_tenant,
            q05_entities_are_refused_beyond_the_last_one,
            q05_of_two_that_race_for_the_last_entity_one_gets_it,
            q05_a_staged_mutation_without_room_changes_nothing,
            an_emission_without_room_is_an_error_of_its_parent,
            many_emissions_stop_at_the_quota,
            a_location_without_room_is_not_registered,
            a_loser_without_room_stays_one,
            q04_processors_and_components_are_counted_for_the_tenant,
            q05_of_two_that_race_for_the_last_processor_one_gets_it,
            a_tenant_without_cpu_time_waits_until_its_minute_has_room,
            a_tenant_holds_no_more_than_its_share_of_threads,
        ]);
        $crate::storage_conformance!(@group $run, locations, [
            a_location_is_registered_once,
            locations_are_walked_in_parts,
            a_location_keeps_its_entity_when_its_target_changes,
            a_shared_entity_becomes_the_other_locations,
            deleting_a_location_takes_what_only_it_reaches,
        ]);
        $crate::storage_conformance!(@group $run, stitching, [
            a_result_under_an_old_ticket_is_dropped,
            a_lost_claim_comes_back_after_its_time,
            a_batch_is_of_one_tenant,
            neighbours_of_many_runs_are_stitched_together,
            a_change_says_with_which_etag_the_entity_was_served,
            diagnostics_reach_the_served_entity,
        ]);
        $crate::storage_conformance!(@group $run, healing, [
            what_runs_leave_is_as_it_was_left,
            healing_what_is_whole_changes_nothing,
        ]);
        $crate::storage_conformance!(@group $run, orphans, [
            an_orphan_is_marked_then_deleted,
            a_moved_file_keeps_its_uid,
            a_cycle_without_a_provider_is_deleted,
            a_kept_orphan_stays_marked,
            the_other_parent_runs_again,
        ]);
        $crate::storage_conformance!(@group $run, entities, [
            an_entity_is_found_every_way,
            deleting_by_uid_runs_the_parent_again,
            an_ancestry_has_every_parent_once,
            a_refresh_makes_reads_due,
            a_refresh_by_key_makes_the_reads_of_its_entities_due,
            a_forced_refresh_runs_again,
            every_state_is_shown,
            a_tenants_entities_are_its_own,
        ]);
    };
}
