//! Proves that a tenant moves between installations and backends: what is served, its uids, processors, revisions and locations
//! are the same at the other end, at once and after everything was looked at there; that a file which is not whole, or not an
//! export, changes nothing; and that a Postgres database comes back from its own tools.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use greenroom_test_artifacts::ANNOTATE_COMPONENT;
use greenroom_test_support::{Backend, Client, Done, Reply, TestHost, command, quiet, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// How long processing a handful of entities may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
const NDJSON: &str = "application/x-ndjson";

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": name, "description": "a \"quoted\" \\ and é"},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team", "dependsOn": ["component:default/one"]},
    })
}

/// A command against that host, as its operator.
fn on_host(host: &TestHost, folder: &Path, arguments: &[&str]) -> Done {
    let mut command = command(folder, arguments[0], &arguments[1..]);
    command
        .env("GREENROOM_URL", host.origin())
        .env("GREENROOM_DATA_DIR", host.data_dir());
    tokio::task::block_in_place(|| Done::of(command.output().expect("the binary runs")))
}

/// What of a tenant must be the same wherever it is.
async fn shown(client: &Client, tenant: &str) -> Value {
    let get = async |path: &str| client.get(&format!("/tenants/{tenant}/{path}")).await.ok();
    let processing: Vec<Value> = client
        .processing(tenant)
        .await
        .iter()
        .map(|state| {
            json!([
                state["entityRef"],
                state["uid"],
                state["status"],
                state["served"]
            ])
        })
        .collect();
    let revision = format!("/tenants/{tenant}/processors/labels/revisions/1/component");
    json!({
        "entities": get("api/catalog/entities").await,
        "locations": get("api/catalog/locations").await,
        "processors": get("processors").await,
        "revisions": get("processors/labels/revisions").await,
        "component": client.download(&revision).await.len(),
        "processing": processing,
    })
}

/// A tenant with a processor, entities and a location.
async fn furnish(client: &Client, tenant: &str) {
    let made = client
        .post("/admin/tenants", &json!({"name": tenant}))
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let labels = format!("/tenants/{tenant}/processors/labels");
    client.put(&labels, &json!({"priority": 30})).await.ok();
    let bytes = fs::read(ANNOTATE_COMPONENT).expect("a built component");
    let revision = client
        .upload(&format!("{labels}/revisions?wait=60"), bytes)
        .await
        .ok();
    assert_eq!(revision["state"], "ready", "{revision}");
    client
        .post(&format!("{labels}/activate"), &json!({"revision": 1}))
        .await
        .ok();
    client
        .push(tenant, "p", ["one", "two", "three"].map(component))
        .await
        .ok();
    let location = json!({"type": "url", "target": "https://catalog.test/all.yaml"});
    let path = format!("/tenants/{tenant}/api/catalog/locations");
    assert_eq!(client.post(&path, &location).await.status, 201);
    quiet(client, tenant, BOUND).await;
    wait_until("the canary has passed", BOUND, async || {
        let processor = client.get(&labels).await.ok();
        (processor["activation"]["state"] == "passed").then_some(())
    })
    .await;
}

