//! Act two: a program that never returns, one that allocates without end and one that panics.

use std::time::Instant;

use greenroom_test_artifacts::{GROW_MEMORY_COMPONENT, LOOP_FOREVER_COMPONENT, PANICS_COMPONENT};
use serde_json::Value;

use crate::hostile::Hostile;
use crate::stage::{Stage, announce, mib};

/// Entities pushed at each program.
const ENTITIES: usize = 5;

pub(crate) async fn play(stage: &Stage) -> anyhow::Result<()> {
    announce(2, "The spin that is killed");
    println!(
        "Tenants `spin`, `grow` and `panic` push {ENTITIES} entities each at their programs. What is recorded:\n"
    );
    let (api, worker) = (stage.api(), stage.worker()?);
    for (tenant, component) in [
        ("spin", LOOP_FOREVER_COMPONENT),
        ("grow", GROW_MEMORY_COMPONENT),
        ("panic", PANICS_COMPONENT),
    ] {
        let hostile = Hostile::enter(stage.client(), tenant, component).await?;
        let pushed = Instant::now();
        hostile.push(0, ENTITIES).await;
        hostile.wait_until_tried().await;
        let took = pushed.elapsed();
        let faults = hostile.faults().await;
        println!(
            "  {tenant}: {} faults in {:.2} s",
            faults.len(),
            took.as_secs_f64()
        );
        if let Some(fault) = faults.first() {
            println!("    {}", told(fault));
        }
        // What is left of it must not disturb the next figures.
        hostile.push(1, 0).await;
    }
    println!(
        "\nAPI process {api}: {}. Worker process {worker}: {}.",
        kept(stage.api() == api),
        kept(stage.worker()? == worker),
    );
    Ok(())
}

fn kept(same: bool) -> &'static str {
    if same { "still the same" } else { "replaced" }
}

/// A fault in two lines: what it was, and what it used.
fn told(fault: &Value) -> String {
    let text = |key: &str| fault[key].as_str().unwrap_or_default();
    let number = |key: &str| fault[key].as_u64().unwrap_or_default();
    let place = panicked_at(fault)
        .map(|place| format!(" at {place}"))
        .unwrap_or_default();
    format!(
        "{}: {}{place}\n    fuel {}, CPU {} ms, memory at most {}",
        text("fault"),
        text("message"),
        number("fuel"),
        number("cpuUs") / 1_000,
        mib(number("peakMemoryBytes")),
    )
}

/// Source and line of a panic, as the program's own log has them.
fn panicked_at(fault: &Value) -> Option<&str> {
    let lines = fault["log"]["lines"].as_array()?;
    lines.iter().find_map(|line| {
        let (_, place) = line["message"].as_str()?.split_once("panicked at ")?;
        Some(place.trim_end_matches(':'))
    })
}
