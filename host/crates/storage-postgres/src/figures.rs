//! A look over all tenants for metrics, each count in a statement of its own. Large tables are not counted: what the planner
//! believes of them is enough for a figure.

use greenroom_storage::{
    FAULTS_KEPT, LaneFigures, Retention, StorageError, StorageFigures, TableFigures,
};

use crate::damage::{text, unsigned, value};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;
use crate::transaction::Params;
use crate::work::read_lane;

const OPERATION: &str = "look at the database";

/// A table that grows: its name, its count as far as that goes, the instant of its oldest row with the age at which rows go, and
/// the most that one holder has of it with how much is kept.
type Growing = (
    &'static str,
    &'static str,
    Option<(&'static str, i64)>,
    Option<(&'static str, u64)>,
);

const GROWING: &[Growing] = &[
    (
        "changes",
        "SELECT count(*) FROM (SELECT 1 FROM changes LIMIT 10000) few",
        Some((
            "SELECT min(f.at) FROM tenant_seq s CROSS JOIN LATERAL
                 (SELECT c.at FROM changes c WHERE c.tenant_id = s.tenant_id ORDER BY c.seq LIMIT 1) f",
            Retention::CHANGES_MS,
        )),
        Some((
            "SELECT max(s.seq + 1 - f.seq) FROM tenant_seq s CROSS JOIN LATERAL
                 (SELECT c.seq FROM changes c WHERE c.tenant_id = s.tenant_id ORDER BY c.seq LIMIT 1) f",
            Retention::CHANGES,
        )),
    ),
    (
        "faults",
        "SELECT count(*) FROM (SELECT 1 FROM faults LIMIT 10000) few",
        Some(("SELECT min(at) FROM faults", Retention::FAULTS_MS)),
        Some((
            "SELECT max(n) FROM (SELECT count(*) AS n FROM faults GROUP BY tenant_id, processor) c",
            FAULTS_KEPT.unsigned_abs(),
        )),
    ),
    (
        "runs",
        "SELECT count(*) FROM (SELECT 1 FROM runs LIMIT 10000) few",
        Some(("SELECT min(created_at) FROM runs", Retention::RUNS_MS)),
        None,
    ),
    (
        "audit",
        "SELECT count(*) FROM (SELECT 1 FROM audit LIMIT 10000) few",
        Some(("SELECT min(at) FROM audit", Retention::AUDIT_MS)),
        None,
    ),
    (
        "tokens",
        "SELECT count(*) FROM (SELECT 1 FROM tokens LIMIT 10000) few",
        Some((
            "SELECT min(least(revoked_at, expires_at)) FROM tokens",
            Retention::TOKENS_MS,
        )),
        None,
    ),
    (
        "reads",
        "SELECT count(*) FROM (SELECT 1 FROM reads LIMIT 10000) few",
        None,
        Some((
            "SELECT max(n)::bigint FROM (SELECT sum(bytes) AS n FROM read_bodies GROUP BY tenant_id) c",
            Retention::READ_BYTES,
        )),
    ),
    (
        "conflicts",
        "SELECT count(*) FROM (SELECT 1 FROM conflicts LIMIT 10000) few",
        None,
        None,
    ),
    (
        "scheduled_tasks",
        "SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks LIMIT 10000) few",
        None,
        None,
    ),
    (
        "mutation_rows",
        "SELECT count(*) FROM (SELECT 1 FROM mutation_rows LIMIT 10000) few",
        None,
        None,
    ),
    (
        "blobs",
        "SELECT count(*) FROM (SELECT 1 FROM blobs LIMIT 10000) few",
        None,
        None,
    ),
    (
        "work",
        "SELECT count(*) FROM (SELECT 1 FROM work LIMIT 10000) few",
        None,
        None,
    ),
    (
        "refresh_state",
        "SELECT count(*) FROM (SELECT 1 FROM refresh_state LIMIT 10000) few",
        None,
        None,
    ),
    (
        "final_entities",
        "SELECT count(*) FROM (SELECT 1 FROM final_entities LIMIT 10000) few",
        None,
        None,
    ),
    (
        "relations",
        "SELECT count(*) FROM (SELECT 1 FROM relations LIMIT 10000) few",
        None,
        None,
    ),
];

/// Rows up to which a table is counted.
const COUNTED: u64 = 10_000;

impl PostgresStorage {
    /// The look.
    pub(crate) async fn look(&self) -> Result<StorageFigures, StorageError> {
        let tx = self.snapshot(OPERATION).await?;
        let now = tx.now_ms();
        tx.commit().await?;
        let age = |at: i64| u64::try_from(now.saturating_sub(at)).unwrap_or(0);
        let mut tables = Vec::new();
        for (table, few, oldest, largest) in GROWING {
            let age_ms = match oldest {
                None => None,
                Some((sql, _)) => self.figure(sql, &[]).await?.map(age),
            };
            let largest = match largest {
                None => None,
                Some((sql, limit)) => Some((self.figure_count(sql, &[]).await?, *limit)),
            };
            tables.push(TableFigures {
                table,
                rows: self.rows_of(table, few).await?,
                age_ms,
                age_limit_ms: oldest.map(|(_, limit)| limit.unsigned_abs()),
                largest,
            });
        }
        let rows_of = |name: &str| {
            let found = tables.iter().find(|one| one.table == name);
            found.map_or(0, |one| one.rows)
        };
        Ok(StorageFigures {
            kinds: self.kinds().await?,
            locations: self
                .rows_of(
                    "locations",
                    "SELECT count(*) FROM (SELECT 1 FROM locations LIMIT 10000) few",
                )
                .await?,
            relations: rows_of("relations"),
            stitches: self
                .rows_of(
                    "stitch_queue",
                    "SELECT count(*) FROM (SELECT 1 FROM stitch_queue LIMIT 10000) few",
                )
                .await?,
            lanes: self.lanes(now).await?,
            held: self
                .figure_count("SELECT count(*) FROM work WHERE worker_id IS NOT NULL", &[])
                .await?,
            waiting_runs: self
                .figure_count("SELECT count(*) FROM runs WHERE state = 'queued'", &[])
                .await?,
            dead_letters: self
                .figure_count("SELECT count(*) FROM refresh_state WHERE dead_letter", &[])
                .await?,
            conflicts: rows_of("conflicts"),
            live_workers: self
                .figure_count("SELECT count(*) FROM workers WHERE expires_at > $1", &[&now])
                .await?,
            quarantined: self
                .figure_count(
                    "SELECT count(*) FROM processors p CROSS JOIN LATERAL
                         (SELECT state FROM activations a
                          WHERE a.tenant_id = p.tenant_id AND a.processor = p.name AND NOT a.automatic
                          ORDER BY a.number DESC LIMIT 1) l
                     WHERE l.state = 'quarantined'",
                    &[],
                )
                .await?,
            bytes: self
                .figure_count("SELECT pg_database_size(current_database())", &[])
                .await?,
            tables,
        })
    }

    /// The number that a statement answers, if there is one.
    async fn figure(&self, sql: &str, params: Params<'_>) -> Result<Option<i64>, StorageError> {
        let read = |row: &_| value::<Option<i64>>(row, 0, "count");
        let number = self.read_one(OPERATION, sql, params, read).await?;
        Ok(number.flatten())
    }

    async fn figure_count(&self, sql: &str, params: Params<'_>) -> Result<u64, StorageError> {
        let number = self.figure(sql, params).await?;
        Ok(number.map_or(0, |number| u64::try_from(number).unwrap_or(0)))
    }

    /// The rows of a table: as far as `few` counts, then what the planner believes.
    async fn rows_of(&self, table: &str, few: &str) -> Result<u64, StorageError> {
        let few = self.figure_count(few, &[]).await?;
        if few < COUNTED {
            return Ok(few);
        }
        let believed = self
            .figure_count(
                "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass($1)",
                &[&Text(table)],
            )
            .await?;
        Ok(few.max(believed))
    }

    async fn kinds(&self) -> Result<Vec<(String, u64)>, StorageError> {
        let sql = "SELECT split_part(entity_ref, ':', 1), count(*) FROM final_entities
                   GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1000";
        self.read_all(OPERATION, sql, &[], |row| {
            Ok((
                text(row, 0, "final_entities.entity_ref")?,
                unsigned(row, 1, "count")?,
            ))
        })
        .await
    }

    async fn lanes(&self, now: i64) -> Result<Vec<LaneFigures>, StorageError> {
        let sql = "SELECT w.lane, count(*), min(w.due_at), sum(l.mean_us)::bigint FROM work w
                   JOIN tenant_lanes l ON l.tenant_id = w.tenant_id AND l.lane = w.lane
                   WHERE w.worker_id IS NULL AND w.due_at <= $1 GROUP BY w.lane ORDER BY w.lane";
        self.read_all(OPERATION, sql, &[&now], |row| {
            let due_at: i64 = value(row, 2, "work.due_at")?;
            Ok(LaneFigures {
                lane: read_lane(row, 0, "work.lane")?,
                due: unsigned(row, 1, "count")?,
                oldest_age_ms: u64::try_from(now - due_at).unwrap_or(0),
                drain_us: unsigned(row, 3, "tenant_lanes.mean_us")?,
            })
        })
        .await
    }
}
