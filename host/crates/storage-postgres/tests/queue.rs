//! Proves that this backend does what the traits promise of entities, edges and queues: the second half of the suite, each test on a new database.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

mod support;

greenroom_storage::queue_conformance!(crate::support::run);
