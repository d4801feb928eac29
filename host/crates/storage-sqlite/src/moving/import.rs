//! A tenant on its way in: without a name until its last step.

use greenroom_model::{Digest, TenantId, TenantName};
use greenroom_storage::{
    Blob, BlobKind, CANARY_MS, IMPORT_REST_MS, ImportEnd, Imported, Lane, MovedRow, MovedTable,
    NewTenant, Tenant, UploadId, at_rest,
};
use rusqlite::{ErrorCode, params, params_from_iter};

use super::rows::{Stored, insertion};
use crate::blobs;
use crate::damage::{stored, value};
use crate::statement;
use crate::tenants::is_taken;
use crate::work::enqueue_tenant;
use crate::writer::WriteTx;

/// How the state of a revision begins whose bytes are not what was uploaded.
const DAMAGED: &str = "{\"state\":\"damaged\"";

pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    name: &TenantName,
    secret: [u8; 32],
) -> rusqlite::Result<TenantId> {
    let now = tx.now_ms();
    tx.run(
        "INSERT INTO tenants (name, secret, created_at, deleted_at, importing_at) VALUES (?1, ?2, ?3, ?3, ?3)",
        params![name.as_str(), secret, now],
    )?;
    Ok(TenantId(tx.last_insert_rowid()))
}

/// Whether the import is under way; notes that it does not rest.
fn goes_on(tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<bool> {
    let now = tx.now_ms();
    let found = tx.run(
        "UPDATE tenants SET importing_at = ?2 WHERE tenant_id = ?1 AND importing_at IS NOT NULL",
        params![tenant.0, now],
    )?;
    Ok(found > 0)
}

/// Adds rows, all or none.
pub(super) fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    table: &MovedTable,
    rows: Vec<MovedRow>,
) -> rusqlite::Result<Imported> {
    if !goes_on(tx, tenant)? {
        return Ok(Imported::Gone);
    }
    tx.execute_batch("SAVEPOINT batch")?;
    let added = add_each(tx, tenant, table, rows)?;
    tx.execute_batch(if added == Imported::Added {
        "RELEASE batch"
    } else {
        "ROLLBACK TO batch; RELEASE batch"
    })?;
    Ok(added)
}

fn add_each(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    table: &MovedTable,
    rows: Vec<MovedRow>,
) -> rusqlite::Result<Imported> {
    let insertion = insertion(table);
    for mut row in rows {
        at_rest(table, &mut row);
        if let Some((column, of)) = table.entity {
            let sql = format!("SELECT 1 FROM refresh_state WHERE tenant_id = ? AND {of} = ?");
            let named = table.value(&row, column).text();
            if statement::one(tx, &sql, params![tenant.0, named], |_| Ok(()))?.is_none() {
                return Ok(Imported::NoEntity);
            }
        }
        let mut values: Vec<Box<dyn rusqlite::ToSql + '_>> = vec![Box::new(tenant.0)];
        for value in &row.0 {
            values.push(Box::new(Stored(value)));
        }
        match tx.run(&insertion, params_from_iter(values)) {
            Ok(_) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                return Ok(Imported::Twice);
            }
            Err(error) => return Err(error),
        }
        run_parent_of_nothing(tx, tenant, table, &row)?;
    }
    Ok(Imported::Added)
}

/// An edge to what is not there: the child was emitted while its tenant was read out. Its parent runs again, and emits it.
fn run_parent_of_nothing(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    table: &MovedTable,
    row: &MovedRow,
) -> rusqlite::Result<()> {
    if table.name != "refresh_state_references" {
        return Ok(());
    }
    let parent = table.value(row, "source_entity_ref").text();
    let child = table.value(row, "target_entity_ref").text();
    tx.run(
        "UPDATE refresh_state SET memo = NULL WHERE tenant_id = ?1 AND entity_ref = ?2
           AND NOT EXISTS (SELECT 1 FROM refresh_state WHERE tenant_id = ?1 AND entity_ref = ?3)",
        params![tenant.0, parent, child],
    )?;
    Ok(())
}

