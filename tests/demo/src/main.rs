//! Hostile processors beside an honest tenant, on a terminal, in under a minute.
//!
//! Three acts on a host of the demo's own, in a directory that goes with it: a leak that does not add up, loops and crashes that
//! are ended and recorded, and the latency of the API while that goes on. Every number printed is measured while you watch;
//! nothing is asserted here, which is what the tests are for.

mod crashes;
mod hostile;
mod latency;
mod leak;
mod stage;

use std::process::ExitCode;

use stage::Stage;

#[tokio::main]
async fn main() -> ExitCode {
    // On Ctrl-C the play is dropped, and with it the host and its directory.
    tokio::select! {
        played = play() => match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // In one line: a newcomer wants what to do next, not a backtrace.
                eprintln!("greenroom-demo: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => {
            println!("\nInterrupted; the host and its directory are gone.");
            ExitCode::SUCCESS
        }
    }
}

async fn play() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    leak::play(&stage).await?;
    crashes::play(&stage).await?;
    latency::play(&stage).await?;
    stage.close().await;
    Ok(())
}
