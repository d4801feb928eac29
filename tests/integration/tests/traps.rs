//! Proves the entries of the trap list for implementers of Backstage's catalog API (ref §12) that processing decides, each
//! under its number; those of the edge alone are tested there.

use std::path::Path;
use std::time::Duration;

use greenroom_test_support::{Client, TestHost, quiet, wait_until};
use serde_json::{Value, json};

const TENANT: &str = "default";
const CATALOG: &str = "/tenants/default/api/catalog";
const PATIENCE: Duration = Duration::from_secs(60);

fn component(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn service(owner: &str) -> Value {
    json!({"type": "service", "lifecycle": "production", "owner": owner})
}

async fn push(client: &Client, entities: Vec<Value>) {
    client.push(TENANT, "test", entities).await.ok();
    quiet(client, TENANT, PATIENCE).await;
}

async fn entity(client: &Client, name: &str) -> Value {
    let entity_ref = format!("component:default/{name}");
    let entity = client.entity(TENANT, &entity_ref);
    entity
        .await
        .unwrap_or_else(|| panic!("{name} is not served"))
}

#[tokio::test]
async fn trap_08_and_09_relations_are_always_there_lower_cased_and_status_only_with_items() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    let group = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Group", "metadata": {"name": "Alone"},
        "spec": {"type": "team", "children": []},
    });
    push(client, vec![component("Web", &service("Team-X")), group]).await;
    let web = entity(client, "WEB").await;
    assert_eq!(web["metadata"]["name"], "Web");
    assert_eq!(web["spec"]["owner"], "Team-X");
    assert_eq!(
        web["relations"],
        json!([{"type": "ownedBy", "targetRef": "group:default/team-x"}])
    );
    assert!(web.get("status").is_none());
    let alone = client.entity(TENANT, "group:default/alone").await;
    let alone = alone.expect("it is served");
    assert_eq!(alone["relations"], json!([]));
    assert!(alone.get("status").is_none());
    let path = format!("{CATALOG}/entities?filter=relations.ownedby%3Dgroup:default/TEAM-x");
    assert_eq!(
        client.get(&path).await.ok().as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn trap_13_a_failing_entity_is_served_as_it_was_and_a_new_one_is_not() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    push(client, vec![component("was-good", &service("x"))]).await;
    let good = entity(client, "was-good").await;
    push(
        client,
        vec![
            component("was-good", &json!({"type": "service"})),
            component("never-good", &json!({"type": "service"})),
        ],
    )
    .await;
    let failing = wait_until("the failure is served", PATIENCE, async || {
        let entity = entity(client, "was-good").await;
        entity.get("status").is_some().then_some(entity)
    })
    .await;
    assert_eq!(failing["spec"], good["spec"]);
    assert_eq!(failing["metadata"]["uid"], good["metadata"]["uid"]);
    let item = &failing["status"]["items"][0];
    assert_eq!(item["type"], "backstage.io/catalog-processing");
    assert_eq!(item["level"], "error");
    assert!(
        item["error"]["name"].is_string() && item["error"]["message"].is_string(),
        "{item}"
    );
    assert!(
        item["message"]
            .as_str()
            .is_some_and(|text| text.contains("lifecycle")),
        "{item}"
    );
    let path = format!("{CATALOG}/entities/by-name/component/default/never-good");
    client.get(&path).await.error(404);
    let failed = client
        .get(&format!("{CATALOG}/entities/unprocessed/failed"))
        .await
        .ok();
    assert_eq!(
        failed["entities"].as_array().map(Vec::len),
        Some(1),
        "{failed}"
    );
    assert_eq!(
        failed["entities"][0]["entity_ref"],
        "component:default/never-good"
    );
    assert!(
        failed["entities"][0]["errors"]
            .to_string()
            .contains("lifecycle")
    );
    push(client, vec![component("was-good", &service("y"))]).await;
    let mended = wait_until("it is good again", PATIENCE, async || {
        let entity = entity(client, "was-good").await;
        entity.get("status").is_none().then_some(entity)
    })
    .await;
    assert_eq!(mended["spec"]["owner"], "y");
}

fn write(file: &Path, documents: &[&str]) {
    let document = |name: &&str| component(name, &service("x")).to_string();
    let documents: Vec<String> = documents.iter().map(document).collect();
    std::fs::write(file, documents.join("\n---\n")).expect("write the file");
}

#[tokio::test]
async fn trap_14_children_of_a_failing_parent_stay_and_those_not_emitted_any_more_are_orphans() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("its path");
    let file = root.join("all.yaml");
    write(&file, &["kept", "dropped"]);
    let host = TestHost::builder()
        .config_toml(format!(
            "file_roots = [{}]\n[[tenants.default.catalog.locations]]\ntype = \"file\"\ntarget = {}\n",
            json!(root),
            json!(file)
        ))
        .start()
        .await;
    let client = host.client();
    let states = quiet(client, TENANT, PATIENCE).await;
    let location = states
        .iter()
        .find_map(|state| {
            state["entityRef"]
                .as_str()
                .filter(|text| text.starts_with("location:"))
        })
        .expect("the Location")
        .to_owned();
    // Read again, until its processing has this status.
    let refresh = async |status: &str| {
        let body = json!({"entityRef": location});
        let refreshed = client.post(&format!("{CATALOG}/refresh"), &body).await;
        assert_eq!(refreshed.status, 200);
        let path = format!(
            "/tenants/default/processing/{}",
            location.replace('/', "%2F")
        );
        wait_until(status, PATIENCE, async || {
            let state = client.get(&path).await.ok();
            (state["status"] == status).then_some(())
        })
        .await;
    };
    std::fs::write(&file, "kind: [broken").expect("write the file");
    refresh("partial").await;
    assert!(entity(client, "kept").await.get("status").is_none());
    entity(client, "dropped").await;

    write(&file, &["kept"]);
    refresh("ok").await;
    let orphan = "backstage.io/orphan";
    wait_until(
        "it is an orphan, or gone already",
        PATIENCE,
        async || match client.entity(TENANT, "component:default/dropped").await {
            None => Some(()),
            Some(entity) => (entity["metadata"]["annotations"][orphan] == "true").then_some(()),
        },
    )
    .await;
    let kept = entity(client, "kept").await;
    assert!(kept["metadata"]["annotations"].get(orphan).is_none());
    wait_until("the orphan is gone", PATIENCE, async || {
        let dropped = client.entity(TENANT, "component:default/dropped").await;
        dropped.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn trap_16_kinds_are_exact_when_written_and_without_case_when_looked_up() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    let mut lower = component("lower", &service("x"));
    lower["kind"] = json!("component");
    push(client, vec![component("Exact", &service("x")), lower]).await;
    for kind in ["component", "COMPONENT", "Component"] {
        let path = format!("{CATALOG}/entities/by-name/{kind}/DEFAULT/exact");
        assert_eq!(client.get(&path).await.ok()["kind"], "Component");
        let path = format!("{CATALOG}/entities/by-query?filter=kind%3D{kind}");
        assert_eq!(client.get(&path).await.ok()["totalItems"], 1);
    }
    let path = format!("{CATALOG}/entities/by-name/component/default/lower");
    client.get(&path).await.error(404);
    let path = "/tenants/default/processing/component/default/lower";
    let state = client.get(path).await.ok();
    assert_eq!(state["status"], "failed");
    let said = state["diagnostics"].to_string();
    assert!(
        said.contains("No processor recognized the entity"),
        "{said}"
    );
}
