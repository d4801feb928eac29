//! Proves that a worker whose connections to Postgres are cut, again and again, loses no work and holds none for ever: a claim or
//! a record of which no answer came is given back.

use std::time::Duration;

use greenroom_test_support::{Backend, TestHost, quiet};
use serde_json::json;

/// Until everything is processed, on a busy machine.
const BOUND: Duration = Duration::from_secs(120);
const ENTITIES: u32 = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_no_work_and_leave_none_held() {
    if Backend::Postgres.skipped() {
        return;
    }
    let host = TestHost::builder().backend(Backend::Postgres).start().await;
    let entity = |number: u32| {
        let entity = json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {"name": format!("c{number}")},
            "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
        });
        json!({"add": {"entity": entity}})
    };
    let mut lines: Vec<_> = (0..ENTITIES).map(entity).collect();
    lines.push(json!({"commit": {"count": ENTITIES}}));
    let path = "/tenants/default/providers/p/mutations?type=full";
    host.client().ndjson(path, &lines).await.ok();
    // From the first claims to the last: whatever is under way is cut.
    for _ in 0..40 {
        host.cut_connections();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let states = quiet(host.client(), "default", BOUND).await;
    assert_eq!(states.len(), ENTITIES as usize);
    for state in states {
        assert_eq!(state["status"], "ok", "{state}");
        assert!(state["lane"].is_null(), "still queued: {state}");
    }
}
