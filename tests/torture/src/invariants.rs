//! What holds in the end: one invariant in each file, a function that answers what offends it.

mod acknowledged_revisions;
mod changes_replay;
mod follower_has_all;
mod indexes_equal_fresh_ones;
mod no_orphan_rows;
mod nothing_is_held;
mod records_of_changes;
mod served_once;

use crate::tenants::{Followed, Ledger};
use crate::world::World;

/// What everybody was promised and has seen, when all is quiet.
pub(crate) struct Last {
    pub(crate) ledgers: Vec<Ledger>,
    pub(crate) followed: Vec<Followed>,
}

/// What offends an invariant, or why it could not be looked at.
type Findings = Result<Vec<String>, String>;

/// Checks all of them; ends the processes on the way.
pub(crate) async fn check(world: &mut World, last: &Last) -> Vec<String> {
    let mut offences = Vec::new();
    let mut take = |of: &str, findings: Findings| {
        let findings = findings.unwrap_or_else(|error| vec![error]);
        offences.extend(findings.into_iter().map(|one| format!("{of}: {one}")));
    };
    take(
        "served once",
        served_once::check(world, &last.ledgers).await,
    );
    take("no orphan rows", no_orphan_rows::check(world).await);
    take("changes replay", changes_replay::check(world).await);
    take(
        "followers",
        follower_has_all::check(world, &last.followed).await,
    );
    take(
        "revisions",
        acknowledged_revisions::check(world, &last.ledgers).await,
    );
    take("audit log", records_of_changes::check(world).await);
    take(
        "indexes",
        indexes_equal_fresh_ones::check(world, &last.ledgers).await,
    );
    take("nothing is held", nothing_is_held::check(world).await);
    offences
}
