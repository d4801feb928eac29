//! `greenroom-bench ingest`: a whole catalog in one full mutation, until all of it is served.
//!
//! Over HTTP, as a provider would, on the catalog that Backstage was measured with. Two ends are timed: every entity is served,
//! which is what Backstage's figure is, and every relation is there too, which is when the change feed falls silent.

use std::time::{Duration, Instant};

use clap::Args;
use greenroom_test_support::{Client, Method, children_of};
use serde::Serialize;
use serde_json::{Value, json};

use crate::backing::{Backed, Backing};
use crate::catalog::Catalog;
use crate::report::{OPTIMISED, Report, build};

/// Backstage 4.0 on Postgres takes this many entities a second, of 21 500.
const BACKSTAGE: f64 = 137.0;
/// How many times as fast it must be.
const TARGET: f64 = 20.0;
/// Bytes of database that an entity may take on Postgres.
const TARGET_BYTES: f64 = 8_192.0;
/// How long it may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A feed without a change for this long has fallen silent.
const SILENCE: Duration = Duration::from_secs(2);

/// Options of `ingest`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Components of the catalog; with what they belong to, the catalog has 1.075 times as many entities.
    #[arg(long, default_value_t = 20_000)]
    components: usize,
    #[command(flatten)]
    backing: Backing,
    #[command(flatten)]
    report: Report,
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    optimised: bool,
    backend: &'static str,
    entities: usize,
    /// Seconds until the mutation was answered.
    accepted: f64,
    /// Seconds until every entity was served.
    served: f64,
    /// Seconds until the last change of an entity.
    settled: f64,
    entities_per_second: f64,
    times_backstage: f64,
    /// Bytes of database, above those of an empty one.
    bytes_per_entity: f64,
    resident: Memory,
}

/// Resident memory of all processes of the host together, in MiB; what they share is counted once.
#[derive(Debug, Serialize)]
struct Memory {
    empty: f64,
    full: f64,
}

/// Measures and prints; says whether the targets were met, or need not be.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("start a runtime: {error}"))?;
    let figures = runtime.block_on(measured(options))?;
    let small = figures.backend != "postgres" || figures.bytes_per_entity <= TARGET_BYTES;
    let met = figures.times_backstage >= TARGET && small;
    options.report.tell(&figures, met, print_table)
}

async fn measured(options: &Options) -> Result<Figures, String> {
    let catalog = Catalog {
        components: options.components,
    };
    let body = mutation(catalog);
    let backed = options.backing.start().await;
    let client = backed.host.client();
    let empty_bytes = backed.bytes().await?;
    let empty = resident(&backed)?;

    let began = Instant::now();
    let path = "/tenants/default/providers/bench/mutations?type=full";
    let sent = Some(("application/x-ndjson", body));
    let reply = client.send(Method::POST, path, sent).await;
    if reply.status >= 300 {
        return Err(format!("the mutation was refused: {}", reply.body));
    }
    let accepted = began.elapsed();
    let served = all_served(client, catalog.len(), began).await?;
    let settled = silence(client, began).await?;

    let per_second = catalog.len() as f64 / served.as_secs_f64();
    let bytes = backed.bytes().await?.saturating_sub(empty_bytes);
    Ok(Figures {
        optimised: OPTIMISED,
        backend: backed.name(),
        entities: catalog.len(),
        accepted: accepted.as_secs_f64(),
        served: served.as_secs_f64(),
        settled: settled.as_secs_f64(),
        entities_per_second: per_second,
        times_backstage: per_second / BACKSTAGE,
        bytes_per_entity: bytes as f64 / catalog.len() as f64,
        resident: Memory {
            empty,
            full: resident(&backed)?,
        },
    })
}

/// The lines of a full mutation.
fn mutation(catalog: Catalog) -> Vec<u8> {
    let mut lines: Vec<Value> = catalog
        .entities()
        .map(|entity| json!({"add": {"entity": entity}}))
        .collect();
    lines.push(json!({"commit": {"count": lines.len()}}));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    text.into_bytes()
}

async fn all_served(client: &Client, wanted: usize, began: Instant) -> Result<Duration, String> {
    loop {
        let served = client.count("default").await;
        if served >= wanted as u64 {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!(
                "{served} of {wanted} entities are served after {PATIENCE:?}"
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Follows the change feed from now on until nothing changes any more; when its last change was seen.
pub(crate) async fn silence(client: &Client, began: Instant) -> Result<Duration, String> {
    let mut cursor = next(&client.get("/tenants/default/changes").await.ok());
    let mut last = began.elapsed();
    while began.elapsed() - last < SILENCE {
        if began.elapsed() > PATIENCE {
            return Err(format!("entities still change after {PATIENCE:?}"));
        }
        let path = format!("/tenants/default/changes?limit=1000&cursor={cursor}");
        let page = client.get(&path).await.ok();
        cursor = next(&page);
        match page["items"].as_array() {
            Some(items) if !items.is_empty() => last = began.elapsed(),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    Ok(last)
}

fn next(page: &Value) -> String {
    page["next"].as_str().unwrap_or_default().to_owned()
}

/// Resident memory of the host and all below it, in MiB. What they share is counted once.
fn resident(backed: &Backed) -> Result<f64, String> {
    fn of(pid: u32) -> Result<u64, String> {
        let below: u64 = children_of(pid)
            .into_iter()
            .map(of)
            .sum::<Result<u64, String>>()?;
        Ok(below + proportional(pid)?)
    }
    Ok(of(backed.host.pid())? as f64 / f64::from(1 << 20))
}

/// A process's part of the memory it has, in bytes.
fn proportional(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("read {path}: {error}; only root may look at processes that run guests")
    })?;
    let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = pss.and_then(|pss| pss.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| format!("{path} has no figure"))
}

fn print_table(figures: &Figures) {
    let Figures {
        backend,
        entities,
        accepted,
        served,
        settled,
        resident,
        ..
    } = figures;
    println!(
        "{}, {backend}, one full mutation of {entities} entities",
        build()
    );
    println!("{:<32}{accepted:>10.2} s", "accepted");
    println!(
        "{:<32}{served:>10.2} s   {:.0}/s, {:.1} times Backstage's {BACKSTAGE}/s   target ≥ {TARGET}",
        "all entities served", figures.entities_per_second, figures.times_backstage
    );
    println!("{:<32}{settled:>10.2} s", "last change");
    println!(
        "{:<32}{:>10.0} bytes   target ≤ {TARGET_BYTES} on Postgres",
        "database per entity", figures.bytes_per_entity
    );
    println!(
        "{:<32}{:>10.1} MiB   target < 80; {:.1} with all entities, target < 160",
        "resident, nothing there", resident.empty, resident.full
    );
}
