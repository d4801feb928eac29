//! A forced refresh over HTTP: what its answer waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use greenroom_storage::{RunCalls, RunRecord, RunResult, Slots, WorkerId};
use serde_json::json;

use super::host::Host;

const REFRESH: &str = "/tenants/a/processing/component/default/x/refresh?wait=20";

/// Takes the one item that is due.
async fn claim(host: &Host) -> greenroom_storage::Claimed {
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    let mut claimed = host.storage.claim(&worker, 10, Slots::Any).await.unwrap();
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

/// A run that was under way when it was asked for is not the one that was asked for.
#[tokio::test]
async fn a_forced_refresh_is_answered_when_the_run_it_made_is_served() {
    let host = Host::new().await;
    let entity = json!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "x"}});
    host.queue(&[entity]).await;
    let under_way = claim(&host).await;
    let answered = AtomicBool::new(false);
    let refresh = async {
        let answer = host.call("POST", REFRESH, None).await;
        answered.store(true, Ordering::SeqCst);
        answer
    };
    let work = async {
        loop {
            let audit = host.call("GET", "/admin/audit?tenant=a", None).await;
            if audit.text.contains("force_refresh") {
                break;
            }
        }
        let record = RunRecord {
            result: RunResult::Succeeded(Box::new(host.as_it_is(&under_way))),
            claim: under_way.claim,
            faults: Vec::new(),
            cpu_us: 1,
            calls: RunCalls::default(),
        };
        host.clock.advance(10);
        host.storage.record(vec![record]).await.unwrap();
        // Longer than it takes to look again.
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!answered.load(Ordering::SeqCst), "its run is still to come");
        host.clock.advance(10);
        host.work().await;
    };
    let (answer, ()) = tokio::join!(refresh, work);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["served"], true);
}
