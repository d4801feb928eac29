//! Every target over its seeds and a fixed number of inputs made from them: no panic, no hang, no memory past its bound.
//!
//! Inputs are the same in every run: a failure names the target and the number, and shows the bytes in base64, so that
//! `mutated(&seeds, number)` or the bytes themselves, put into `seeds/<target>/`, repeat it.

#[path = "inputs/allocations.rs"]
mod allocations;
#[path = "inputs/driver.rs"]
mod driver;

use driver::Target;
use greenroom_fuzz::targets;

const MIB: usize = 1 << 20;

#[test]
fn y12_entity_refs() {
    Target::new("entity_ref", targets::entity_ref::run)
        .inputs(50_000)
        .run();
}

#[test]
fn h08_filters() {
    Target::new("filter", targets::filter::run)
        .inputs(30_000)
        .run();
}

#[test]
fn h09_predicates() {
    Target::new("predicate", targets::predicate::run)
        .inputs(30_000)
        .run();
}

#[test]
fn h10_cursors() {
    Target::new("cursor", targets::cursor::run)
        .inputs(30_000)
        .run();
}

#[test]
fn y02_yaml() {
    // A stream and its documents, twice, and what aliases may copy.
    Target::new("yaml", targets::yaml::run)
        .inputs(20_000)
        .memory(32 * MIB)
        .run();
}

#[test]
fn h21_mutation_lines() {
    Target::new("mutation", targets::mutation::run)
        .inputs(20_000)
        .run();
}

#[test]
fn c22_frames_of_worker_and_child() {
    Target::new("frame", targets::frame::run)
        .inputs(20_000)
        .run();
}

/// Seeds that no longer read back would leave everything behind the first header untried.
#[test]
fn seeds_of_frames_are_those_of_the_protocol() {
    let mut kinds = 0;
    for seed in Target::new("frame", targets::frame::run).seeds() {
        let frames = targets::frame::good_frames(seed);
        kinds += frames.expect("every frame of a seed reads back");
    }
    assert!(kinds >= 15, "{kinds} frames are not one of each kind");
}

#[test]
fn c14_json_of_guests() {
    Target::new("guest_json", targets::guest_json::run)
        .inputs(10_000)
        .memory(64 * MIB)
        .run();
}

#[test]
fn c07_results_of_guests() {
    Target::new("guest_result", targets::guest_result::run)
        .inputs(10_000)
        .memory(64 * MIB)
        .run();
}

/// One test for both, because they are asked how many were accepted.
#[test]
fn a05_components_and_generated_code() {
    let annotate = std::fs::read(greenroom_test_artifacts::ANNOTATE_COMPONENT);
    let annotate = annotate.expect("the program is built");
    // Debug sections are most of the file, and nothing is compiled of them.
    let annotate = greenroom_sandbox::without_debug_sections(&annotate).into_owned();
    let component = || {
        Target::new("component", targets::component::run)
            .seed(annotate.clone())
            .memory(64 * MIB)
    };
    component().inputs(1_500).run();
    component().touched_only().inputs(120).run();
    let mutated = targets::components_called();
    Target::new("generated_code", targets::generated_code::run)
        .inputs(150)
        .memory(96 * MIB)
        .run();
    let generated = targets::components_called() - mutated;
    println!("called: {mutated} mutated components, {generated} with generated code");
    assert!(
        mutated >= 20 && generated >= 40,
        "nearly everything was refused"
    );
}
