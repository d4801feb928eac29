//! The database that the configuration names, opened: the file in the data directory, or Postgres.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use greenroom_storage::{Storage, StorageError};
use greenroom_storage_postgres::{DatabaseUrl, PostgresStorage};
use greenroom_storage_sqlite::SqliteStorage;
use tracing::warn;

use super::clock::SystemClock;
use super::data_dir::DataDir;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::supervisor::Wakes;

/// How long a start waits for a server that starts too, or is restarted.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Opens it, and lets hints of other processes' commits wake this one.
pub(super) async fn open(
    config: &Config,
    data: &DataDir,
    lifecycle: &Arc<Lifecycle>,
    wakes: &Wakes,
) -> anyhow::Result<Arc<dyn Storage>> {
    let Some(url) = postgres_url(config)? else {
        let clock = Arc::new(SystemClock::new());
        let storage = SqliteStorage::open(&data.database()?, clock);
        let storage = storage.context("open the database")?;
        return Ok(Arc::new(storage.with_quotas(config.quotas)));
    };
    let storage = postgres(&url).await.context("open the database")?;
    let storage = storage.with_quotas(config.quotas);
    let (hints, incoming) = (storage.clone(), Arc::clone(&wakes.incoming));
    let mut stopping = lifecycle.stopping();
    lifecycle.spawn(async move {
        tokio::select! {
            () = stopping.wait() => {}
            () = hints.exchange_hints(|| incoming.notify_waiters()) => {}
        }
    });
    Ok(Arc::new(storage))
}

/// Where the Postgres database is, if the configuration names one.
pub(super) fn postgres_url(config: &Config) -> anyhow::Result<Option<DatabaseUrl>> {
    let Some(url) = &config.database_url else {
        return Ok(None);
    };
    let url: DatabaseUrl = url.reveal().parse().context("read `database_url`")?;
    let Some(path) = &config.database_ca_file else {
        return Ok(Some(url));
    };
    trusting(url, path).map(Some)
}

fn trusting(url: DatabaseUrl, path: &Path) -> anyhow::Result<DatabaseUrl> {
    let shown = path.display();
    #[expect(
        clippy::disallowed_methods,
        reason = "commands read the files that the configuration names"
    )]
    let pem = std::fs::read(path);
    let pem = pem.with_context(|| format!("read `database_ca_file` `{shown}`"))?;
    url.trusting(&pem)
        .with_context(|| format!("read the certificates in `{shown}`"))
}

pub(super) async fn postgres(url: &DatabaseUrl) -> Result<PostgresStorage, StorageError> {
    let started = Instant::now();
    loop {
        match PostgresStorage::open(url).await {
            Err(error) if error.retryable() && started.elapsed() < PATIENCE => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the database does not answer yet"
                );
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}
