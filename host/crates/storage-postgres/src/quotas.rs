//! Quotas and what is counted of a tenant, under its graph lock where something is added: what is read holds until it is.

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{
    Counted, CpuWindow, Lane, OverQuota, QuotaOverrides, QuotaRepository, Quotas, RunKind,
    StorageError, TenantUsage,
};
use tokio_postgres::Row;

use crate::damage::{from_json, optional_text, stored, timestamp, to_json, unsigned};
use crate::graph;
use crate::postgres_storage::PostgresStorage;
use crate::processors::pipeline_changed;
use crate::runs;
use crate::tenants::is_alive;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::work::enqueue_tenant;

const MINUTE_MS: i64 = 60_000;
/// The hour over which compiling is counted.
const HOUR_MINUTES: i64 = 60;

#[async_trait]
impl QuotaRepository for PostgresStorage {
    async fn quotas(&self, tenant: TenantId) -> Result<Quotas, StorageError> {
        let set = self.quota_overrides(tenant).await?;
        Ok(self.default_quotas().with(&set))
    }

    async fn quota_overrides(&self, tenant: TenantId) -> Result<QuotaOverrides, StorageError> {
        let set = self
            .read_one(
                "read a tenant's quotas",
                "SELECT overrides FROM tenant_quotas WHERE tenant_id = $1",
                &[&tenant.0],
                |row| overrides(row, 0),
            )
            .await?;
        Ok(set.unwrap_or_default())
    }

    async fn put_quota_overrides(
        &self,
        tenant: TenantId,
        set: QuotaOverrides,
    ) -> Result<(), StorageError> {
        let tx = self.begin("replace a tenant's quotas").await?;
        graph::lock(&tx, tenant).await?;
        if !is_alive(&tx, tenant).await? {
            return tx.roll_back().await;
        }
        put(&tx, tenant, &set).await?;
        tx.commit().await
    }

    async fn usage(&self, tenant: TenantId) -> Result<TenantUsage, StorageError> {
        let tx = self.snapshot("count what a tenant has").await?;
        let usage = usage(&tx, tenant).await?;
        tx.commit().await?;
        Ok(usage)
    }
}

fn overrides(row: &Row, index: usize) -> Result<QuotaOverrides, StorageError> {
    optional_text(row, index, "tenant_quotas.overrides")?.map_or_else(
        || Ok(QuotaOverrides::default()),
        |set| from_json(&set, "tenant_quotas.overrides"),
    )
}

/// The quotas of a tenant whose overrides are in a row.
pub(crate) fn of_row(tx: &Transaction, row: &Row, index: usize) -> Result<Quotas, StorageError> {
    Ok(tx.default_quotas().with(&overrides(row, index)?))
}

/// What a tenant may have, and what is counted of it all the time.
pub(crate) struct Standing {
    /// What it may have.
    pub(crate) quotas: Quotas,
    entities: u64,
    cpu: CpuWindow,
}

impl Standing {
    /// Why so many more entities have no room, if they have none.
    pub(crate) fn refuses_entities(&self, wanted: u64) -> Option<OverQuota> {
        let (used, limit) = (self.entities, self.quotas.entities);
        OverQuota::check(Counted::Entities, used, limit, wanted).err()
    }

    /// Takes room for one more entity, if there is any.
    pub(crate) fn take_entity(&mut self) -> Result<(), OverQuota> {
        if let Some(over) = self.refuses_entities(1) {
            return Err(over);
        }
        self.entities += 1;
        Ok(())
    }
}

/// How the tenant stands.
pub(crate) async fn standing(tx: &Transaction, tenant: TenantId) -> Result<Standing, StorageError> {
    let found = tx
        .one(
            "SELECT coalesce(u.entities, 0), coalesce(u.cpu_us, 0), coalesce(u.cpu_at, 0), q.overrides
             FROM (SELECT $1::bigint AS tenant_id) t
             LEFT JOIN tenant_usage u ON u.tenant_id = t.tenant_id
             LEFT JOIN tenant_quotas q ON q.tenant_id = t.tenant_id",
            &[&tenant.0],
            |row| {
                Ok(Standing {
                    entities: unsigned(row, 0, "tenant_usage.entities")?,
                    cpu: CpuWindow {
                        used_us: unsigned(row, 1, "tenant_usage.cpu_us")?,
                        at: timestamp(row, 2, "tenant_usage.cpu_at")?,
                    },
                    quotas: of_row(tx, row, 3)?,
                })
            },
        )
        .await?;
    Ok(found.unwrap_or_else(|| Standing {
        entities: 0,
        cpu: CpuWindow::default(),
        quotas: *tx.default_quotas(),
    }))
}

