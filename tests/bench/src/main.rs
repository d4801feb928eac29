//! `greenroom-bench`: the figures of DESIGN §9, as ratios in one run on one machine.
//!
//! A benchmark and never a timed test: it prints what it measured beside the target and leaves judging to whoever reads it
//! (`--check` makes a miss an exit code). Build it with `--release`; a debug build says so in its output.

mod bare;
mod bare_imports;
mod call;
mod hand_over;
mod isolation;
mod measure;
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
    /// What a tenant feels of another whose processor burns all of its fuel: the time until one entity is served.
    Isolation(isolation::Options),
}

fn main() -> ExitCode {
    let measured = match Arguments::parse().what {
        What::Call(options) => call::run(&options),
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
