//! `greenroom processor`: from an empty folder to a live processor, and from a fault back to the line that caused it.
//!
//! What needs no host runs in this process with the host's own sandbox, limits and orchestrator (`workshop`), so that what
//! is seen here is what production does. What needs one goes through its public API (`client`). Everything shown passes
//! one place (`screen`), which lets no text control the terminal.

mod activate;
mod check;
mod component;
mod cost;
mod diff;
mod entity_files;
mod execute;
mod faults;
mod fixture;
mod list;
mod local;
mod new;
mod preview;
mod push;
mod reads;
mod recorded;
mod recorder;
mod replay;
mod report;
mod run;
mod sampling;
mod sdk;
mod template;
mod test;
pub(super) mod validate;
mod watch;
mod workshop;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::commands::client::HostError;
use crate::commands::exit::Exit;
use crate::commands::screen::Screen;
use crate::config::reject_unknown_variables;
use workshop::WouldBeRejected;

/// Flags of all commands for authors.
#[derive(Debug, Args)]
#[command(after_help = Exit::HELP)]
pub(super) struct ProcessorFlags {
    #[command(subcommand)]
    command: ProcessorCommand,
    /// Writes results as JSON, one document a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ProcessorCommand {
    /// Make a crate for a new processor
    New(new::NewFlags),
    /// Inspect, compile and describe a component as an upload does
    Check(check::CheckFlags),
    /// Take entities, or a saved fault, through the stages here
    Run(run::RunFlags),
    /// Compare fixtures with what is expected of them
    Test(test::TestFlags),
    /// Show fuel by stage, entity and function
    Cost(cost::CostFlags),
    /// Upload a revision
    Push(push::PushFlags),
    /// List processors, or the revisions of one
    List(list::ListFlags),
    /// Make a revision current
    Activate(activate::ActivateFlags),
    /// Go back to the revision that was current before
    Rollback(activate::RollbackFlags),
    /// Show what went wrong on the host
    Faults(faults::FaultsFlags),
    /// Make the call of a fault again here
    Replay(replay::ReplayFlags),
}

/// Runs a command; the exit codes are those of [`Exit`].
pub(super) fn run(flags: &ProcessorFlags) -> ExitCode {
    let screen = Screen::standard(flags.json);
    let result = reject_unknown_variables()
        .map_err(anyhow::Error::from)
        .and_then(|()| dispatch(&screen, &flags.command));
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            let exit = exit_of(&error);
            screen.failure(exit, &error);
            exit
        }
    };
    exit.into()
}

fn dispatch(screen: &Screen, command: &ProcessorCommand) -> anyhow::Result<Exit> {
    match command {
        ProcessorCommand::New(flags) => new::run(screen, flags),
        ProcessorCommand::Check(flags) => check::run(screen, flags),
        ProcessorCommand::Run(flags) => run::run(screen, flags),
        ProcessorCommand::Test(flags) => test::run(screen, flags),
        ProcessorCommand::Cost(flags) => cost::run(screen, flags),
        ProcessorCommand::Push(flags) => push::run(screen, flags),
        ProcessorCommand::List(flags) => list::run(screen, flags),
        ProcessorCommand::Activate(flags) => activate::run(screen, flags),
        ProcessorCommand::Rollback(flags) => activate::roll_back(screen, flags),
        ProcessorCommand::Faults(flags) => faults::run(screen, flags),
        ProcessorCommand::Replay(flags) => replay::run(screen, flags),
    }
}

/// What a script is told about an error.
fn exit_of(error: &anyhow::Error) -> Exit {
    if error.is::<HostError>() {
        Exit::Refused
    } else if error.is::<WouldBeRejected>() {
        Exit::Rejected
    } else {
        Exit::Failed
    }
}
