//! Nothing passes between a host and its database for a while, and nobody is told; or everything passes slowly.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

pub(super) async fn strike(world: &World, random: &mut StdRng) {
    let Some(proxy) = world.nodes().choose(random).and_then(|node| node.proxy()) else {
        return;
    };
    if random.random_bool(0.7) {
        proxy.stall();
    } else {
        proxy.delay(Duration::from_millis(random.random_range(20..500)));
    }
    tokio::time::sleep(Duration::from_millis(random.random_range(500..8_000))).await;
    proxy.flow();
}