pub(super) fn component(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    upload: &UploadId,
    digest: Digest,
    bytes: u64,
) -> rusqlite::Result<Imported> {
    if !goes_on(tx, tenant)? {
        return Ok(Imported::Gone);
    }
    let named = statement::one(
        tx,
        "SELECT EXISTS (SELECT 1 FROM processor_revisions WHERE tenant_id = ?1 AND digest = ?2 AND bytes = ?3)
            AND NOT EXISTS (SELECT 1 FROM blobs WHERE tenant_id = ?1 AND digest = ?2 AND engine = '')",
        params![tenant.0, digest.as_bytes(), stored(bytes)],
        |row| value::<bool>(row, 0, "processor_revisions"),
    )?;
    if named != Some(true) {
        return Ok(Imported::Twice);
    }
    let blob = Blob {
        kind: BlobKind::Component,
        digest,
    };
    blobs::publish(tx, tenant, &blob, &upload.0, (bytes, digest))?;
    Ok(Imported::Added)
}

pub(super) fn finish(
    tx: &mut WriteTx<'_>,
    id: TenantId,
    tenant: NewTenant,
) -> rusqlite::Result<ImportEnd> {
    if !goes_on(tx, id)? {
        return Ok(ImportEnd::Gone);
    }
    if is_taken(tx, &tenant.name)? {
        return Ok(ImportEnd::NameTaken);
    }
    // What is damaged may be without its bytes where it was, too.
    let bare = statement::one(
        tx,
        "SELECT processor, number FROM processor_revisions r WHERE tenant_id = ?1 AND substr(state, 1, length(?2)) <> ?2
           AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.tenant_id = r.tenant_id AND b.digest = r.digest AND b.engine = '')
         LIMIT 1",
        params![id.0, DAMAGED],
        |row| {
            Ok((
                value::<String>(row, 0, "processor_revisions.processor")?,
                value::<i64>(row, 1, "processor_revisions.number")?,
            ))
        },
    )?;
    if let Some((processor, number)) = bare {
        return Ok(ImportEnd::NoComponent(processor, number));
    }
    let now = tx.now();
    tx.run(
        "UPDATE activations SET picked_at = NULL, ends_at = ?2, matching = 0, processed = 0
         WHERE tenant_id = ?1 AND state = 'canary'",
        params![id.0, now.plus_ms(CANARY_MS).0],
    )?;
    tx.run(
        "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES (?1, ?2, 0)",
        params![id.0, tenant.epoch],
    )?;
    enqueue_tenant(tx, id, Lane::Bulk)?;
    tx.run(
        "UPDATE tenants SET name = ?2, secret = ?3, created_at = ?4, deleted_at = NULL, importing_at = NULL
         WHERE tenant_id = ?1",
        params![id.0, tenant.name.as_str(), tenant.secret, now.0],
    )?;
    Ok(ImportEnd::Finished(Tenant {
        id,
        name: tenant.name,
        created_at: now,
        secret: tenant.secret,
    }))
}

/// Makes an import one deleted tenant more, if it rests since before then. Answers how many that were.
pub(super) fn give_up(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    resting_since: i64,
) -> rusqlite::Result<usize> {
    let now = tx.now_ms();
    tx.run(
        "UPDATE tenants SET deleted_at = ?2, importing_at = NULL
         WHERE tenant_id = ?1 AND importing_at < ?3",
        params![tenant.0, now, resting_since],
    )
}

pub(super) fn give_up_resting(tx: &mut WriteTx<'_>) -> rusqlite::Result<u64> {
    let now = tx.now_ms();
    let given_up = tx.run(
        "UPDATE tenants SET deleted_at = ?1, importing_at = NULL
         WHERE importing_at < ?2",
        params![now, now.saturating_sub(IMPORT_REST_MS)],
    )?;
    Ok(given_up as u64)
}
