//! The disk of a machine is full for a while.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

pub(super) async fn strike(world: &World, random: &mut StdRng) {
    if let Some(node) = world.nodes().choose(random) {
        node.machine().fill_disk(true);
        tokio::time::sleep(Duration::from_millis(random.random_range(500..3_000))).await;
        node.machine().fill_disk(false);
    }
}
