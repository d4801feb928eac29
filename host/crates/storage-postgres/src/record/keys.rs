//! Refresh keys, replaced by difference.

use std::collections::BTreeSet;

use greenroom_model::TenantId;
use greenroom_storage::StorageError;

use crate::damage::text;
use crate::text::texts;
use crate::transaction::Transaction;

/// Replaces the keys of entities.
pub(super) async fn replace(
    tx: &Transaction,
    tenant: TenantId,
    uids: &[&str],
    wanted: BTreeSet<(&str, &str)>,
) -> Result<(), StorageError> {
    let stored: BTreeSet<(String, String)> = tx
        .all(
            "SELECT entity_id, key FROM refresh_keys WHERE tenant_id = $1 AND entity_id = ANY($2::text[])",
            &[&tenant.0, &texts(uids.iter().copied())],
            |row| {
                Ok((
                    text(row, 0, "refresh_keys.entity_id")?,
                    text(row, 1, "refresh_keys.key")?,
                ))
            },
        )
        .await?
        .into_iter()
        .collect();
    let stored: BTreeSet<(&str, &str)> = stored
        .iter()
        .map(|(uid, key)| (uid.as_str(), key.as_str()))
        .collect();
    let gone: Vec<_> = stored.difference(&wanted).collect();
    if !gone.is_empty() {
        tx.run(
            "DELETE FROM refresh_keys k USING unnest($2::text[], $3::text[]) AS gone (entity_id, key)
             WHERE k.tenant_id = $1 AND k.entity_id = gone.entity_id AND k.key = gone.key",
            &[
                &tenant.0,
                &texts(gone.iter().map(|(uid, _)| *uid)),
                &texts(gone.iter().map(|(_, key)| *key)),
            ],
        )
        .await?;
    }
    let new: Vec<_> = wanted.difference(&stored).collect();
    if !new.is_empty() {
        tx.run(
            "INSERT INTO refresh_keys (tenant_id, entity_id, key)
             SELECT $1, entity_id, key FROM unnest($2::text[], $3::text[]) AS new (entity_id, key)",
            &[
                &tenant.0,
                &texts(new.iter().map(|(uid, _)| *uid)),
                &texts(new.iter().map(|(_, key)| *key)),
            ],
        )
        .await?;
    }
    Ok(())
}
