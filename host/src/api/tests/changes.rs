//! The change feed: pages and streams tell the same, a cursor is good for its own log only, and a stream lives no longer
//! than what let it in.

use std::time::{Duration, Instant};

use axum::body::Body;
use greenroom_storage::{NewToken, Scope};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::host::{Host, ROUTER_TASKS, new_tenant};
use crate::api::token::new_token;

const CHANGES: &str = "/tenants/a/changes";
/// Within which a stream must have ended (h15).
const END_BOUND: Duration = Duration::from_secs(5);

fn component(name: &str) -> Value {
    json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}})
}

/// One event, as its fields.
#[derive(Debug, Default)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A stream being read.
struct Events {
    body: Body,
    text: String,
}

impl Events {
    fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((whole, rest)) = self.text.split_once("\n\n") {
                if whole == ":" {
                    self.text = rest.to_owned();
                    continue;
                }
                let mut event = Event::default();
                for line in whole.lines() {
                    match line.split_once(": ").unwrap() {
                        ("id", value) => event.id = value.to_owned(),
                        ("event", value) => event.name = value.to_owned(),
                        ("data", value) => event.data = value.to_owned(),
                        other => panic!("{other:?}"),
                    }
                }
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame()).await;
            let bytes = frame.expect("an event or an end")?.unwrap().into_data();
            self.text.push_str(str::from_utf8(&bytes.unwrap()).unwrap());
        }
    }

    /// The next change: `+ref` or `-ref`.
    async fn change(&mut self) -> String {
        let event = self.next().await.unwrap();
        assert_eq!(event.name, "", "{event:?}");
        said(&event.json())
    }

    /// Why the stream ends.
    async fn end(&mut self) -> String {
        let event = self.next().await.unwrap();
        assert_eq!(event.name, "end", "{event:?}");
        assert!(self.next().await.is_none());
        event.json()["reason"].as_str().unwrap().to_owned()
    }
}

fn said(change: &Value) -> String {
    let sign = match change["kind"].as_str().unwrap() {
        "upsert" => '+',
        "delete" => '-',
        other => panic!("{other}"),
    };
    format!("{sign}{}", change["entityRef"].as_str().unwrap())
}

fn stream_request(token: &str, path: &str, last: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.body(Body::empty()).unwrap()
}

async fn stream_as(host: &Host, token: &str, last: Option<&str>) -> Events {
    Events::of(host.begin(stream_request(token, CHANGES, last)).await)
}

async fn stream(host: &Host, last: Option<&str>) -> Events {
    stream_as(host, &host.operator, last).await
}

