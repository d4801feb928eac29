//! Written by its own change; see the crate head.
