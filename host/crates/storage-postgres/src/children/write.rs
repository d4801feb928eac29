//! Writing what was decided of a batch: one statement per table.

use greenroom_model::TenantId;
use greenroom_storage::StorageError;

use crate::children::decide::{Decided, Rewritten};
use crate::children::{conflicts, edges};
use crate::entities::{ref_texts, uid_texts};
use crate::orphans;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::Queueing;

/// Writes rows, edges and conflicts; leaves the work in `queueing`.
pub(super) async fn write(
    tx: &Transaction,
    tenant: TenantId,
    decided: &Decided<'_>,
    queueing: &mut Queueing,
) -> Result<(), StorageError> {
    insert(tx, tenant, &decided.inserted).await?;
    update(tx, tenant, &decided.updated).await?;
    edges::add(tx, tenant, &decided.edges).await?;
    conflicts::resolve(tx, tenant, &decided.resolved).await?;
    conflicts::note(tx, tenant, &decided.lost).await?;
    orphans::rescue(tx, tenant, &decided.rescued).await?;
    for (uid, lane) in &decided.queued {
        queueing.add(uid, *lane, tx.now_ms(), false);
    }
    Ok(())
}

fn keys<'a>(rows: &'a [Rewritten<'_>]) -> Vec<Option<Text<'a>>> {
    rows.iter()
        .map(|row| row.location_key.as_deref().map(Text))
        .collect()
}

fn bodies<'a>(rows: &[Rewritten<'a>]) -> Vec<Option<Text<'a>>> {
    rows.iter().map(|row| row.body.map(Text)).collect()
}

async fn insert(
    tx: &Transaction,
    tenant: TenantId,
    rows: &[Rewritten<'_>],
) -> Result<(), StorageError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO refresh_state (tenant_id, entity_id, entity_ref, location_key, unprocessed_entity)
         SELECT $1, new.entity_id, new.entity_ref, new.location_key, new.body
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
             AS new (entity_id, entity_ref, location_key, body)",
        &[
            &tenant.0,
            &uid_texts(rows.iter().map(|row| &row.uid)),
            &ref_texts(rows.iter().map(|row| row.entity_ref)),
            &keys(rows),
            &bodies(rows),
        ],
    )
    .await?;
    Ok(())
}

async fn update(
    tx: &Transaction,
    tenant: TenantId,
    rows: &[Rewritten<'_>],
) -> Result<(), StorageError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.run(
        "UPDATE refresh_state r
         SET unprocessed_entity = coalesce(new.body, r.unprocessed_entity), location_key = new.location_key
         FROM unnest($2::text[], $3::text[], $4::text[]) AS new (entity_id, location_key, body)
         WHERE r.tenant_id = $1 AND r.entity_id = new.entity_id",
        &[
            &tenant.0,
            &uid_texts(rows.iter().map(|row| &row.uid)),
            &keys(rows),
            &bodies(rows),
        ],
    )
    .await?;
    Ok(())
}
