//! `kill -9` of a server process of Postgres: the server ends all others, recovers, and goes on.

use greenroom_test_support::kill_hard;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

const SESSIONS: &str = "SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

pub(super) async fn strike(world: &World, random: &mut StdRng) {
    // While it recovers from the last one it answers nobody.
    let rows = world.database.rows(SESSIONS).await.unwrap_or_default();
    let pids: Vec<u32> = rows.iter().filter_map(|row| row[0].parse().ok()).collect();
    if let Some(pid) = pids.choose(random) {
        kill_hard(*pid);
    }
}
