//! A tenant on its way in: without a name until its last step. Every step takes the tenant's graph.

use greenroom_model::{Digest, TenantId};
use greenroom_storage::{
    Blob, BlobKind, CANARY_MS, ImportEnd, Imported, Lane, MovedRow, MovedTable, NewTenant,
    StorageError, Tenant, UploadId, at_rest,
};

use super::rows::{Param, array, insertion, params};
use crate::damage::{damaged, stored, tenant_id, text, value};
use crate::graph;
use crate::text::{Text, texts};
use crate::transaction::Transaction;
use crate::work::enqueue_tenant;

/// How the state of a revision begins whose bytes are not what was uploaded.
const DAMAGED: &str = "{\"state\":\"damaged\"";

pub(super) async fn begin(tx: &Transaction, tenant: &NewTenant) -> Result<TenantId, StorageError> {
    let id = tx
        .one(
            "INSERT INTO tenants (name, secret, created_at, deleted_at, importing_at) VALUES ($1, $2, $3, $3, $3)
             RETURNING tenant_id",
            &[
                &Text(tenant.name.as_str()),
                &tenant.secret.as_slice(),
                &tx.now_ms(),
            ],
            |row| tenant_id(row, 0, "tenants.tenant_id"),
        )
        .await?;
    id.ok_or_else(|| damaged("tenants.tenant_id", "no row"))
}

/// Whether the import is under way; notes that it does not rest.
async fn goes_on(tx: &Transaction, tenant: TenantId) -> Result<bool, StorageError> {
    graph::lock(tx, tenant).await?;
    let found = tx
        .run(
            "UPDATE tenants SET importing_at = $2 WHERE tenant_id = $1 AND importing_at IS NOT NULL",
            &[&tenant.0, &tx.now_ms()],
        )
        .await?;
    Ok(found > 0)
}

pub(super) async fn add(
    tx: &Transaction,
    tenant: TenantId,
    table: &MovedTable,
    mut rows: Vec<MovedRow>,
) -> Result<Imported, StorageError> {
    if !goes_on(tx, tenant).await? {
        return Ok(Imported::Gone);
    }
    rows.iter_mut().for_each(|row| at_rest(table, row));
    if let Some((column, of)) = table.entity
        && some_are_missing(tx, tenant, of, &values(table, column, &rows)).await?
    {
        return Ok(Imported::NoEntity);
    }
    let mut made: Vec<Param<'_>> = vec![Box::new(tenant.0)];
    for (place, column) in table.columns.iter().enumerate() {
        made.push(array(column, place, &rows));
    }
    let added = tx.run(&insertion(table), &params(&made)).await?;
    if added != rows.len() as u64 {
        return Ok(Imported::Twice);
    }
    if table.name == "refresh_state_references" {
        run_parents_of_nothing(tx, tenant, table, &rows).await?;
    }
    Ok(Imported::Added)
}

fn values<'a>(table: &MovedTable, column: &str, rows: &'a [MovedRow]) -> Vec<Text<'a>> {
    texts(
        rows.iter()
            .map(|row| table.value(row, column).text().unwrap_or_default()),
    )
}

async fn some_are_missing(
    tx: &Transaction,
    tenant: TenantId,
    of: &str,
    named: &[Text<'_>],
) -> Result<bool, StorageError> {
    let missing = tx
        .one(&missing_statement(of), &[&tenant.0, &named], |row| {
            value::<bool>(row, 0, "refresh_state")
        })
        .await?;
    Ok(missing == Some(true))
}

/// Whether a name that is given is that of no entity.
pub(super) fn missing_statement(of: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT 1 FROM unnest($2::text[]) AS named (entity) WHERE NOT EXISTS
             (SELECT 1 FROM refresh_state s WHERE s.tenant_id = $1 AND s.{of} = named.entity))"
    )
}

