//! The sandbox against real components: what guests do and what is uploaded.
//!
//! Every program of `tests/programs` has a test of its name in one of the files below.

mod faults;
mod leaving;
mod limits;
mod loaded_machine;
mod patterns;
mod raw_results;
mod support;
mod uploads;

use faults::*;
use leaving::*;
use limits::*;
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
