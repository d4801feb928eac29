//! `greenroom-bench`: the figures of DESIGN §9, as ratios in one run on one machine.
//!
//! A benchmark and never a timed test: it prints what it measured beside the target and leaves judging to whoever reads it
//! (`--check` makes a miss an exit code). Build it with `--release`; a debug build says so in its output.

mod backing;
mod bare;
mod bare_imports;
mod call;
mod catalog;
mod hand_over;
mod ingest;
mod isolation;
mod measure;
mod reads;
mod report;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Greenroom.
#[derive(Debug, Parser)]
#[command(name = "greenroom-bench", version)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One call of a processor: fresh against reused instance, our path against a bare loop, the hand-over to the sandbox
    /// process, many revisions in turn, and whether anything grows.
    Call(call::Options),
    /// A whole catalog in one mutation, until all of it is served: time, bytes of database and memory.
    Ingest(ingest::Options),
    /// What a portal asks most, as often as eight connections can.
    Reads(reads::Options),
    /// What a tenant feels of another whose processor burns all of its fuel: the time until one entity is served.
    Isolation(isolation::Options),
}

fn main() -> ExitCode {
    let measured = match Arguments::parse().what {
        What::Call(options) => call::run(&options),
        What::Ingest(options) => ingest::run(&options),
        What::Reads(options) => reads::run(&options),
        What::Isolation(options) => isolation::run(&options),
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("greenroom-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
