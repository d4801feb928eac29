//! Proves the life of the processes (DESIGN §8): a worker that runs alone says that it claims and shows what it counts; one that
//! crashes again and again leaves the API ready and is seen; a soft stop under load fails no request and loses nothing; and
//! what caches hold goes without being touched.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use greenroom_test_support::{Client, TestHost, binary, kill_hard, quiet, stop_softly, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const TENANT: &str = "default";
/// On a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// How long a stop may take.
const STOP: Duration = Duration::from_secs(10);
const LIVENESS: &str = "/.backstage/health/v1/liveness";
const READINESS: &str = "/.backstage/health/v1/readiness";

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

/// `greenroom worker` on the data of a host without workers.
struct Alone {
    child: Child,
    operations: Client,
}

impl Alone {
    fn start(host: &TestHost) -> Alone {
        let mut child = Command::new(binary())
            .env("RUST_BACKTRACE", "0")
            .args(["worker", "--metrics-listen", "127.0.0.1:0", "--data-dir"])
            .arg(host.data_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a worker");
        let mut said = String::new();
        let output = child.stdout.take().expect("its output");
        let mut output = BufReader::new(output);
        output.read_line(&mut said).expect("a line");
        let address = said.strip_prefix("metrics: ").expect("the address");
        let address = address.trim().trim_end_matches("/metrics").to_owned();
        Alone {
            child,
            operations: Client::new(&address, None),
        }
    }

    async fn figure(&self, series: &str) -> u64 {
        let text = self.operations.get("/metrics").await;
        assert_eq!(text.status, 200);
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.body.lines().find_map(of).unwrap_or(0)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_alone_says_that_it_claims_and_shows_what_it_counts() {
    let host = TestHost::builder().workers(0).start().await;
    let mut worker = Alone::start(&host);
    wait_until("the worker claims", BOUND, async || {
        (worker.operations.get(READINESS).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(worker.operations.get(LIVENESS).await.status, 200);
    let entities = (0..20).map(|number| component(&format!("c{number}")));
    host.client().push(TENANT, "p", entities).await.ok();
    quiet(host.client(), TENANT, BOUND).await;
    let changed = "catalog_processed_entities_count_total{result=\"changed\"}";
    assert_eq!(worker.figure(changed).await, 20);
    let calls = "greenroom_processor_calls_total{tenant=\"default\",processor=\"builtin-kinds\",outcome=\"answered\"}";
    assert!(worker.figure(calls).await >= 20);
    // The API knows the worker from the database only, and shows what the database says.
    wait_until("the API shows the worker", BOUND, async || {
        (host.metric("greenroom_live_workers").await == 1).then_some(())
    })
    .await;
    wait_until("the API shows the entities", BOUND, async || {
        let components = "catalog_entities_count{kind=\"component\"}";
        (host.metric(components).await == 20).then_some(())
    })
    .await;
    assert_eq!(host.metric("greenroom_workers_running").await, 0);

    stop_softly(worker.child.id());
    let asked = Instant::now();
    let status = wait_until("the worker ends", STOP, async || {
        worker.child.try_wait().expect("look at the worker")
    })
    .await;
    assert!(status.success(), "{status} after {:?}", asked.elapsed());

    // What the API remembers of a token that there is not goes, although nobody asks for it again.
    let held = async || host.metric("greenroom_cache_bytes{cache=\"tokens\"}").await;
    let before = held().await;
    let stranger = host
        .client()
        .with_token(Some(&format!("gr_12345678_{}", "0".repeat(64))));
    assert_eq!(stranger.get("/tenants/default/usage").await.status, 401);
    assert!(held().await > before);
    wait_until("the stranger is forgotten", BOUND, async || {
        (held().await <= before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s11_a_worker_that_crashes_again_and_again_leaves_the_api_ready_and_is_seen() {
    const CRASHES: u64 = 5;
    let host = TestHost::builder().start().await;
    let anonymous = Client::new(host.origin(), None);
    let mut longest = 0.0;
    let mut last = None;
    for crash in 1..=CRASHES {
        let worker = wait_until("a worker runs", BOUND, async || {
            host.workers().into_iter().find(|pid| Some(*pid) != last)
        })
        .await;
        kill_hard(worker);
        last = Some(worker);
        wait_until("the crash is in the body", BOUND, async || {
            // Never anything but ready: a catalog that is not kept current is still served.
            let ready = anonymous.get(READINESS).await.ok();
            assert_eq!(anonymous.get(LIVENESS).await.status, 200);
            let workers = &ready["workers"];
            if let Some(backoff) = workers["backoffSeconds"].as_f64() {
                longest = backoff.max(longest);
            }
            let seen = workers["restarts"].as_u64() >= Some(crash);
            assert!(!seen || workers["lastEnd"] == "died", "{ready}");
            seen.then_some(())
        })
        .await;
    }
    assert!(longest >= 0.8, "the wait doubles: {longest} s");
    let restarts = "greenroom_worker_restarts_total{reason=\"died\"}";
    assert_eq!(host.metric(restarts).await, CRASHES);
    // Left alone, the next one works.
    host.client().push(TENANT, "p", [component("a")]).await.ok();
    quiet(host.client(), TENANT, BOUND).await;
    let ready = anonymous.get(READINESS).await.ok();
    assert_eq!(ready["workers"]["running"], 1, "{ready}");
}

/// What clients saw until readiness said no.
#[derive(Default)]
struct Load {
    told: AtomicBool,
    asked: AtomicU64,
    added: AtomicU64,
    failed: std::sync::Mutex<Vec<String>>,
}

impl Load {
    /// Asks and adds until the load balancer knows of the stop.
    async fn keep_asking(self: Arc<Self>, client: Client, number: usize) {
        for round in 0_u64.. {
            if self.told.load(Ordering::SeqCst) {
                return;
            }
            let (method, path, body) = match round % 3 {
                0 => {
                    let entity = component(&format!("n{number}-{round}"));
                    let lines = format!(
                        "{}\n{}\n",
                        json!({"add": {"entity": entity}}),
                        json!({"commit": {"count": 1}})
                    );
                    let path =
                        format!("/tenants/{TENANT}/providers/p{number}/mutations?type=delta");
                    let body = ("application/x-ndjson", lines.into_bytes());
                    (Method::POST, path, Some(body))
                }
                1 => {
                    let path = format!("/tenants/{TENANT}/api/catalog/entities/by-query?limit=5");
                    (Method::GET, path, None)
                }
                _ => {
                    let path = format!("/tenants/{TENANT}/api/catalog/entity-facets?facet=kind");
                    (Method::GET, path, None)
                }
            };
            let adds = method == Method::POST;
            self.asked.fetch_add(1, Ordering::SeqCst);
            match client.try_send(method, &path, body).await {
                Ok(reply) if reply.status == 200 => {
                    self.added.fetch_add(u64::from(adds), Ordering::SeqCst);
                }
                Ok(reply) => self.fail(format!("{path}: {} {}", reply.status, reply.body)),
                Err(error) => self.fail(format!("{path}: {error:?}")),
            }
        }
    }

    fn fail(&self, how: String) {
        self.failed.lock().expect("nobody panicked").push(how);
    }
}

/// A host that stops is told of for this long, with room, before it takes no more connections.
const TOLD_WITHIN: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_stop_under_load_fails_no_request_and_loses_nothing() {
    for _ in 0..5 {
        if a_soft_stop_under_load().await {
            return;
        }
        eprintln!("this machine was too busy to tell clients in time; once more");
    }
    panic!("clients were never told of the stop in time");
}

/// Whether clients were told of the stop in time. If not, their requests to a host that is gone say nothing.
async fn a_soft_stop_under_load() -> bool {
    const CLIENTS: usize = 6;
    const BACKLOG: usize = 1_500;
    let mut host = TestHost::builder().start().await;
    let entities = (0..BACKLOG).map(|number| component(&format!("c{number}")));
    host.client().push(TENANT, "bulk", entities).await.ok();
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            // A client of its own, so that none waits for another's connection.
            let client = Client::new(host.origin(), Some(host.token()));
            tokio::spawn(Arc::clone(&load).keep_asking(client, number))
        })
        .collect();
    wait_until("there is load", BOUND, async || {
        (load.asked.load(Ordering::SeqCst) > 30).then_some(())
    })
    .await;
    let operations = Client::new(host.operations(), None);
    stop_softly(host.pid());
    let asked = Instant::now();
    // The load balancer looks, sees, and sends no more.
    wait_until("readiness says no", STOP, async || {
        (operations.get(READINESS).await.status == 503).then_some(())
    })
    .await;
    load.told.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("a client ends");
    }
    let in_time = asked.elapsed() < TOLD_WITHIN;
    let status = host
        .wait_for_end(STOP.saturating_sub(asked.elapsed()))
        .await;
    assert!(status.success(), "{status}");
    if !in_time {
        return false;
    }
    let failed = std::mem::take(&mut *load.failed.lock().expect("nobody panicked"));
    assert!(failed.is_empty(), "{failed:#?}");

    host.start_again().await;
    let states = quiet(host.client(), TENANT, 2 * BOUND).await;
    let added = BACKLOG as u64 + load.added.load(Ordering::SeqCst);
    assert_eq!(states.len() as u64, added, "all that was accepted is there");
    let bad: Vec<&Value> = states.iter().filter(|one| one["status"] != "ok").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    true
}
