//! The torture as a program, for as long as one likes: `greenroom-torture --seconds 600 --backend postgres`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use greenroom_test_support::Backend;
use greenroom_torture::{Plan, torture};

/// Kills, stalls, fills and restarts everything while tenants work; fails if anything is lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long everything fails
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// From which all choices follow; random if not said
    #[arg(long)]
    seed: Option<u64>,
    /// Where the catalog is
    #[arg(long, value_enum, default_value = "sqlite")]
    backend: On,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum On {
    Sqlite,
    Postgres,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        backend: match arguments.backend {
            On::Sqlite => Backend::Sqlite,
            On::Postgres => Backend::Postgres,
        },
        time: Duration::from_secs(arguments.seconds),
        seed: arguments.seed.unwrap_or_else(rand::random),
    };
    println!("greenroom-torture: {plan:?}");
    let report = tokio::select! {
        report = torture(&plan) => report,
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
    };
    println!("{report}");
    if report.offences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
