//! `kill -9` of a worker, whatever it is doing.

use greenroom_test_support::kill_hard;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

pub(super) fn strike(world: &World, random: &mut StdRng) {
    if let Some(pid) = world.workers().choose(random) {
        kill_hard(*pid);
    }
}
