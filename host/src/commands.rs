//! One file per subcommand: the composition roots. Only here is a backend chosen, a directory opened, a clock made.

mod artifact_key;
mod audit;
mod backup;
mod client;
mod clock;
mod compile;
mod data_dir;
mod database;
mod escape;
mod exit;
mod file_roots;
mod files;
mod migrate;
mod operate;
mod operator_token;
mod processor;
mod provision;
mod restore;
mod sandbox;
mod screen;
mod serve;
mod tenant;
mod token;
mod vitals;
mod worker;
mod worker_parts;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ServeFlags, WorkerFlags, log_filter, reject_unknown_variables};
use crate::telemetry;

/// A multi-tenant catalog backend that runs every processor in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the API and its workers
    Serve(ServeFlags),
    /// Start a worker; `serve` does this by itself
    Worker {
        #[command(flatten)]
        flags: WorkerFlags,
        /// Joined to `serve` by standard input and output
        #[arg(long, hide = true)]
        child: bool,
    },
    /// Write, try, upload and watch processors
    Processor(processor::ProcessorFlags),
    /// Judge catalog files before they are merged
    Validate(processor::validate::ValidateFlags),
    /// Make, list and delete tenants
    Tenant(tenant::TenantFlags),
    /// Make, list and revoke tokens
    Token(token::TokenFlags),
    /// Show who changed what
    Audit(audit::AuditFlags),
    /// Bring the database's schema to this version; `serve` does this by itself
    Migrate(migrate::MigrateFlags),
    /// Copy the SQLite database to a file, while the host runs
    Backup(backup::BackupFlags),
    /// Begin again from a backup
    Restore(restore::RestoreFlags),
    /// Print docs/metrics.md
    #[command(hide = true)]
    Metrics,
    /// Compile one component from standard input; a worker does this by itself
    #[command(hide = true)]
    Compile {
        /// CPU time it may use, in seconds
        #[arg(long, default_value_t = 60, hide = true)]
        cpu_seconds: u64,
    },
    /// Run processors for a worker, which alone starts this
    #[command(hide = true)]
    Sandbox {
        /// Guest threads
        #[arg(long, default_value_t = 2)]
        threads: u32,
        /// Shown in the list of processes: one run is tried by itself
        #[arg(long)]
        alone: bool,
    },
}

/// Parses the arguments and runs a subcommand.
///
/// Exit codes: 0 when it did what was asked, 1 when it could not, 2 for wrong arguments (by the parser); `compile` exits
/// with 3 for a component that is rejected, the commands that speak to a host as their help says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The first two lock themselves down before they do anything else.
    match &arguments.command {
        Command::Compile { cpu_seconds } => return compile::run(*cpu_seconds),
        Command::Sandbox { threads, alone: _ } => return sandbox::run(*threads),
        Command::Processor(flags) => return processor::run(flags),
        Command::Validate(flags) => return processor::validate::run(flags),
        Command::Tenant(flags) => return tenant::run(flags),
        Command::Token(flags) => return token::run(flags),
        Command::Audit(flags) => return audit::run(flags),
        Command::Migrate(flags) => return migrate::run(flags),
        Command::Backup(flags) => return backup::run(flags),
        Command::Restore(flags) => return restore::run(flags),
        Command::Metrics => {
            print!("{}", crate::metrics::page());
            return ExitCode::SUCCESS;
        }
        Command::Serve(_) | Command::Worker { .. } => {}
    }
    let result = reject_unknown_variables()
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            telemetry::init(log_filter().as_deref());
            match arguments.command {
                Command::Serve(flags) => serve::run(&flags),
                Command::Worker { flags, child } => worker::run(&flags, child),
                Command::Processor(_)
                | Command::Validate(_)
                | Command::Tenant(_)
                | Command::Token(_)
                | Command::Audit(_)
                | Command::Migrate(_)
                | Command::Backup(_)
                | Command::Restore(_)
                | Command::Metrics
                | Command::Compile { .. }
                | Command::Sandbox { .. } => Ok(()),
            }
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln`, which panics where standard error is a file on a full disk.
            let _ = writeln!(std::io::stderr(), "greenroom: {error:#}");
            ExitCode::FAILURE
        }
    }
}
