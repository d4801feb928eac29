//! Proves that no secret is anywhere but where it belongs (l02). A whole life of a host, with everything said that its log can
//! say: documents are refused, processors fail, a worker is killed, the database goes away, tokens are made, used, guessed and
//! revoked. Then its logs, metrics, probes, answers, the command lines of all its processes, the environment of its sandbox
//! children and the bytes of its database are searched for everything that was secret.

use std::fs;
use std::path::Path;
use std::time::Duration;

use greenroom_test_artifacts::PANICS_COMPONENT;
use greenroom_test_support::{
    Backend, Client, SandboxChild, TestHost, kill_hard, on_every_backend, wait_until,
};
use reqwest::Method;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(120);
/// Of an integration, in the configuration file.
const INTEGRATION: &str = "canary-integration-5f1d";
/// Of the database, in its URL.
const PASSWORD: &str = "canary-password-93ab";
/// What somebody tries who has no token.
const GUESS: &str = "canary-guess-77e0";
/// No secret, but a body: it may be served and kept, and is in no log and no figure.
const BODY: &str = "canary-body-c204";
/// In the URL of a location, where people put what they should not.
const USER_INFO: &str = "canary-userinfo-0b6c";

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": name, "description": BODY},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

fn config() -> String {
    format!(
        "[[tenants.default.integrations.github]]\nhost = \"github.invalid\"\ntoken = \"{INTEGRATION}\"\n\
         [[tenants.default.reading.allow]]\nhost = \"raw.invalid\"\n"
    )
}

/// Everything that a host says or keeps, by where it is.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    fn add_file(&mut self, path: &Path) {
        if let Ok(bytes) = fs::read(path) {
            self.add(path.display().to_string(), bytes);
        }
    }

    /// Where a secret is.
    fn places_of(&self, secret: &[u8]) -> Vec<&str> {
        assert!(secret.len() >= 12, "a secret that is found by chance");
        self.0
            .iter()
            .filter(|(_, bytes)| bytes.windows(secret.len()).any(|window| window == secret))
            .map(|(place, _)| place.as_str())
            .collect()
    }
}

async fn worker(host: &TestHost, but: Option<u32>) -> u32 {
    wait_until("a worker runs", BOUND, async || {
        host.workers().into_iter().find(|pid| Some(*pid) != but)
    })
    .await
}

