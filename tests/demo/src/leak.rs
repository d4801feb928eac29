//! Act one: a program that appends 10 kB to a global on every call and says how much it found there.
//!
//! A round is a thousand new entities, one call each. The first round is the warm-up, after which memory is compared.

use std::time::{Duration, Instant};

use greenroom_test_artifacts::LEAK_GLOBAL_COMPONENT;
use serde_json::Value;

use crate::hostile::Hostile;
use crate::stage::{Stage, announce, mib};

/// Entities of a round: as many as one page of the processing list shows.
const ROUND: usize = 1_000;
const MOST_ROUNDS: usize = 10;
/// No further round begins after this.
const TIME: Duration = Duration::from_secs(12);
/// What the program appends, in kB.
const LEAK_KB: usize = 10;

pub(crate) async fn play(stage: &Stage) -> anyhow::Result<()> {
    announce(1, "The leak that does not add up");
    println!(
        "Tenant `leak`: every call appends {LEAK_KB} kB to a global and reports what it found in it.\n"
    );
    println!("   calls   leaked so far   found in the global   worker resident");
    let leak = Hostile::enter(stage.client(), "leak", LEAK_GLOBAL_COMPONENT).await?;
    let started = Instant::now();
    let (mut calls, mut settled) = (0, 0);
    for round in 0..MOST_ROUNDS {
        if started.elapsed() > TIME && round > 1 {
            break;
        }
        leak.push(round, ROUND).await;
        leak.wait_until_tried().await;
        let found: Vec<u64> = leak
            .processing()
            .await
            .iter()
            .filter_map(reported)
            .collect();
        calls += found.len();
        let resident = stage.worker_resident_bytes()?;
        if round == 0 {
            settled = resident;
        }
        println!(
            "{calls:>8}   {:>10} kB   {:>11} bytes   {:>15}",
            calls * LEAK_KB,
            found.iter().max().copied().unwrap_or_default(),
            mib(resident),
        );
    }
    let grown = stage.worker_resident_bytes()?.saturating_sub(settled);
    println!(
        "\n{} calls after the first {ROUND} leaked {} MB. The worker grew by {}: each call ran in an instance of its own.",
        calls - ROUND.min(calls),
        (calls - ROUND.min(calls)) * LEAK_KB / 1_000,
        mib(grown),
    );
    Ok(())
}

/// What the program said it found when it was called for this entity.
fn reported(state: &Value) -> Option<u64> {
    let diagnostics = state["diagnostics"].as_array()?;
    let found = diagnostics.iter().find(|one| one["processor"] == "leak")?;
    found["message"].as_str()?.parse().ok()
}
