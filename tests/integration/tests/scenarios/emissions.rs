//! What a processor may produce besides the entity, and what becomes of it (ref §2.3).

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{PATIENCE, Tenant, component, file, location_ref, scripted};

const OWN: &str = "backstage.io/managed-by-location";
const ORIGIN: &str = "backstage.io/managed-by-origin-location";

on_every_backend! {
    an_emitted_entity_is_of_its_location_and_of_its_parents_origin,
    an_emitted_location_is_a_generated_entity_that_is_read,
    a_relation_is_its_emitters_whatever_it_connects,
    y19_a_source_chooses_neither_uid_nor_header,
}

/// An entity that says where it and what led to it come from.
fn located(mut entity: Value, own: &str, origin: &str) -> Value {
    entity["metadata"]["annotations"][OWN] = own.into();
    entity["metadata"]["annotations"][ORIGIN] = origin.into();
    entity
}

async fn an_emitted_entity_is_of_its_location_and_of_its_parents_origin(backend: Backend) {
    let tenant = Tenant::of(backend, "children").await;
    tenant.direct("parent", json!({})).await;
    let (own, origin) = (
        "url:https://example.com/own.yaml",
        "url:https://example.com/origin.yaml",
    );
    let elsewhere = "url:https://example.com/elsewhere.yaml";
    let forged = "url:https://example.com/forged.yaml";
    let emit = json!([
        {"entity": located(component("plain"), forged, forged)},
        {"entity": component("elsewhere"), "location": elsewhere},
        {"entity": component("keyed"), "key": "mine"},
        {"entity": component("anybodys"), "key": null},
    ]);
    let root = scripted("root", json!({"parent": {"post-process": {"emit": emit}}}));
    tenant.push([located(root, own, origin)]).await;
    tenant.quiet().await;
    let expected = [
        ("plain", own, json!(own)),
        ("elsewhere", elsewhere, json!(elsewhere)),
        ("keyed", own, json!("mine")),
        ("anybodys", own, Value::Null),
    ];
    for (name, at, key) in expected {
        let entity_ref = format!("component:default/{name}");
        let annotations = &tenant.served(&entity_ref).await["metadata"]["annotations"];
        let told = (&annotations[OWN], &annotations[ORIGIN]);
        assert_eq!(told, (&json!(at), &json!(origin)), "{name}");
        let state = tenant.state(&entity_ref).await;
        assert_eq!(state["locationKey"], key, "{name}");
        assert_eq!(
            state["parents"],
            json!(["component:default/root"]),
            "{name}"
        );
    }
}

async fn an_emitted_location_is_a_generated_entity_that_is_read(backend: Backend) {
    let tenant = Tenant::of(backend, "emitted-location").await;
    tenant.direct("parent", json!({})).await;
    let server = FileServer::start(&[("/web.yaml", &file(&[component("web")]))]);
    let target = server.url("/web.yaml");
    let (own, origin) = (
        "url:https://example.com/own.yaml",
        "url:https://example.com/origin.yaml",
    );
    let emit = json!([{"location": format!("url:{target}")}]);
    let root = scripted("root", json!({"parent": {"pre-process": {"emit": emit}}}));
    tenant.push([located(root, own, origin)]).await;
    let web = tenant.served("component:default/web").await;
    let location = tenant.served(&location_ref(&target)).await;
    assert_eq!(location["spec"]["type"], "url");
    assert_eq!(location["spec"]["target"], target);
    assert_eq!(location["spec"]["presence"], "optional");
    let annotations = &location["metadata"]["annotations"];
    assert_eq!(
        (&annotations[OWN], &annotations[ORIGIN]),
        (&json!(own), &json!(origin))
    );
    let state = tenant.state(&location_ref(&target)).await;
    assert_eq!(state["locationKey"], own, "its parent owns it");
    let annotations = &web["metadata"]["annotations"];
    let read_at = json!(format!("url:{target}"));
    assert_eq!(
        (&annotations[OWN], &annotations[ORIGIN]),
        (&read_at, &json!(origin))
    );
}

