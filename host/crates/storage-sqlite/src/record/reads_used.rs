//! `read_uses`: which reads an entity's last run used, so that a changed read queues its users.

use std::collections::HashSet;

use greenroom_storage::{Claim, Lane, ReadKey, TracedRead};
use rusqlite::params;

use crate::damage::value;
use crate::reads::stored_digest;
use crate::statement;
use crate::work::enqueue;
use crate::writer::WriteTx;

/// Replaces the reads of an entity by difference.
pub(super) fn replace(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    trace: &[TracedRead],
) -> rusqlite::Result<()> {
    let (tenant, entity) = (claim.tenant.0, claim.uid.as_str());
    let stored: HashSet<ReadKey> = statement::all(
        tx,
        "SELECT credential, want FROM read_uses WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant, entity],
        |row| {
            Ok(ReadKey {
                credential: value(row, 0, "read_uses.credential")?,
                want: value(row, 1, "read_uses.want")?,
            })
        },
    )?
    .into_iter()
    .collect();
    let wanted: HashSet<&ReadKey> = trace.iter().map(|read| &read.key).collect();
    for key in stored.iter().filter(|key| !wanted.contains(key)) {
        tx.run(
            "DELETE FROM read_uses WHERE tenant_id = ?1 AND credential = ?2 AND want = ?3 AND entity_id = ?4",
            params![tenant, key.credential, key.want, entity],
        )?;
    }
    for key in wanted.into_iter().filter(|key| !stored.contains(*key)) {
        tx.run(
            "INSERT INTO read_uses (tenant_id, credential, want, entity_id) VALUES (?1, ?2, ?3, ?4)",
            params![tenant, key.credential, key.want, entity],
        )?;
    }
    run_again_if_changed(tx, claim, trace)
}

/// A read may have changed between this run's look and its record; it was then no user of the read, so nothing queued it.
fn run_again_if_changed(
    tx: &mut WriteTx<'_>,
    claim: &Claim,
    trace: &[TracedRead],
) -> rusqlite::Result<()> {
    for read in trace {
        let stored = stored_digest(tx, claim.tenant, &read.key)?;
        if stored.is_some_and(|digest| digest != read.digest) {
            let now = tx.now();
            return enqueue(tx, claim.tenant, &claim.uid, Lane::Changed, now);
        }
    }
    Ok(())
}
