//! `greenroom-bench isolation`: what a tenant feels of another (q01).
//!
//! Tenant B registers one entity, again and again, and waits each time until it is served: once while the host has nothing
//! else to do, and once while tenant A has a backlog of entities whose processor burns all of its fuel. The figure is the p99 of the
//! second over that of the first, ≤ 2, over HTTP as a user would. The host is the binary beside this one.

use std::time::{Duration, Instant};

use clap::Args;
use greenroom_test_artifacts::LOOP_FOREVER_COMPONENT;
use greenroom_test_support::Client;
use serde::Serialize;
use serde_json::{Value, json};

use crate::backing::Backing;
use crate::measure::percentile;
use crate::report::{OPTIMISED, Report, build};

const TARGET: f64 = 2.0;
/// How long one registration may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks for what was registered.
const LOOK: Duration = Duration::from_millis(2);
/// Entities of one push.
const PUSH: usize = 10_000;

/// Options of `isolation`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Entities of tenant A.
    #[arg(long, default_value_t = 100_000)]
    entities: usize,
    /// Registrations by tenant B, idle and under load.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Fuel of a call of tenant A's processor; that of every processor if not said.
    #[arg(long)]
    fuel: Option<u64>,
    #[command(flatten)]
    backing: Backing,
    #[command(flatten)]
    report: Report,
}

/// What was measured. Times are milliseconds from the request to the entity being served.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    optimised: bool,
    backend: &'static str,
    entities: usize,
    samples: usize,
    idle: Latency,
    loaded: Latency,
    ratio_p99: f64,
    ratio_p50: f64,
    /// Entities of tenant A that were burnt meanwhile.
    processed: u64,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Latency {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self {
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
        }
    }
}

/// Measures and prints; says whether the target was met, or need not be.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("start a runtime: {error}"))?;
    let figures = runtime.block_on(measured(options))?;
    let met = figures.ratio_p99 <= TARGET;
    options.report.tell(&figures, met, print_table)
}

async fn measured(options: &Options) -> Result<Figures, String> {
    let backed = options.backing.start().await;
    let operator = backed.host.client();
    for tenant in ["a", "b"] {
        let body = json!({"name": tenant});
        done(&operator.post("/admin/tenants", &body).await.body)?;
    }
    // The first calls of a process load code and fill caches.
    registrations(operator, "warm", 20).await?;
    let idle = Latency::of(registrations(operator, "idle", options.samples).await?);
    burn(operator, options).await?;
    let before = dead_letters(operator).await;
    let loaded = Latency::of(registrations(operator, "loaded", options.samples).await?);
    Ok(Figures {
        optimised: OPTIMISED,
        backend: backed.name(),
        entities: options.entities,
        samples: options.samples,
        ratio_p99: loaded.p99 / idle.p99,
        ratio_p50: loaded.p50 / idle.p50,
        idle,
        loaded,
        processed: dead_letters(operator).await.saturating_sub(before),
    })
}

fn entity(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
    })
}

fn done(body: &str) -> Result<Value, String> {
    let body: Value =
        serde_json::from_str(body).map_err(|error| format!("{error} in the answer {body}"))?;
    match body.get("error") {
        Some(error) => Err(error.to_string()),
        None => Ok(body),
    }
}

/// Registers entities of tenant B one after the other; how long each took until it was served, in milliseconds.
async fn registrations(operator: &Client, name: &str, samples: usize) -> Result<Vec<f64>, String> {
    let mut times = Vec::with_capacity(samples);
    for number in 0..samples {
        let name = format!("{name}-{number}");
        let began = Instant::now();
        done(&operator.push("b", "p", [entity(&name)]).await.body)?;
        while operator
            .entity("b", &format!("component:default/{name}"))
            .await
            .is_none()
        {
            if began.elapsed() > PATIENCE {
                return Err(format!("`{name}` is not served within {PATIENCE:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(times)
}

/// Gives tenant A its processor and its entities, and waits until the first has been burnt.
async fn burn(operator: &Client, options: &Options) -> Result<(), String> {
    let processor = "/tenants/a/processors/burn";
    let settings = match options.fuel {
        Some(fuel) => json!({"limits": {"fuel": fuel}}),
        None => json!({}),
    };
    done(&operator.put(processor, &settings).await.body)?;
    let component = std::fs::read(LOOP_FOREVER_COMPONENT)
        .map_err(|error| format!("read the program that burns: {error}"))?;
    let path = format!("{processor}/revisions?wait=60");
    let revision = done(&operator.upload(&path, component).await.body)?;
    let body = json!({"revision": revision["number"]});
    done(
        &operator
            .post(&format!("{processor}/activate"), &body)
            .await
            .body,
    )?;
    let mut given = 0;
    while given < options.entities {
        let more = PUSH.min(options.entities - given);
        let entities = (given..given + more).map(|number| entity(&format!("burn-{number}")));
        done(
            &operator
                .push("a", &format!("p{given}"), entities)
                .await
                .body,
        )?;
        given += more;
    }
    let began = Instant::now();
    while dead_letters(operator).await == 0 {
        if began.elapsed() > PATIENCE {
            return Err(format!("nothing of tenant A was burnt within {PATIENCE:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Entities of tenant A whose processor has burnt its fuel: as many as one page shows.
async fn dead_letters(operator: &Client) -> u64 {
    let page = operator
        .get("/tenants/a/processing?deadLetters=true&limit=1000")
        .await
        .json();
    page["items"]
        .as_array()
        .map_or(0, |items| items.len() as u64)
}

fn print_table(figures: &Figures) {
    let Figures {
        backend,
        entities,
        samples,
        idle,
        loaded,
        ..
    } = figures;
    println!(
        "{}, {backend}, {entities} entities of tenant A, {samples} registrations of tenant B",
        build()
    );
    println!("{:<24}{:>10}{:>10}", "until served (ms)", "p50", "p99");
    println!("{:<24}{:>10.1}{:>10.1}", "idle", idle.p50, idle.p99);
    println!(
        "{:<24}{:>10.1}{:>10.1}",
        "under load", loaded.p50, loaded.p99
    );
    println!(
        "{:<24}{:>10.2}{:>10.2}   target ≤ {TARGET}",
        "ratio", figures.ratio_p50, figures.ratio_p99
    );
    println!(
        "tenant A: {} entities burnt meanwhile (up to 1 000 are counted)",
        figures.processed
    );
}
