//! `greenroom serve`: the API, and its workers as child processes.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use greenroom_model::Clock;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::clock::StorageClock;
use super::data_dir::DataDir;
use super::worker_parts::bundled_listings;
use super::{artifact_key, database, operator_token, provision, vitals};
use crate::api::{self, ApiParts, Edge};
use crate::config::{Config, ServeFlags, database_url};
use crate::lifecycle::{Lifecycle, stop_signal};
use crate::metrics::Sheet;
use crate::supervisor::{Supervisor, Wakes};

/// This executable, also after it was replaced on disk.
pub(super) const PROGRAM: &str = "/proc/self/exe";
/// Descriptors that are enough for two listeners full of connections, and all else.
const DESCRIPTORS: u64 = 16_384;
/// Time that requests and workers have at the end; together with their own limits the process ends within 10 s.
const PATIENCE: Duration = Duration::from_secs(9);

pub(super) fn run(flags: &ServeFlags) -> anyhow::Result<()> {
    let config = read_config(flags)?;
    raise_descriptor_limit();
    runtime()?.block_on(serve(&config))
}

/// A connection is a descriptor, and the usual soft limit of 1 024 is less than the connections we take (h02). Not being
/// allowed more is no reason not to serve.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            warn!(%error, "could not raise the limit of descriptors; fewer connections are taken");
        }
    }
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let data = Arc::new(DataDir::open(&config.data_dir)?);
    // Bound first: who comes before the start has ended waits and is answered, and a port in use changes nothing.
    let listener = bind(config.listen, "--listen").await?;
    let metrics_listener = bind(config.metrics_listen, "--metrics-listen").await?;
    let lifecycle = Lifecycle::new();
    let wakes = Wakes::default();
    let storage = database::open(config, &data, &lifecycle, &wakes).await?;
    let clock: Arc<dyn Clock> = Arc::new(StorageClock(Arc::clone(&storage)));
    provision::apply(config, &*storage).await?;
    let token_file = operator_token::ensure(config, &data, &*storage).await?;
    artifact_key::read(config, &data)?;
    // Roots that cannot be opened are said here, not by a worker that dies.
    super::file_roots::open(&config.file_roots)?;

    let sheet = Arc::new(Sheet::default());
    vitals::show_memory(&sheet, "api");
    vitals::show_disk(&sheet, "api", &data);
    let supervisor = Supervisor::new(
        PROGRAM.into(),
        worker_arguments(config),
        Arc::clone(&storage),
        wakes.clone(),
        Arc::clone(&sheet),
    );
    supervisor.start(&lifecycle, config.workers);
    let parts = ApiParts {
        storage,
        clock,
        lifecycle: Arc::clone(&lifecycle),
        wakes,
        workers: (config.workers > 0).then(|| Arc::clone(&supervisor)),
        bundled: bundled_listings()?,
        sheet,
    };
    let address = listener.local_addr()?;
    let metrics_address = metrics_listener.local_addr()?;
    let edge = Edge::start(parts);
    for (listener, router) in [
        (listener, edge.router()),
        (metrics_listener, edge.operations_router()),
    ] {
        lifecycle.spawn(api::serve(listener, router, Arc::clone(&lifecycle)));
    }
    announce(&token_file, address, metrics_address);

    info!(signal = stop_signal().await?, "stopping");
    match lifecycle.drain(PATIENCE).await {
        0 => {}
        left => warn!(left, "gave up what was still running"),
    }
    Ok(())
}

/// The flags that make a worker see what `serve` sees. Paths only: secrets stay in the file.
fn worker_arguments(config: &Config) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["worker".into(), "--child".into()];
    arguments.extend(["--data-dir".into(), config.data_dir.clone().into()]);
    if let Some(file) = &config.file {
        arguments.extend(["--config".into(), file.clone().into()]);
    }
    for root in &config.file_roots {
        arguments.extend(["--file-root".into(), root.clone().into()]);
    }
    arguments
}

pub(super) async fn bind(address: std::net::SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: choose another address with `{flag}`"))
}

/// Says where everything is. Only on a terminal or through `make run`; the token itself stays in its file.
fn announce(token: &str, address: std::net::SocketAddr, metrics_address: std::net::SocketAddr) {
    let base = format!("http://{address}/tenants/default/api/catalog");
    info!(url = base, token_file = token, "serving");
    println!("greenroom serves {base}");
    println!("operator token: {token}");
    println!("metrics: http://{metrics_address}/metrics");
    println!();
    println!(
        "  curl -s -H \"Authorization: Bearer $(cat {token})\" '{base}/entities/by-query?limit=5&fields=kind,metadata.name'"
    );
    println!(
        "  curl -s -H \"Authorization: Bearer $(cat {token})\" '{base}/entity-facets?facet=kind'"
    );
    println!();
    if std::io::stdout().is_terminal() {
        println!("Ctrl-C stops it.");
    }
}

/// Reads the configuration of this process.
pub(super) fn read_config(flags: &ServeFlags) -> anyhow::Result<Config> {
    #[expect(
        clippy::disallowed_methods,
        reason = "commands resolve relative paths once, at the start"
    )]
    let current = std::env::current_dir().context("find the working directory")?;
    #[expect(
        clippy::disallowed_methods,
        reason = "commands read the configuration file"
    )]
    let read = |path: &Path| std::fs::read_to_string(path);
    let mut config = Config::read(flags, &current, read)?;
    config.database_url = database_url().or(config.database_url);
    Ok(config)
}

/// The runtime of both processes: I/O only, guests have threads of their own.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")
}
