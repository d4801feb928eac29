//! Activations: one row each, its canary, and what is counted under it.
//!
//! `begin` makes a revision current, `end` closes a canary or quarantines, `observe` counts in the transaction that records
//! a run. While a tenant has an open canary, its walk through all entities in lane *bulk* stands still and keeps its place:
//! the requeue of the rest waits for the canary whatever asked for it. All of it happens under the tenant's lock, so what
//! decides an activation is what is written.

mod begin;
mod config;
mod end;
mod observe;
mod settings;
mod stored;

use async_trait::async_trait;
use greenroom_model::{EntityUid, ProcessorName, TenantId};
use greenroom_storage::{
    Activation, ActivationRepository, ActivationState, CanaryCandidate, StorageError,
    UnpickedCanary,
};

use crate::damage::{digest, tenant_id, text, uid, unsigned32};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Transaction;

use stored::{Current, current, read_processor};

pub(crate) use begin::activate;
pub(crate) use config::bring as bring_config;
pub(crate) use observe::{ObservedRun, observe};
pub(crate) use settings::settings_changed;

#[async_trait]
impl ActivationRepository for PostgresStorage {
    async fn list_activations(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<Activation>, StorageError> {
        let tx = self.snapshot("list activations").await?;
        let activations = stored::list(&tx, tenant, processor, limit).await?;
        tx.commit().await?;
        Ok(activations)
    }

    async fn find_activation(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
    ) -> Result<Option<Activation>, StorageError> {
        let newest = self.list_activations(tenant, processor, 2).await?;
        Ok(newest
            .into_iter()
            .find(|one| !one.automatic || one.state != ActivationState::Passed))
    }

    async fn unpicked_canaries(&self) -> Result<Vec<UnpickedCanary>, StorageError> {
        self.read_all(
            "list canaries to pick",
            "SELECT tenant_id, processor, number, digest FROM activations
             WHERE state = 'canary' AND picked_at IS NULL ORDER BY tenant_id, processor",
            &[],
            |row| {
                Ok(UnpickedCanary {
                    tenant: tenant_id(row, 0, "activations.tenant_id")?,
                    processor: read_processor(row, 1)?,
                    activation: unsigned32(row, 2, "activations.number")?,
                    digest: digest(row, 3, "activations.digest")?,
                })
            },
        )
        .await
    }

    async fn canary_candidates(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<CanaryCandidate>, StorageError> {
        self.read_all(
            "list candidates of a canary",
            "SELECT entity_id, unprocessed_entity, good_digest FROM refresh_state
             WHERE tenant_id = $1 AND entity_id > $2 AND good_digest IS NOT NULL
             ORDER BY entity_id LIMIT $3",
            &[
                &tenant.0,
                &Text(after.map_or("", EntityUid::as_str)),
                &i64::from(limit),
            ],
            |row| {
                Ok(CanaryCandidate {
                    uid: uid(row, 0, "refresh_state.entity_id")?,
                    unprocessed: text(row, 1, "refresh_state.unprocessed_entity")?,
                    good: digest(row, 2, "refresh_state.good_digest")?,
                })
            },
        )
        .await
    }

    async fn start_canary(
        &self,
        canary: &UnpickedCanary,
        entities: &[EntityUid],
    ) -> Result<bool, StorageError> {
        let tx = self.begin("start a canary").await?;
        graph::lock(&tx, canary.tenant).await?;
        let started = begin::start_canary(&tx, canary, entities).await?;
        tx.commit().await?;
        Ok(started)
    }

    async fn end_canaries(&self) -> Result<u64, StorageError> {
        const OPERATION: &str = "end canaries";
        // A look first: mostly there is none, and then no lock is taken.
        let tx = self.snapshot(OPERATION).await?;
        let over = end::over(&tx).await?;
        tx.commit().await?;
        let mut ended = 0;
        for (tenant, processors) in over {
            let tx = self.begin(OPERATION).await?;
            graph::lock(&tx, tenant).await?;
            ended += end::end_over(&tx, tenant, &processors).await?;
            tx.commit().await?;
        }
        Ok(ended)
    }
}

/// Whether a tenant's walk through all entities has to wait.
pub(crate) async fn canary_is_open(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<bool, StorageError> {
    let open = tx
        .rows(
            "SELECT 1 FROM activations WHERE tenant_id = $1 AND state = 'canary' LIMIT 1",
            &[&tenant.0],
        )
        .await?;
    Ok(!open.is_empty())
}

/// Removes what was counted for a processor that is deleted.
pub(crate) async fn forget(
    tx: &Transaction,
    tenant: TenantId,
    processor: &ProcessorName,
) -> Result<(), StorageError> {
    let name = Text(processor.as_str());
    tx.run(
        "DELETE FROM activations WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &name],
    )
    .await?;
    tx.run(
        "DELETE FROM canary_entities WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &name],
    )
    .await?;
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &name],
    )
    .await?;
    tx.run(
        "DELETE FROM activation_calls WHERE tenant_id = $1 AND processor = $2",
        &[&tenant.0, &name],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use greenroom_storage::conformance::trial::Trial;
    use greenroom_storage::{Lane, WorkQueue as _};

    use crate::testing::run as on_new_database;

    #[test]
    fn q03_an_activation_writes_no_row_for_an_entity() {
        on_new_database(async |storage, clock| {
            let trial = Trial::new(storage, clock, 600).await;
            let one = trial.pass("one", 50).await;
            let two = trial.pass("two", 50).await;
            for turn in 0..20 {
                trial.activate(if turn % 2 == 0 { one } else { two }).await;
            }
            let tx = storage.begin("count").await.unwrap();
            let items = tx.number("SELECT count(*) FROM work", &[]).await.unwrap();
            let young = "SELECT count(*) FROM refresh_state
                         WHERE xmin::text::bigint >= (SELECT min(xmin::text::bigint) FROM activations WHERE number > 2)";
            let rewritten = tx.number(young, &[]).await.unwrap();
            tx.roll_back().await.unwrap();
            assert_eq!((items, rewritten), (0, 0));
            let depth = storage.queue_depth().await.unwrap();
            assert_eq!(depth, [(Lane::Bulk, 600)]);
        });
    }
}
