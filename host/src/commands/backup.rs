//! `greenroom backup`: one state of the SQLite database as a file, while hosts go on using it. What a Postgres database is saved
//! with are its own tools (docs/backup-and-move.md).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::data_dir::DataDir;
use super::files;
use super::operate::{self, EXIT_HELP};
use super::screen::{Ink, Screen, bytes};
use super::serve::read_config;
use crate::config::DatabaseFlags;

/// Flags of `greenroom backup`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct BackupFlags {
    /// A new file, which only you may read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Writes the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseFlags,
}

/// Runs the command; the exit codes are those of the help.
pub(super) fn run(flags: &BackupFlags) -> ExitCode {
    operate::run(flags.json, |screen| back_up(screen, flags))
}

fn back_up(screen: &Screen, flags: &BackupFlags) -> anyhow::Result<()> {
    let config = read_config(&(&flags.database).into())?;
    if config.database_url.is_some() {
        bail!(
            "the catalog is in Postgres: save it with `pg_dump`, as docs/backup-and-move.md says"
        );
    }
    let shown = flags.file.display().to_string();
    let data = DataDir::open(&config.data_dir)?;
    let Some(database) = data.existing_database()? else {
        bail!(
            "there is no database in `{}`: name the host's directory with `--data-dir`",
            config.data_dir.display()
        );
    };
    let file = files::create_private(&flags.file)?;
    let written = greenroom_storage_sqlite::back_up(&database, &flags.file)
        .context("back up the database")
        .and_then(|()| file.sync_all().with_context(|| format!("keep `{shown}`")));
    if let Err(error) = written {
        files::remove(&flags.file)?;
        return Err(error);
    }
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    screen.json(&json!({"file": shown, "bytes": size}));
    screen.line(&[
        (Ink::Good, "saved "),
        (Ink::Bold, &shown),
        (Ink::Plain, &format!("  {}", bytes(size))),
    ]);
    screen.next(&format!("greenroom restore {shown} --data-dir DIR"));
    Ok(())
}
