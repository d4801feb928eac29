//! What goes wrong: one file for each kind. Two hands strike at once, one at processes and machines, one at the way to the
//! database, so that faults meet each other.

mod clock_jump;
mod cut_connections;
mod full_disk;
mod kill_api;
mod kill_backend;
mod kill_sandbox;
mod kill_worker;
mod restart_postgres;
mod stalled_connections;

use std::time::Duration;

use greenroom_test_support::Backend;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::world::World;

/// Longest pause between two faults of one hand.
const PAUSE_MS: u64 = 2_000;

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillWorker,
    KillSandbox,
    KillApi,
    JumpClock,
    FillDisk,
    StallConnections,
    CutConnections,
    KillBackend,
    RestartPostgres,
}

impl Fault {
    /// What one hand does and what the other does.
    fn hands(backend: Backend) -> [&'static [Fault]; 2] {
        const PROCESSES: &[Fault] = &[
            Fault::KillWorker,
            Fault::KillSandbox,
            Fault::KillWorker,
            Fault::KillSandbox,
            Fault::KillApi,
            Fault::JumpClock,
        ];
        match backend {
            Backend::Sqlite => [PROCESSES, &[Fault::FillDisk]],
            Backend::Postgres => [
                PROCESSES,
                &[
                    Fault::FillDisk,
                    Fault::StallConnections,
                    Fault::CutConnections,
                    Fault::CutConnections,
                    Fault::KillBackend,
                    Fault::RestartPostgres,
                ],
            ],
        }
    }

    async fn strike(self, world: &World, random: &mut StdRng) {
        match self {
            Fault::KillWorker => kill_worker::strike(world, random),
            Fault::KillSandbox => kill_sandbox::strike(world, random),
            Fault::KillApi => kill_api::strike(world, random),
            Fault::JumpClock => clock_jump::strike(world, random),
            Fault::FillDisk => full_disk::strike(world, random).await,
            Fault::StallConnections => stalled_connections::strike(world, random).await,
            Fault::CutConnections => cut_connections::strike(world, random),
            Fault::KillBackend => kill_backend::strike(world, random).await,
            Fault::RestartPostgres => restart_postgres::strike(world, random).await,
        }
        world.offences.count(&format!("{self:?}"));
    }
}

/// Strikes until then. Every round has each fault of its hand, in an order of its own.
pub(crate) async fn until(world: &World, backend: Backend, seed: u64, end: Instant) {
    let [processes, storage] = Fault::hands(backend);
    tokio::join!(
        hand(world, processes, seed, end),
        hand(world, storage, seed.wrapping_add(1), end)
    );
    world.heal();
    // The last one, and it begins the time of quiet: everything that runs ends at once.
    for node in world.nodes() {
        node.process.kill();
    }
}

async fn hand(world: &World, faults: &[Fault], seed: u64, end: Instant) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut round = faults.to_vec();
    loop {
        round.shuffle(&mut random);
        for fault in &round {
            let pause = Duration::from_millis(random.random_range(100..PAUSE_MS));
            tokio::time::sleep(pause).await;
            if Instant::now() >= end {
                return;
            }
            fault.strike(world, &mut random).await;
        }
    }
}
