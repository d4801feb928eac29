//! `greenroom restore`: an SQLite database from a backup, in a data directory that has none; or, after the tools of Postgres have
//! put a database back, what they cannot know.
//!
//! That is the epoch: a restored log hands out again numbers that followers have seen with other changes, so it must be another
//! log to them. Leases of workers that are gone end by themselves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_storage::{ChangeLog as _, TenantRepository as _};
use greenroom_storage_postgres::DatabaseUrl;
use serde_json::json;

use super::data_dir::DataDir;
use super::operate::{self, EXIT_HELP};
use super::screen::{Ink, Screen};
use super::serve::{read_config, runtime};
use super::{database, files};
use crate::config::{Config, DatabaseFlags};

/// What a backup becomes before it is whole.
const UNFINISHED: &str = "greenroom.db.restoring";

/// Flags of `greenroom restore`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct RestoreFlags {
    /// What `greenroom backup` wrote; none where the database is in Postgres and was restored by its own tools
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Writes the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseFlags,
}

/// Runs the command; the exit codes are those of the help.
pub(super) fn run(flags: &RestoreFlags) -> ExitCode {
    operate::run(flags.json, |screen| restore(screen, flags))
}

fn restore(screen: &Screen, flags: &RestoreFlags) -> anyhow::Result<()> {
    let config = read_config(&(&flags.database).into())?;
    let tenants = match (database::postgres_url(&config)?, &flags.file) {
        (Some(url), None) => runtime()?.block_on(restored_by_its_tools(&url))?,
        (None, Some(file)) => restore_file(&config, file)?,
        (Some(_), Some(_)) => bail!(
            "the catalog is in Postgres: restore it with `pg_restore`, then run `greenroom restore` without a file"
        ),
        (None, None) => bail!("name the file that `greenroom backup` wrote"),
    };
    screen.json(&json!({"tenants": tenants}));
    screen.line(&[
        (Ink::Good, "restored "),
        (
            Ink::Plain,
            &format!("{tenants} tenants; whoever follows their changes begins anew"),
        ),
    ]);
    screen.next("greenroom serve");
    Ok(())
}

fn restore_file(config: &Config, file: &Path) -> anyhow::Result<u64> {
    let shown = file.display();
    if !files::is_there(file) {
        bail!("there is no `{shown}`");
    }
    let data = DataDir::open(&config.data_dir)?;
    if let Some(path) = data.existing_database()? {
        let path = path.display();
        bail!(
            "`{path}` is there: stop the host and move it away, with `{path}-wal` and `{path}-shm`"
        );
    }
    // Of an attempt that was cut off.
    data.remove(UNFINISHED)?;
    data.create_private(UNFINISHED, b"")
        .with_context(|| format!("write `{}`", data.shown(UNFINISHED)))?;
    let epoch = || uuid::Uuid::new_v4().to_string();
    let restored = greenroom_storage_sqlite::restore(file, &data.driver_path(UNFINISHED), epoch)
        .with_context(|| format!("restore `{shown}`"));
    match restored {
        Ok(tenants) => data.become_database(UNFINISHED).map(|()| tenants),
        Err(error) => {
            data.remove(UNFINISHED)?;
            Err(error)
        }
    }
}

async fn restored_by_its_tools(url: &DatabaseUrl) -> anyhow::Result<u64> {
    let storage = database::postgres(url).await.context("open the database")?;
    let tenants = storage.list_tenants().await.context("list tenants")?;
    for tenant in &tenants {
        let epoch = uuid::Uuid::new_v4().to_string();
        storage
            .renew_epoch(tenant.id, &epoch)
            .await
            .with_context(|| format!("renew the log of `{}`", tenant.name))?;
    }
    Ok(tenants.len() as u64)
}
