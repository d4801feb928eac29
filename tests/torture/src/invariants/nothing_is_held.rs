//! When everything has stopped in order, nobody has a lease, nothing is held, and no process is left.

use std::fs;

use super::Findings;
use crate::world::World;

const HELD: &[(&str, &str)] = &[
    ("leases", "SELECT worker_id FROM workers"),
    (
        "work",
        "SELECT entity_id, worker_id FROM work WHERE worker_id IS NOT NULL",
    ),
    (
        "runs",
        "SELECT run_id, kind, state FROM runs WHERE state IN ('queued', 'running')",
    ),
    (
        "lanes",
        "SELECT tenant_id, lane, held FROM tenant_lanes WHERE held <> 0",
    ),
    (
        "tasks",
        "SELECT task_id, worker_id FROM scheduled_tasks WHERE worker_id IS NOT NULL",
    ),
];

pub(super) async fn check(world: &mut World) -> Findings {
    let mut findings = Vec::new();
    for node in world.nodes_mut() {
        if let Err(error) = node.process.stop().await {
            findings.push(error);
        }
    }
    for (what, sql) in HELD {
        let rows = world.database.rows(sql).await?;
        if !rows.is_empty() {
            findings.push(format!("{what} are held: {rows:?}"));
        }
    }
    let directory = world.directory().to_string_lossy().into_owned();
    for entry in fs::read_dir("/proc")
        .map_err(|error| error.to_string())?
        .flatten()
    {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(&directory) && arguments.contains("greenroom") {
            findings.push(format!(
                "process {:?} is left: {arguments}",
                entry.file_name()
            ));
        }
    }
    Ok(findings)
}