async fn page(host: &Host, query: &str) -> Value {
    let answer = host.call("GET", &format!("{CHANGES}{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn delete(host: &Host, uid: &Value) {
    let path = format!("/entities/by-uid/{}", uid.as_str().unwrap());
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn pages_begin_at_the_end_of_the_log_and_have_no_gap() {
    let host = Host::new().await;
    host.provide(&[component("old")]).await;
    let start = page(&host, "").await;
    assert_eq!(start, json!({"items": [], "next": "epoch-a:1"}));
    host.provide(&[component("x"), component("y"), component("z")])
        .await;
    let first = page(&host, "?cursor=epoch-a:1&limit=2").await;
    assert_eq!(first["next"], "epoch-a:3");
    let rest = page(&host, "?cursor=epoch-a:3&limit=2").await;
    assert_eq!(rest["next"], "epoch-a:4");
    let items = [&first["items"], &rest["items"]].map(|items| items.as_array().unwrap().clone());
    let items = items.concat();
    let numbers: Vec<_> = items.iter().map(|item| item["seq"].as_u64()).collect();
    assert_eq!(numbers, [Some(2), Some(3), Some(4)]);
    let mut refs: Vec<_> = items.iter().map(said).collect();
    refs.sort();
    assert_eq!(
        refs,
        [
            "+component:default/x",
            "+component:default/y",
            "+component:default/z"
        ]
    );
    let served = host.storage.scan_entities(host.tenant, None, 9).await;
    for served in served.unwrap() {
        let change = items.iter().find(|item| item["uid"] == served.uid.as_str());
        if served.entity_ref.to_string() != "component:default/old" {
            assert_eq!(change.unwrap()["etag"], served.etag.as_str());
        }
    }

    delete(&host, &items[0]["uid"]).await;
    let gone = page(&host, "?cursor=epoch-a:4").await;
    assert_eq!(gone["next"], "epoch-a:5");
    let gone = &gone["items"][0];
    assert_eq!(
        (&gone["kind"], &gone["etag"]),
        (&json!("delete"), &Value::Null)
    );
    assert_eq!(gone["entityRef"], items[0]["entityRef"]);
    assert_eq!(
        page(&host, "?cursor=epoch-a:5").await,
        json!({"items": [], "next": "epoch-a:5"})
    );
}

#[tokio::test]
async fn a_stream_tells_what_pages_tell_and_goes_on_where_it_was() {
    let host = Host::new().await;
    let mut live = stream(&host, None).await;
    let position = live.next().await.unwrap();
    assert_eq!((&*position.name, &*position.id), ("position", "epoch-a:0"));
    assert_eq!(position.json(), json!({"next": "epoch-a:0"}));
    host.provide(&[component("x")]).await;
    let first = live.next().await.unwrap();
    assert_eq!((&*first.name, &*first.id), ("", "epoch-a:1"));
    assert_eq!(
        first.json(),
        page(&host, "?cursor=epoch-a:0").await["items"][0]
    );
    drop(live);

    host.provide(&[component("y")]).await;
    delete(&host, &first.json()["uid"]).await;
    // What the client last saw counts more than the address it began with.
    let path = format!("{CHANGES}?cursor=epoch-a:0");
    let request = stream_request(&host.operator, &path, Some("epoch-a:1"));
    let mut again = Events::of(host.begin(request).await);
    assert_eq!(again.next().await.unwrap().id, "epoch-a:1");
    assert_eq!(again.change().await, "+component:default/y");
    assert_eq!(again.change().await, "-component:default/x");
    // An empty one is none, and then the address counts.
    let request = stream_request(&host.operator, &path, Some(""));
    let mut whole = Events::of(host.begin(request).await);
    assert_eq!(whole.next().await.unwrap().id, "epoch-a:0");
    assert_eq!(whole.change().await, "+component:default/x");

    let request = stream_request(&host.operator, &format!("{CHANGES}?limit=5"), None);
    let refused = host.send(request).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text.contains("limit is for pages"),
        "{}",
        refused.text
    );
    drop((again, whole));
    host.quiet().await;
}

#[tokio::test]
async fn h14_a_cursor_of_no_use_is_refused_with_what_to_do() {
    let host = Host::new().await;
    host.provide(&[component("x")]).await;
    host.clock.advance(8 * 86_400_000);
    host.provide(&[component("y")]).await;
    assert!(host.storage.sweep().await.unwrap() > 0);
    let long = "e".repeat(5_000);
    for (cursor, status, said) in [
        ("epoch-a:-1", 400, "malformed"),
        ("-1", 400, "malformed"),
        ("epoch-a:99999999999999999999", 400, "malformed"),
        ("%22;drop", 400, "malformed"),
        (long.as_str(), 400, "malformed"),
        ("epoch-a:3", 410, "ahead of the log"),
        ("epoch-a:18446744073709551615", 410, "ahead of the log"),
        ("epoch-b:0", 410, "another log"),
        ("no-such-epoch:1", 410, "another log"),
        ("epoch-a:0", 410, "no longer kept"),
    ] {
        let path = format!("{CHANGES}?cursor={cursor}");
        let paged = host.call("GET", &path, None).await;
        assert_eq!(paged.status, status, "{cursor}: {}", paged.text);
        let message = paged.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(said), "{message}");
        let start_over = message.contains("without a cursor, list the entities again");
        assert_eq!(start_over, status == 410, "{message}");
        let last = cursor.replace("%22", "\"");
        let request = stream_request(&host.operator, CHANGES, Some(&last));
        assert_eq!(host.send(request).await.status, status, "{cursor}");
    }
    // Control characters never reach a parser: no header holds them. Bytes that are no text do.
    let request = Request::get(CHANGES)
        .header("authorization", format!("Bearer {}", host.operator))
        .header("accept", "text/html;q=0.1, Text/Event-Stream;q=1")
        .header("last-event-id", &b"\xff\xfe"[..]);
    let answer = host.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn h14_streams_are_capped_for_a_tenant_and_in_total() {
    let host = Host::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(stream(&host, None).await);
    }
    let refused = host
        .send(stream_request(&host.operator, CHANGES, None))
        .await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "5");
    assert!(
        refused.text.contains("64 streams of this tenant"),
        "{}",
        refused.text
    );
    // Pages are still read, and other tenants still followed.
    page(&host, "").await;
    for number in 0..15 {
        let name = format!("t{number}");
        host.storage.create_tenant(new_tenant(&name)).await.unwrap();
        let path = format!("/tenants/{name}/changes");
        for _ in 0..64 {
            let request = stream_request(&host.operator, &path, None);
            open.push(Events::of(host.begin(request).await));
        }
    }
    let other = "/tenants/b/changes";
    let refused = host.send(stream_request(&host.operator, other, None)).await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.text.contains("as many streams are open"),
        "{}",
        refused.text
    );
    assert_eq!(open.len(), 1_024);
    // Whoever leaves makes room.
    open.clear();
    host.quiet().await;
    stream(&host, None).await;
}