/// Edges to what is not there: the child was emitted while its tenant was read out. Its parent runs again, and emits it.
async fn run_parents_of_nothing(
    tx: &Transaction,
    tenant: TenantId,
    table: &MovedTable,
    rows: &[MovedRow],
) -> Result<(), StorageError> {
    let parents = values(table, "source_entity_ref", rows);
    let children = values(table, "target_entity_ref", rows);
    tx.run(
        "UPDATE refresh_state SET memo = NULL WHERE tenant_id = $1 AND entity_ref = ANY (ARRAY(
             SELECT edge.parent FROM unnest($2::text[], $3::text[]) AS edge (parent, child)
             WHERE edge.parent <> '' AND NOT EXISTS
                 (SELECT 1 FROM refresh_state s WHERE s.tenant_id = $1 AND s.entity_ref = edge.child)))",
        &[&tenant.0, &parents, &children],
    )
    .await?;
    Ok(())
}

pub(super) async fn component(
    tx: &Transaction,
    tenant: TenantId,
    upload: &UploadId,
    digest: &Digest,
    bytes: u64,
) -> Result<Imported, StorageError> {
    if !goes_on(tx, tenant).await? {
        return Ok(Imported::Gone);
    }
    let named = tx
        .one(
            "SELECT EXISTS (SELECT 1 FROM processor_revisions
                            WHERE tenant_id = $1 AND digest = $2 AND bytes = $3)
                AND NOT EXISTS (SELECT 1 FROM blobs WHERE tenant_id = $1 AND digest = $2 AND engine = '')",
            &[&tenant.0, &digest.as_bytes().as_slice(), &stored(bytes)],
            |row| value::<bool>(row, 0, "processor_revisions"),
        )
        .await?;
    if named != Some(true) {
        return Ok(Imported::Twice);
    }
    let blob = Blob {
        kind: BlobKind::Component,
        digest: *digest,
    };
    crate::blobs::publish(tx, tenant, &blob, &upload.0, (bytes, *digest)).await?;
    Ok(Imported::Added)
}

pub(super) async fn finish(
    tx: &Transaction,
    id: TenantId,
    tenant: NewTenant,
) -> Result<ImportEnd, StorageError> {
    if !goes_on(tx, id).await? {
        return Ok(ImportEnd::Gone);
    }
    let taken = tx
        .rows(
            "SELECT 1 FROM tenants WHERE name = $1 AND deleted_at IS NULL",
            &[&Text(tenant.name.as_str())],
        )
        .await?;
    if !taken.is_empty() {
        return Ok(ImportEnd::NameTaken);
    }
    // What is damaged may be without its bytes where it was, too.
    let bare = tx
        .one(
            "SELECT processor, number FROM processor_revisions r
             WHERE tenant_id = $1 AND NOT starts_with(state, $2) AND NOT EXISTS
                 (SELECT 1 FROM blobs b WHERE b.tenant_id = r.tenant_id AND b.digest = r.digest AND b.engine = '')
             ORDER BY processor, number LIMIT 1",
            &[&id.0, &Text(DAMAGED)],
            |row| {
                Ok((
                    text(row, 0, "processor_revisions.processor")?,
                    value::<i64>(row, 1, "processor_revisions.number")?,
                ))
            },
        )
        .await?;
    if let Some((processor, number)) = bare {
        return Ok(ImportEnd::NoComponent(processor, number));
    }
    tx.run(
        "UPDATE activations SET picked_at = NULL, ends_at = $2, matching = 0, processed = 0
         WHERE tenant_id = $1 AND state = 'canary'",
        &[&id.0, &tx.now().plus_ms(CANARY_MS).0],
    )
    .await?;
    tx.run(
        "INSERT INTO tenant_seq (tenant_id, epoch, seq) VALUES ($1, $2, 0)",
        &[&id.0, &Text(&tenant.epoch)],
    )
    .await?;
    enqueue_tenant(tx, id, Lane::Bulk).await?;
    tx.run(
        "UPDATE tenants SET name = $2, secret = $3, created_at = $4, deleted_at = NULL, importing_at = NULL
         WHERE tenant_id = $1",
        &[
            &id.0,
            &Text(tenant.name.as_str()),
            &tenant.secret.as_slice(),
            &tx.now_ms(),
        ],
    )
    .await?;
    Ok(ImportEnd::Finished(Tenant {
        id,
        name: tenant.name,
        created_at: tx.now(),
        secret: tenant.secret,
    }))
}
