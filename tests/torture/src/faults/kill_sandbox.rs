//! `kill -9` of a process that guests run in. Not of one that was started for a single run: who takes that one down twice is to
//! blame, and here nobody is.

use greenroom_test_support::Blow;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::world::World;

pub(super) fn strike(world: &World, random: &mut StdRng) {
    if let Some(child) = world.sandboxes().choose(random) {
        child.strike(Blow::Kill);
    }
}