async fn l02_no_secret_is_anywhere_but_where_it_belongs(backend: Backend) {
    let host = TestHost::builder()
        .backend(backend)
        .database_password(PASSWORD)
        .config_toml(config())
        .log("debug")
        .start()
        .await;
    let operator = host.client();

    // Tokens: made, used, guessed, revoked.
    let made = json!({"name": "ci", "scopes": ["read", "write", "deploy", "admin"]});
    let made = operator
        .post("/admin/tenants/default/tokens", &made)
        .await
        .ok();
    let token = made["token"].as_str().expect("a token").to_owned();
    let id = made["id"].as_str().expect("an id").to_owned();
    let client = operator.with_token(Some(&token));
    let guess = operator.with_token(Some(&format!("gr_{id}_{GUESS}")));
    assert_eq!(guess.get("/tenants/default/processing").await.status, 401);
    let guess = operator.with_token(Some(GUESS));
    assert_eq!(guess.get("/tenants/default/processing").await.status, 401);

    // A processor that fails on every entity, documents that nobody answers for, a location with a secret in it.
    let panics = "/tenants/default/processors/panics";
    client
        .put(panics, &json!({"quarantine": "manual"}))
        .await
        .ok();
    let bytes = fs::read(PANICS_COMPONENT).expect("the program is built");
    let revisions = format!("{panics}/revisions?wait=60");
    client.upload(&revisions, bytes).await.ok();
    client.upload(&revisions, b"no component".to_vec()).await;
    client
        .post(&format!("{panics}/activate"), &json!({"revision": 1}))
        .await
        .ok();
    let entities = (0..50).map(|number| component(&format!("c{number}")));
    client.push("default", "p", entities).await.ok();
    for target in [
        "https://github.invalid/o/r/blob/main/catalog-info.yaml".to_owned(),
        format!("https://user:{USER_INFO}@raw.invalid/catalog-info.yaml"),
    ] {
        let location = json!({"type": "url", "target": target});
        let path = "/tenants/default/api/catalog/locations";
        let taken = client.post(path, &location).await.status;
        assert_eq!(taken, if target.contains('@') { 400 } else { 201 });
        client.post(&format!("{path}?dryRun=true"), &location).await;
    }
    let faults = format!("{panics}/faults");
    wait_until("it has failed", BOUND, async || {
        let faults = client.get(&faults).await.ok();
        (faults["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty()))
        .then_some(())
    })
    .await;

    // A worker dies, and the database goes away.
    let first = worker(&host, None).await;
    kill_hard(first);
    let second = worker(&host, Some(first)).await;
    match backend {
        Backend::Postgres => host.cut_connections(),
        Backend::Sqlite => {}
    }
    wait_until("the database is back", BOUND, async || {
        let pushed = client.push("default", "q", [component("last")]).await;
        (pushed.status == 200).then_some(())
    })
    .await;
    wait_until("the rest is done", BOUND, async || {
        let state = client
            .get("/tenants/default/processing/component/default/last")
            .await;
        (state.status == 200 && state.json()["status"] != "pending").then_some(())
    })
    .await;

    let said = everything(&host, &client, &id, second).await;
    let revoked = format!("/admin/tenants/default/tokens/{id}");
    assert_eq!(operator.delete(&revoked).await.status, 204);

    // Secrets: in no place at all. Of a token only what names it may be anywhere, and its hash.
    let secret_of = |token: &str| {
        token
            .rsplit('_')
            .next()
            .expect("a secret")
            .as_bytes()
            .to_vec()
    };
    let key = fs::read(host.data_dir().join("artifact-key")).expect("the key");
    for (what, secret) in [
        ("the integration's token", INTEGRATION.as_bytes().to_vec()),
        ("the database's password", PASSWORD.as_bytes().to_vec()),
        ("a guess", GUESS.as_bytes().to_vec()),
        ("the tenant's token", secret_of(&token)),
        ("the operator's token", secret_of(host.token())),
        ("the artifact key", key),
        ("user info of a URL", USER_INFO.as_bytes().to_vec()),
    ] {
        assert_eq!(said.places_of(&secret), [""; 0], "{what}");
    }
    // A body is served and kept, and nowhere else.
    let body = said.places_of(BODY.as_bytes());
    let elsewhere = body.iter().filter(|place| {
        let served = place.starts_with("/tenants/default/");
        !served && !place.contains("greenroom.db")
    });
    assert_eq!(elsewhere.count(), 0, "{body:?}");
    assert!(!body.is_empty(), "the search finds what is there");
}

/// All that can be had of a host from outside and inside.
async fn everything(host: &TestHost, client: &Client, token: &str, worker: u32) -> Said {
    let operator = host.client();
    let mut said = Said::default();
    for path in [
        "/tenants/default/processing",
        "/tenants/default/processing/component/default/c1",
        "/tenants/default/api/catalog/entities",
        "/tenants/default/api/catalog/entities/unprocessed/failed",
        "/tenants/default/api/catalog/locations",
        "/tenants/default/api/catalog/.backstage/scheduler/v1/tasks",
        "/tenants/default/processors",
        "/tenants/default/processors/panics",
        "/tenants/default/processors/panics/revisions",
        "/tenants/default/processors/panics/faults",
        "/tenants/default/processors/panics/activations",
        "/tenants/default/settings",
        "/tenants/default/changes",
        "/tenants/default/nothing",
    ] {
        let reply = client.get(path).await;
        said.add(path, reply.body);
    }
    for path in [
        "/admin/tenants",
        "/admin/audit",
        "/admin/tokens",
        "/admin/tenants/default/tokens",
        &format!("/admin/tenants/default/tokens/{token}"),
        "/openapi.json",
        "/.backstage/health/v1/readiness",
    ] {
        let reply = operator.send(Method::GET, path, None).await;
        said.add(path, reply.body);
    }
    let operations = Client::new(host.operations(), None);
    said.add("/metrics", operations.get("/metrics").await.body);
    said.add("the log", host.log());
    said.add("the output", host.output());
    let sandboxes = SandboxChild::of(worker);
    assert!(!sandboxes.is_empty());
    for child in &sandboxes {
        let environment = fs::read(format!("/proc/{}/environ", child.pid)).unwrap_or_default();
        said.add("the environment of a sandbox child", environment);
    }
    let children = sandboxes.iter().map(|child| child.pid);
    for pid in children.chain([host.pid(), worker]) {
        said.add_file(Path::new(&format!("/proc/{pid}/cmdline")));
    }
    for name in ["greenroom.db", "greenroom.db-wal"] {
        said.add_file(&host.data_dir().join(name));
    }
    said
}

on_every_backend! {
    l02_no_secret_is_anywhere_but_where_it_belongs,
}
