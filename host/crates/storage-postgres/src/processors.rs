//! Processors and which revision of each is current.
//!
//! Everything that changes what runs raises the tenant's pipeline version and queues its entities in lane *bulk*, in
//! the same transaction. It takes the tenant's graph first, because recording runs decides activations, and so changes
//! what is current, under the same lock.

mod stored;

use async_trait::async_trait;
use greenroom_model::{Digest, ProcessorName, TenantId};
use greenroom_storage::{
    BundledSettings, CreatedProcessor, NewRevision, Processor, ProcessorRepository,
    ProcessorSettings, Revision, RevisionDeleted, RevisionState, SetBundled, SettingsPut,
    StorageError, StoredPipeline, UploadId,
};

use crate::activations;
use crate::bundled_settings;
use crate::damage::value;
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::quotas;
use crate::revisions;
use crate::text::Text;
use crate::transaction::Transaction;

use stored::{create, current, delete, pipeline_version, read_processor};

pub(crate) use stored::{find, pipeline_changed, put_settings, raise_pipeline_version};

#[async_trait]
impl ProcessorRepository for PostgresStorage {
    async fn create_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<CreatedProcessor, StorageError> {
        let tx = self.change(tenant, "create a processor").await?;
        if let Some(known) = find(&tx, tenant, name).await? {
            tx.roll_back().await?;
            return Ok(CreatedProcessor::There(Box::new(known)));
        }
        if let Some(over) = quotas::refuses_processor(&tx, tenant).await? {
            tx.roll_back().await?;
            return Ok(CreatedProcessor::OverQuota(over));
        }
        let created = create(&tx, tenant, name).await?;
        tx.commit().await?;
        Ok(CreatedProcessor::There(Box::new(created)))
    }

    async fn list_processors(&self, tenant: TenantId) -> Result<Vec<Processor>, StorageError> {
        self.read_all(
            "list processors",
            "SELECT name, settings, current_revision, created_at, settings_version, held
             FROM processors WHERE tenant_id = $1 ORDER BY name",
            &[&tenant.0],
            read_processor,
        )
        .await
    }

    async fn find_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Processor>, StorageError> {
        self.read_one(
            "find a processor",
            "SELECT name, settings, current_revision, created_at, settings_version, held
             FROM processors WHERE tenant_id = $1 AND name = $2",
            &[&tenant.0, &Text(name.as_str())],
            read_processor,
        )
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
        let tx = self
            .change(tenant, "replace a processor's settings")
            .await?;
        let Some(known) = find(&tx, tenant, name).await? else {
            tx.roll_back().await?;
            return Ok(SettingsPut::NoProcessor);
        };
        if expected.is_some_and(|expected| expected != known.settings_version) {
            tx.roll_back().await?;
            return Ok(SettingsPut::Changed(known.settings_version));
        }
        if known.settings == settings {
            tx.roll_back().await?;
            return Ok(SettingsPut::Put(known.settings_version));
        }
        pipeline_changed(&tx, tenant).await?;
        let version = put_settings(&tx, tenant, name, &settings).await?;
        activations::settings_changed(&tx, tenant, name, &known.settings, &settings).await?;
        tx.commit().await?;
        Ok(SettingsPut::Put(version))
    }

