//! Proves that nothing is lost while everything fails: see the crate's head. Both backends at once, each for its share of the time
//! that continuous integration has; `TORTURE_SECONDS` is for longer, and `TORTURE_SEED` repeats the choices of a run.

use std::time::Duration;

use greenroom_test_support::Backend;
use greenroom_torture::{Plan, torture};

/// How long everything fails; what comes before and after, uploads and a time of grace, takes longer.
const SECONDS: u64 = 45;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

async fn nothing_is_lost_on(backend: Backend) {
    if backend.skipped() {
        return;
    }
    let plan = Plan {
        backend,
        time: Duration::from_secs(number("TORTURE_SECONDS").unwrap_or(SECONDS)),
        seed: number("TORTURE_SEED").unwrap_or_else(rand::random),
    };
    eprintln!("TORTURE_SEED={} on {backend:?}", plan.seed);
    let report = torture(&plan).await;
    eprintln!("{report}");
    assert!(report.offences.is_empty(), "TORTURE_SEED={}", plan.seed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_postgres() {
    nothing_is_lost_on(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_sqlite() {
    nothing_is_lost_on(Backend::Sqlite).await;
}
