//! The storage's clock, which is the machine's, and what happens when that is set (s09).
//!
//! Leases and due times are instants. When somebody sets the clock an hour back, all of them are an hour away; an hour ahead, every
//! lease is over at once and what its worker holds is given to another. So before a transaction begins, the clock is compared with
//! how long the machine has run, which nobody sets. Who finds it set moves what is in the tables by as much, in a transaction of
//! its own; the row of `clock` tells the other processes that it was done. Another boot is no difference: how long the machine was
//! off is time that has passed.
//!
//! What has been, such as when something was created, stays as it was written. What was computed just before the clock was set and
//! is written just after is off by as much; that is one item.

use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::{Clock, Timestamp, Uptime};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tracing::warn;

use crate::damage::{bytes16, value};
use crate::statement;

/// Differences that are none: two clocks are never read at once, and small corrections need no other.
const TOLERANCE_MS: i64 = 1_000;

/// Moves the instants of what is to come.
const MOVED: &[&str] = &[
    "UPDATE workers SET expires_at = expires_at + ?1",
    "UPDATE tenant_lanes SET ready_at = ready_at + ?1 WHERE ready_at IS NOT NULL",
    "UPDATE work SET due_at = due_at + ?1, again_due = again_due + ?1",
    "UPDATE stitch_queue SET next_stitch_at = next_stitch_at + ?1",
    "UPDATE orphan_checks SET due_at = due_at + ?1",
    // The grace of those that are still to be looked at; by key, because entities are many and their rows are long.
    "UPDATE refresh_state SET orphaned_at = orphaned_at + ?1
     WHERE orphaned_at IS NOT NULL AND (tenant_id, entity_ref) IN (SELECT tenant_id, entity_ref FROM orphan_checks)",
    "UPDATE reads SET next_due = next_due + ?1",
    "UPDATE runs SET not_before = not_before + ?1 WHERE not_before > 0",
    "UPDATE scheduled_tasks SET next_run = next_run + ?1, expires_at = expires_at + ?1",
    "UPDATE activations SET ends_at = ends_at + ?1 WHERE state = 'canary'",
    "UPDATE mutations SET stepped_at = stepped_at + ?1",
    "UPDATE tenant_usage SET cpu_at = cpu_at + ?1 WHERE cpu_at > 0",
    "UPDATE tenant_usage SET cpu_until = cpu_until + ?1 WHERE cpu_until > 0",
    // -1 is no instant: such a version was replaced.
    "UPDATE blob_staging SET staged_at = staged_at + ?1 WHERE staged_at >= 0",
];

/// In which boot, and how far the clock is ahead of how long the machine has run.
type Ahead = ([u8; 16], i64);

/// The clock of a storage.
pub(crate) struct StorageClock {
    clock: Arc<dyn Clock>,
    /// What the tables go by.
    known: Mutex<Option<Ahead>>,
}

impl StorageClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            known: Mutex::new(None),
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets due times follow the clock, if it was set since this was last asked.
    pub(crate) fn follow(&self, conn: &Connection) -> rusqlite::Result<()> {
        let now = self.clock.now();
        let Some(Uptime { boot, ms }) = self.clock.uptime() else {
            return Ok(());
        };
        let ahead = (boot, now.0 - ms);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| !is_near(known, ahead)) {
            *known = Some(follow(conn, ahead)?);
        }
        Ok(())
    }
}

fn is_near(known: Ahead, ahead: Ahead) -> bool {
    known.0 == ahead.0 && (known.1 - ahead.1).abs() <= TOLERANCE_MS
}

/// Answers what the tables go by when it is done.
fn follow(conn: &Connection, ahead: Ahead) -> rusqlite::Result<Ahead> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let stored = statement::one(&tx, "SELECT boot, ahead_ms FROM clock", [], |row| {
        Ok((
            bytes16(row, 0, "clock.boot")?,
            value(row, 1, "clock.ahead_ms")?,
        ))
    })?;
    if let Some(stored) = stored
        && is_near(stored, ahead)
    {
        return Ok(stored);
    }
    if let Some(stored) = stored
        && stored.0 == ahead.0
    {
        let by = ahead.1 - stored.1;
        warn!(
            by_ms = by,
            "the clock of this machine was set; leases and due times follow it"
        );
        for moved in MOVED {
            statement::run(&tx, moved, params![by])?;
        }
    }
    statement::run(
        &tx,
        "INSERT INTO clock (one, boot, ahead_ms) VALUES (1, ?1, ?2)
         ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, ahead_ms = excluded.ahead_ms",
        params![ahead.0, ahead.1],
    )?;
    tx.commit()?;
    Ok(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::atomic::{AtomicI64, Ordering};

    use greenroom_storage::{Maintenance as _, WORKER_LEASE_MS, WorkerId, Workers as _};

    use crate::SqliteStorage;
    use crate::sqlite_storage::tests::block_on;

    const HOUR_MS: i64 = 3_600_000;

    /// A machine whose clock is set.
    struct Machine {
        set: AtomicI64,
        boot: AtomicI64,
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp(1_767_225_600_000 + self.set.load(Ordering::SeqCst))
        }

        fn uptime(&self) -> Option<Uptime> {
            let boot = u8::try_from(self.boot.load(Ordering::SeqCst)).unwrap();
            Some(Uptime {
                boot: [boot; 16],
                ms: 5_000,
            })
        }
    }

    fn lease(storage: &SqliteStorage) -> i64 {
        let read = storage.read("read", |conn| {
            conn.query_row("SELECT expires_at FROM workers", [], |row| row.get(0))
        });
        block_on(read).unwrap()
    }

    #[test]
    fn s09_leases_and_due_times_follow_a_clock_that_is_set_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let machine = Arc::new(Machine {
            set: AtomicI64::new(0),
            boot: AtomicI64::new(0),
        });
        let open = || SqliteStorage::open(&path, machine.clone()).unwrap();
        let (one, other) = (open(), open());
        block_on(one.renew_lease(&WorkerId("w".to_owned()))).unwrap();
        let left = || lease(&one) - machine.now().0;
        assert_eq!(left(), WORKER_LEASE_MS);
        for set in [HOUR_MS, -HOUR_MS, 0] {
            machine.set.store(set, Ordering::SeqCst);
            // Both processes see it; neither frees what is held.
            assert_eq!(
                block_on(other.expire_worker(&WorkerId("nobody".to_owned()))).unwrap(),
                0
            );
            assert_eq!(
                block_on(one.expire_worker(&WorkerId("nobody".to_owned()))).unwrap(),
                0
            );
            assert_eq!(left(), WORKER_LEASE_MS, "set by {set}");
            assert_eq!(one.time(), machine.now());
        }
        // The machine was off for an hour: that is time that has passed.
        machine.set.store(HOUR_MS, Ordering::SeqCst);
        machine.boot.store(1, Ordering::SeqCst);
        block_on(one.expire_worker(&WorkerId("nobody".to_owned()))).unwrap();
        assert_eq!(left(), WORKER_LEASE_MS - HOUR_MS);
    }

    #[test]
    fn s09_every_instant_that_is_to_come_is_moved() {
        let (storage, _clock, _directory) = crate::sqlite_storage::tests::new_storage();
        let moved = storage.on_writer("move", |conn| {
            let moved = MOVED
                .iter()
                .try_for_each(|sql| statement::run(conn, sql, params![HOUR_MS]).map(|_| ()));
            (moved, false)
        });
        block_on(moved).unwrap();
    }
}
