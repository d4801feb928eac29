//! The sandbox against real components: what guests do and what is uploaded.
//!
//! Every program of `tests/programs` has a test in one of the files below: of its name, or of the row of the hostile inputs
//! that it is in.

mod faults;
mod leaving;
mod limits;
mod loaded_machine;
mod patterns;
mod raw_results;
mod support;
mod uploads;

use faults::{
    c01_a_loop_is_out_of_fuel_at_the_same_fuel_every_time as loop_forever,
    c01_a_loop_over_log_is_out_of_fuel_and_its_log_is_cut as loop_over_log,
    c04_recursion_without_end_is_a_stack_overflow as deep_recursion,
    c04_running_through_its_own_stack_is_a_trap_with_the_function_named as underflow_stack,
    c08_an_emitted_entity_and_a_whole_result_have_their_limits as huge_entity,
    c08_ten_thousand_emissions_and_not_one_more as too_many_emissions,
    c09_a_flood_of_lines_is_cut_and_paid_for_and_no_fault as log_flood,
    c10_a_panic_is_a_trap_with_its_message_and_line as panics,
    c10_leaving_with_zero_is_a_trap_all_the_same as exit_zero,
    c11_sleeping_an_hour_and_reading_input_return_at_once as random_and_time,
    c15_another_kind_namespace_or_name_is_invalid_output as lie_about_ref,
    c15_another_letter_case_is_accepted_and_the_ref_stays as change_case,
    c27_a_cache_over_its_limit_is_output_too_large as huge_output, *,
};
use leaving::{
    c09_a_huge_line_is_cut_and_a_forged_level_is_text as huge_log_line,
    c10_a_panic_inside_a_panic_is_a_trap_with_its_line as panic_in_panic,
    c10_an_abort_is_a_trap_and_its_last_words_are_kept as abort_now,
    c10_leaving_with_one_is_a_trap_without_a_result as exit_one,
    c11_a_pollable_that_never_fires_holds_no_thread as wait_forever,
    c11_a_thread_is_refused as spawn_thread, c12_handles_are_bounded as handle_flood,
    c12_randomness_is_bounded_and_paid_by_the_byte as random_flood,
    c12_there_are_no_arguments_no_variables_and_no_terminal as look_around,
};
use limits::{
    c01_functions_that_call_each_other_are_out_of_fuel_at_the_same_fuel as indirect_recursion,
    c02_bulk_operations_are_out_of_fuel_and_late_by_20_ms_at_most as bulk_memory,
    c03_growing_to_the_limit_is_allowed_and_one_page_more_is_not as grow_pages,
    c04_an_allocation_of_everything_is_memory_limit as allocate_all,
    c08_a_million_relations_are_output_too_large as million_relations,
    c20_a_carry_over_its_limit_is_output_too_large as huge_carry,
};
use patterns::*;
use raw_results::*;

/// A suite must name every program; this fails to compile when one is missing.
macro_rules! has_test {
    ($($name:ident)*) => {
        #[expect(dead_code, reason = "named to show that a test of each program exists")]
        fn every_program_has_a_test() {
            $(let _ = $name as fn();)*
        }
    };
}
greenroom_test_artifacts::foreach_program!(has_test);
