//! Quotas and what is counted of a tenant, in the transaction that asks: one writer at a time, so what is read holds.

use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{
    Counted, CpuWindow, Lane, OverQuota, QuotaOverrides, QuotaRepository, Quotas, RunKind,
    StorageError, TenantUsage,
};
use rusqlite::{Connection, params};

use crate::SqliteStorage;
use crate::damage::{from_json, stored, timestamp, to_json, unsigned, value};
use crate::inspections;
use crate::processors::pipeline_changed;
use crate::statement;
use crate::tenants::is_alive;
use crate::work::enqueue_tenant;
use crate::writer::WriteTx;

/// The hour over which compiling is counted.
const HOUR_MINUTES: i64 = 60;

#[async_trait]
impl QuotaRepository for SqliteStorage {
    async fn quotas(&self, tenant: TenantId) -> Result<Quotas, StorageError> {
        let set = self.quota_overrides(tenant).await?;
        Ok(self.default_quotas().with(&set))
    }

    async fn quota_overrides(&self, tenant: TenantId) -> Result<QuotaOverrides, StorageError> {
        self.read("read a tenant's quotas", move |conn| {
            overrides(conn, tenant)
        })
        .await
    }

    async fn put_quota_overrides(
        &self,
        tenant: TenantId,
        set: QuotaOverrides,
    ) -> Result<(), StorageError> {
        self.write("replace a tenant's quotas", move |tx| put(tx, tenant, &set))
            .await
    }

    async fn usage(&self, tenant: TenantId) -> Result<TenantUsage, StorageError> {
        let (now, defaults) = (self.now(), self.default_quotas());
        self.read("count what a tenant has", move |conn| {
            let quotas = defaults.with(&overrides(conn, tenant)?);
            usage(conn, tenant, now, &quotas)
        })
        .await
    }
}

fn overrides(conn: &Connection, tenant: TenantId) -> rusqlite::Result<QuotaOverrides> {
    let set: Option<String> = statement::one(
        conn,
        "SELECT overrides FROM tenant_quotas WHERE tenant_id = ?1",
        params![tenant.0],
        |row| value(row, 0, "tenant_quotas.overrides"),
    )?;
    set.map_or_else(
        || Ok(QuotaOverrides::default()),
        |set| from_json(&set, "tenant_quotas.overrides"),
    )
}

/// What the tenant may have.
pub(crate) fn of(tx: &WriteTx<'_>, tenant: TenantId) -> rusqlite::Result<Quotas> {
    Ok(tx.default_quotas().with(&overrides(tx, tenant)?))
}

fn put(tx: &mut WriteTx<'_>, tenant: TenantId, set: &QuotaOverrides) -> rusqlite::Result<()> {
    let before = of(tx, tenant)?;
    if !is_alive(tx, tenant)? {
        return Ok(());
    }
    tx.run(
        "INSERT INTO tenant_quotas (tenant_id, overrides) VALUES (?1, ?2)
         ON CONFLICT (tenant_id) DO UPDATE SET overrides = excluded.overrides",
        params![tenant.0, to_json(set)?],
    )?;
    tx.run(
        "UPDATE tenant_usage SET cpu_until = 0 WHERE tenant_id = ?1",
        params![tenant.0],
    )?;
    let now = tx.now_ms();
    tx.run(
        "UPDATE tenant_lanes SET ready_at = ?2 WHERE tenant_id = ?1 AND ready = 0 AND ready_at > ?2",
        params![tenant.0, now],
    )?;
    let after = of(tx, tenant)?;
    if after.call_limits != before.call_limits {
        pipeline_changed(tx, tenant)?;
    } else if after.entities > before.entities {
        enqueue_tenant(tx, tenant, Lane::Bulk)?;
    }
    Ok(())
}

fn entities(conn: &Connection, tenant: TenantId) -> rusqlite::Result<u64> {
    let count = statement::one(
        conn,
        "SELECT entities FROM tenant_usage WHERE tenant_id = ?1",
        params![tenant.0],
        |row| unsigned(row, 0, "tenant_usage.entities"),
    )?;
    Ok(count.unwrap_or(0))
}

/// Why so many more entities have no room, if they have none.
pub(crate) fn refuses_entities(
    conn: &Connection,
    defaults: &Quotas,
    tenant: TenantId,
    wanted: u64,
) -> rusqlite::Result<Option<OverQuota>> {
    let limit = defaults.with(&overrides(conn, tenant)?).entities;
    let used = entities(conn, tenant)?;
    Ok(OverQuota::check(Counted::Entities, used, limit, wanted).err())
}

/// Why one more entity has no room, if it has none.
pub(crate) fn refuses_entity(
    tx: &WriteTx<'_>,
    tenant: TenantId,
) -> rusqlite::Result<Option<OverQuota>> {
    refuses_entities(tx, tx.default_quotas(), tenant, 1)
}

/// Why one more processor has no room, if it has none.
pub(crate) fn refuses_processor(
    tx: &WriteTx<'_>,
    tenant: TenantId,
) -> rusqlite::Result<Option<OverQuota>> {
    let (used, limit) = (processors(tx, tenant)?, of(tx, tenant)?.processors);
    Ok(OverQuota::check(Counted::Processors, used, limit, 1).err())
}