async fn next(client: &Client, tenant: &str) -> String {
    let page = client.get(&format!("/tenants/{tenant}/changes")).await.ok();
    page["next"].as_str().expect("a cursor").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_goes_from_sqlite_to_postgres_and_back() {
    if Backend::Postgres.skipped() {
        return;
    }
    let desk = tempfile::tempdir().expect("a folder");
    let here = TestHost::builder().start().await;
    let there = TestHost::builder().backend(Backend::Postgres).start().await;
    furnish(here.client(), "acme").await;
    let before = shown(here.client(), "acme").await;
    let cursor = next(here.client(), "acme").await;

    on_host(&here, desk.path(), &["tenant", "export", "acme"])
        .ends(0)
        .says("exported acme")
        .says("next: greenroom tenant import acme acme.ndjson");
    on_host(&here, desk.path(), &["tenant", "export", "acme"])
        .ends(1)
        .says("make the new file");
    on_host(
        &there,
        desk.path(),
        &["tenant", "import", "acme", "acme.ndjson"],
    )
    .ends(0)
    .says("imported acme");
    // Served at once, and still the same when all of it was looked at.
    assert_eq!(
        shown(there.client(), "acme").await["entities"],
        before["entities"]
    );
    quiet(there.client(), "acme", BOUND).await;
    assert_eq!(shown(there.client(), "acme").await, before);
    let stale = there
        .client()
        .get(&format!("/tenants/acme/changes?cursor={cursor}"))
        .await;
    assert_eq!(stale.status, 410, "{}", stale.body);
    // Its processor works there, on what comes.
    there
        .client()
        .push("acme", "p", [component("four")])
        .await
        .ok();
    let seen = async || {
        let entity = there
            .client()
            .entity("acme", "component:default/four")
            .await?;
        entity["metadata"]["annotations"]["example.com/seen"]
            .as_str()
            .map(str::to_owned)
    };
    wait_until("the processor is called", BOUND, seen).await;
    quiet(there.client(), "acme", BOUND).await;
    let grown = shown(there.client(), "acme").await;

    on_host(
        &there,
        desk.path(),
        &["tenant", "export", "acme", "back.ndjson"],
    )
    .ends(0);
    on_host(
        &here,
        desk.path(),
        &["tenant", "import", "acme", "back.ndjson"],
    )
    .ends(6)
    .says("a tenant `acme` exists");
    on_host(
        &here,
        desk.path(),
        &["tenant", "import", "acme-back", "back.ndjson"],
    )
    .ends(0);
    quiet(here.client(), "acme-back", BOUND).await;
    assert_eq!(shown(here.client(), "acme-back").await, grown);
    assert_eq!(
        shown(here.client(), "acme").await,
        before,
        "a copy touches nothing"
    );
    on_host(&here, desk.path(), &["audit", "--limit", "20"])
        .ends(0)
        .says("export_tenant")
        .says("import_tenant");
}

async fn import(client: &Client, name: &str, file: impl Into<Vec<u8>>) -> Reply {
    let path = format!("/admin/tenants/{name}/import");
    client
        .send(Method::POST, &path, Some((NDJSON, file.into())))
        .await
}

/// Lines of an export, to be spoilt.
#[derive(Clone)]
struct Lines(Vec<Value>);

impl Lines {
    fn of(text: &str) -> Lines {
        let line = |line| serde_json::from_str(line).expect("a line is JSON");
        Lines(text.lines().map(line).collect())
    }

    fn place(&self, key: &str) -> usize {
        let found = self.0.iter().position(|line| line.get(key).is_some());
        found.unwrap_or_else(|| panic!("there is no `{key}`"))
    }

    fn spoilt(&self, spoil: impl FnOnce(&mut Vec<Value>)) -> String {
        let mut lines = self.0.clone();
        spoil(&mut lines);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_export_is_refused_and_changes_nothing() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    furnish(client, "acme").await;
    let export = client.get("/admin/tenants/acme/export").await;
    let text = export.body.as_str();
    let lines = Lines::of(text);
    let head = &lines.0[0]["greenroom"];
    assert_eq!(
        (&head["format"], &head["tenant"]),
        (&json!(1), &json!("acme"))
    );
    let end = lines.0.last().expect("a last line");
    assert_eq!(end["end"]["lines"], json!(lines.0.len() - 2));
    for secret in ["gr_", "secret_hash", "\"tokens\""] {
        assert!(!text.contains(secret), "{secret}");
    }

    let state = lines.place("refresh_state");
    let revision = lines.place("processor_revisions");
    let piece = lines.place("component");
    let (pipeline, processor) = (lines.place("pipelines"), lines.place("processors"));
    let served = lines.place("final_entities");
    let last = lines.0.len() - 1;
    let half = String::from_utf8_lossy(&text.as_bytes()[..text.len() / 2]).into_owned();
    let without = |place: usize| {
        lines.spoilt(|lines| {
            lines.remove(place);
            lines[last - 1]["end"]["lines"] = json!(last - 2);
        })
    };
    for (file, said) in [
        (String::new(), "was cut"),
        (lines.spoilt(|lines| lines.truncate(last)), "was cut"),
        (half, "nothing was imported"),
        (
            lines.spoilt(|lines| drop(lines.remove(0))),
            "is not the first line of an export",
        ),
        (
            lines.spoilt(|lines| drop(lines.remove(served))),
            "lines before it, but there are",
        ),
        (
            lines.spoilt(|lines| drop(lines.remove(state))),
            "is of an entity that is not in the file",
        ),
        (
            lines.spoilt(|lines| lines[0]["greenroom"]["format"] = json!(2)),
            "has format 2, this host knows 1",
        ),
        (
            lines.spoilt(|lines| lines.insert(1, lines[0].clone())),
            "begins another export",
        ),
        (
            lines.spoilt(|lines| lines.push(lines[last].clone())),
            "comes after the last line",
        ),
        (
            lines.spoilt(|lines| lines.insert(state, lines[state].clone())),
            "is there twice",
        ),
        (
            lines.spoilt(|lines| lines.swap(pipeline, processor)),
            "is of a table that comes earlier",
        ),
        (
            lines.spoilt(|lines| {
                lines[state]["refresh_state"]["entity_ref"] = json!("Component:Default/One");
            }),
            "`entity_ref` is not written as `component:default/one`",
        ),
        (
            lines.spoilt(|lines| {
                lines[served]["final_entities"]["entity_id"] =
                    json!("00000000-0000-4000-8000-000000000000");
            }),
            "is of an entity that is not in the file",
        ),
        (
            lines.spoilt(|lines| {
                let other = "0".repeat(64);
                lines[piece]["component"]["digest"] = json!(other);
            }),
            "a component",
        ),
        (
            lines.spoilt(|lines| lines[piece]["component"]["data"] = json!("AGFzbQ0AAQA=")),
            "a component",
        ),
        (
            lines.spoilt(|lines| lines[piece]["component"]["data"] = json!("not base64")),
            "is no base64",
        ),
        (
            lines.spoilt(|lines| lines[piece]["component"]["number"] = json!(7)),
            "is not the next piece",
        ),
        (without(revision), "that no revision of that size names"),
        ("{\"greenroom\":[]}\n".to_owned(), "is wrong"),
        (format!("{}\n", "[".repeat(100_000)), "is no line of one"),
    ] {
        let refused = import(client, "moved", file).await;
        assert_eq!(refused.error(400), "InputError");
        assert!(refused.body.contains(said), "{said}: {}", refused.body);
    }
    // A component without its bytes: every line of it is missing.
    let bare = lines.spoilt(|lines| {
        lines.retain(|line| line.get("component").is_none());
        let count = lines.len() - 2;
        if let Some(end) = lines.last_mut() {
            end["end"]["lines"] = json!(count);
        }
    });
    let refused = import(client, "moved", bare).await;
    assert_eq!(refused.error(400), "InputError");
    assert!(
        refused
            .body
            .contains("the bytes of revision 1 of processor `labels` are missing"),
        "{}",
        refused.body
    );
    let huge = import(client, "moved", vec![b'x'; (64 << 20) + 1]).await;
    assert_eq!(huge.status, 413, "{}", huge.body);
    assert!(huge.body.contains("64 MiB"), "{}", huge.body);

    for (name, status) in [("acme", 409), ("admin", 400), ("Not A Name", 400)] {
        let refused = import(client, name, text).await;
        assert_eq!(refused.status, status, "{}", refused.body);
    }
    let token = client
        .post(
            "/admin/tenants/acme/tokens",
            &json!({"name": "a", "scopes": ["admin"]}),
        )
        .await
        .ok();
    let admin = client.with_token(token["token"].as_str());
    assert_eq!(
        admin.get("/admin/tenants/acme/export").await.error(403),
        "NotAllowedError"
    );
    assert_eq!(
        import(&admin, "mine", text).await.error(403),
        "NotAllowedError"
    );
    assert_eq!(
        client.get("/admin/tenants/nobody/export").await.error(404),
        "NotFoundError"
    );

    let listed = client.get("/admin/tenants").await.ok();
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(2),
        "{listed}"
    );
    assert_eq!(client.get("/tenants/moved/processing").await.status, 404);
    let whole = import(client, "moved", text).await;
    assert_eq!(whole.status, 201, "{}", whole.body);
    quiet(client, "moved", BOUND).await;
    assert_eq!(shown(client, "moved").await, shown(client, "acme").await);
}

/// A program of Postgres that ends well.
fn postgres(program: &str, arguments: &[&str]) {
    let mut command = Command::new(greenroom_test_postgres::program(program));
    let output = command.args(arguments).output().expect("it runs");
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_database_comes_back_from_its_own_tools() {
    if Backend::Postgres.skipped() {
        return;
    }
    let desk = tempfile::tempdir().expect("a folder");
    let host = TestHost::builder().backend(Backend::Postgres).start().await;
    host.client()
        .push("default", "p", [component("one")])
        .await
        .ok();
    quiet(host.client(), "default", BOUND).await;
    let cursor = next(host.client(), "default").await;
    let served = "/tenants/default/api/catalog/entities";
    let before = host.client().get(served).await.ok();

    // As docs/backup-and-move.md says.
    let dump = desk.path().join("greenroom.dump");
    let dump = dump.to_str().expect("a path in UTF-8");
    postgres(
        "pg_dump",
        &["--format=custom", "--file", dump, host.database_url()],
    );
    let restored = greenroom_test_postgres::cluster().database();
    postgres(
        "pg_restore",
        &["--no-owner", "--exit-on-error", "--dbname", &restored, dump],
    );
    let restore = |arguments: &[&str]| {
        let mut command = command(desk.path(), "restore", arguments);
        command.env("GREENROOM_DATABASE_URL", &restored);
        tokio::task::block_in_place(|| Done::of(command.output().expect("the binary runs")))
    };
    restore(&[dump])
        .ends(1)
        .says("restore it with `pg_restore`");
    assert_eq!(restore(&["--json"]).ends(0).json(), json!({"tenants": 1}));
    let mut backup = command(desk.path(), "backup", &["copy.db"]);
    backup.env("GREENROOM_DATABASE_URL", &restored);
    let backup = tokio::task::block_in_place(|| Done::of(backup.output().expect("it runs")));
    backup.ends(1).says("save it with `pg_dump`");

    let again = TestHost::builder().database(&restored).start().await;
    let after = wait_until("what was saved is served", BOUND, async || {
        let served = again.client().get(served).await;
        (served.status == 200).then(|| served.json())
    })
    .await;
    assert_eq!(after, before);
    let stale = again
        .client()
        .get(&format!("/tenants/default/changes?cursor={cursor}"))
        .await;
    assert_eq!(stale.status, 410, "{}", stale.body);
}