async fn put(tx: &Transaction, tenant: TenantId, set: &QuotaOverrides) -> Result<(), StorageError> {
    let before = standing(tx, tenant).await?.quotas;
    let json = to_json(tx.operation(), set)?;
    tx.run(
        "INSERT INTO tenant_quotas (tenant_id, overrides) VALUES ($1, $2)
         ON CONFLICT (tenant_id) DO UPDATE SET overrides = excluded.overrides",
        &[&tenant.0, &Text(&json)],
    )
    .await?;
    tx.run(
        "UPDATE tenant_usage SET cpu_until = 0 WHERE tenant_id = $1",
        &[&tenant.0],
    )
    .await?;
    let after = tx.default_quotas().with(set);
    if after.call_limits != before.call_limits {
        pipeline_changed(tx, tenant).await?;
    } else if after.entities > before.entities {
        enqueue_tenant(tx, tenant, Lane::Bulk).await?;
    }
    tx.run(
        "UPDATE tenant_lanes SET ready_at = $2 WHERE tenant_id = $1 AND NOT ready AND ready_at > $2",
        &[&tenant.0, &tx.now_ms()],
    )
    .await?;
    Ok(())
}

/// Why one more processor has no room, if it has none.
pub(crate) async fn refuses_processor(
    tx: &Transaction,
    tenant: TenantId,
) -> Result<Option<OverQuota>, StorageError> {
    let limit = standing(tx, tenant).await?.quotas.processors;
    let used = processors(tx, tenant).await?;
    Ok(OverQuota::check(Counted::Processors, used, limit, 1).err())
}

/// Why a component has no room beside those that are stored, if it has none.
pub(crate) async fn refuses_component(
    tx: &Transaction,
    tenant: TenantId,
    bytes: u64,
) -> Result<Option<OverQuota>, StorageError> {
    let limit = standing(tx, tenant).await?.quotas.component_bytes;
    let used = component_bytes(tx, tenant).await?;
    Ok(OverQuota::check(Counted::ComponentBytes, used, limit, bytes).err())
}

async fn processors(tx: &Transaction, tenant: TenantId) -> Result<u64, StorageError> {
    number(
        tx,
        "SELECT count(*) FROM processors WHERE tenant_id = $1",
        tenant,
    )
    .await
}

async fn component_bytes(tx: &Transaction, tenant: TenantId) -> Result<u64, StorageError> {
    number(
        tx,
        "SELECT coalesce(sum(bytes), 0)::bigint FROM blobs WHERE tenant_id = $1 AND engine = ''",
        tenant,
    )
    .await
}

async fn number(
    tx: &Transaction,
    sql: &'static str,
    tenant: TenantId,
) -> Result<u64, StorageError> {
    let number = tx
        .one(sql, &[&tenant.0], |row| unsigned(row, 0, "count"))
        .await?;
    Ok(number.unwrap_or(0))
}

/// Charges CPU time to a tenant's minute.
pub(crate) async fn charge(
    tx: &Transaction,
    tenant: TenantId,
    us: u64,
) -> Result<(), StorageError> {
    let standing = standing(tx, tenant).await?;
    let (now, per_minute) = (tx.now(), standing.quotas.cpu_us_per_minute());
    let window = standing.cpu.charged(now, us, per_minute);
    let until = window.room_at(now, per_minute).unwrap_or_default();
    tx.run(
        "INSERT INTO tenant_usage (tenant_id, cpu_us, cpu_at, cpu_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id) DO UPDATE SET cpu_us = excluded.cpu_us, cpu_at = excluded.cpu_at,
             cpu_until = excluded.cpu_until",
        &[&tenant.0, &stored(window.used_us), &window.at.0, &until.0],
    )
    .await?;
    Ok(())
}

async fn usage(tx: &Transaction, tenant: TenantId) -> Result<TenantUsage, StorageError> {
    let standing = standing(tx, tenant).await?;
    let compiled = tx
        .one(
            "SELECT coalesce(sum(cpu_ms), 0)::bigint FROM compilations WHERE tenant_id = $1 AND minute > $2",
            &[&tenant.0, &(tx.now_ms() / MINUTE_MS - HOUR_MINUTES)],
            |row| unsigned(row, 0, "compilations.cpu_ms"),
        )
        .await?;
    let waiting = runs::unfinished(tx, tenant, RunKind::InspectRevision).await?;
    let held_by_all = tx
        .one(
            "SELECT coalesce(sum(held), 0)::bigint FROM tenant_lanes WHERE held > 0",
            &[],
            |row| unsigned(row, 0, "tenant_lanes.held"),
        )
        .await?;
    let per_minute = standing.quotas.cpu_us_per_minute();
    Ok(TenantUsage {
        entities: standing.entities,
        processors: processors(tx, tenant).await?,
        component_bytes: component_bytes(tx, tenant).await?,
        most_revisions: number(
            tx,
            "SELECT count(*) FROM processor_revisions WHERE tenant_id = $1
             GROUP BY processor ORDER BY count(*) DESC LIMIT 1",
            tenant,
        )
        .await?,
        waiting_uploads: u64::try_from(waiting).unwrap_or(0),
        compile_ms: compiled.unwrap_or(0),
        cpu_us: standing.cpu.used(tx.now(), per_minute),
        held: number(
            tx,
            "SELECT coalesce(sum(held), 0)::bigint FROM tenant_lanes WHERE tenant_id = $1",
            tenant,
        )
        .await?,
        held_by_all: held_by_all.unwrap_or(0),
    })
}