/// Why a component has no room beside those that are stored, if it has none.
pub(crate) fn refuses_component(
    tx: &WriteTx<'_>,
    tenant: TenantId,
    bytes: u64,
) -> rusqlite::Result<Option<OverQuota>> {
    let (used, limit) = (
        component_bytes(tx, tenant)?,
        of(tx, tenant)?.component_bytes,
    );
    Ok(OverQuota::check(Counted::ComponentBytes, used, limit, bytes).err())
}

fn processors(conn: &Connection, tenant: TenantId) -> rusqlite::Result<u64> {
    number(
        conn,
        "SELECT count(*) FROM processors WHERE tenant_id = ?1",
        tenant,
    )
}

fn component_bytes(conn: &Connection, tenant: TenantId) -> rusqlite::Result<u64> {
    number(
        conn,
        "SELECT coalesce(sum(bytes), 0) FROM blobs WHERE tenant_id = ?1 AND engine = ''",
        tenant,
    )
}

fn number(conn: &Connection, sql: &'static str, tenant: TenantId) -> rusqlite::Result<u64> {
    let number = statement::one(conn, sql, params![tenant.0], |row| {
        unsigned(row, 0, "count")
    })?;
    Ok(number.unwrap_or(0))
}

fn window(conn: &Connection, tenant: TenantId) -> rusqlite::Result<CpuWindow> {
    let window = statement::one(
        conn,
        "SELECT cpu_us, cpu_at FROM tenant_usage WHERE tenant_id = ?1",
        params![tenant.0],
        |row| {
            Ok(CpuWindow {
                used_us: unsigned(row, 0, "tenant_usage.cpu_us")?,
                at: timestamp(row, 1, "tenant_usage.cpu_at")?,
            })
        },
    )?;
    Ok(window.unwrap_or_default())
}

/// Charges CPU time to a tenant's minute.
pub(crate) fn charge(tx: &mut WriteTx<'_>, tenant: TenantId, us: u64) -> rusqlite::Result<()> {
    let (now, per_minute) = (tx.now(), of(tx, tenant)?.cpu_us_per_minute());
    let window = window(tx, tenant)?.charged(now, us, per_minute);
    let until = window.room_at(now, per_minute).unwrap_or_default();
    tx.run(
        "INSERT INTO tenant_usage (tenant_id, cpu_us, cpu_at, cpu_until) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant_id) DO UPDATE SET cpu_us = excluded.cpu_us, cpu_at = excluded.cpu_at,
             cpu_until = excluded.cpu_until",
        params![tenant.0, stored(window.used_us), window.at.0, until.0],
    )?;
    Ok(())
}

/// Puts the lanes aside of tenants whose minute has no room, until it has.
pub(crate) fn put_aside(tx: &mut WriteTx<'_>) -> rusqlite::Result<()> {
    let now = tx.now_ms();
    tx.run(
        "UPDATE tenant_lanes SET ready = 0, ready_at =
             (SELECT u.cpu_until FROM tenant_usage u WHERE u.tenant_id = tenant_lanes.tenant_id)
         WHERE +ready = 1 AND tenant_id IN
             (SELECT tenant_id FROM tenant_usage WHERE cpu_until > 0 AND cpu_until > ?1)",
        params![now],
    )?;
    Ok(())
}

fn usage(
    conn: &Connection,
    tenant: TenantId,
    now: Timestamp,
    quotas: &Quotas,
) -> rusqlite::Result<TenantUsage> {
    let compiled = statement::one(
        conn,
        "SELECT coalesce(sum(cpu_ms), 0) FROM compilations WHERE tenant_id = ?1 AND minute > ?2",
        params![tenant.0, now.0 / 60_000 - HOUR_MINUTES],
        |row| unsigned(row, 0, "compilations.cpu_ms"),
    )?;
    let held_by_all = statement::one(
        conn,
        "SELECT coalesce(sum(held), 0) FROM tenant_lanes WHERE held > 0",
        [],
        |row| unsigned(row, 0, "tenant_lanes.held"),
    )?;
    Ok(TenantUsage {
        entities: entities(conn, tenant)?,
        processors: processors(conn, tenant)?,
        component_bytes: component_bytes(conn, tenant)?,
        most_revisions: number(
            conn,
            "SELECT count(*) FROM processor_revisions WHERE tenant_id = ?1
             GROUP BY processor ORDER BY count(*) DESC LIMIT 1",
            tenant,
        )?,
        waiting_uploads: inspections::open(conn, tenant, RunKind::InspectRevision)?,
        compile_ms: compiled.unwrap_or(0),
        cpu_us: window(conn, tenant)?.used(now, quotas.cpu_us_per_minute()),
        held: number(
            conn,
            "SELECT coalesce(sum(held), 0) FROM tenant_lanes WHERE tenant_id = ?1",
            tenant,
        )?,
        held_by_all: held_by_all.unwrap_or(0),
    })
}
