//! Every connection of a host to its database is reset, in the middle of what it carries.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

pub(super) fn strike(world: &World, random: &mut StdRng) {
    if let Some(proxy) = world.nodes().choose(random).and_then(|node| node.proxy()) {
        proxy.cut();
    }
}
