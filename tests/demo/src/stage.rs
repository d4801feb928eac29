//! The host the acts play on: the real binary with one worker, serving the example catalog to tenant `default`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use greenroom_test_support::{Client, TestHost, quiet, stop_softly};

const EXAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/example/greenroom.toml"
);
/// How long the example catalog may take on a busy machine.
const CATALOG_BOUND: Duration = Duration::from_secs(60);
/// How long the host may take to end.
const END_BOUND: Duration = Duration::from_secs(15);

pub(crate) struct Stage {
    host: TestHost,
    opened: Instant,
}

impl Stage {
    /// Starts the host and waits until the honest tenant's catalog is served.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let opened = Instant::now();
        let program = std::env::current_exe()
            .context("find the path of this program")?
            .with_file_name("greenroom");
        anyhow::ensure!(
            program.is_file(),
            "`greenroom` is not built beside this program: run `cargo build`, or `make demo`, which does"
        );
        let example = Path::new(EXAMPLE)
            .canonicalize()
            .context("find the example catalog of this repository")?;
        let host = TestHost::builder().config_file(example).start().await;
        quiet(host.client(), "default", CATALOG_BOUND).await;
        let stage = Self { host, opened };
        println!(
            "Greenroom at {}, API process {}, worker process {}. Tenant `default` has the {} entities of docs/example.",
            stage.host.origin(),
            stage.host.pid(),
            stage.worker()?,
            stage.client().count("default").await,
        );
        println!("More tenants are about to upload processors that misbehave.");
        Ok(stage)
    }

    /// Operator.
    pub(crate) fn client(&self) -> &Client {
        self.host.client()
    }

    /// Pid of the API's process, which a fault must not change.
    pub(crate) fn api(&self) -> u32 {
        self.host.pid()
    }

    /// Pid of the process that runs all processors.
    pub(crate) fn worker(&self) -> anyhow::Result<u32> {
        let worker = self.host.workers().into_iter().next();
        worker.context("find the worker process of the host")
    }

    /// Resident memory of the worker in bytes, as Linux counts it.
    pub(crate) fn worker_resident_bytes(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.worker()?);
        let status = fs::read_to_string(&path).with_context(|| format!("read `{path}`"))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .with_context(|| format!("find the resident memory in `{path}`"))
    }

    /// Ends the host as Ctrl-C does and removes its directory.
    pub(crate) async fn close(mut self) {
        let ending = Instant::now();
        stop_softly(self.host.pid());
        let status = self.host.wait_for_end(END_BOUND).await;
        println!(
            "\nThe host ended in {:.1} s ({status}) and its directory is gone. The demo took {:.0} s.",
            ending.elapsed().as_secs_f64(),
            self.opened.elapsed().as_secs_f64(),
        );
    }
}

/// The line above an act.
pub(crate) fn announce(act: u8, title: &str) {
    println!("\n── {act}. {title} ──");
}

/// MiB with one decimal.
pub(crate) fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1} MiB")
}
