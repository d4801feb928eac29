//! Recurring tasks.
#![expect(clippy::unwrap_used, reason = "a test suite: an error is a failure")]

use super::TestClock;
use super::queue::worker;
use crate::{ScheduledTask, Storage, TaskAnswer, TaskSettings};
use greenroom_model::Clock;

const SETTINGS: TaskSettings = TaskSettings {
    cadence_ms: 5_000,
    initial_delay_ms: 1_000,
    timeout_ms: 4_000,
};

async fn only(storage: &dyn Storage) -> ScheduledTask {
    let mut tasks = storage.list_tasks().await.unwrap();
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

/// Claims as a living worker.
async fn claim(storage: &dyn Storage, name: &str, ticket: &str) -> bool {
    let worker = worker(name);
    storage.renew_lease(&worker).await.unwrap();
    storage.claim_task("t", &worker, ticket).await.unwrap()
}

/// Due after its delay, then a cadence after it was due, or now if that has passed; one runner at a time.
pub async fn a_task_is_run_by_one_worker_at_its_times(storage: &dyn Storage, clock: &TestClock) {
    storage.keep_task("t", SETTINGS).await.unwrap();
    storage.keep_task("t", SETTINGS).await.unwrap();
    let due = clock.now().plus_ms(1_000);
    let task = only(storage).await;
    assert_eq!((task.id.as_str(), task.settings), ("t", SETTINGS));
    assert_eq!(
        (task.next_run, task.running, task.last_ended),
        (due, None, None)
    );
    assert!(!claim(storage, "a", "1").await, "not due");
    clock.advance(1_000);
    assert!(claim(storage, "a", "1").await);
    assert!(!claim(storage, "b", "2").await, "it runs");
    let running = only(storage).await.running.unwrap();
    assert_eq!(running.started_at, due);
    assert_eq!(running.times_out_at, due.plus_ms(4_000));
    assert!(storage.holds_task("t", "1").await.unwrap());
    assert!(!storage.holds_task("t", "2").await.unwrap());

    clock.advance(500);
    assert!(!storage.finish_task("t", "2", None).await.unwrap());
    assert!(
        storage
            .finish_task("t", "1", Some("it broke"))
            .await
            .unwrap()
    );
    assert!(!storage.finish_task("t", "1", None).await.unwrap());
    let task = only(storage).await;
    assert_eq!(task.next_run, due.plus_ms(5_000), "not from its end");
    assert_eq!((task.running, task.last_ended), (None, Some(clock.now())));
    assert_eq!(task.last_error.as_deref(), Some("it broke"));

    clock.advance(60_000);
    assert!(claim(storage, "b", "3").await);
    assert!(storage.finish_task("t", "3", None).await.unwrap());
    let task = only(storage).await;
    assert_eq!(
        (task.next_run, task.last_error),
        (clock.now(), None),
        "missed runs are not made up for"
    );
    assert!(!storage.claim_task("none", &worker("b"), "4").await.unwrap());
}

/// What a worker held when it died, or held for too long, is taken by the next.
pub async fn a_run_ends_with_its_time_or_its_worker(storage: &dyn Storage, clock: &TestClock) {
    storage.keep_task("t", SETTINGS).await.unwrap();
    clock.advance(1_000);
    assert!(claim(storage, "a", "1").await);
    storage.expire_worker(&worker("a")).await.unwrap();
    assert_eq!(only(storage).await.running, None);
    assert!(!storage.holds_task("t", "1").await.unwrap());
    assert!(claim(storage, "b", "2").await, "it is due again at once");
    assert!(!storage.finish_task("t", "1", None).await.unwrap());

    clock.advance(4_000);
    storage.renew_lease(&worker("b")).await.unwrap();
    assert!(
        !storage.holds_task("t", "2").await.unwrap(),
        "its time is over"
    );
    assert!(claim(storage, "c", "3").await);
    let task = only(storage).await;
    assert_eq!(task.last_error.as_deref(), Some("Task timed out"));
    assert!(storage.finish_task("t", "3", None).await.unwrap());
    assert_eq!(only(storage).await.last_error, None);
}

/// Each is refused in the state it makes no sense in.
pub async fn a_task_is_triggered_and_cancelled(storage: &dyn Storage, clock: &TestClock) {
    for asked in [
        storage.trigger_task("t").await,
        storage.cancel_task("t").await,
    ] {
        assert_eq!(asked.unwrap(), TaskAnswer::Unknown);
    }
    storage.keep_task("t", SETTINGS).await.unwrap();
    assert_eq!(
        storage.cancel_task("t").await.unwrap(),
        TaskAnswer::WrongState
    );
    assert_eq!(storage.trigger_task("t").await.unwrap(), TaskAnswer::Done);
    assert_eq!(only(storage).await.next_run, clock.now());
    assert!(claim(storage, "a", "1").await);
    assert_eq!(
        storage.trigger_task("t").await.unwrap(),
        TaskAnswer::WrongState
    );
    assert_eq!(storage.cancel_task("t").await.unwrap(), TaskAnswer::Done);
    assert!(!storage.holds_task("t", "1").await.unwrap());
    let task = only(storage).await;
    assert_eq!((task.running, task.last_ended), (None, Some(clock.now())));
    assert_eq!(task.last_error.as_deref(), Some("Task was cancelled"));
    assert_eq!(task.next_run, clock.now().plus_ms(5_000));
}

/// A task that waits for a day does not wait for it when its cadence has become a minute.
pub async fn a_task_waits_no_longer_than_its_cadence(storage: &dyn Storage, clock: &TestClock) {
    let slow = TaskSettings {
        cadence_ms: 86_400_000,
        initial_delay_ms: 86_400_000,
        ..SETTINGS
    };
    storage.keep_task("t", slow).await.unwrap();
    storage.keep_task("t", SETTINGS).await.unwrap();
    let task = only(storage).await;
    assert_eq!(task.settings, SETTINGS);
    assert_eq!(task.next_run, clock.now().plus_ms(5_000));
    storage.keep_task("t", slow).await.unwrap();
    assert_eq!(only(storage).await.next_run, clock.now().plus_ms(5_000));
}
