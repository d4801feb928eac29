//! Faults of processors: the newest of each are kept, with their requests, to be read and replayed.

use async_trait::async_trait;
use greenroom_model::{ProcessorName, Stage, TenantId};
use greenroom_storage::{
    FAULT_REQUEST_BYTES_KEPT, FAULTS_KEPT, FaultRecord, FaultRepository, StorageError,
};
use rusqlite::{Row, params};

use crate::damage::{damaged, digest, entity_ref, stored, timestamp, unsigned, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::writer::WriteTx;

#[async_trait]
impl FaultRepository for SqliteStorage {
    async fn list_faults(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<FaultRecord>, StorageError> {
        let processor = processor.clone();
        self.read("list faults", move |conn| {
            statement::all(
                conn,
                "SELECT fault_id, at, processor, revision, stage, entity_ref, fault, message, fuel,
                        peak_memory_bytes, cpu_us, backtrace, log, NULL
                 FROM faults WHERE tenant_id = ?1 AND processor = ?2 ORDER BY at DESC, rowid DESC LIMIT ?3",
                params![tenant.0, processor.as_str(), limit],
                read_fault,
            )
        })
        .await
    }

    async fn find_fault(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        id: &str,
    ) -> Result<Option<FaultRecord>, StorageError> {
        let (processor, id) = (processor.clone(), id.to_owned());
        self.read("find a fault", move |conn| {
            statement::one(
                conn,
                "SELECT fault_id, at, processor, revision, stage, entity_ref, fault, message, fuel,
                        peak_memory_bytes, cpu_us, backtrace, log, request
                 FROM faults WHERE tenant_id = ?1 AND processor = ?2 AND fault_id = ?3",
                params![tenant.0, processor.as_str(), id],
                read_fault,
            )
        })
        .await
    }
}

/// Keeps a fault and drops the processor's oldest beyond what is kept.
pub(crate) fn insert_fault(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    fault: &FaultRecord,
) -> rusqlite::Result<()> {
    tx.run(
        "INSERT OR REPLACE INTO faults (tenant_id, processor, fault_id, at, revision, stage, entity_ref, fault,
             message, fuel, peak_memory_bytes, cpu_us, backtrace, log, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            tenant.0,
            fault.processor.as_str(),
            fault.id,
            fault.at.0,
            fault.revision.as_bytes(),
            fault.stage.as_str(),
            fault.entity_ref.as_str(),
            fault.fault,
            fault.message,
            stored(fault.fuel),
            stored(fault.peak_memory_bytes),
            stored(fault.cpu_us),
            fault.backtrace,
            fault.log,
            fault.request,
        ],
    )?;
    tx.run(
        "DELETE FROM faults WHERE rowid IN
           (SELECT rowid FROM faults WHERE tenant_id = ?1 AND processor = ?2
            ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?3)",
        params![tenant.0, fault.processor.as_str(), FAULTS_KEPT],
    )?;
    tx.run(
        "UPDATE faults SET request = NULL WHERE rowid IN
           (SELECT id FROM
              (SELECT rowid AS id,
                      sum(octet_length(request)) OVER (ORDER BY at DESC, rowid DESC) AS bytes,
                      row_number() OVER (ORDER BY at DESC, rowid DESC) AS place
               FROM faults WHERE tenant_id = ?1 AND processor = ?2 AND request IS NOT NULL)
            WHERE place > 1 AND bytes > ?3)",
        params![tenant.0, fault.processor.as_str(), FAULT_REQUEST_BYTES_KEPT],
    )?;
    Ok(())
}

fn read_fault(row: &Row<'_>) -> rusqlite::Result<FaultRecord> {
    let processor: String = value(row, 2, "faults.processor")?;
    let stage: String = value(row, 4, "faults.stage")?;
    Ok(FaultRecord {
        id: value(row, 0, "faults.fault_id")?,
        at: timestamp(row, 1, "faults.at")?,
        processor: ProcessorName::parse(&processor)
            .map_err(|error| damaged("faults.processor", error))?,
        revision: digest(row, 3, "faults.revision")?,
        stage: stage
            .parse::<Stage>()
            .map_err(|error| damaged("faults.stage", error))?,
        entity_ref: entity_ref(row, 5, "faults.entity_ref")?,
        fault: value(row, 6, "faults.fault")?,
        message: value(row, 7, "faults.message")?,
        fuel: unsigned(row, 8, "faults.fuel")?,
        peak_memory_bytes: unsigned(row, 9, "faults.peak_memory_bytes")?,
        cpu_us: unsigned(row, 10, "faults.cpu_us")?,
        backtrace: value(row, 11, "faults.backtrace")?,
        log: value(row, 12, "faults.log")?,
        request: value(row, 13, "faults.request")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_model::{Clock, Digest, EntityRef, Timestamp};
    use greenroom_storage::Maintenance;
    use greenroom_storage::conformance::{HOSTILE_TEXT, processor_name};

    use crate::sqlite_storage::tests::{block_on, new_storage};

    fn fault(id: usize, processor: &str, at: Timestamp) -> FaultRecord {
        FaultRecord {
            id: id.to_string(),
            at,
            processor: processor_name(processor),
            revision: Digest::of("revision"),
            stage: Stage::PostProcess,
            entity_ref: EntityRef::parse("component:default/a").unwrap(),
            fault: "out-of-fuel".into(),
            message: HOSTILE_TEXT.into(),
            fuel: u64::MAX,
            peak_memory_bytes: 64 << 20,
            cpu_us: 5,
            backtrace: "[]".into(),
            log: HOSTILE_TEXT.into(),
            request: Some(HOSTILE_TEXT.into()),
        }
    }

    #[test]
    fn the_newest_hundred_of_each_processor_are_kept_for_thirty_days() {
        let (storage, clock, _directory) = new_storage();
        let (tenant, now) = (TenantId(1), clock.now());
        block_on(async {
            storage
                .write("insert", move |tx| {
                    for id in 0..130 {
                        insert_fault(tx, tenant, &fault(id, "p", now))?;
                    }
                    insert_fault(tx, tenant, &fault(0, "q", now))
                })
                .await
                .unwrap();
            let p = processor_name("p");
            let kept = storage.list_faults(tenant, &p, 1000).await.unwrap();
            assert_eq!(kept.len(), 100);
            assert_eq!((kept[0].id.as_str(), kept[99].id.as_str()), ("129", "30"));
            assert_eq!(kept[0].request, None);
            assert_eq!(kept[0].fuel, i64::MAX as u64);
            assert_eq!(storage.list_faults(tenant, &p, 3).await.unwrap().len(), 3);
            let found = storage
                .find_fault(tenant, &p, "129")
                .await
                .unwrap()
                .unwrap();
            assert_eq!(found.request.as_deref(), Some(HOSTILE_TEXT));
            assert_eq!(found.message, HOSTILE_TEXT);
            assert_eq!(found.stage, Stage::PostProcess);
            assert!(
                storage
                    .find_fault(tenant, &p, "29")
                    .await
                    .unwrap()
                    .is_none()
            );
            assert!(
                storage
                    .find_fault(TenantId(2), &p, "129")
                    .await
                    .unwrap()
                    .is_none()
            );
            assert_eq!(
                storage
                    .list_faults(tenant, &processor_name("q"), 9)
                    .await
                    .unwrap()
                    .len(),
                1
            );

            clock.advance(31 * 86_400_000);
            assert_eq!(storage.sweep().await.unwrap(), 101);
            assert!(storage.list_faults(tenant, &p, 9).await.unwrap().is_empty());
        });
    }
}
