//! How entities go, and how they come back: removal by a provider or a location, deletion by uid, orphans, restarts (ref §5.5).

use std::sync::Arc;

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, TestHost, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{PATIENCE, Tenant, component, entity, file, location_ref, reading, scripted};

on_every_backend! {
    what_a_provider_or_a_location_takes_back_goes_at_once_with_what_only_it_reached,
    an_entity_deleted_by_uid_comes_back_while_it_is_still_emitted,
    a_kept_orphan_is_marked_and_processed_all_the_same,
    what_the_configuration_no_longer_names_goes_at_the_next_start,
}

async fn what_a_provider_or_a_location_takes_back_goes_at_once_with_what_only_it_reached(
    backend: Backend,
) {
    let tenant = Tenant::of(backend, "taken-back").await;
    tenant.direct("parent", json!({})).await;
    let emits = |name: &str, children: &[&str]| {
        let emit: Vec<Value> = children
            .iter()
            .map(|child| json!({"entity": component(child), "key": "shared"}))
            .collect();
        scripted(name, json!({"parent": {"post-process": {"emit": emit}}}))
    };
    let mut root = emits("root", &["both"]);
    let child = json!([{"entity": emits("child", &["grandchild"])}]);
    root["spec"]["script"]["parent"]["pre-process"] = json!({"emit": child});
    tenant.push([root, emits("other", &["both"])]).await;
    let server = FileServer::start(&[("/all.yaml", &file(&[component("from-file")]))]);
    let id = tenant.register(&server.url("/all.yaml")).await;
    for name in ["both", "grandchild", "from-file"] {
        tenant.served(&format!("component:default/{name}")).await;
    }
    tenant.quiet().await;
    let gone = json!({"remove": {"entityRef": "component:default/root"}});
    let removed = tenant
        .mutate("provider", "type=delta", vec![gone])
        .await
        .ok();
    // The first list after the answer does not show them.
    let location = location_ref(&server.url("/all.yaml"));
    let left = [
        "component:default/both",
        "component:default/from-file",
        "component:default/other",
    ];
    let expected: Vec<&str> = left.into_iter().chain([location.as_str()]).collect();
    assert_eq!(tenant.listed().await, expected);
    assert_eq!(removed["removed"], 3);

    let deleted = tenant
        .client()
        .delete(&tenant.catalog(&format!("locations/{id}")))
        .await;
    assert_eq!(deleted.status, 204);
    assert_eq!(
        tenant.listed().await,
        ["component:default/both", "component:default/other"]
    );
    assert_eq!(
        tenant.settled("component:default/both").await["status"],
        "ok"
    );
}

async fn an_entity_deleted_by_uid_comes_back_while_it_is_still_emitted(backend: Backend) {
    let tenant = Tenant::of(backend, "uid").await;
    let server = FileServer::start(&[("/all.yaml", &file(&[component("web")]))]);
    tenant.register(&server.url("/all.yaml")).await;
    let before = tenant.served("component:default/web").await["metadata"]["uid"].clone();
    let uid = before.as_str().expect("a uid");
    let path = tenant.catalog(&format!("entities/by-uid/{uid}"));
    assert_eq!(tenant.client().delete(&path).await.status, 204);
    let after = tenant.served("component:default/web").await["metadata"]["uid"].clone();
    assert_ne!(after, before, "it is another one");
    assert_eq!(
        server.asked().len(),
        1,
        "its parent ran again, on what is stored"
    );
}

async fn a_kept_orphan_is_marked_and_processed_all_the_same(backend: Backend) {
    let tenant = Tenant::of(backend, "kept-orphans").await;
    tenant.direct("parent", json!({})).await;
    let emits = |children: &[&str]| {
        let emit: Vec<Value> = children
            .iter()
            .map(|name| json!({"entity": component(name)}))
            .collect();
        scripted("root", json!({"parent": {"post-process": {"emit": emit}}}))
    };
    tenant.push([emits(&["stays", "goes"])]).await;
    tenant.served("component:default/goes").await;
    tenant.push([emits(&["stays"])]).await;
    let orphan = "/metadata/annotations/backstage.io~1orphan";
    let marked = async |wanted: Option<&Value>| {
        tenant
            .until("the mark is as it should be", async || {
                let goes = tenant.served("component:default/goes").await;
                (goes.pointer(orphan) == wanted).then_some(goes)
            })
            .await
    };
    let kept = marked(Some(&json!("true"))).await;
    assert_eq!(
        tenant.state("component:default/goes").await["parents"],
        json!([])
    );
    let stays = tenant.served("component:default/stays").await;
    assert_eq!(stays.pointer(orphan), None);
    // It is processed as everything else is.
    let slug = json!({"config": {"rules": [{"kinds": ["Component"], "values": {"spec": {"system": "tickets"}}}]}});
    tenant.settings("default-values", slug).await;
    tenant
        .until("the orphan is processed", async || {
            let goes = tenant.served("component:default/goes").await;
            (goes["spec"]["system"] == "tickets").then_some(())
        })
        .await;
    // Whoever emits it again has the same one.
    tenant.push([emits(&["stays", "goes"])]).await;
    let again = marked(None).await;
    assert_eq!(again["metadata"]["uid"], kept["metadata"]["uid"]);
}

async fn what_the_configuration_no_longer_names_goes_at_the_next_start(backend: Backend) {
    let all = entity("Location", "all", json!({"target": "./web.yaml"}));
    let server = FileServer::start(&[
        ("/all.yaml", &file(&[all])),
        ("/web.yaml", &file(&[component("web")])),
        ("/shop.yaml", &file(&[component("shop")])),
    ]);
    let config = |paths: &[&str]| {
        let locations = paths.iter().map(|path| {
            let target = json!(server.url(path));
            format!("[[tenants.default.catalog.locations]]\ntype = \"url\"\ntarget = {target}\n")
        });
        let locations: String = locations.collect();
        let networks = "private_networks = [\"127.0.0.0/8\"]";
        format!("{networks}\n{}{locations}", reading("default"))
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("greenroom.toml");
    let write = |paths: &[&str]| std::fs::write(&path, config(paths)).expect("write the file");
    write(&["/all.yaml", "/shop.yaml"]);
    let mut host = TestHost::builder()
        .backend(backend)
        .config_file(&path)
        .start()
        .await;
    for name in ["web", "shop"] {
        let entity_ref = format!("component:default/{name}");
        let client = host.client();
        let served = async || client.entity("default", &entity_ref).await;
        greenroom_test_support::wait_until("it is served", PATIENCE, served).await;
    }
    write(&["/shop.yaml"]);
    host.start_again().await;
    let tenant = Tenant::on(Arc::new(host), "default");
    let shop = location_ref(&server.url("/shop.yaml"));
    assert_eq!(
        tenant.listed().await,
        ["component:default/shop", shop.as_str()]
    );
}
