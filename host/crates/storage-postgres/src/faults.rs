//! Faults of processors: the newest of each are kept, with their requests, to be read and replayed.
//!
//! `number` rises within a processor in order of arrival and tells equal times apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use async_trait::async_trait;
use greenroom_model::{ProcessorName, Stage, TenantId};
use greenroom_storage::{
    FAULT_REQUEST_BYTES_KEPT, FAULTS_KEPT, FaultRecord, FaultRepository, StorageError,
};
use tokio_postgres::Row;

use crate::damage::{
    damaged, digest, entity_ref, optional_text, stored, text, timestamp, unsigned,
};
use crate::postgres_storage::PostgresStorage;
use crate::text::{Text, texts};
use crate::transaction::Transaction;

/// Bytes of requests that one statement writes, or one larger request alone: a statement has 5 s.
const WRITTEN_BYTES: usize = 8 << 20;

#[async_trait]
impl FaultRepository for PostgresStorage {
    async fn list_faults(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        limit: u32,
    ) -> Result<Vec<FaultRecord>, StorageError> {
        self.read_all(
            "list faults",
            "SELECT fault_id, at, processor, revision, stage, entity_ref, fault, message, fuel,
                    peak_memory_bytes, cpu_us, backtrace, log, NULL::text
             FROM faults WHERE tenant_id = $1 AND processor = $2 ORDER BY at DESC, number DESC LIMIT $3",
            &[&tenant.0, &Text(processor.as_str()), &i64::from(limit)],
            read_fault,
        )
        .await
    }

    async fn find_fault(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        id: &str,
    ) -> Result<Option<FaultRecord>, StorageError> {
        self.read_one(
            "find a fault",
            "SELECT fault_id, at, processor, revision, stage, entity_ref, fault, message, fuel,
                    peak_memory_bytes, cpu_us, backtrace, log, request
             FROM faults WHERE tenant_id = $1 AND processor = $2 AND fault_id = $3",
            &[&tenant.0, &Text(processor.as_str()), &Text(id)],
            read_fault,
        )
        .await
    }
}

/// Keeps faults of a batch of runs, oldest first, and drops their processors' oldest beyond what is kept. Under the tenant's
/// lock, which keeps the numbers apart.
pub(crate) async fn insert(
    tx: &Transaction,
    tenant: TenantId,
    faults: &[&FaultRecord],
) -> Result<(), StorageError> {
    if faults.is_empty() {
        return Ok(());
    }
    let kept = kept_requests(faults);
    for part in parts(faults, &kept) {
        insert_part(tx, tenant, &faults[part.clone()], &kept[part]).await?;
    }
    let processors: BTreeSet<&str> = faults.iter().map(|one| one.processor.as_str()).collect();
    let processors = texts(processors);
    tx.run(
        "DELETE FROM faults f USING
           (SELECT processor, fault_id, row_number() OVER (PARTITION BY processor ORDER BY at DESC, number DESC) AS place
            FROM faults WHERE tenant_id = $1 AND processor = ANY ($2::text[])) o
         WHERE f.tenant_id = $1 AND f.processor = o.processor AND f.fault_id = o.fault_id AND o.place > $3",
        &[&tenant.0, &processors, &FAULTS_KEPT],
    )
    .await?;
    tx.run(
        "UPDATE faults f SET request = NULL FROM
           (SELECT processor, fault_id,
                   sum(octet_length(request)) OVER (PARTITION BY processor ORDER BY at DESC, number DESC) AS bytes,
                   row_number() OVER (PARTITION BY processor ORDER BY at DESC, number DESC) AS place
            FROM faults WHERE tenant_id = $1 AND processor = ANY ($2::text[]) AND request IS NOT NULL) o
         WHERE f.tenant_id = $1 AND f.processor = o.processor AND f.fault_id = o.fault_id
           AND o.place > 1 AND o.bytes > $3",
        &[&tenant.0, &processors, &FAULT_REQUEST_BYTES_KEPT],
    )
    .await?;
    Ok(())
}

/// The request of each, but for those that newer ones of the batch push out: they are not written at all.
fn kept_requests<'a>(faults: &[&'a FaultRecord]) -> Vec<Option<Text<'a>>> {
    let mut bytes: BTreeMap<&ProcessorName, u64> = BTreeMap::new();
    let mut kept: Vec<_> = faults
        .iter()
        .rev()
        .map(|fault| {
            let request = fault.request.as_deref()?;
            let before = bytes.entry(&fault.processor).or_default();
            let first = *before == 0;
            *before += request.len() as u64;
            (first || stored(*before) <= FAULT_REQUEST_BYTES_KEPT).then_some(Text(request))
        })
        .collect();
    kept.reverse();
    kept
}

