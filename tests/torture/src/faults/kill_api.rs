//! `kill -9` of an API process; its workers end with it.

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;

use crate::world::World;

pub(super) fn strike(world: &World, random: &mut StdRng) {
    let apis = world.nodes().iter().filter(|node| node.has_api());
    if let Some(node) = apis.choose(random) {
        node.process.kill();
    }
}
