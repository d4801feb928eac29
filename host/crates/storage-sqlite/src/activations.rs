//! Activations: one row each, its canary, and what is counted under it.
//!
//! `begin` makes a revision current, `end` closes a canary or quarantines, `observe` counts in the transaction that records
//! a run. While a tenant has an open canary, its walk through all entities in lane *bulk* stands still and keeps its place
//! (see `work::bulk`): the requeue of the rest waits for the canary whatever asked for it.

mod begin;
mod config;
mod end;
mod observe;
mod settings;

use async_trait::async_trait;
use greenroom_model::{Digest, EntityUid, ProcessorName, TenantId};
use greenroom_storage::{
    Activation, ActivationRepository, ActivationState, Alarm, CanaryCandidate, Regression,
    StorageError, UnpickedCanary,
};
use rusqlite::{Connection, Row, params};

use crate::damage::{damaged, digest, optional_timestamp, tenant_id, timestamp, uid, value};
use crate::entities::stored_ref;
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

pub(crate) use begin::activate;
pub(crate) use config::bring as bring_config;
pub(crate) use observe::Observed;
pub(crate) use settings::settings_changed;

/// Regressions shown with an activation.
const SHOWN: i64 = 100;

/// What deciding needs of an activation.
#[derive(Debug, Clone)]
struct Current {
    tenant: TenantId,
    processor: ProcessorName,
    number: u32,
    revision: u32,
    digest: Digest,
    state: ActivationState,
    automatic: bool,
    picked: bool,
    matching: u32,
    alarmed: bool,
}