    async fn delete_processor(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<bool, StorageError> {
        let tx = self.change(tenant, "delete a processor").await?;
        let deleted = delete(&tx, tenant, name).await?;
        tx.commit().await?;
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
        let tx = self.change(tenant, "add a revision").await?;
        let added = revisions::add(&tx, tenant, name, digest, bytes).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn publish_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        upload: &UploadId,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<NewRevision>, StorageError> {
        let tx = self.change(tenant, "publish a revision").await?;
        let added = revisions::publish(&tx, tenant, name, upload, digest, bytes).await?;
        tx.commit().await?;
        self.sweep_replaced_blobs().await?;
        Ok(added)
    }

    async fn drop_old_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        keep: u64,
    ) -> Result<Vec<u32>, StorageError> {
        let tx = self.change(tenant, "drop old revisions").await?;
        let dropped = revisions::drop_old(&tx, tenant, name, keep).await?;
        tx.complete_record(|record| record.note_dropped(&dropped));
        tx.commit().await?;
        Ok(dropped)
    }

    async fn mark_damaged(
        &self,
        tenant: TenantId,
        digest: &Digest,
        reason: Option<&str>,
    ) -> Result<u64, StorageError> {
        let tx = self.change(tenant, "mark a revision").await?;
        let marked = revisions::mark_damaged(&tx, tenant, digest, reason).await?;
        tx.commit().await?;
        Ok(marked)
    }

    async fn list_revisions(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Vec<Revision>, StorageError> {
        self.read_all(
            "list revisions",
            "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
             WHERE tenant_id = $1 AND processor = $2 ORDER BY number DESC",
            &[&tenant.0, &Text(name.as_str())],
            revisions::read,
        )
        .await
    }

    async fn find_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<Option<Revision>, StorageError> {
        self.read_one(
            "find a revision",
            "SELECT number, digest, bytes, state, created_at, activated_at FROM processor_revisions
             WHERE tenant_id = $1 AND processor = $2 AND number = $3",
            &[&tenant.0, &Text(name.as_str()), &i64::from(number)],
            revisions::read,
        )
        .await
    }

    async fn finish_inspection(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        state: RevisionState,
    ) -> Result<bool, StorageError> {
        let tx = self.change(tenant, "finish an inspection").await?;
        let finished = revisions::finish_inspection(&tx, tenant, name, number, &state).await?;
        tx.commit().await?;
        Ok(finished)
    }

    async fn activate_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<bool, StorageError> {
        let tx = self.change(tenant, "activate a revision").await?;
        let activated = activations::activate(&tx, tenant, name, number).await?;
        tx.commit().await?;
        Ok(activated)
    }

    async fn activate_revision_with_config(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
        config: serde_json::Value,
    ) -> Result<bool, StorageError> {
        let tx = self
            .change(tenant, "activate a revision with a configuration")
            .await?;
        let activated = activations::activate(&tx, tenant, name, number).await?;
        if activated {
            activations::bring_config(&tx, tenant, name, config).await?;
        }
        tx.commit().await?;
        Ok(activated)
    }

    async fn delete_revision(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        number: u32,
    ) -> Result<RevisionDeleted, StorageError> {
        let tx = self.change(tenant, "delete a revision").await?;
        let deleted = revisions::delete(&tx, tenant, name, number).await?;
        tx.commit().await?;
        self.sweep_replaced_blobs().await?;
        Ok(deleted)
    }

    async fn find_roll_back_target(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
    ) -> Result<Option<Revision>, StorageError> {
        let tx = self.snapshot("find what a roll-back goes to").await?;
        let target = revisions::roll_back_target(&tx, tenant, name).await?;
        tx.commit().await?;
        Ok(target)
    }

    async fn put_bundled_settings(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        settings: BundledSettings,
        expected: Option<i64>,
    ) -> Result<SettingsPut, StorageError> {
        let tx = self
            .change(tenant, "replace the settings of a bundled processor")
            .await?;
        let put = bundled_settings::put(&tx, tenant, name, &settings, expected).await?;
        tx.commit().await?;
        Ok(put)
    }

    async fn list_bundled_settings(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<SetBundled>, StorageError> {
        let tx = self.snapshot("list settings of bundled processors").await?;
        let bundled = bundled_settings::list(&tx, tenant).await?;
        tx.commit().await?;
        Ok(bundled)
    }

    async fn pipeline(&self, tenant: TenantId) -> Result<StoredPipeline, StorageError> {
        let tx = self.snapshot("read a tenant's pipeline").await?;
        let pipeline = StoredPipeline {
            version: pipeline_version(&tx, tenant).await?,
            processors: current(&tx, tenant).await?,
            bundled: bundled_settings::list(&tx, tenant).await?,
        };
        tx.commit().await?;
        Ok(pipeline)
    }

    async fn pipeline_version(&self, tenant: TenantId) -> Result<i64, StorageError> {
        let version = self
            .read_one(
                "read a tenant's pipeline version",
                "SELECT version FROM pipelines WHERE tenant_id = $1",
                &[&tenant.0],
                |row| value(row, 0, "pipelines.version"),
            )
            .await?;
        Ok(version.unwrap_or(0))
    }
}

impl PostgresStorage {
    /// Begins a change of what a tenant runs.
    async fn change(
        &self,
        tenant: TenantId,
        operation: &'static str,
    ) -> Result<Transaction, StorageError> {
        let tx = self.begin(operation).await?;
        graph::lock(&tx, tenant).await?;
        Ok(tx)
    }
}
