//! `greenroom worker`: one worker process, alone or as a child of `serve`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use greenroom_model::Clock;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::clock::StorageClock;
use super::data_dir::DataDir;
use super::database;
use super::serve::{PROGRAM, bind, read_config, runtime};
use super::vitals;
use super::worker_parts::assemble;
use crate::api::{self, Operations, OperationsParts, Role};
use crate::config::{Config, ServeFlags, WorkerFlags};
use crate::lifecycle::{Lifecycle, stop_signal};
use crate::supervisor::{ParentPipe, Wakes};
use crate::worker::Worker;

/// Time that work in flight has at the end, before it is given up.
const SOFT: Duration = Duration::from_secs(5);

pub(super) fn run(flags: &WorkerFlags, child: bool) -> anyhow::Result<()> {
    // Workers run at lower priority than the API (DESIGN §1); not being allowed to is no reason not to work.
    let _ = rustix::process::setpriority_process(None, 10);
    let config = read_config(&ServeFlags {
        worker: flags.clone(),
        ..ServeFlags::default()
    })?;
    if child && config.database_url.is_some() {
        // The database is of another session, if it is on this machine at all.
        greenroom_lockdown::leave_session();
    }
    runtime()?.block_on(async {
        let lifecycle = Lifecycle::new();
        let data = Arc::new(DataDir::open(&config.data_dir)?);
        let listener = match child {
            true => None,
            false => Some(listen(config.metrics_listen).await?),
        };
        let wakes = Wakes::default();
        let storage = database::open(&config, &data, &lifecycle, &wakes).await?;
        let clock: Arc<dyn Clock> = Arc::new(StorageClock(Arc::clone(&storage)));
        let parts = assemble(
            &config,
            &data,
            PROGRAM.into(),
            Arc::clone(&storage),
            Arc::clone(&clock),
            wakes.clone(),
        )?;
        let pulse = parts.pulse.clone();
        let worker = Worker::new(parts);
        let id = worker.id().0.clone();
        worker.start(&lifecycle);
        if child {
            ParentPipe::join(&lifecycle, id.clone(), wakes, pulse);
        } else if let Some(listener) = listener {
            vitals::show_disk(pulse.sheet(), "worker", &data);
            let address = listener.local_addr()?;
            let operations = Operations::start(OperationsParts {
                storage,
                clock,
                lifecycle: Arc::clone(&lifecycle),
                sheet: Arc::clone(pulse.sheet()),
                role: Role::Worker(pulse),
            });
            let router = operations.router();
            lifecycle.spawn(api::serve(listener, router, Arc::clone(&lifecycle)));
            // For people and tests: the address where none was given.
            println!("metrics: http://{address}/metrics");
        }
        info!(worker.id = id, "worker claims");
        let mut stopping = lifecycle.stopping();
        if child {
            // Ctrl-C reaches the whole group of a terminal; `serve` decides when its workers go.
            tokio::select! {
                () = stopping.wait() => {}
                () = ignore_interrupts() => {}
            }
        } else {
            tokio::select! {
                () = stopping.wait() => {}
                signal = stop_signal() => info!(signal = signal?, "stopping"),
            }
        }
        match lifecycle.drain(SOFT).await {
            0 => {}
            left => warn!(left, "gave up what was in flight; it runs again elsewhere"),
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(())
}

/// Binds the listener of metrics and probes. Several processes of one machine need no flag: where the usual address is taken, a
/// free one does, and is said.
async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && address == Config::METRICS_LISTEN => {
            bind(SocketAddr::new(address.ip(), 0), "--metrics-listen").await
        }
        Err(_) => bind(address, "--metrics-listen").await,
        Ok(listener) => Ok(listener),
    }
}

/// Never resolves; takes SIGINT so that it does not end the process.
async fn ignore_interrupts() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::interrupt()) {
        Ok(mut interrupts) => while interrupts.recv().await.is_some() {},
        Err(_) => std::future::pending().await,
    }
}