async fn a_relation_is_its_emitters_whatever_it_connects(backend: Backend) {
    let tenant = Tenant::of(backend, "foreign-relation").await;
    tenant.direct("matchmaker", json!({})).await;
    let relation =
        json!({"relation": ["component:default/one", "knows", "component:default/nobody"]});
    let script = json!({"matchmaker": {"post-process": {"emit": [relation]}}});
    tenant
        .push([component("one"), scripted("between", script)])
        .await;
    let knows = json!({"type": "knows", "targetRef": "component:default/nobody"});
    let has = async |wanted: bool| {
        tenant
            .until("its relations are served", async || {
                let one = tenant.served("component:default/one").await;
                let relations = one["relations"].as_array().expect("relations");
                (relations.contains(&knows) == wanted).then_some(())
            })
            .await;
    };
    has(true).await;
    let between = tenant.served("component:default/between").await;
    assert!(!between["relations"].to_string().contains("knows"));
    // They go when their emitter says so, or goes.
    tenant.push([component("between")]).await;
    has(false).await;
    let script = json!({"matchmaker": {"pre-process": {"emit": [relation]}}});
    tenant.push([scripted("between", script)]).await;
    has(true).await;
    let gone = json!({"remove": {"entityRef": "component:default/between"}});
    tenant
        .mutate("provider", "type=delta", vec![gone])
        .await
        .ok();
    has(false).await;
}

async fn y19_a_source_chooses_neither_uid_nor_header(backend: Backend) {
    let tenant = Tenant::of(backend, "forged").await;
    tenant.push([component("victim")]).await;
    let uid = tenant.served("component:default/victim").await["metadata"]["uid"].clone();
    let end = tenant.client().get(&tenant.path("changes")).await.ok();
    let (large, split) = ("e".repeat(1_000_000), "x\r\nset-cookie: a=b\r\n\r\n<html>");
    let thief = |name: &str, etag: &str| {
        let mut entity = component(name);
        entity["metadata"]["uid"] = uid.clone();
        entity["metadata"]["etag"] = etag.into();
        entity
    };
    let source = file(&[thief("large", &large), thief("split", split)]);
    let server = FileServer::start(&[("/thieves.yaml", &source)]);
    tenant.register(&server.url("/thieves.yaml")).await;
    let uid = uid.as_str().expect("a uid");
    for (name, etag) in [("large", large.as_str()), ("split", split)] {
        let served = tenant.served(&format!("component:default/{name}")).await;
        assert_ne!(served["metadata"]["uid"], uid, "{name}");
        assert_eq!(served["metadata"]["etag"], etag, "{name}: text of the body");
        // As raw as it comes: no header has anything of it.
        let path = tenant.catalog(&format!("entities/by-name/component/default/{name}"));
        let url = format!("{}{path}", tenant.host().origin());
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build();
        let request = client
            .expect("a client")
            .get(url)
            .bearer_auth(tenant.host().token());
        let answer = request.send().await.expect("an answer");
        let headers = answer.headers();
        assert!(!headers.contains_key("set-cookie") && !headers.contains_key("etag"));
        assert!(
            headers.values().all(|value| value.len() < 1_000),
            "{headers:?}"
        );
    }
    let path = tenant.catalog(&format!("entities/by-uid/{uid}"));
    let victim = tenant.client().get(&path).await.ok();
    assert_eq!(victim["metadata"]["name"], "victim");
    // The change feed tells what the host made of it.
    let cursor = end["next"].as_str().expect("a cursor");
    let path = tenant.path(&format!("changes?cursor={cursor}"));
    let changes = tenant.client().get(&path).await.ok();
    let changes = changes["items"].as_array().expect("changes");
    assert!(changes.len() >= 2, "{changes:?}");
    for change in changes {
        assert_eq!(change["etag"].as_str().map(str::len), Some(40), "{change}");
    }
}
