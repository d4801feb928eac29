//! Which kinds may come from where (ref §2.6).

use std::sync::Arc;

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, TestHost, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component, entity, file, location_ref};

on_every_backend! {
    y18_what_rules_forbid_is_reported_and_the_rest_is_applied,
    rules_of_a_static_location_are_its_own,
}

fn group(name: &str) -> Value {
    entity("Group", name, json!({"type": "team", "children": []}))
}

async fn y18_what_rules_forbid_is_reported_and_the_rest_is_applied(backend: Backend) {
    let tenant = Tenant::of(backend, "rules").await;
    let further = entity("Location", "further", json!({"target": "./further.yaml"}));
    let server = FileServer::start(&[
        (
            "/software/all.yaml",
            &file(&[component("web"), group("hidden"), component("shop")]),
        ),
        ("/people/all.yaml", &file(&[group("visible"), further])),
        ("/people/further.yaml", &file(&[group("further")])),
    ]);
    let (software, people) = (
        server.url("/software/all.yaml"),
        server.url("/people/all.yaml"),
    );
    tenant.register(&software).await;
    let state = tenant.ends(&location_ref(&software), "partial").await;
    let diagnostics = state["diagnostics"].as_array().expect("diagnostics");
    assert_eq!(diagnostics.len(), 1, "{state}");
    assert_eq!(diagnostics[0]["name"], "NotAllowedError");
    let text = format!(
        "Entity group:default/hidden at url:{software}, originated at url:{software}, is not of an allowed kind for that \
         location: its rules allow Component, Location; add the kind to the catalog rules"
    );
    assert_eq!(diagnostics[0]["message"], text);
    for name in ["web", "shop"] {
        tenant.served(&format!("component:default/{name}")).await;
    }
    assert_eq!(tenant.state("group:default/hidden").await, Value::Null);

    // It is the origin that a rule matches, however far from it an entity is.
    tenant.register(&people).await;
    tenant.served("group:default/visible").await;
    tenant.served("group:default/further").await;
    // Nor are there rules for what a provider gives.
    tenant.push([group("provided")]).await;
    tenant.served("group:default/provided").await;
}

async fn rules_of_a_static_location_are_its_own(backend: Backend) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("its path");
    let [free, bound] = ["free.yaml", "bound.yaml"].map(|name| root.join(name));
    let write = |path, name| std::fs::write(path, file(&[component(name), group(name)]));
    write(&free, "free").expect("write the file");
    write(&bound, "bound").expect("write the file");
    let config = format!(
        "file_roots = [{}]
[[tenants.default.catalog.locations]]
type = \"file\"
target = {}
rules = [{{ allow = [\"Group\"] }}]
[[tenants.default.catalog.locations]]
type = \"file\"
target = {}
",
        json!(root),
        json!(free),
        json!(bound)
    );
    let host = TestHost::builder().backend(backend).config_toml(config);
    let tenant = Tenant::on(Arc::new(host.start().await), "default");
    for entity_ref in [
        "component:default/free",
        "group:default/free",
        "component:default/bound",
    ] {
        tenant.served(entity_ref).await;
    }
    let states = tenant.quiet().await;
    let partial: Vec<&Value> = states
        .iter()
        .filter(|one| one["status"] == "partial")
        .collect();
    assert_eq!(partial.len(), 1, "{states:?}");
    assert!(
        partial[0]["diagnostics"]
            .to_string()
            .contains("group:default/bound")
    );
    assert!(tenant.find("group:default/bound").await.is_none());
}
