//! Reads as they are stored.

use std::collections::HashMap;

use bytes::Bytes;
use greenroom_model::{Digest, TenantId};
use greenroom_storage::{ReadKey, StorageError, StoredOutcome, StoredRead};
use tokio_postgres::Row;

use crate::damage::{damaged, digest, from_json, optional_text, text, timestamp, to_json, value};
use crate::reads::{credentials, wants};
use crate::transaction::Transaction;

/// The digests of stored outcomes; a key without one has none.
pub(crate) async fn digests(
    tx: &Transaction,
    tenant: TenantId,
    keys: &[&ReadKey],
) -> Result<HashMap<ReadKey, Digest>, StorageError> {
    let found = tx
        .all(
            "SELECT r.credential, r.want, r.digest
             FROM unnest($2::text[], $3::text[]) AS k (credential, want)
             JOIN reads r ON r.tenant_id = $1 AND r.credential = k.credential AND r.want = k.want",
            &[
                &tenant.0,
                &credentials(keys.iter().copied()),
                &wants(keys.iter().copied()),
            ],
            |row| Ok((read_key(row, 0)?, digest(row, 2, "reads.digest")?)),
        )
        .await?;
    Ok(found.into_iter().collect())
}

/// How an outcome is stored, but for its body.
pub(super) fn columns(
    operation: &'static str,
    outcome: &StoredOutcome,
) -> Result<(&'static str, String), StorageError> {
    Ok(match outcome {
        StoredOutcome::Document { final_url, .. } => ("document", final_url.clone()),
        StoredOutcome::Listing(matches) => ("listing", to_json(operation, matches)?),
        StoredOutcome::NotFound => ("not-found", String::new()),
        StoredOutcome::Refused(reason) => ("refused", reason.clone()),
    })
}

/// A key in two columns, the first of them at `index`.
pub(super) fn read_key(row: &Row, index: usize) -> Result<ReadKey, StorageError> {
    Ok(ReadKey {
        credential: text(row, index, "reads.credential")?,
        want: text(row, index + 1, "reads.want")?,
    })
}

/// A read, if there is one in the row, and its body in the ninth column.
pub(super) fn read_with_body(row: &Row) -> Result<Option<StoredRead>, StorageError> {
    if optional_text(row, 0, "reads.credential")?.is_none() {
        return Ok(None);
    }
    let mut read = read_stored(row)?;
    if let StoredOutcome::Document { body, .. } = &mut read.outcome {
        let bytes: Option<&[u8]> = value(row, 8, "read_bodies.body")?;
        *body = bytes.map(Bytes::copy_from_slice);
    }
    Ok(Some(read))
}

/// A read without its body.
pub(super) fn read_stored(row: &Row) -> Result<StoredRead, StorageError> {
    let kind = text(row, 2, "reads.kind")?;
    let detail = text(row, 3, "reads.detail")?;
    Ok(StoredRead {
        key: read_key(row, 0)?,
        outcome: match kind.as_str() {
            "document" => StoredOutcome::Document {
                body: None,
                final_url: detail,
            },
            "listing" => StoredOutcome::Listing(from_json(&detail, "reads.detail")?),
            "not-found" => StoredOutcome::NotFound,
            "refused" => StoredOutcome::Refused(detail),
            other => return Err(damaged("reads.kind", format!("`{other}` is no kind"))),
        },
        digest: digest(row, 4, "reads.digest")?,
        etag: optional_text(row, 5, "reads.etag")?,
        last_modified: optional_text(row, 6, "reads.last_modified")?,
        next_due: timestamp(row, 7, "reads.next_due")?,
    })
}
