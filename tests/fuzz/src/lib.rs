//! What reads the bytes of strangers, as functions of bytes that panic when something is wrong.
//!
//! Each of [`targets`] has two drivers. `cargo fuzz` calls it for as long as it is let, with coverage to guide it
//! (`fuzz_targets/`, feature `cargo-fuzz`; see README.md beside this crate). `cargo test` calls it with its seeds and a fixed
//! number of inputs made from them by [`mutate`], the same ones every time, and also watches memory and time.

pub mod mutate;
pub mod targets;
