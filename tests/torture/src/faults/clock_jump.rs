//! The clock of a machine is set: an hour ahead, an hour back, or right again.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

const HOUR_S: i64 = 3_600;

pub(super) fn strike(world: &World, random: &mut StdRng) {
    if let Some(node) = world.nodes().choose(random) {
        node.machine()
            .set_clock(random.random_range(-1..=1) * HOUR_S);
    }
}
