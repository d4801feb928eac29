//! Processors as they are stored, and the version of a tenant's pipelines.

use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{Lane, Processor, ProcessorSettings, Revision, StorageError};
use tokio_postgres::Row;

use crate::activations;
use crate::blobs;
use crate::damage::{damaged, json, optional_unsigned32, text, timestamp, to_json, value};
use crate::revisions;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::enqueue_tenant;

pub(super) async fn create(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Processor, StorageError> {
    let settings = ProcessorSettings::default();
    let settings_version = raise_pipeline_version(tx, tenant).await?;
    let json = to_json(tx.operation(), &settings)?;
    tx.run(
        "INSERT INTO processors (tenant_id, name, settings, settings_version, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            &tenant.0,
            &Text(name.as_str()),
            &Text(&json),
            &settings_version,
            &tx.now_ms(),
        ],
    )
    .await?;
    Ok(Processor {
        name: name.clone(),
        settings,
        settings_version,
        current: None,
        held: false,
        created_at: tx.now(),
    })
}

pub(super) async fn delete(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<bool, StorageError> {
    let processor = Text(name.as_str());
    let deleted = tx
        .run(
            "DELETE FROM processors WHERE tenant_id = $1 AND name = $2",
            &[&tenant.0, &processor],
        )
        .await?;
    if deleted == 0 {
        return Ok(false);
    }
    let revisions = revisions::list(tx, tenant, name).await?;
    tx.run(
        "DELETE FROM processor_revisions WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &processor],
    )
    .await?;
    let digests: Vec<&Digest> = revisions.iter().map(|revision| &revision.digest).collect();
    blobs::drop_unnamed(tx, tenant, &digests).await?;
    tx.run(
        "DELETE FROM faults WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &processor],
    )
    .await?;
    activations::forget(tx, tenant, name).await?;
    pipeline_changed(tx, tenant).await?;
    Ok(true)
}

/// Processors that are enabled and have a current revision, with it, by name.
pub(super) async fn current(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<Vec<(Processor, Revision)>, StorageError> {
    let stored = tx
        .rows(
            "SELECT r.number, r.digest, r.bytes, r.state, r.created_at, r.activated_at,
                    p.name, p.settings, p.current_revision, p.created_at, p.settings_version, p.held
             FROM processors p LEFT JOIN processor_revisions r
               ON r.tenant_id = p.tenant_id AND r.processor = p.name AND r.number = p.current_revision
             WHERE p.tenant_id = $1 AND p.current_revision IS NOT NULL ORDER BY p.name",
            &[&tenant.0],
        )
        .await?;
    let mut processors = Vec::new();
    for row in &stored {
        let processor = read_processor_from(row, 6)?;
        if !processor.settings.enabled {
            continue;
        }
        let number: Option<i64> = value(row, 0, "processor_revisions.number")?;
        if number.is_none() {
            return Err(damaged(
                "processors.current_revision",
                "there is no such revision",
            ));
        }
        processors.push((processor, revisions::read(row)?));
    }
    Ok(processors)
}

/// Writes settings that came with the newest version of the tenant's pipelines; answers that version.
pub(crate) async fn put_settings(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    settings: &ProcessorSettings,
) -> Result<i64, StorageError> {
    let version = pipeline_version(tx, tenant).await?;
    let json = to_json(tx.operation(), settings)?;
    tx.run(
        "UPDATE processors SET settings = $3, settings_version = $4 WHERE tenant_id = $1 AND name = $2",
        &[&tenant.0, &Text(name.as_str()), &Text(&json), &version],
    )
    .await?;
    Ok(version)
}

/// Raises the version, answers it, and queues the tenant.
pub(crate) async fn pipeline_changed(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<i64, StorageError> {
    let version = raise_pipeline_version(tx, tenant).await?;
    enqueue_tenant(tx, tenant, Lane::Bulk).await?;
    Ok(version)
}

pub(crate) async fn raise_pipeline_version(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<i64, StorageError> {
    tx.number(
        "INSERT INTO pipelines AS p (tenant_id, version) VALUES ($1, 1)
         ON CONFLICT (tenant_id) DO UPDATE SET version = p.version + 1 RETURNING version",
        &[&tenant.0],
    )
    .await
}

pub(super) async fn pipeline_version(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<i64, StorageError> {
    let version = tx
        .one(
            "SELECT version FROM pipelines WHERE tenant_id = $1",
            &[&tenant.0],
            |row| value(row, 0, "pipelines.version"),
        )
        .await?;
    Ok(version.unwrap_or(0))
}

pub(crate) async fn find(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
) -> Result<Option<Processor>, StorageError> {
    tx.one(
        "SELECT name, settings, current_revision, created_at, settings_version, held
         FROM processors WHERE tenant_id = $1 AND name = $2",
        &[&tenant.0, &Text(name.as_str())],
        read_processor,
    )
    .await
}

pub(super) fn read_processor(row: &Row) -> Result<Processor, StorageError> {
    read_processor_from(row, 0)
}

/// A processor whose columns begin at `first`.
fn read_processor_from(row: &Row, first: usize) -> Result<Processor, StorageError> {
    let name = text(row, first, "processors.name")?;
    Ok(Processor {
        name: ProcessorName::parse(&name).map_err(|error| damaged("processors.name", error))?,
        settings: json(row, first + 1, "processors.settings")?,
        current: optional_unsigned32(row, first + 2, "processors.current_revision")?,
        created_at: timestamp(row, first + 3, "processors.created_at")?,
        settings_version: value(row, first + 4, "processors.settings_version")?,
        held: value(row, first + 5, "processors.held")?,
    })
}
