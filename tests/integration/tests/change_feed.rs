//! Proves that the change feed of a running host tells what its worker serves, that following loses nothing between two
//! streams, and that a stream never keeps a host from stopping.

#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::time::Duration;

use greenroom_test_support::{TestHost, stop_softly};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long anything here may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
const CHANGES: &str = "/tenants/default/changes";

/// A stream being read: its events as (id, name, data).
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(host: &TestHost, last: Option<&str>) -> Events {
        let mut request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(format!("{}{CHANGES}", host.origin()))
            .bearer_auth(host.token())
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Events {
            response,
            text: String::new(),
        }
    }

    /// The next event that is no comment; none at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            while let Some((whole, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let value = whole.lines().find_map(|line| line.strip_prefix(name));
                    value.unwrap_or_default().to_owned()
                };
                let event = (field("id: "), field("event: "), field("data: "));
                self.text = rest.to_owned();
                if !event.2.is_empty() {
                    return Some((event.0, event.1, serde_json::from_str(&event.2).unwrap()));
                }
            }
            let chunk = timeout(BOUND, self.response.chunk()).await;
            let chunk = chunk.expect("an event or an end").unwrap()?;
            self.text.push_str(str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next change of that entity, and its id.
    async fn change_of(&mut self, entity_ref: &str) -> (String, Value) {
        loop {
            let (id, name, data) = self.next().await.unwrap();
            assert!(name.is_empty() || name == "position", "{name}: {data}");
            if data["entityRef"] == entity_ref {
                return (id, data);
            }
        }
    }
}

fn component(name: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name, "annotations": {
            "backstage.io/managed-by-location": "url:https://h.test/a.yaml",
            "backstage.io/managed-by-origin-location": "url:https://h.test/a.yaml",
        }},
        "spec": {"type": "service", "lifecycle": "production", "owner": owner},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_the_worker_serves_and_ends_with_the_host() {
    let mut host = TestHost::builder().start().await;
    let client = host.client().clone();
    let mut events = Events::open(&host, None).await;
    client
        .push("default", "p", [component("a", "x")])
        .await
        .ok();
    let (id, created) = events.change_of("component:default/a").await;
    let served = client
        .entity("default", "component:default/a")
        .await
        .unwrap();
    assert_eq!(created["etag"], served["metadata"]["etag"]);
    assert_eq!(
        (&created["kind"], &created["uid"]),
        (&json!("upsert"), &served["metadata"]["uid"])
    );
    drop(events);

    // Nobody listens meanwhile, and nothing is missed.
    client
        .push("default", "p", [component("b", "x")])
        .await
        .ok();
    let uid = served["metadata"]["uid"].as_str().unwrap();
    let path = format!("/tenants/default/api/catalog/entities/by-uid/{uid}");
    client.delete(&path).await.ok();
    let mut events = Events::open(&host, Some(&id)).await;
    let mut gone = None;
    let mut born = None;
    while gone.is_none() || born.is_none() {
        let (id, _, data) = events.next().await.unwrap();
        match (data["entityRef"].as_str(), data["kind"].as_str()) {
            (Some("component:default/a"), Some("delete")) => gone = Some(id),
            (Some("component:default/b"), Some("upsert")) => born = Some(id),
            _ => {}
        }
    }
    let page = client.get(&format!("{CHANGES}?cursor={id}")).await.ok();
    let items = page["items"].as_array().unwrap();
    let first: u64 = id.rsplit(':').next().unwrap().parse().unwrap();
    for (seq, item) in (first + 1..).zip(items) {
        assert_eq!(item["seq"], seq);
    }

    stop_softly(host.pid());
    let last = loop {
        match events.next().await {
            Some((_, name, data)) if name == "end" => break data,
            Some(_) => {}
            None => panic!("the stream ended without a word"),
        }
    };
    assert_eq!(last["reason"], "stopping");
    assert!(host.wait_for_end(Duration::from_secs(10)).await.success());
}
