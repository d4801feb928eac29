//! `greenroom migrate`: the schema brought to this binary's version before a host is started, or with `--plan` what that would
//! mean. A start does the same by itself; who deploys in steps wants it to be a step.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use greenroom_storage::SchemaPlan;
use greenroom_storage_sqlite::SqliteStorage;
use serde_json::json;

use super::clock::SystemClock;
use super::data_dir::DataDir;
use super::database;
use super::operate::{self, EXIT_HELP};
use super::screen::{Ink, Screen};
use super::serve::{read_config, runtime};
use crate::config::{Config, DatabaseFlags};

/// Flags of `greenroom migrate`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_HELP)]
pub(super) struct MigrateFlags {
    /// Shows what would be done and changes nothing
    #[arg(long)]
    plan: bool,
    /// Writes the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseFlags,
}

/// Runs the command; the exit codes are those of the help.
pub(super) fn run(flags: &MigrateFlags) -> ExitCode {
    operate::run(flags.json, |screen| migrate(screen, flags))
}

fn migrate(screen: &Screen, flags: &MigrateFlags) -> anyhow::Result<()> {
    let config = read_config(&(&flags.database).into())?;
    let plan = plan(&config)?;
    let steps = plan.steps();
    if !flags.plan {
        bring(&config)?;
    }
    screen.json(
        &json!({"found": plan.found, "known": plan.known, "steps": steps, "done": !flags.plan}),
    );
    let (found, known) = (plan.found, plan.known);
    match (steps, flags.plan) {
        (0, _) => screen.line(&[
            (Ink::Good, "up to date "),
            (Ink::Plain, &format!("at schema version {known}")),
        ]),
        (_, true) => {
            screen.line(&[
                (Ink::Warn, "to do "),
                (
                    Ink::Plain,
                    &format!("from schema version {found} to {known}, in one transaction"),
                ),
            ]);
            screen.next("greenroom migrate");
        }
        (_, false) => screen.line(&[
            (Ink::Good, "migrated "),
            (
                Ink::Plain,
                &format!("from schema version {found} to {known}"),
            ),
        ]),
    }
    Ok(())
}

fn plan(config: &Config) -> anyhow::Result<SchemaPlan> {
    if let Some(url) = database::postgres_url(config)? {
        let planned = runtime()?.block_on(greenroom_storage_postgres::plan(&url));
        return planned.context("look at the database");
    }
    match DataDir::open(&config.data_dir)?.existing_database()? {
        Some(path) => greenroom_storage_sqlite::plan(&path).context("look at the database"),
        None => Ok(greenroom_storage_sqlite::plan_of_nothing()),
    }
}

/// Opening a database migrates it.
fn bring(config: &Config) -> anyhow::Result<()> {
    if let Some(url) = database::postgres_url(config)? {
        let opened = runtime()?.block_on(database::postgres(&url));
        return opened.map(drop).context("migrate the database");
    }
    let path = DataDir::open(&config.data_dir)?.database()?;
    let opened = SqliteStorage::open(&path, std::sync::Arc::new(SystemClock::new()));
    opened.map(drop).context("migrate the database")
}
