//! Bounded waiting for a state. A pause between two looks is no synchronisation: the look decides, and the bound fails loudly.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Client;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Asks until the answer is `Some`, and returns it.
///
/// # Panics
/// When `limit` has passed; the message says what did not happen.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < limit,
            "{what}: not within {} s",
            limit.as_secs_f32()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until a tenant has no pending entity, nothing is yet to be stitched, and its read index shows all that is served, and
/// returns the processing state
/// of every entity, ordered by ref.
///
/// # Panics
/// When `limit` has passed.
pub async fn quiet(client: &Client, tenant: &str, limit: Duration) -> Vec<Value> {
    wait_until("processing is quiet", limit, async || {
        let pending = client
            .get(&format!(
                "/tenants/{tenant}/processing?status=pending&limit=1"
            ))
            .await
            .ok();
        if pending["items"] != serde_json::json!([]) {
            return None;
        }
        let states = client.processing(tenant).await;
        let served = states
            .iter()
            .filter(|state| state["served"] == true)
            .count();
        // A good run is served once it is stitched, which is another transaction.
        let settled = states.iter().all(|state| {
            let good = state["status"] == "ok" || state["status"] == "partial";
            state["status"] != "pending"
                && !state["lastRun"].is_null()
                && state["stitching"] == false
                && (state["served"] == true || !good)
        });
        (settled && client.count(tenant).await == served as u64).then_some(states)
    })
    .await
}