/// The batch in parts of so many bytes.
fn parts(faults: &[&FaultRecord], kept: &[Option<Text<'_>>]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (place, request) in kept.iter().enumerate() {
        let more = request.map_or(0, |request| request.0.len());
        if place > begin && bytes + more > WRITTEN_BYTES {
            parts.push(begin..place);
            (begin, bytes) = (place, 0);
        }
        bytes += more;
    }
    parts.push(begin..faults.len());
    parts
}

async fn insert_part(
    tx: &Transaction,
    tenant: TenantId,
    faults: &[&FaultRecord],
    requests: &[Option<Text<'_>>],
) -> Result<(), StorageError> {
    // One that came twice is there once, as it came last.
    let last: BTreeMap<_, usize> = faults
        .iter()
        .enumerate()
        .map(|(place, one)| ((&one.processor, &one.id), place))
        .collect();
    let places: BTreeSet<usize> = last.into_values().collect();
    let all = || {
        places
            .iter()
            .filter_map(|place| faults.get(*place).copied())
    };
    let at: Vec<i64> = all().map(|one| one.at.0).collect();
    let revisions: Vec<&[u8]> = all()
        .map(|one| one.revision.as_bytes().as_slice())
        .collect();
    let fuel: Vec<i64> = all().map(|one| stored(one.fuel)).collect();
    let memory: Vec<i64> = all().map(|one| stored(one.peak_memory_bytes)).collect();
    let cpu: Vec<i64> = all().map(|one| stored(one.cpu_us)).collect();
    let requests: Vec<Option<Text<'_>>> = places
        .iter()
        .filter_map(|place| requests.get(*place).copied())
        .collect();
    tx.run(
        "INSERT INTO faults (tenant_id, processor, fault_id, number, at, revision, stage, entity_ref, fault,
             message, fuel, peak_memory_bytes, cpu_us, backtrace, log, request)
         SELECT $1, n.processor, n.fault_id, n.place + coalesce((SELECT max(f.number) FROM faults f
                    WHERE f.tenant_id = $1 AND f.processor = n.processor), 0),
                n.at, n.revision, n.stage, n.entity_ref, n.fault, n.message, n.fuel, n.memory, n.cpu,
                n.backtrace, n.log, n.request
         FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[])
              WITH ORDINALITY AS n (processor, fault_id, at, revision, stage, entity_ref, fault, message, fuel,
                                    memory, cpu, backtrace, log, request, place)
         ON CONFLICT (tenant_id, processor, fault_id) DO UPDATE SET number = excluded.number, at = excluded.at,
             revision = excluded.revision, stage = excluded.stage, entity_ref = excluded.entity_ref,
             fault = excluded.fault, message = excluded.message, fuel = excluded.fuel,
             peak_memory_bytes = excluded.peak_memory_bytes, cpu_us = excluded.cpu_us,
             backtrace = excluded.backtrace, log = excluded.log, request = excluded.request",
        &[
            &tenant.0,
            &texts(all().map(|one| one.processor.as_str())),
            &texts(all().map(|one| one.id.as_str())),
            &at,
            &revisions,
            &texts(all().map(|one| one.stage.as_str())),
            &texts(all().map(|one| one.entity_ref.as_str())),
            &texts(all().map(|one| one.fault.as_str())),
            &texts(all().map(|one| one.message.as_str())),
            &fuel,
            &memory,
            &cpu,
            &texts(all().map(|one| one.backtrace.as_str())),
            &texts(all().map(|one| one.log.as_str())),
            &requests,
        ],
    )
    .await?;
    Ok(())
}

fn read_fault(row: &Row) -> Result<FaultRecord, StorageError> {
    let processor = text(row, 2, "faults.processor")?;
    let stage = text(row, 4, "faults.stage")?;
    Ok(FaultRecord {
        id: text(row, 0, "faults.fault_id")?,
        at: timestamp(row, 1, "faults.at")?,
        processor: ProcessorName::parse(&processor)
            .map_err(|error| damaged("faults.processor", error))?,
        revision: digest(row, 3, "faults.revision")?,
        stage: stage
            .parse::<Stage>()
            .map_err(|error| damaged("faults.stage", error))?,
        entity_ref: entity_ref(row, 5, "faults.entity_ref")?,
        fault: text(row, 6, "faults.fault")?,
        message: text(row, 7, "faults.message")?,
        fuel: unsigned(row, 8, "faults.fuel")?,
        peak_memory_bytes: unsigned(row, 9, "faults.peak_memory_bytes")?,
        cpu_us: unsigned(row, 10, "faults.cpu_us")?,
        backtrace: text(row, 11, "faults.backtrace")?,
        log: text(row, 12, "faults.log")?,
        request: optional_text(row, 13, "faults.request")?,
    })
}
