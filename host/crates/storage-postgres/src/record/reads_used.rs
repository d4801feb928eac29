//! `read_uses`: which reads an entity's last run used, so that a changed read queues its users.

use std::collections::BTreeSet;

use greenroom_model::{EntityUid, TenantId};
use greenroom_storage::{Lane, StorageError, TracedRead};

use crate::damage::{text, uid};
use crate::entities::uid_texts;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::Queueing;

/// Entity, credential, want.
type Use<'a> = (&'a str, &'a str, &'a str);

/// Replaces the reads of entities by difference.
pub(super) async fn replace(
    tx: &Transaction,
    tenant: TenantId,
    traces: &[(&EntityUid, &[TracedRead])],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    if traces.is_empty() {
        return Ok(());
    }
    let stored = tx
        .all(
            "SELECT entity_id, credential, want FROM read_uses
             WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
            &[&tenant.0, &uid_texts(traces.iter().map(|(uid, _)| *uid))],
            |row| {
                Ok((
                    text(row, 0, "read_uses.entity_id")?,
                    text(row, 1, "read_uses.credential")?,
                    text(row, 2, "read_uses.want")?,
                ))
            },
        )
        .await?;
    let stored: BTreeSet<Use<'_>> = stored
        .iter()
        .map(|(uid, credential, want)| (uid.as_str(), credential.as_str(), want.as_str()))
        .collect();
    let wanted: BTreeSet<Use<'_>> = traces
        .iter()
        .flat_map(|(uid, trace)| {
            let uses = trace.iter().map(|read| &read.key);
            uses.map(|key| (uid.as_str(), key.credential.as_str(), key.want.as_str()))
        })
        .collect();
    let gone: Vec<&Use<'_>> = stored.difference(&wanted).collect();
    if !gone.is_empty() {
        let [uids, credentials, wants] = columns(&gone);
        tx.run(
            "DELETE FROM read_uses u USING unnest($2::text[], $3::text[], $4::text[]) AS gone (entity_id, credential, want)
             WHERE u.tenant_id = $1 AND u.credential = gone.credential AND u.want = gone.want
                 AND u.entity_id = gone.entity_id",
            &[&tenant.0, &uids, &credentials, &wants],
        )
        .await?;
    }
    let new: Vec<&Use<'_>> = wanted.difference(&stored).collect();
    if !new.is_empty() {
        let [uids, credentials, wants] = columns(&new);
        tx.run(
            "INSERT INTO read_uses (tenant_id, credential, want, entity_id)
             SELECT $1, credential, want, entity_id
             FROM unnest($2::text[], $3::text[], $4::text[]) AS new (entity_id, credential, want)",
            &[&tenant.0, &uids, &credentials, &wants],
        )
        .await?;
    }
    run_again_if_changed(tx, tenant, traces, queueing).await
}

fn columns<'a>(uses: &[&Use<'a>]) -> [Vec<Text<'a>>; 3] {
    [
        texts(uses.iter().map(|(uid, _, _)| *uid)),
        texts(uses.iter().map(|(_, credential, _)| *credential)),
        texts(uses.iter().map(|(_, _, want)| *want)),
    ]
}

/// A read may have changed between a run's look and its record; the entity was then no user of the read, so nothing queued it.
async fn run_again_if_changed(
    tx: &Transaction,
    tenant: TenantId,
    traces: &[(&EntityUid, &[TracedRead])],
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    let reads: Vec<(&EntityUid, &TracedRead)> = traces
        .iter()
        .flat_map(|(uid, trace)| trace.iter().map(|read| (*uid, read)))
        .collect();
    if reads.is_empty() {
        return Ok(());
    }
    let digests: Vec<&[u8]> = reads
        .iter()
        .map(|(_, read)| read.digest.as_bytes().as_slice())
        .collect();
    let changed = tx
        .all(
            "SELECT DISTINCT used.entity_id
             FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[])
                 AS used (entity_id, credential, want, digest)
             JOIN reads r ON r.tenant_id = $1 AND r.credential = used.credential AND r.want = used.want
             WHERE r.digest <> used.digest",
            &[
                &tenant.0,
                &uid_texts(reads.iter().map(|(uid, _)| *uid)),
                &texts(reads.iter().map(|(_, read)| read.key.credential.as_str())),
                &texts(reads.iter().map(|(_, read)| read.key.want.as_str())),
                &digests,
            ],
            |row| uid(row, 0, "read_uses.entity_id"),
        )
        .await?;
    for uid in &changed {
        queueing.add(uid, Lane::Changed, tx.now_ms(), false);
    }
    Ok(())
}
