//! The conformance suite: what every backend must do, said once (house style §8).
//!
//! A backend's own test runs it by [`storage_conformance!`](crate::storage_conformance) with a function that opens a new
//! database and calls the test with it. The tests know nothing of SQL, and time passes only where they turn the clock.

pub mod activations;
pub mod audit;
pub mod blobs;
pub mod chain;
pub mod changes;
pub mod entities;
pub mod faults;
pub mod figures;
pub mod healing;
pub mod locations;
pub mod moving;
pub mod mutations;
pub mod orphans;
pub mod processors;
pub mod queue;
pub mod quotas;
pub mod reads;
pub mod record;
pub mod revisions;
pub mod runs;
pub mod stitching;
pub mod tasks;
pub mod tenants;
pub mod tokens;
pub mod trial;
pub mod unprocessed;
pub mod work;

use crate::{NewTenant, Storage};
use greenroom_model::{Clock, ProcessorName, TenantId, TenantName, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// Text that breaks a statement put together from strings, a C string, a LIKE pattern or a careless escape.
pub const HOSTILE_TEXT: &str = "a'b\"c\\d\0e`;--%_\u{2028}\u{feff}\u{1f600}\r\n\t{}[]$1?1";

/// A clock that stands until it is turned.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// A clock that stands at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicI64::new(1_767_225_600_000))
    }

    /// Turns the clock, backwards if `milliseconds` is negative.
    pub fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Creates a tenant of that name, with a secret and an epoch made of it.
pub async fn tenant(storage: &dyn Storage, name: &str) -> TenantId {
    let created = storage
        .create_tenant(NewTenant {
            name: TenantName::parse(name).expect("the suite's tenant names are well-formed"),
            secret: [7; 32],
            epoch: format!("epoch-{name}"),
        })
        .await
        .expect("a tenant can be created");
    created.expect("the name is not taken").id
}

/// A processor's name.
#[must_use]
pub fn processor_name(name: &str) -> ProcessorName {
    ProcessorName::parse(name).expect("the suite's processor names are well-formed")
}

