//! Processors and which revision of each is current.
//!
//! Everything that changes what runs raises the tenant's pipeline version and queues its entities in lane *bulk*, in
//! the same transaction.

use async_trait::async_trait;
use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{
    Blob, BlobKind, BundledSettings, CreatedProcessor, Lane, NewRevision, Processor,
    ProcessorRepository, ProcessorSettings, Revision, RevisionDeleted, RevisionState, SetBundled,
    SettingsPut, StorageError, StoredPipeline, UploadId,
};
use rusqlite::{Connection, Row, params};

use crate::activations;
use crate::blobs;
use crate::bundled_settings;
use crate::damage::{damaged, json, timestamp, to_json, value};
use crate::quotas;
use crate::revisions;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::work::enqueue_tenant;
use crate::writer::WriteTx;

#[async_trait]
impl ProcessorRepository for SqliteStorage {
    async fn create_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<CreatedProcessor, StorageError> {
        let name = name.clone();
        self.write("create a processor", move |tx| create(tx, tenant, name))
            .await
    }

    async fn list_processors(&self, tenant: TenantId) -> Result<Vec<Processor>, StorageError> {
        self.read("list processors", move |conn| list(conn, tenant))
            .await
    }

    async fn find_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Processor>, StorageError> {
        let name = name.clone();
        self.read("find a processor", move |conn| find(conn, tenant, &name))
            .await
    }

    async fn put_processor_settings(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: ProcessorSettings,
    ) -> Result<bool, StorageError> {
        let put = self.put_processor_settings_if(tenant, name, settings, None);
        Ok(put.await? != SettingsPut::NoProcessor)
    }

    async fn put_processor_settings_if(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: ProcessorSettings,
        expected: Option<i64>,
    ) -> Result<SettingsPut, StorageError> {
        let name = name.clone();
        self.write("replace a processor's settings", move |tx| {
            let Some(known) = find(tx, tenant, &name)? else {
                return Ok(SettingsPut::NoProcessor);
            };
            if expected.is_some_and(|expected| expected != known.settings_version) {
                return Ok(SettingsPut::Changed(known.settings_version));
            }
            if known.settings == settings {
                return Ok(SettingsPut::Put(known.settings_version));
            }
            pipeline_changed(tx, tenant)?;
            let version = put_settings(tx, tenant, &name, &settings)?;
            activations::settings_changed(tx, tenant, &name, &known.settings, &settings)?;
            Ok(SettingsPut::Put(version))
        })
        .await
    }

    async fn delete_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<bool, StorageError> {
        let name = name.clone();
        let deleted = self
            .write("delete a processor", move |tx| {
                let key = params![tenant.0, name.as_str()];
                if tx.run(
                    "DELETE FROM processors WHERE tenant_id = ?1 AND name = ?2",
                    key,
                )? == 0
                {
                    return Ok(false);
                }
                let revisions = revisions::list(tx, tenant, &name)?;
                tx.run(
                    "DELETE FROM processor_revisions WHERE tenant_id = ?1 AND processor = ?2",
                    key,
                )?;
                for revision in &revisions {
                    blobs::drop_unnamed(tx, tenant, &revision.digest)?;
                }
                tx.run(
                    "DELETE FROM faults WHERE tenant_id = ?1 AND processor = ?2",
                    key,
                )?;
                activations::forget(tx, tenant, &name)?;
                pipeline_changed(tx, tenant)?;
                Ok(true)
            })
            .await?;
        self.sweep_replaced_blobs().await?;
        Ok(deleted)
    }

    async fn add_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<NewRevision>, StorageError> {
        let (name, digest) = (name.clone(), *digest);
        self.write("add a revision", move |tx| {
            revisions::add(tx, tenant, &name, digest, bytes)
        })
        .await
    }

