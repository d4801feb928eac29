//! The programs of `tests/programs` as components: a constant with the path of each, such as `LOOP_FOREVER_COMPONENT`, all of
//! them as `COMPONENTS`, and the macro `foreach_program!`, with which a suite shows that it has a test for every program.

pub mod splice;

include!(concat!(env!("OUT_DIR"), "/programs.rs"));
