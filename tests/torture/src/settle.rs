//! Waiting, once nothing fails any more, until there is nothing left to do.

use std::time::Duration;

use tokio::time::Instant;

use crate::world::World;

/// How long that may take: a worker that died often starts after half a minute, and what nobody emits any more goes after as long.
const BOUND: Duration = Duration::from_secs(150);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What must be none of, with a word for it.
const LEFT: &[(&str, &str)] = &[
    (
        "work is queued or held",
        "SELECT entity_id, lane, due_at, worker_id FROM work",
    ),
    (
        "lanes hold items, or have a requeue before them",
        "SELECT tenant_id, lane, held, bulk_after FROM tenant_lanes WHERE held <> 0 OR bulk_after IS NOT NULL",
    ),
    (
        "entities wait to be stitched",
        "SELECT entity_ref, next_stitch_at FROM stitch_queue",
    ),
    (
        "children wait to be looked for",
        "SELECT entity_ref, due_at FROM orphan_checks",
    ),
    (
        "runs are unfinished",
        "SELECT run_id, kind, state, worker_id FROM runs WHERE state IN ('queued', 'running')",
    ),
    (
        "uploads are inspected",
        "SELECT processor, number, state FROM processor_revisions WHERE state = 'inspecting'",
    ),
    (
        "mutations are being applied",
        "SELECT mutation_id, source_key FROM mutations WHERE committed = 1",
    ),
    (
        "canaries are open",
        "SELECT processor, number, matching, processed FROM activations WHERE state = 'canary'",
    ),
    (
        "tasks run that nobody runs",
        "SELECT task_id, worker_id FROM scheduled_tasks WHERE worker_id IS NOT NULL AND worker_id NOT IN (SELECT worker_id FROM workers)",
    ),
];

/// Waits until nothing is left.
///
/// # Errors
/// With what is, when the bound has passed.
pub(crate) async fn settle(world: &World) -> Result<Duration, String> {
    let began = Instant::now();
    loop {
        match left(world).await {
            None => return Ok(began.elapsed()),
            Some(left) if began.elapsed() > BOUND => return Err(left),
            Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn left(world: &World) -> Option<String> {
    for (what, sql) in LEFT {
        match world.database.rows(sql).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                let some: Vec<_> = rows.iter().take(5).collect();
                return Some(format!("{what}: {} of them, such as {some:?}", rows.len()));
            }
            Err(error) => return Some(error),
        }
    }
    let (workers, wanted) = (
        world.database.number("SELECT count(*) FROM workers").await,
        world.workers_wanted(),
    );
    (workers != Ok(wanted)).then(|| format!("{workers:?} workers have a lease, and {wanted} run"))
}