#[async_trait]
impl ActivationRepository for SqliteStorage {
    async fn list_activations(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<Activation>, StorageError> {
        let processor = processor.clone();
        self.read("list activations", move |conn| {
            list(conn, tenant, &processor, limit)
        })
        .await
    }

    async fn find_activation(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
    ) -> Result<Option<Activation>, StorageError> {
        let processor = processor.clone();
        self.read("find an activation", move |conn| {
            let newest = list(conn, tenant, &processor, 2)?;
            let telling = newest
                .into_iter()
                .find(|one| !one.automatic || one.state != ActivationState::Passed);
            Ok(telling)
        })
        .await
    }

    async fn unpicked_canaries(&self) -> Result<Vec<UnpickedCanary>, StorageError> {
        self.read("list canaries to pick", |conn| {
            statement::all(
                conn,
                "SELECT tenant_id, processor, number, digest FROM activations
                 WHERE state = 'canary' AND picked_at IS NULL",
                [],
                |row| {
                    Ok(UnpickedCanary {
                        tenant: tenant_id(row, 0, "activations.tenant_id")?,
                        processor: processor(row, 1)?,
                        activation: value(row, 2, "activations.number")?,
                        digest: digest(row, 3, "activations.digest")?,
                    })
                },
            )
        })
        .await
    }

    async fn canary_candidates(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<CanaryCandidate>, StorageError> {
        let after = after.map_or(String::new(), |uid| uid.as_str().to_owned());
        self.read("list candidates of a canary", move |conn| {
            statement::all(
                conn,
                "SELECT entity_id, unprocessed_entity, good_digest FROM refresh_state
                 WHERE tenant_id = ?1 AND entity_id > ?2 AND good_digest IS NOT NULL
                 ORDER BY entity_id LIMIT ?3",
                params![tenant.0, after, limit],
                |row| {
                    Ok(CanaryCandidate {
                        uid: uid(row, 0, "refresh_state.entity_id")?,
                        unprocessed: value(row, 1, "refresh_state.unprocessed_entity")?,
                        good: digest(row, 2, "refresh_state.good_digest")?,
                    })
                },
            )
        })
        .await
    }

    async fn start_canary(
        &self,
        canary: &UnpickedCanary,
        entities: &[EntityUid],
    ) -> Result<bool, StorageError> {
        let (canary, entities) = (canary.clone(), entities.to_vec());
        self.write("start a canary", move |tx| {
            begin::start_canary(tx, &canary, &entities)
        })
        .await
    }

    async fn end_canaries(&self) -> Result<u64, StorageError> {
        const OPERATION: &str = "end canaries";
        let now = self.now();
        // A look on a reader first: mostly there is none, and then no write lock is taken.
        let over = self
            .read(OPERATION, move |conn| end::over(conn, now))
            .await?;
        if over.is_empty() {
            return Ok(0);
        }
        self.write(OPERATION, move |tx| {
            let over = end::over(tx, tx.now())?;
            for (tenant, processor) in &over {
                end::end_over(tx, *tenant, processor)?;
            }
            Ok(over.len() as u64)
        })
        .await
    }
}

/// Whether a tenant's walk through all entities has to wait.
pub(crate) fn canary_is_open(conn: &Connection, tenant: TenantId) -> rusqlite::Result<bool> {
    let open = statement::one(
        conn,
        "SELECT 1 FROM activations WHERE tenant_id = ?1 AND state = 'canary' LIMIT 1",
        params![tenant.0],
        |_| Ok(()),
    )?;
    Ok(open.is_some())
}

/// Removes what was counted for a processor that is deleted.
pub(crate) fn forget(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    processor: &ProcessorName,
) -> rusqlite::Result<()> {
    let key = params![tenant.0, processor.as_str()];
    tx.run(
        "DELETE FROM activations WHERE tenant_id = ?1 AND processor = ?2",
        key,
    )?;
    tx.run(
        "DELETE FROM canary_entities WHERE tenant_id = ?1 AND processor = ?2",
        key,
    )?;
    tx.run(
        "DELETE FROM regressions WHERE tenant_id = ?1 AND processor = ?2",
        key,
    )?;
    tx.run(
        "DELETE FROM activation_calls WHERE tenant_id = ?1 AND processor = ?2",
        key,
    )?;
    Ok(())
}

/// The newest activation of a processor.
fn current(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
) -> rusqlite::Result<Option<Current>> {
    statement::one(
        conn,
        "SELECT number, revision, digest, state, automatic, picked_at IS NOT NULL, matching,
                alarm_at IS NOT NULL
         FROM activations WHERE tenant_id = ?1 AND processor = ?2 ORDER BY number DESC LIMIT 1",
        params![tenant.0, name.as_str()],
        |row| {
            Ok(Current {
                tenant,
                processor: name.clone(),
                number: value(row, 0, "activations.number")?,
                revision: value(row, 1, "activations.revision")?,
                digest: digest(row, 2, "activations.digest")?,
                state: state(row, 3)?,
                automatic: value(row, 4, "activations.automatic")?,
                picked: value(row, 5, "activations.picked_at")?,
                matching: value(row, 6, "activations.matching")?,
                alarmed: value(row, 7, "activations.alarm_at")?,
            })
        },
    )
}

fn list(
    conn: &Connection,
    tenant: TenantId,
    name: &ProcessorName,
    limit: u32,
) -> rusqlite::Result<Vec<Activation>> {
    let mut activations = statement::all(
        conn,
        "SELECT number, revision, digest, state, automatic, started_at, ends_at, matching, processed,
                alarm_at, alarm_reason, returned_to
         FROM activations WHERE tenant_id = ?1 AND processor = ?2 ORDER BY number DESC LIMIT ?3",
        params![tenant.0, name.as_str(), limit],
        read_activation,
    )?;
    for activation in &mut activations {
        activation.regressions = statement::all(
            conn,
            "SELECT entity_ref, fault, message, at FROM regressions
             WHERE tenant_id = ?1 AND processor = ?2 AND activation = ?3 ORDER BY at DESC LIMIT ?4",
            params![tenant.0, name.as_str(), activation.number, SHOWN],
            |row| {
                Ok(Regression {
                    entity_ref: stored_ref(row, 0, "regressions.entity_ref")?,
                    fault: value(row, 1, "regressions.fault")?,
                    message: value(row, 2, "regressions.message")?,
                    at: timestamp(row, 3, "regressions.at")?,
                })
            },
        )?;
    }
    Ok(activations)
}

fn read_activation(row: &Row<'_>) -> rusqlite::Result<Activation> {
    let alarm_at = optional_timestamp(row, 9, "activations.alarm_at")?;
    let reason: Option<String> = value(row, 10, "activations.alarm_reason")?;
    Ok(Activation {
        number: value(row, 0, "activations.number")?,
        revision: value(row, 1, "activations.revision")?,
        digest: digest(row, 2, "activations.digest")?,
        state: state(row, 3)?,
        automatic: value(row, 4, "activations.automatic")?,
        started_at: timestamp(row, 5, "activations.started_at")?,
        ends_at: optional_timestamp(row, 6, "activations.ends_at")?,
        matching: value(row, 7, "activations.matching")?,
        processed: value(row, 8, "activations.processed")?,
        regressions: Vec::new(),
        alarm: alarm_at.map(|at| Alarm {
            at,
            reason: reason.unwrap_or_default(),
        }),
        returned_to: value(row, 11, "activations.returned_to")?,
    })
}

fn processor(row: &Row<'_>, index: usize) -> rusqlite::Result<ProcessorName> {
    let name: String = value(row, index, "activations.processor")?;
    ProcessorName::parse(&name).map_err(|error| damaged("activations.processor", error))
}

fn state(row: &Row<'_>, index: usize) -> rusqlite::Result<ActivationState> {
    let text: String = value(row, index, "activations.state")?;
    match text.as_str() {
        "canary" => Ok(ActivationState::Canary),
        "passed" => Ok(ActivationState::Passed),
        "alarmed" => Ok(ActivationState::Alarmed),
        "quarantined" => Ok(ActivationState::Quarantined),
        "superseded" => Ok(ActivationState::Superseded),
        other => Err(damaged(
            "activations.state",
            format!("`{other}` is no state"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use greenroom_storage::WorkQueue as _;
    use greenroom_storage::conformance::trial::Trial;

    use crate::sqlite_storage::tests::{block_on, new_storage};

    #[test]
    fn q03_an_activation_writes_no_row_for_an_entity() {
        let (storage, clock, _directory) = new_storage();
        block_on(async {
            let trial = Trial::new(&storage, &clock, 2_000).await;
            let one = trial.pass("one", 50).await;
            let two = trial.pass("two", 50).await;
            let written = || async {
                let total = storage.on_writer("count", |conn| (Ok(conn.total_changes()), false));
                total.await.unwrap()
            };
            let before = written().await;
            for turn in 0..20 {
                trial.activate(if turn % 2 == 0 { one } else { two }).await;
            }
            let rows = written().await - before;
            assert!(
                rows <= 20 * 12,
                "{rows} rows for 20 activations of 2 000 entities"
            );
            let depth = storage.queue_depth().await.unwrap();
            assert_eq!(depth, [(greenroom_storage::Lane::Bulk, 2_000)]);
        });
    }
}
