//! Proves that a hostile tenant harms itself alone. While tenant `default` processes a catalog (the real ones where they are,
//! else the small one with their oddities) and entities of a provider, tenant `hostile` uploads the leaking, the
//! never-returning, the memory-eating and the panicking program and pushes entities at them. Its faults are recorded against
//! them; every entity of `default` is served; every probe and every query of `default` is answered; no process dies.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenroom_test_artifacts::{
    GROW_MEMORY_COMPONENT, LEAK_GLOBAL_COMPONENT, LOOP_FOREVER_COMPONENT, PANICS_COMPONENT,
};
use greenroom_test_support::{CatalogUnderTest, Client, TestHost, is_alive, quiet, wait_until};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long the catalog may take in all, beside the hostile tenant, on a busy machine.
const BOUND: Duration = Duration::from_secs(180);
/// How long one request of the honest tenant or one probe may take: a kubelet's patience is of this order.
const REQUEST_BOUND: Duration = Duration::from_secs(5);
/// Entities pushed at each program, and entities the honest tenant adds at the same time.
const HOSTILE_ENTITIES: usize = 40;
const HONEST_ENTITIES: usize = 60;

const PROBES: [&str; 3] = [
    "/.backstage/health/v1/liveness",
    "/.backstage/health/v1/readiness",
    "/.backstage/health/v1/startup",
];
const QUERY: &str = "/tenants/default/api/catalog/entities/by-query?filter=kind=component&limit=20";

/// A program, and the fault it must have; none for the leak, which must have no effect at all.
struct Attack {
    processor: &'static str,
    component: &'static str,
    fault: Option<&'static str>,
}

