//! A look over all tenants for metrics: counts of whole tables, each in a read of its own, so that none holds a snapshot long.

use greenroom_storage::{
    FAULTS_KEPT, LaneFigures, Retention, StorageError, StorageFigures, TableFigures,
};
use rusqlite::Params;

use crate::damage::{unsigned, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;
use crate::work::read_lane;

/// A table that grows: its name, its count, the instant of its oldest row with the age at which rows go, and the most that one
/// holder has of it with how much is kept.
type Growing = (
    &'static str,
    &'static str,
    Option<(&'static str, i64)>,
    Option<(&'static str, u64)>,
);

const GROWING: &[Growing] = &[
    (
        "changes",
        "SELECT count(*) FROM changes",
        Some((
            "SELECT min((SELECT c.at FROM changes c WHERE c.tenant_id = s.tenant_id ORDER BY c.seq LIMIT 1)) FROM tenant_seq s",
            Retention::CHANGES_MS,
        )),
        Some((
            "SELECT max(s.seq + 1 - (SELECT c.seq FROM changes c WHERE c.tenant_id = s.tenant_id ORDER BY c.seq LIMIT 1))
             FROM tenant_seq s",
            Retention::CHANGES,
        )),
    ),
    (
        "faults",
        "SELECT count(*) FROM faults",
        Some(("SELECT min(at) FROM faults", Retention::FAULTS_MS)),
        Some((
            "SELECT max(n) FROM (SELECT count(*) AS n FROM faults GROUP BY tenant_id, processor)",
            FAULTS_KEPT.unsigned_abs(),
        )),
    ),
    (
        "runs",
        "SELECT count(*) FROM runs",
        Some(("SELECT min(created_at) FROM runs", Retention::RUNS_MS)),
        None,
    ),
    (
        "audit",
        "SELECT count(*) FROM audit",
        Some(("SELECT min(at) FROM audit", Retention::AUDIT_MS)),
        None,
    ),
    (
        "tokens",
        "SELECT count(*) FROM tokens",
        Some((
            "SELECT min(min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at))) FROM tokens",
            Retention::TOKENS_MS,
        )),
        None,
    ),
    (
        "reads",
        "SELECT count(*) FROM reads",
        None,
        Some((
            "SELECT max(n) FROM (SELECT sum(bytes) AS n FROM read_bodies GROUP BY tenant_id)",
            Retention::READ_BYTES,
        )),
    ),
    ("conflicts", "SELECT count(*) FROM conflicts", None, None),
    ("scheduled_tasks", "SELECT count(*) FROM scheduled_tasks", None, None),
    ("mutation_rows", "SELECT count(*) FROM mutation_rows", None, None),
    ("blobs", "SELECT count(*) FROM blobs", None, None),
    ("work", "SELECT count(*) FROM work", None, None),
    ("refresh_state", "SELECT count(*) FROM refresh_state", None, None),
    ("final_entities", "SELECT count(*) FROM final_entities", None, None),
    ("relations", "SELECT count(*) FROM relations", None, None),
];

impl SqliteStorage {
    /// The look.
    pub(crate) async fn look(&self) -> Result<StorageFigures, StorageError> {
        let now = self.now().0;
        let age = |at: i64| u64::try_from(now.saturating_sub(at)).unwrap_or(0);
        let mut tables = Vec::new();
        for (table, rows, oldest, largest) in GROWING {
            let age_ms = match oldest {
                None => None,
                Some((sql, _)) => self.number(sql, ()).await?.map(age),
            };
            let largest = match largest {
                None => None,
                Some((sql, limit)) => Some((self.count(sql, ()).await?, *limit)),
            };
            tables.push(TableFigures {
                table,
                rows: self.count(rows, ()).await?,
                age_ms,
                age_limit_ms: oldest.map(|(_, limit)| limit.unsigned_abs()),
                largest,
            });
        }
        let rows_of = |name: &str| {
            tables
                .iter()
                .find(|one| one.table == name)
                .map_or(0, |one| one.rows)
        };
        Ok(StorageFigures {
            kinds: self.kinds().await?,
            locations: self.count("SELECT count(*) FROM locations", ()).await?,
            relations: rows_of("relations"),
            stitches: self.count("SELECT count(*) FROM stitch_queue", ()).await?,
            lanes: self.lanes(now).await?,
            held: self
                .count("SELECT count(*) FROM work WHERE worker_id IS NOT NULL", ())
                .await?,
            waiting_runs: self
                .count("SELECT count(*) FROM runs WHERE state = 'queued'", ())
                .await?,
            dead_letters: self
                .count("SELECT count(*) FROM refresh_state WHERE dead_letter = 1", ())
                .await?,
            conflicts: rows_of("conflicts"),
            live_workers: self
                .count("SELECT count(*) FROM workers WHERE expires_at > ?1", [now])
                .await?,
            quarantined: self
                .count(
                    "SELECT count(*) FROM processors p JOIN activations a
                     ON a.tenant_id = p.tenant_id AND a.processor = p.name AND a.number =
                        (SELECT max(n.number) FROM activations n
                         WHERE n.tenant_id = p.tenant_id AND n.processor = p.name AND n.automatic = 0)
                     WHERE a.state = 'quarantined'",
                    (),
                )
                .await?,
            bytes: self
                .count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", ())
                .await?,
            tables,
        })
    }

    /// The number that a statement answers, if there is one.
    async fn number(
        &self,
        sql: &'static str,
        params: impl Params + Send + 'static,
    ) -> Result<Option<i64>, StorageError> {
        let number = self
            .read("look at the database", move |conn| {
                statement::one(conn, sql, params, |row| {
                    value::<Option<i64>>(row, 0, "count")
                })
            })
            .await?;
        Ok(number.flatten())
    }

    async fn count(
        &self,
        sql: &'static str,
        params: impl Params + Send + 'static,
    ) -> Result<u64, StorageError> {
        let number = self.number(sql, params).await?;
        Ok(number.map_or(0, |number| u64::try_from(number).unwrap_or(0)))
    }

    async fn kinds(&self) -> Result<Vec<(String, u64)>, StorageError> {
        self.read("count entities", |conn| {
            statement::all(
                conn,
                "SELECT substr(entity_ref, 1, instr(entity_ref, ':') - 1) AS kind, count(*) FROM final_entities
                 GROUP BY kind ORDER BY count(*) DESC, kind LIMIT 1000",
                (),
                |row| {
                    Ok((
                        value(row, 0, "final_entities.entity_ref")?,
                        unsigned(row, 1, "count")?,
                    ))
                },
            )
        })
        .await
    }

    async fn lanes(&self, now: i64) -> Result<Vec<LaneFigures>, StorageError> {
        self.read("look at the queue", move |conn| {
            statement::all(
                conn,
                "SELECT w.lane, count(*), min(w.due_at), cast(sum(l.mean_us) AS INTEGER) FROM work w
                 JOIN tenant_lanes l ON l.tenant_id = w.tenant_id AND l.lane = w.lane
                 WHERE w.worker_id IS NULL AND w.due_at <= ?1 GROUP BY w.lane ORDER BY w.lane",
                [now],
                |row| {
                    Ok(LaneFigures {
                        lane: read_lane(row, 0, "work.lane")?,
                        due: unsigned(row, 1, "count")?,
                        oldest_age_ms: u64::try_from(now - value::<i64>(row, 2, "work.due_at")?)
                            .unwrap_or(0),
                        drain_us: unsigned(row, 3, "tenant_lanes.mean_us")?,
                    })
                },
            )
        })
        .await
    }
}
