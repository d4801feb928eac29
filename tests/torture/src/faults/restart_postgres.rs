//! Postgres is restarted: in order, or as after a crash.

use greenroom_test_postgres::Ending;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::world::World;

pub(super) async fn strike(world: &World, random: &mut StdRng) {
    let ending = if random.random() {
        Ending::Orderly
    } else {
        Ending::Crash
    };
    if let Some(cluster) = world.cluster() {
        tokio::task::block_in_place(|| cluster.restart(ending));
    }
}
