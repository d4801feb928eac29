//! Act three: how fast the honest tenant's requests are answered, with nothing else to do and beside endless loops.

use std::time::{Duration, Instant};

use greenroom_test_artifacts::LOOP_FOREVER_COMPONENT;
use greenroom_test_support::Client;

use crate::hostile::Hostile;
use crate::stage::{Stage, announce};

/// Time of one measurement.
const TIME: Duration = Duration::from_secs(6);
/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// A request without a good answer after this counts as unanswered.
const BOUND: Duration = Duration::from_secs(2);
/// Loops that wait for the worker: more than it can end while the measurement runs.
const LOOPS: usize = 1_000;

const QUERY: &str = "/tenants/default/api/catalog/entities/by-query?filter=kind=component&limit=20";
const PROBE: &str = "/.backstage/health/v1/readiness";

/// Times of one kind of request, in order of length, and how many had no good answer.
#[derive(Default)]
struct Times {
    sorted: Vec<Duration>,
    unanswered: usize,
}

pub(crate) async fn play(stage: &Stage) -> anyhow::Result<()> {
    announce(3, "The API beside it");
    println!(
        "Tenant `default` lists its components every few milliseconds: {0} s alone, then {0} s while endless loops of tenant\n\
         `more-spin` keep the worker busy.\n",
        TIME.as_secs()
    );
    let idle = measure(stage.client()).await;
    let spin = Hostile::enter(stage.client(), "more-spin", LOOP_FOREVER_COMPONENT).await?;
    spin.push(0, LOOPS).await;
    let beside = measure(stage.client()).await;
    let states = spin.processing().await;
    let ended = states
        .iter()
        .filter(|state| state["status"] == "failed")
        .count();
    println!("                      requests      p50       p99   unanswered");
    for (kind, times) in [
        ("by-query, alone", &idle.0),
        ("by-query, beside it", &beside.0),
        ("readiness, alone", &idle.1),
        ("readiness, beside it", &beside.1),
    ] {
        println!(
            "{kind:<20} {:>9} {:>8} {:>9} {:>12}",
            times.sorted.len() + times.unanswered,
            times.at(50),
            times.at(99),
            times.unanswered,
        );
    }
    println!(
        "\nMeanwhile {ended} endless loops were ended; {} still wait.",
        states.len() - ended
    );
    Ok(())
}

/// Times of by-query and of the readiness probe, one after the other, for [`TIME`].
async fn measure(client: &Client) -> (Times, Times) {
    let (mut queries, mut probes) = (Times::default(), Times::default());
    let started = Instant::now();
    while started.elapsed() < TIME {
        queries.add(client, QUERY).await;
        probes.add(client, PROBE).await;
        tokio::time::sleep(PAUSE).await;
    }
    queries.sorted.sort_unstable();
    probes.sorted.sort_unstable();
    (queries, probes)
}

impl Times {
    async fn add(&mut self, client: &Client, path: &str) {
        let asked = Instant::now();
        match tokio::time::timeout(BOUND, client.get(path)).await {
            Ok(reply) if reply.status == 200 => self.sorted.push(asked.elapsed()),
            _ => self.unanswered += 1,
        }
    }

    /// The percentile, in milliseconds.
    fn at(&self, percent: usize) -> String {
        let last = self.sorted.len().saturating_sub(1);
        match self.sorted.get(last * percent / 100) {
            Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
            None => "–".to_owned(),
        }
    }
}
