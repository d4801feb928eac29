//! `greenroom-bench reads`: what a portal asks most, as often as eight connections can.
//!
//! On the catalog that Backstage was measured with, once all of it is served and nothing else is going on. Each request is asked
//! for a while by all connections, each of which asks again as soon as it has the whole answer. The client is on the same
//! machine and takes its share of the cores, as it did beside Backstage.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use greenroom_test_support::{TestHost, quiet};
use http::header::{AUTHORIZATION, HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::backing::Backing;
use crate::catalog::Catalog;
use crate::ingest::silence;
use crate::measure::percentile;
use crate::report::{OPTIMISED, Report, build};

/// How long the catalog may take until it is served.
const PATIENCE: Duration = Duration::from_secs(600);

/// A request, and what Backstage makes of it.
struct Asked {
    name: &'static str,
    /// Below the catalog's address. `{i}` is the number of a Component, each time another.
    path: &'static str,
    backstage_per_second: f64,
    backstage_p99: f64,
    /// How many times as many a second it must be.
    target: f64,
}

const ASKED: [Asked; 5] = [
    Asked {
        name: "by-query with total",
        path: "/entities/by-query?limit=20&filter=kind=component",
        backstage_per_second: 107.6,
        backstage_p99: 117.0,
        target: 25.0,
    },
    Asked {
        name: "facets",
        path: "/entity-facets?facet=spec.type",
        backstage_per_second: 583.0,
        backstage_p99: 31.5,
        target: 15.0,
    },
    Asked {
        name: "full text",
        path: "/entities/by-query?limit=20&filter=kind=component&fullTextFilterTerm=comp-0001\
               &fullTextFilterFields=metadata.name",
        backstage_per_second: 201.0,
        backstage_p99: 79.0,
        target: 15.0,
    },
    Asked {
        name: "by-name",
        path: "/entities/by-name/component/default/comp-{i}",
        backstage_per_second: 2_706.0,
        backstage_p99: 7.0,
        target: 5.0,
    },
    Asked {
        name: "page without total",
        path: "/entities/by-query?limit=20&filter=kind=component&totalItems=exclude",
        backstage_per_second: 1_542.0,
        backstage_p99: 10.6,
        target: 3.0,
    },
];
/// The part of Backstage's p99 that ours may be.
const TARGET_P99: f64 = 0.2;

/// Options of `reads`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Components of the catalog; with what they belong to, the catalog has 1.075 times as many entities.
    #[arg(long, default_value_t = 20_000)]
    components: usize,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Seconds that each request is asked for.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
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
    connections: usize,
    reads: Vec<Read>,
}

/// One request. Latencies are milliseconds from asking to the whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    name: &'static str,
    per_second: f64,
    times_backstage: f64,
    target: f64,
    p50: f64,
    p99: f64,
    p99_target: f64,
    body_bytes: usize,
}

impl Read {
    fn met(&self) -> bool {
        self.times_backstage >= self.target && self.p99 <= self.p99_target
    }
}

/// Measures and prints; says whether the targets were met, or need not be.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("start a runtime: {error}"))?;
    let figures = runtime.block_on(measured(options))?;
    let met = figures.reads.iter().all(Read::met);
    options.report.tell(&figures, met, print_table)
}

async fn measured(options: &Options) -> Result<Figures, String> {
    let catalog = Catalog {
        components: options.components,
    };
    let backed = options.backing.start().await;
    let pushed = backed
        .host
        .client()
        .push("default", "bench", catalog.entities())
        .await;
    if pushed.status >= 300 {
        return Err(format!("the catalog was refused: {}", pushed.body));
    }
    quiet(backed.host.client(), "default", PATIENCE).await;
    silence(backed.host.client(), Instant::now()).await?;
    let mut reads = Vec::with_capacity(ASKED.len());
    for asked in &ASKED {
        reads.push(read(&backed.host, asked, options).await?);
    }
    Ok(Figures {
        optimised: OPTIMISED,
        backend: backed.name(),
        entities: catalog.len(),
        connections: options.connections,
        reads,
    })
}

async fn read(host: &TestHost, asked: &Asked, options: &Options) -> Result<Read, String> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let began = Instant::now();
    let askers = (0..options.connections).map(|asker| ask(host, asked, asker, until, options));
    let answers = futures_util::future::try_join_all(askers).await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut times: Vec<f64> = answers
        .iter()
        .flat_map(|(times, _)| times)
        .copied()
        .collect();
    times.sort_by(f64::total_cmp);
    let per_second = times.len() as f64 / seconds;
    Ok(Read {
        name: asked.name,
        per_second,
        times_backstage: per_second / asked.backstage_per_second,
        target: asked.target,
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        p99_target: asked.backstage_p99 * TARGET_P99,
        body_bytes: answers.first().map_or(0, |(_, bytes)| *bytes),
    })
}

/// Asks on one connection until the time is over; how long each answer took, and how many bytes the last had.
async fn ask(
    host: &TestHost,
    asked: &Asked,
    asker: usize,
    until: Instant,
    options: &Options,
) -> Result<(Vec<f64>, usize), String> {
    let mut connection = connect(host.origin()).await?;
    let mut times = Vec::new();
    let mut bytes = 0;
    let mut number = asker;
    while Instant::now() < until {
        // A prime above any number of connections: neighbours are never asked for one after the other.
        number = (number + 7_919) % options.components;
        let path = asked.path.replace("{i}", &format!("{number:06}"));
        let began = Instant::now();
        bytes = answered(&mut connection, host, &path).await?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok((times, bytes))
}

async fn connect(origin: &str) -> Result<SendRequest<Empty<Bytes>>, String> {
    let address = origin.trim_start_matches("http://");
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect to {origin}: {error}"))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("speak HTTP with {origin}: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The bytes of the body of a good answer.
async fn answered(
    connection: &mut SendRequest<Empty<Bytes>>,
    host: &TestHost,
    path: &str,
) -> Result<usize, String> {
    let request = http::Request::get(format!("/tenants/default/api/catalog{path}"))
        .header(HOST, host.origin().trim_start_matches("http://"))
        .header(AUTHORIZATION, format!("Bearer {}", host.token()))
        .body(Empty::new())
        .map_err(|error| format!("ask for {path}: {error}"))?;
    let failed = |error: hyper::Error| format!("GET {path}: {error}");
    connection.ready().await.map_err(failed)?;
    let answer = connection.send_request(request).await.map_err(failed)?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.map_err(failed)?.data_ref().map_or(0, Bytes::len);
    }
    if !status.is_success() {
        return Err(format!("GET {path} is answered with {status}"));
    }
    Ok(bytes)
}

fn print_table(figures: &Figures) {
    println!(
        "{}, {}, {} entities, {} connections",
        build(),
        figures.backend,
        figures.entities,
        figures.connections
    );
    println!(
        "{:<22}{:>10}{:>12}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "per s", "× Backstage", "target", "p50 ms", "p99 ms", "target", "bytes"
    );
    for read in &figures.reads {
        println!(
            "{:<22}{:>10.0}{:>12.1}{:>9}{:>9.2}{:>9.2}{:>9.2}{:>9}",
            read.name,
            read.per_second,
            read.times_backstage,
            format!("≥ {}", read.target),
            read.p50,
            read.p99,
            read.p99_target,
            read.body_bytes
        );
    }
}
