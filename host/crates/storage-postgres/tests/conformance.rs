//! Proves that this backend does what the traits promise: the suite of `greenroom-storage`, each test on a new database.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

mod support;

greenroom_storage::storage_conformance!(crate::support::run);