const ATTACKS: [Attack; 4] = [
    Attack {
        processor: "leak-global",
        component: LEAK_GLOBAL_COMPONENT,
        fault: None,
    },
    Attack {
        processor: "loop-forever",
        component: LOOP_FOREVER_COMPONENT,
        fault: Some("out-of-fuel"),
    },
    Attack {
        processor: "grow-memory",
        component: GROW_MEMORY_COMPONENT,
        fault: Some("memory-limit"),
    },
    Attack {
        processor: "panics",
        component: PANICS_COMPONENT,
        fault: Some("trap"),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tenant_harms_itself_alone() {
    let catalog = catalog();
    let host = TestHost::builder()
        .config_toml(catalog.config_toml())
        .start()
        .await;
    let operator = host.client();
    let workers = host.workers();
    let stop = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn(watch(operator.clone(), host.pid(), Arc::clone(&stop)));

    let hostile = enter(operator).await;
    for attack in &ATTACKS {
        upload(&hostile, attack).await;
    }
    for (wave, attack) in ATTACKS.iter().enumerate() {
        activate(&hostile, attack).await;
        let pushed = entities(attack.processor, HOSTILE_ENTITIES);
        hostile.push("hostile", attack.processor, pushed).await.ok();
        let provider = format!("wave-{wave}");
        let honest = entities(&provider, HONEST_ENTITIES);
        operator.push("default", &provider, honest).await.ok();

        let states = tried(&hostile, attack).await;
        match attack.fault {
            None => assert_served_with_an_empty_global(&states),
            Some(fault) => assert_faulted(&hostile, attack, fault, &states).await,
        }
        disable(&hostile, attack).await;
    }

    quiet(operator, "default", BOUND).await;
    assert_all_served(operator, &catalog).await;
    stop.store(true, Ordering::Relaxed);
    let (rounds, slowest) = watch.await.expect("every probe and query is answered");
    assert_eq!(host.workers(), workers, "no worker died");
    eprintln!("{rounds} rounds of probes and a query, the slowest request took {slowest:?}");
}

/// The real catalogs where they are, else the small one.
fn catalog() -> CatalogUnderTest {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = here.join("../../../shared/data");
    if real.is_dir() {
        CatalogUnderTest::read(
            &real.join("catalogs"),
            &real.join("expected/verdicts.jsonl"),
        )
    } else {
        eprintln!(
            "SKIPPED: the real catalogs are not here (../shared/data); the small one is used"
        );
        let small = here.join("fixtures/oddities");
        CatalogUnderTest::read(&small, &small.join("expected.jsonl"))
    }
}

/// Asks every probe, and a query as tenant `default`, until told to stop: the number of rounds and the slowest request.
async fn watch(operator: Client, api: u32, stop: Arc<AtomicBool>) -> (u64, Duration) {
    let anonymous = operator.with_token(None);
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        for (client, path) in PROBES
            .iter()
            .map(|probe| (&anonymous, *probe))
            .chain([(&operator, QUERY)])
        {
            let asked = Instant::now();
            let reply = timeout(REQUEST_BOUND, client.get(path)).await;
            reply
                .unwrap_or_else(|_| panic!("{path} is not answered within {REQUEST_BOUND:?}"))
                .ok();
            slowest = slowest.max(asked.elapsed());
        }
        assert!(is_alive(api), "the API's process ended");
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (rounds, slowest)
}

/// Creates the tenant; the client has its own token.
async fn enter(operator: &Client) -> Client {
    operator
        .post("/admin/tenants", &json!({"name": "hostile"}))
        .await
        .ok();
    let scopes = json!({"name": "hostile", "scopes": ["read", "write", "deploy"]});
    let token = operator
        .post("/admin/tenants/hostile/tokens", &scopes)
        .await;
    let hostile = operator.with_token(token.ok()["token"].as_str());
    assert_eq!(
        hostile.get(QUERY).await.status,
        403,
        "its token is for its own tenant"
    );
    hostile
}

async fn upload(hostile: &Client, attack: &Attack) {
    let processor = processor_path(attack);
    // Automatic quarantine would end an attack on the entities of the wave before; this is about what it costs others.
    let manual = json!({"quarantine": "manual"});
    hostile.put(&processor, &manual).await.ok();
    let bytes = std::fs::read(attack.component).expect("the program is built");
    let path = format!("{processor}/revisions?wait=60");
    let revision = hostile.upload(&path, bytes).await.ok();
    assert_eq!(revision["state"], "ready", "{revision}");
}

async fn activate(hostile: &Client, attack: &Attack) {
    let path = format!("{}/activate", processor_path(attack));
    hostile.post(&path, &json!({"revision": 1})).await.ok();
}

/// So that the next program is reached by the next entities.
async fn disable(hostile: &Client, attack: &Attack) {
    let path = format!("{}/settings", processor_path(attack));
    hostile.put(&path, &json!({"enabled": false})).await.ok();
}

fn processor_path(attack: &Attack) -> String {
    format!("/tenants/hostile/processors/{}", attack.processor)
}

/// Valid Components named `prefix-number`.
fn entities(prefix: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|number| {
            json!({
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Component",
                "metadata": {"name": format!("{prefix}-{number}")},
                "spec": {"type": "service", "lifecycle": "experimental", "owner": "nobody"},
            })
        })
        .collect()
}

/// Waits until every entity pushed at the program has run once, and is served if the program has no fault; returns their
/// states. A run is recorded first and stitched a moment later.
async fn tried(hostile: &Client, attack: &Attack) -> Vec<Value> {
    let prefix = format!("component:default/{}-", attack.processor);
    wait_until("all entities of the program have run", BOUND, async || {
        let states: Vec<Value> = hostile
            .processing("hostile")
            .await
            .into_iter()
            .filter(|state| {
                let of = state["entityRef"].as_str().unwrap_or_default();
                let run = !state["lastRun"].is_null();
                let done = run && (attack.fault.is_some() || state["served"] == true);
                of.starts_with(&prefix) && done
            })
            .collect();
        (states.len() == HOSTILE_ENTITIES).then_some(states)
    })
    .await
}

fn assert_served_with_an_empty_global(states: &[Value]) {
    for state in states {
        let said: Vec<&Value> = state["diagnostics"]
            .as_array()
            .expect("diagnostics")
            .iter()
            .filter(|one| one["processor"] == "leak-global")
            .map(|one| &one["message"])
            .collect();
        assert_eq!(said, ["0"], "a call found what another one leaked: {state}");
    }
}

/// Every entity failed by the fault, and the fault is listed under the program with what a tenant needs to find it.
async fn assert_faulted(hostile: &Client, attack: &Attack, fault: &str, states: &[Value]) {
    for state in states {
        assert_eq!(state["status"], "failed", "{state}");
        assert_eq!(state["diagnostics"][0]["cause"]["name"], fault, "{state}");
    }
    let path = format!("{}/faults", processor_path(attack));
    let listed = hostile.get(&path).await.ok();
    let listed = listed["items"].as_array().expect("items");
    // Entities of earlier waves may have run under the program too; the newest hundred are kept.
    assert!(listed.len() >= HOSTILE_ENTITIES, "{} faults", listed.len());
    for one in listed {
        assert_eq!(one["fault"], fault, "{one}");
        assert_eq!(one["processor"], attack.processor);
        assert!(one["fuel"].as_u64() > Some(0), "{one}");
        assert_ne!(one["backtrace"], json!([]), "{one}");
    }
    if fault == "trap" {
        for one in listed {
            assert_eq!(one["message"], "no owner for `web`");
            let log = one["log"].to_string();
            assert!(log.contains("examples/panics.rs:9:"), "{log}");
        }
    }
}

/// Everything valid in the catalog, and everything the honest provider added.
async fn assert_all_served(operator: &Client, catalog: &CatalogUnderTest) {
    let states = operator.processing("default").await;
    let refs_where = |is: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
        let chosen = states.iter().filter(|state| is(state));
        chosen
            .filter_map(|state| state["entityRef"].as_str().map(str::to_owned))
            .collect()
    };
    let served = refs_where(&|state| state["served"] == true);
    // The network is closed here, so what a placeholder takes from it is denied, hostile tenant or not.
    let denied = refs_where(&is_denied);
    let expected: BTreeSet<String> = valid_refs(catalog).chain(provided_refs()).collect();
    for missing in expected.difference(&served) {
        let state = states.iter().find(|one| one["entityRef"] == **missing);
        assert!(
            denied.contains(missing),
            "{missing} is not served: {}",
            state.unwrap_or(&Value::Null)
        );
    }
    for entity_ref in expected.intersection(&served) {
        let entity = operator.entity("default", entity_ref).await;
        assert!(entity.is_some(), "{entity_ref} is served by name");
    }
}

/// Refs whose documents are valid. Where one of several is invalid, it may have come first and own the ref.
fn valid_refs(catalog: &CatalogUnderTest) -> impl Iterator<Item = String> {
    let refs_where = |valid| -> BTreeSet<String> {
        let verdicts = catalog.verdicts().iter();
        verdicts
            .filter(|one| one.valid == Some(valid))
            .filter_map(|one| one.entity_ref.clone())
            .collect()
    };
    let invalid = refs_where(false);
    refs_where(true)
        .into_iter()
        .filter(move |one| !invalid.contains(one))
}

fn provided_refs() -> impl Iterator<Item = String> {
    (0..ATTACKS.len()).flat_map(|wave| {
        (0..HONEST_ENTITIES).map(move |number| format!("component:default/wave-{wave}-{number}"))
    })
}

fn is_denied(state: &Value) -> bool {
    state["diagnostics"].as_array().is_some_and(|diagnostics| {
        diagnostics.iter().any(|one| {
            one["processor"] == "placeholder" && one["cause"]["name"] == "NotAllowedError"
        })
    })
}