    async fn publish_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<NewRevision>, StorageError> {
        let (name, upload, digest) = (name.clone(), upload.clone(), *digest);
        let added = self
            .write("publish a revision", move |tx| {
                if let Some(over) = revisions::refused(tx, tenant, &name, digest, bytes)? {
                    tx.leave_no_record();
                    blobs::drop_upload(tx, tenant, &upload)?;
                    return Ok(Some(NewRevision::OverQuota(over)));
                }
                let added = revisions::add(tx, tenant, &name, digest, bytes)?;
                match &added {
                    Some(NewRevision::Added(new)) => {
                        tx.complete_record(|record| record.note_revision(new));
                    }
                    _ => tx.leave_no_record(),
                }
                let store = |tx: &mut WriteTx<'_>| {
                    let kind = BlobKind::Component;
                    let content = (bytes, digest);
                    blobs::publish(tx, tenant, &Blob { kind, digest }, &upload.0, content)
                };
                match added {
                    Some(NewRevision::Added(_)) => store(tx)?,
                    // What was stored of it is not known to be whole before it was inspected.
                    Some(NewRevision::Known(ref known))
                        if known.state == RevisionState::Inspecting =>
                    {
                        store(tx)?;
                    }
                    Some(NewRevision::Known(known)) if known.state.is_damaged() => {
                        store(tx)?;
                        revisions::mark_damaged(tx, tenant, digest, None)?;
                        let healed = revisions::find(tx, tenant, &name, known.number)?;
                        return Ok(healed.map(NewRevision::Known));
                    }
                    _ => blobs::drop_upload(tx, tenant, &upload)?,
                }
                Ok(added)
            })
            .await?;
        self.sweep_replaced_blobs().await?;
        Ok(added)
    }

    async fn drop_old_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        keep: u64,
    ) -> Result<Vec<u32>, StorageError> {
        let name = name.clone();
        self.write("drop old revisions", move |tx| {
            let dropped = revisions::drop_old(tx, tenant, &name, keep)?;
            tx.complete_record(|record| record.note_dropped(&dropped));
            Ok(dropped)
        })
        .await
    }

    async fn mark_damaged(
        &self,
        tenant: TenantId,
        digest: &Digest,
        reason: Option<&str>,
    ) -> Result<u64, StorageError> {
        let (digest, reason) = (*digest, reason.map(str::to_owned));
        self.write("mark a revision", move |tx| {
            revisions::mark_damaged(tx, tenant, digest, reason.as_deref())
        })
        .await
    }

    async fn list_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Vec<Revision>, StorageError> {
        let name = name.clone();
        self.read("list revisions", move |conn| {
            revisions::list(conn, tenant, &name)
        })
        .await
    }

    async fn find_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<Option<Revision>, StorageError> {
        let name = name.clone();
        self.read("find a revision", move |conn| {
            revisions::find(conn, tenant, &name, number)
        })
        .await
    }

    async fn finish_inspection(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        state: RevisionState,
    ) -> Result<bool, StorageError> {
        let name = name.clone();
        self.write("finish an inspection", move |tx| {
            revisions::finish_inspection(tx, tenant, &name, number, &state)
        })
        .await
    }

    async fn activate_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<bool, StorageError> {
        let name = name.clone();
        self.write("activate a revision", move |tx| {
            activations::activate(tx, tenant, &name, number)
        })
        .await
    }

    async fn activate_revision_with_config(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        config: serde_json::Value,
    ) -> Result<bool, StorageError> {
        let name = name.clone();
        self.write("activate a revision with a configuration", move |tx| {
            if !activations::activate(tx, tenant, &name, number)? {
                return Ok(false);
            }
            activations::bring_config(tx, tenant, &name, config)?;
            Ok(true)
        })
        .await
    }

    async fn delete_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<RevisionDeleted, StorageError> {
        let name = name.clone();
        let deleted = self
            .write("delete a revision", move |tx| {
                revisions::delete(tx, tenant, &name, number)
            })
            .await?;
        self.sweep_replaced_blobs().await?;
        Ok(deleted)
    }

    async fn find_roll_back_target(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Revision>, StorageError> {
        let name = name.clone();
        self.read("find what a roll-back goes to", move |conn| {
            revisions::roll_back_target(conn, tenant, &name)
        })
        .await
    }

    async fn put_bundled_settings(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: BundledSettings,
        expected: Option<i64>,
    ) -> Result<SettingsPut, StorageError> {
        let name = name.clone();
        self.write("replace the settings of a bundled processor", move |tx| {
            bundled_settings::put(tx, tenant, &name, &settings, expected)
        })
        .await
    }

    async fn list_bundled_settings(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<SetBundled>, StorageError> {
        self.read("list settings of bundled processors", move |conn| {
            bundled_settings::list(conn, tenant)
        })
        .await
    }

    async fn pipeline(&self, tenant: TenantId) -> Result<StoredPipeline, StorageError> {
        self.read("read a tenant's pipeline", move |conn| {
            let mut processors = Vec::new();
            for processor in list(conn, tenant)? {
                let Some(number) = processor.current.filter(|_| processor.settings.enabled) else {
                    continue;
                };
                let revision =
                    revisions::find(conn, tenant, &processor.name, number)?.ok_or_else(|| {
                        damaged("processors.current_revision", "there is no such revision")
                    })?;
                processors.push((processor, revision));
            }
            Ok(StoredPipeline {
                version: pipeline_version(conn, tenant)?,
                processors,
                bundled: bundled_settings::list(conn, tenant)?,
            })
        })
        .await
    }

    async fn pipeline_version(&self, tenant: TenantId) -> Result<i64, StorageError> {
        self.read("read a tenant's pipeline version", move |conn| {
            pipeline_version(conn, tenant)
        })
        .await
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: ProcessorName,
) -> rusqlite::Result<CreatedProcessor> {
    if let Some(processor) = find(tx, tenant, &name)? {
        return Ok(CreatedProcessor::There(Box::new(processor)));
    }
    if let Some(over) = quotas::refuses_processor(tx, tenant)? {
        return Ok(CreatedProcessor::OverQuota(over));
    }
    let settings = ProcessorSettings::default();
    let now = tx.now();
    raise_pipeline_version(tx, tenant)?;
    let settings_version = pipeline_version(tx, tenant)?;
    tx.run(
        "INSERT INTO processors (tenant_id, name, settings, settings_version, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            tenant.0,
            name.as_str(),
            to_json(&settings)?,
            settings_version,
            now.0
        ],
    )?;
    Ok(CreatedProcessor::There(Box::new(Processor {
        name,
        settings,
        settings_version,
        current: None,
        held: false,
        created_at: now,
    })))
}

/// Writes settings that came with the newest version of the tenant's pipelines; answers that version.
pub(crate) fn put_settings(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    settings: &ProcessorSettings,
) -> rusqlite::Result<i64> {
    let version = pipeline_version(tx, tenant)?;
    tx.run(
        "UPDATE processors SET settings = ?3, settings_version = ?4 WHERE tenant_id = ?1 AND name = ?2",
        params![tenant.0, name.as_str(), to_json(settings)?, version],
    )?;
    Ok(version)
}

pub(crate) fn pipeline_changed(tx: &mut WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<()> {
    raise_pipeline_version(tx, tenant)?;
    enqueue_tenant(tx, tenant, Lane::Bulk)?;
    Ok(())
}

pub(crate) fn raise_pipeline_version(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
) -> rusqlite::Result<()> {
    tx.run(
        "INSERT INTO pipelines (tenant_id, version) VALUES (?1, 1)
         ON CONFLICT (tenant_id) DO UPDATE SET version = version + 1",
        params![tenant.0],
    )?;
    Ok(())
}

pub(crate) fn pipeline_version(conn: &Connection, tenant: TenantId) -> rusqlite::Result<i64> {
    let version = statement::one(
        conn,
        "SELECT version FROM pipelines WHERE tenant_id = ?1",
        params![tenant.0],
        |row| value(row, 0, "pipelines.version"),
    )?;
    Ok(version.unwrap_or(0))
}

fn list(conn: &Connection, tenant: TenantId) -> rusqlite::Result<Vec<Processor>> {
    statement::all(
        conn,
        "SELECT name, settings, current_revision, created_at, settings_version, held FROM processors WHERE tenant_id = ?1 ORDER BY name",
        params![tenant.0],
        read_processor,
    )
}

pub(crate) fn find(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<Processor>> {
    statement::one(
        conn,
        "SELECT name, settings, current_revision, created_at, settings_version, held FROM processors WHERE tenant_id = ?1 AND name = ?2",
        params![tenant.0, name.as_str()],
        read_processor,
    )
}

fn read_processor(row: &Row<'_>) -> rusqlite::Result<Processor> {
    let name: String = value(row, 0, "processors.name")?;
    Ok(Processor {
        name: ProcessorName::parse(&name).map_err(|error| damaged("processors.name", error))?,
        settings: json(row, 1, "processors.settings")?,
        current: value(row, 2, "processors.current_revision")?,
        created_at: timestamp(row, 3, "processors.created_at")?,
        settings_version: value(row, 4, "processors.settings_version")?,
        held: value(row, 5, "processors.held")?,
    })
}
