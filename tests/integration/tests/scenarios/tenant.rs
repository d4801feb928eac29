//! A tenant of its own for each scenario, on a host that those which run at the same time share: a host takes a second to
//! start, a tenant nothing. It ends with the last of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use greenroom_test_artifacts::FOLLOW_SCRIPT_COMPONENT;
use greenroom_test_support::{Backend, Client, Reply, TestHost, quiet, wait_until};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Every tenant, and what the operator's file says of it beside what it may read.
const TENANTS: &[(&str, &str)] = &[
    ("additive", ""),
    ("cache", ""),
    ("call-order", ""),
    ("children", ""),
    ("conflict", ""),
    ("deltas", ""),
    ("emitted-location", ""),
    ("first-reader", ""),
    ("forged", ""),
    ("foreign-relation", ""),
    ("fulls", ""),
    ("inputs", ""),
    ("judged", ""),
    ("keys", ""),
    ("kept-orphans", "catalog.orphanStrategy = \"keep\""),
    ("levels", ""),
    ("moved", ""),
    ("moved-within", ""),
    ("paused-one", ""),
    ("paused-two", ""),
    ("presence", ""),
    ("refresh", ""),
    (
        "rules",
        "catalog.rules = [
  { allow = [\"Component\", \"Location\"] },
  { allow = [\"Group\"], locations = [{ type = \"url\", pattern = \"http://127.0.0.1:*/people/*\" }] },
]",
    ),
    ("subscribed", ""),
    ("targets", ""),
    ("taken-back", ""),
    ("unavailable", ""),
    ("uncommitted", ""),
    ("uid", ""),
];

/// The hosts that run, each with its backend.
static HOSTS: Mutex<Vec<(Backend, Weak<TestHost>)>> = Mutex::const_new(Vec::new());

/// A tenant of a running host, and a client that may do everything in it.
pub(crate) struct Tenant {
    host: Arc<TestHost>,
    client: Client,
    name: &'static str,
}

impl Tenant {
    /// The tenant of that name on the shared host of that backend. No two scenarios use one.
    pub(crate) async fn of(backend: Backend, name: &'static str) -> Tenant {
        assert!(
            TENANTS.iter().any(|(known, _)| *known == name),
            "`{name}` is none of the tenants that the host is told of"
        );
        let mut hosts = HOSTS.lock().await;
        let running = hosts.iter().find(|(on, _)| *on == backend);
        let host = match running.and_then(|(_, host)| host.upgrade()) {
            Some(host) => host,
            None => {
                let builder = TestHost::builder().backend(backend).config_toml(config());
                let host = Arc::new(builder.start().await);
                hosts.retain(|(on, _)| *on != backend);
                hosts.push((backend, Arc::downgrade(&host)));
                host
            }
        };
        Tenant::on(host, name)
    }

    /// A tenant of a host that the scenario started for itself.
    pub(crate) fn on(host: Arc<TestHost>, name: &'static str) -> Tenant {
        // Connections belong to the runtime of one test, so that each has a client of its own.
        let client = Client::new(host.origin(), Some(host.token()));
        Tenant { host, client, name }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn host(&self) -> &TestHost {
        &self.host
    }

    /// The path of something of this tenant.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/tenants/{}/{rest}", self.name)
    }

    /// The path of something of Backstage's API of this tenant.
    pub(crate) fn catalog(&self, rest: &str) -> String {
        self.path(&format!("api/catalog/{rest}"))
    }

    /// Uploads the guest that follows scripts as a processor of that name, which is also the name in scripts.
    pub(crate) async fn direct(&self, name: &str, settings: Value) {
        let path = self.path(&format!("processors/{name}"));
        self.client.put(&path, &json!({})).await.ok();
        self.settings(name, settings).await;
        let bytes = std::fs::read(FOLLOW_SCRIPT_COMPONENT).expect("the program is built");
        let upload = format!("{path}/revisions?wait=60");
        let revision = self.client.upload(&upload, bytes).await.ok();
        assert_eq!(revision["state"], "ready", "{revision}");
        let activate = format!("{path}/activate");
        let revision = json!({"revision": revision["number"]});
        self.client.post(&activate, &revision).await.ok();
        // What a canary tries runs whether an input changed or not.
        self.until("the activation has passed", async || {
            let processor = self.client.get(&path).await.ok();
            (processor["activation"]["state"] == "passed").then_some(())
        })
        .await;
    }

    /// Settings of such a processor.
    pub(crate) async fn settings(&self, name: &str, mut settings: Value) {
        if settings.get("config").is_none() {
            settings["config"] = json!({"as": name});
        }
        let path = self.path(&format!("processors/{name}/settings"));
        self.client.put(&path, &settings).await.ok();
    }

    /// A delta that adds these entities; returns its figures.
    pub(crate) async fn push(&self, entities: impl IntoIterator<Item = Value>) -> Value {
        self.push_as("provider", entities).await
    }

    pub(crate) async fn push_as(
        &self,
        provider: &str,
        entities: impl IntoIterator<Item = Value>,
    ) -> Value {
        self.client.push(self.name, provider, entities).await.ok()
    }

    /// A mutation of these lines, which is closed as it should be.
    pub(crate) async fn mutate(&self, provider: &str, query: &str, mut lines: Vec<Value>) -> Reply {
        lines.push(json!({"commit": {"count": lines.len()}}));
        let path = self.path(&format!("providers/{provider}/mutations?{query}"));
        self.client.ndjson(&path, &lines).await
    }

    /// Registers a location; returns its id.
    pub(crate) async fn register(&self, target: &str) -> String {
        let location = json!({"type": "url", "target": target});
        let path = self.catalog("locations");
        let registered = self.client.post(&path, &location).await.ok();
        registered["location"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// What Backstage's clients call refreshing.
    pub(crate) async fn refresh(&self, entity_ref: &str) {
        let body = json!({"entityRef": entity_ref});
        let refreshed = self.client.post(&self.catalog("refresh"), &body).await;
        assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    }

    /// The served entity, or none.
    pub(crate) async fn find(&self, entity_ref: &str) -> Option<Value> {
        self.client.entity(self.name, entity_ref).await
    }

    /// Waits until the entity is served, and returns it.
    pub(crate) async fn served(&self, entity_ref: &str) -> Value {
        self.until(&format!("{entity_ref} is served"), async || {
            self.find(entity_ref).await
        })
        .await
    }

    /// Waits until nothing is pending or queued; returns every processing state.
    pub(crate) async fn quiet(&self) -> Vec<Value> {
        self.until("nothing is queued", async || {
            let states = quiet(&self.client, self.name, PATIENCE).await;
            let idle = states.iter().all(|state| state["lane"].is_null());
            idle.then_some(states)
        })
        .await
    }

    /// Waits until the entity is served with that at the pointer, and returns it.
    pub(crate) async fn shows(&self, entity_ref: &str, pointer: &str, wanted: &Value) -> Value {
        let what = format!("{entity_ref} has {wanted} at {pointer}");
        self.until(&what, async || {
            let entity = self.find(entity_ref).await?;
            (entity.pointer(pointer) == Some(wanted)).then_some(entity)
        })
        .await
    }

    /// The processing state of an entity, or `Null`.
    pub(crate) async fn state(&self, entity_ref: &str) -> Value {
        let states = self.client.processing(self.name).await;
        let found = states.iter().find(|one| one["entityRef"] == entity_ref);
        found.cloned().unwrap_or(Value::Null)
    }

    /// The same, once nothing is pending.
    pub(crate) async fn settled(&self, entity_ref: &str) -> Value {
        self.quiet().await;
        self.state(entity_ref).await
    }

    /// Waits until the run of an entity has ended like that; returns its state.
    pub(crate) async fn ends(&self, entity_ref: &str, status: &str) -> Value {
        self.until(&format!("{entity_ref} is {status}"), async || {
            let state = self.state(entity_ref).await;
            (state["status"] == status).then_some(state)
        })
        .await
    }

    /// Refs of everything the lists show, in order.
    pub(crate) async fn listed(&self) -> Vec<String> {
        let path = self.catalog("entities?fields=kind,metadata.name,metadata.namespace");
        let entities = self.client.get(&path).await.ok();
        let mut refs: Vec<String> = entities
            .as_array()
            .expect("entities")
            .iter()
            .map(|entity| {
                let part = |part: &Value| part.as_str().expect("a text").to_lowercase();
                format!(
                    "{}:{}/{}",
                    part(&entity["kind"]),
                    part(&entity["metadata"]["namespace"]),
                    part(&entity["metadata"]["name"])
                )
            })
            .collect();
        refs.sort();
        refs
    }

    /// Asks until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        wait_until(what, PATIENCE, ask).await
    }
}

fn config() -> String {
    let mut text = "private_networks = [\"127.0.0.0/8\"]\n".to_owned();
    for (name, more) in TENANTS {
        text.push_str(&format!("[tenants.{name}]\n{more}\n{}", reading(name)));
    }
    text
}

/// Lets a tenant read the servers of the tests.
pub(crate) fn reading(tenant: &str) -> String {
    format!("[[tenants.{tenant}.reading.allow]]\nhost = \"127.0.0.1:1024-65535\"\n")
}

/// An entity of that kind.
pub(crate) fn entity(kind: &str, name: &str, spec: Value) -> Value {
    let mut entity = json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "annotations": {}},
    });
    entity["spec"] = spec;
    entity
}

/// A good Component.
pub(crate) fn component(name: &str) -> Value {
    let spec = json!({"type": "service", "lifecycle": "production", "owner": "team-a"});
    entity("Component", name, spec)
}

/// A good Component with a script.
pub(crate) fn scripted(name: &str, script: Value) -> Value {
    let mut entity = component(name);
    entity["spec"]["script"] = script;
    entity
}

/// Documents of one YAML file. JSON is YAML.
pub(crate) fn file(documents: &[Value]) -> String {
    let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
    documents.join("\n---\n")
}

/// The ref of the Location entity that a registered URL has.
pub(crate) fn location_ref(target: &str) -> String {
    let location = greenroom_model::LocationRef::new("url", target);
    greenroom_model::location::generated_ref(&location).to_string()
}

/// `[stage, processor, message]` of each diagnostic of a state, in order.
pub(crate) fn said(state: &Value) -> Vec<[&str; 3]> {
    let diagnostics = state["diagnostics"].as_array().expect("diagnostics");
    diagnostics
        .iter()
        .map(|one| {
            ["stage", "processor", "message"].map(|key| one[key].as_str().unwrap_or_default())
        })
        .collect()
}