#[tokio::test]
async fn h14_a_consumer_that_never_reads_is_closed_after_64_kib_and_comes_back_where_it_was() {
    let host = Host::new().await;
    let mut idle = stream(&host, None).await;
    let entities: Vec<_> = (0..600).map(|n| component(&format!("c{n}"))).collect();
    host.provide(&entities).await;
    // The stream ends though nobody reads: its task is gone, and its place with it.
    host.quiet().await;
    let (mut bytes, mut last, mut seen, mut reason) = (0, String::new(), 0, String::new());
    while let Some(event) = idle.next().await {
        bytes += event.data.len() + event.id.len();
        if event.name.is_empty() {
            seen += 1;
            last = event.id;
        } else if event.name == "end" {
            reason = event.json()["reason"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!(reason, "lagging");
    assert!((48 * 1024..65 * 1024).contains(&bytes), "{bytes}");
    // It missed nothing, and reading is all it takes to get everything.
    let mut again = stream(&host, Some(&last)).await;
    assert_eq!(again.next().await.unwrap().name, "position");
    for number in seen + 1..=600 {
        assert_eq!(again.next().await.unwrap().json()["seq"], number);
    }
}

#[tokio::test]
async fn h14_a_stream_whose_next_changes_are_trimmed_says_to_start_over() {
    let host = Host::new().await;
    let entities: Vec<_> = (0..600).map(|n| component(&format!("c{n}"))).collect();
    host.provide(&entities).await;
    // It has read the first part of the log and waits for its client when the rest goes.
    let mut slow = stream(&host, Some("epoch-a:0")).await;
    assert_eq!(slow.next().await.unwrap().name, "position");
    assert_eq!(slow.next().await.unwrap().id, "epoch-a:1");
    host.clock.advance(8 * 86_400_000);
    while host.storage.sweep().await.unwrap() > 0 {}
    let mut last = None;
    let reason = loop {
        let event = slow.next().await.unwrap();
        match event.name.as_str() {
            "end" => break event.json()["reason"].clone(),
            _ => last = Some(event.id),
        }
    };
    assert_eq!(reason, "start-over");
    let answer = host
        .send(stream_request(&host.operator, CHANGES, last.as_deref()))
        .await;
    assert_eq!(answer.status, 410, "{}", answer.text);
}

/// How long it takes until a stream has ended.
async fn time_to_end(events: &mut Events, reason: &str) {
    let started = Instant::now();
    assert_eq!(events.end().await, reason);
    assert!(started.elapsed() < END_BOUND, "{:?}", started.elapsed());
}

#[tokio::test]
async fn h15_a_stream_ends_when_its_token_is_revoked_or_expires() {
    let host = Host::new().await;
    // By another process, of which this one hears nothing.
    let token = host.token(Some(host.tenant), &[Scope::Read]).await;
    let mut events = stream_as(&host, &token, None).await;
    assert_eq!(events.next().await.unwrap().name, "position");
    let id = token.split('_').nth(1).unwrap();
    let revoked = host.storage.revoke_token(Some(host.tenant), id).await;
    assert!(revoked.unwrap());
    time_to_end(&mut events, "unauthorized").await;

    let made = new_token();
    let token = NewToken {
        id: made.id,
        tenant: Some(host.tenant),
        name: String::new(),
        secret_hash: made.secret_hash,
        scopes: vec![Scope::Read],
        not_before: None,
        expires_at: Some(greenroom_model::Clock::now(&*host.clock).plus_ms(1_000)),
    };
    host.storage.create_token(token).await.unwrap();
    let mut events = stream_as(&host, &made.text, None).await;
    assert_eq!(events.next().await.unwrap().name, "position");
    let mut other = stream(&host, None).await;
    assert_eq!(other.next().await.unwrap().name, "position");
    host.clock.advance(1_001);
    time_to_end(&mut events, "unauthorized").await;
    // Others are not touched.
    host.provide(&[component("x")]).await;
    assert_eq!(other.change().await, "+component:default/x");
}

#[tokio::test]
async fn h15_a_stream_ends_when_its_tenant_is_deleted() {
    let host = Host::new().await;
    let mut events = stream(&host, None).await;
    assert_eq!(events.next().await.unwrap().name, "position");
    // Also by another process.
    assert!(host.storage.delete_tenant(host.tenant).await.unwrap());
    time_to_end(&mut events, "tenant-gone").await;
    // This one may still know the name: there is no log of it any more.
    let answer = host.call("GET", CHANGES, None).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
}

#[tokio::test]
async fn streams_end_when_the_process_stops_and_leave_nothing_behind() {
    let host = Host::new().await;
    let mut events = stream(&host, None).await;
    assert_eq!(events.next().await.unwrap().name, "position");
    assert_eq!(host.lifecycle.tasks(), ROUTER_TASKS + 1);
    host.lifecycle.stop();
    time_to_end(&mut events, "stopping").await;
    assert_eq!(host.lifecycle.drain(END_BOUND).await, 0);
}
