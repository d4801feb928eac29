//! How a connection waits while another process writes.
//!
//! SQLite's lock is no queue: who waits for it looks again and again. By itself it does that after 1, 2, 5, 10, 15, 20 ms and
//! more, so that a write of 2 ms elsewhere can hold one up for 20. Transactions of ours take 1 to 3 ms, and looking costs
//! microseconds: looks are close, and become less so where the lock is held for long.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How long a connection waits for another process's transaction before it answers "busy".
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two looks in the first [`SOON`].
const SHORT: Duration = Duration::from_micros(250);
const SOON: Duration = Duration::from_millis(20);
/// The pause between two looks after that.
const LONG: Duration = Duration::from_millis(2);

thread_local! {
    /// When this thread began to wait. It waits with one connection at a time.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes the connection wait as said above.
pub(crate) fn wait_for_others(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait))
}

/// Waits for the next look; `false` when that is enough. `looks` is how many there were.
fn wait(looks: i32) -> bool {
    let now = Instant::now();
    let since = match (looks, SINCE.get()) {
        (1.., Some(since)) => since,
        _ => {
            SINCE.set(Some(now));
            now
        }
    };
    let waited = now - since;
    if waited >= BUSY_TIMEOUT {
        return false;
    }
    thread::sleep(if waited < SOON { SHORT } else { LONG });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_begins_anew_with_each_lock_and_ends_after_its_time() {
        assert!(wait(0));
        assert!(wait(1));
        let long_ago = Instant::now() - BUSY_TIMEOUT;
        SINCE.set(Some(long_ago));
        assert!(!wait(2));
        SINCE.set(Some(long_ago));
        assert!(wait(0), "another lock");
        assert!(wait(1));
    }

    #[test]
    fn a_lock_that_is_let_go_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let mut conn = Connection::open(dir.path().join("file")).unwrap();
            wait_for_others(&mut conn).unwrap();
            conn
        };
        let holder = open();
        holder
            .execute_batch("CREATE TABLE t (a); BEGIN IMMEDIATE")
            .unwrap();
        let letting_go = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            holder.execute_batch("COMMIT").unwrap();
        });
        open()
            .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1); COMMIT")
            .unwrap();
        letting_go.join().unwrap();
    }
}