/// Makes one `#[test]` of each test of the suite, in a module for each group. `$run` is the path of a function that
/// opens an empty database and runs the test on it:
/// `fn run(test: impl for<'a> FnOnce(&'a dyn Storage, &'a TestClock) -> Pin<Box<dyn Future<Output = ()> + 'a>>)`.
#[macro_export]
macro_rules! storage_conformance {
    ($run:path) => {
        $crate::storage_conformance!(@group $run, tenants, [
            a_tenant_is_found_by_name_and_id,
            a_name_is_taken_once_and_an_id_never_comes_back,
            deleting_a_tenant_takes_everything_in_it_and_nothing_else,
            settings_have_a_version_that_rises_with_each_change,
        ]);
        $crate::storage_conformance!(@group $run, tokens, [
            a_token_is_stored_listed_and_revoked,
            a_tenants_tokens_are_its_own,
            hostile_text_comes_back_as_it_was,
        ]);
        $crate::storage_conformance!(@group $run, audit, [
            the_audit_log_keeps_order_and_tenant,
            a_change_of_the_operator_leaves_one_record,
            a_change_of_a_processor_leaves_one_record,
            a_change_of_the_catalog_leaves_one_record,
            what_has_no_room_leaves_no_record,
        ]);
        $crate::storage_conformance!(@group $run, figures, [
            a_look_tells_what_is_due_held_and_kept,
            s12_what_grows_is_swept_and_shows_its_bound,
        ]);
        $crate::storage_conformance!(@group $run, processors, [
            a_processor_is_created_once,
            settings_are_replaced_and_raise_the_pipeline_version,
            bundled_settings_are_replaced_and_are_part_of_the_pipeline,
            a_revision_is_numbered_and_known_by_its_bytes,
            only_a_ready_revision_becomes_current,
            an_inspection_ends_once,
            deleting_a_processor_takes_its_revisions,
            a_tenants_processors_are_its_own,
            a20_old_revisions_are_dropped_but_none_that_is_needed,
            s03_a_damaged_revision_is_marked_and_healed,
            what_changes_the_pipeline_queues_the_tenant,
        ]);
        $crate::storage_conformance!(@group $run, activations, [
            the_requeue_of_the_rest_waits_for_the_canary,
            a_canary_runs_what_is_remembered_and_ends_after_ten_minutes,
            a_canary_does_not_wait_for_entities_that_are_gone,
            going_back_to_a_revision_that_passed_has_no_canary,
            c24_ten_regressions_of_a_canary_quarantine,
            c24_a_quarantine_takes_back_the_configuration_that_came_with_the_revision,
            half_of_a_small_canary_quarantines,
            a_quarantine_returns_once_and_then_holds,
            a_processor_that_never_passed_is_taken_out,
            c23_changed_bytes_are_no_regression,
            c23_changed_documents_are_no_regression,
            bytes_that_never_were_good_are_poison_and_no_regression,
            rejected_and_denied_are_no_regression,
            later_twenty_in_ten_minutes_and_half_of_all_calls,
            what_ran_under_another_revision_counts_for_nothing,
            a_lost_claim_counts_for_nothing,
            a_regression_of_a_canary_is_not_its_neighbours,
            c24_manual_quarantine_only_tells,
            a_canary_ends_with_the_next_activation_or_when_disabled,
            activations_are_forgotten_in_order_and_with_their_processor,
        ]);
        $crate::storage_conformance!(@group $run, revisions, [
            settings_are_replaced_only_at_the_version_they_were_read_at,
            an_upload_is_published_whole_with_its_revision,
            an_upload_of_known_bytes_or_for_nobody_leaves_nothing,
            s03_an_upload_heals_the_damaged_revision_of_its_bytes,
            an_upload_that_is_dropped_or_abandoned_leaves_nothing,
            a_revision_that_something_needs_is_not_deleted,
            what_a_quarantine_returns_to_is_neither_deleted_nor_dropped,
            rolling_back_goes_to_the_newest_older_one_that_was_current,
            a_revision_is_activated_with_its_configuration,
        ]);
        $crate::storage_conformance!(@group $run, unprocessed, [
            entities_are_found_and_scanned_as_they_go_into_their_next_run,
        ]);
        $crate::storage_conformance!(@group $run, blobs, [
            a_blob_comes_back_whole,
            a_blob_is_replaced_and_removed,
            component_and_artifacts_of_one_digest_are_apart,
            a_blob_no_revision_names_is_swept,
        ]);
        $crate::storage_conformance!(@group $run, reads, [
            every_outcome_comes_back,
            an_unchanged_read_keeps_its_body_and_a_changed_one_does_not,
            an_unused_read_is_dropped_when_its_time_comes,
            a_tenants_reads_are_its_own,
            a_used_read_is_claimed_when_it_is_due,
            a_read_that_is_asked_for_while_it_is_looked_at_is_looked_at_again,
        ]);
        $crate::storage_conformance!(@group $run, runs, [
            a_run_is_claimed_once_and_finished_by_its_worker,
            a_cancelled_run_is_not_finished,
            runs_of_a_dead_worker_are_queued_again,
            one_tenant_takes_at_most_half_while_others_wait,
            runs_are_kept_for_a_day,
            a_tenant_has_a_bounded_number_of_unfinished_runs,
            a09_uploads_are_inspected_one_of_a_tenant_and_tenants_in_turn,
            a09_a_tenant_waits_when_its_hour_is_used_up,
            an_inspection_is_tried_three_times,
        ]);
        $crate::storage_conformance!(@group $run, tasks, [
            a_task_is_run_by_one_worker_at_its_times,
            a_run_ends_with_its_time_or_its_worker,
            a_task_is_triggered_and_cancelled,
            a_task_waits_no_longer_than_its_cadence,
        ]);
        $crate::storage_conformance!(@group $run, faults, [
            a_processor_without_faults_has_none,
            recorded_faults_are_kept_to_be_read_and_replayed,
            q08_large_requests_push_older_requests_out,
        ]);
        $crate::storage_conformance!(@group $run, changes, [
            a_new_log_is_empty_and_a_gone_one_is_none,
            the_data_version_changes_with_every_commit,
            an_epoch_is_renewed_and_the_numbers_stay,
        ]);
        $crate::storage_conformance!(@group $run, moving, [
            a_tenant_comes_in_as_it_came_out,
            pages_of_an_export_are_bounded,
            what_does_not_belong_to_an_import_is_refused,
            an_import_that_is_dropped_or_rests_leaves_nothing,
            an_edge_to_nothing_makes_its_parent_run,
        ]);
    };
    (@group $run:path, $group:ident, [$($test:ident),* $(,)?]) => {
        mod $group {
            $(
                #[test]
                fn $test() {
                    $run(|storage, clock| {
                        ::std::boxed::Box::pin($crate::conformance::$group::$test(storage, clock))
                    });
                }
            )*
        }
    };
}
