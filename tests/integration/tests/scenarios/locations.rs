//! How a Location entity is read: its targets, who reads them, and what a target that fails costs (ref §2.4).

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component, entity, file, location_ref, said};

const OWN: &str = "backstage.io/managed-by-location";
const ORIGIN: &str = "backstage.io/managed-by-origin-location";

on_every_backend! {
    targets_are_relative_to_the_location_and_all_have_its_origin,
    a_missing_target_is_an_error_unless_it_is_optional,
    a_target_is_read_by_the_first_processor_that_handles_it,
    partial_failure_adds_and_updates_and_removes_nothing,
}

async fn targets_are_relative_to_the_location_and_all_have_its_origin(backend: Backend) {
    let tenant = Tenant::of(backend, "targets").await;
    let spec = json!({"targets": ["./a.yaml", "sub/b.yaml"], "target": "../c.yaml"});
    let all = entity("Location", "all", spec);
    let nested = entity("Location", "nested", json!({"target": "./deep.yaml"}));
    let server = FileServer::start(&[
        ("/team/repo/all.yaml", &file(&[all])),
        ("/team/repo/a.yaml", &file(&[component("a")])),
        ("/team/repo/sub/b.yaml", &file(&[component("b"), nested])),
        ("/team/repo/sub/deep.yaml", &file(&[component("deep")])),
        ("/team/c.yaml", &file(&[component("c")])),
    ]);
    let origin = server.url("/team/repo/all.yaml");
    tenant.register(&origin).await;
    let read_at = [
        ("a", "/team/repo/a.yaml"),
        ("b", "/team/repo/sub/b.yaml"),
        ("deep", "/team/repo/sub/deep.yaml"),
        ("c", "/team/c.yaml"),
    ];
    for (name, path) in read_at {
        let served = tenant.served(&format!("component:default/{name}")).await;
        let annotations = &served["metadata"]["annotations"];
        let own = format!("url:{}", server.url(path));
        assert_eq!(annotations[OWN], own, "{name}");
        assert_eq!(annotations[ORIGIN], format!("url:{origin}"), "{name}");
    }
}

/// A Location that a provider gives, as read at a URL of the server.
fn location(server: &FileServer, name: &str, spec: Value) -> Value {
    let mut location = entity("Location", name, spec);
    let at = format!("url:{}", server.url("/location.yaml"));
    for annotation in [OWN, ORIGIN] {
        location["metadata"]["annotations"][annotation] = at.as_str().into();
    }
    location
}

async fn a_missing_target_is_an_error_unless_it_is_optional(backend: Backend) {
    let tenant = Tenant::of(backend, "presence").await;
    let server = FileServer::start(&[]);
    let spec = |presence: &str| json!({"target": server.url(&format!("/{presence}.yaml")), "presence": presence});
    let unsaid = json!({"target": server.url("/unsaid.yaml")});
    tenant
        .push([
            location(&server, "required", spec("required")),
            location(&server, "optional", spec("optional")),
            location(&server, "unsaid", unsaid),
        ])
        .await;
    for (name, status) in [
        ("required", "partial"),
        ("optional", "ok"),
        ("unsaid", "partial"),
    ] {
        let state = tenant
            .ends(&format!("location:default/{name}"), status)
            .await;
        let problems = state["diagnostics"].as_array().map_or(0, Vec::len);
        assert_eq!(problems, usize::from(status == "partial"), "{state}");
    }
    // Nobody is kept from being served by it.
    let required = tenant.served("location:default/required").await;
    let status = required["status"].to_string();
    assert!(status.contains("/required.yaml"), "{status}");
    // What was not there is looked for again, and so is found when it comes.
    for presence in ["required", "optional"] {
        server.put(&format!("/{presence}.yaml"), &file(&[component(presence)]));
        tenant
            .refresh(&format!("location:default/{presence}"))
            .await;
        tenant
            .served(&format!("component:default/{presence}"))
            .await;
        tenant
            .ends(&format!("location:default/{presence}"), "ok")
            .await;
    }
}

async fn a_target_is_read_by_the_first_processor_that_handles_it(backend: Backend) {
    let tenant = Tenant::of(backend, "first-reader").await;
    tenant.direct("early", json!({"priority": 1})).await;
    tenant.direct("late", json!({"priority": 99})).await;
    let (mine, not_mine) = (
        FileServer::start(&[("/x.yaml", &file(&[component("from-server")]))]),
        FileServer::start(&[("/x.yaml", &file(&[component("from-server")]))]),
    );
    let emit = |name: &str| json!([{"entity": component(name)}]);
    let script = |handle: bool| {
        json!({
            "early": {"read-location": {"handle": handle, "emit": emit("from-early")}},
            "late": {"read-location": {"handle": true, "emit": emit("from-late")}},
        })
    };
    let reads = |server: &FileServer, name: &str, script: Value| {
        location(
            server,
            name,
            json!({"target": server.url("/x.yaml"), "script": script}),
        )
    };
    tenant.push([reads(&mine, "handled", script(true))]).await;
    tenant.served("component:default/from-early").await;
    tenant
        .push([reads(&not_mine, "passed-on", script(false))])
        .await;
    tenant.served("component:default/from-server").await;
    tenant.quiet().await;
    assert!(mine.asked().is_empty(), "the bundled reader was not called");
    assert_eq!(
        tenant.state("component:default/from-late").await,
        Value::Null
    );

    // Of a type that nobody reads, and that nobody may name.
    let nobody = json!({"bundled": "url-reader"});
    tenant
        .settings("url-reader", json!({"config": {}, "enabled": false}))
        .await;
    let target = mine.url("/nobody.yaml");
    tenant
        .push([
            location(
                &mine,
                "nobodys",
                json!({"target": target, "script": nobody}),
            ),
            location(&mine, "strange", json!({"type": "strange", "target": "x"})),
        ])
        .await;
    let state = tenant.ends("location:default/nobodys", "partial").await;
    let text = format!("No processor was able to handle reading of url:{target}");
    assert_eq!(said(&state), [["read-location", "", text.as_str()]]);
    let state = tenant.ends("location:default/strange", "partial").await;
    let text = "location type `strange` is not allowed here: use one of url";
    assert_eq!(said(&state), [["read-location", "", text]]);
}

/// Backstage drops everything of a run that has one error; here what is good is applied, and what is missing may be missing
/// because of the error.
async fn partial_failure_adds_and_updates_and_removes_nothing(backend: Backend) {
    let tenant = Tenant::of(backend, "additive").await;
    let owned = |name: &str, owner: &str| {
        let mut entity = component(name);
        entity["spec"]["owner"] = owner.into();
        entity
    };
    let two = entity(
        "Location",
        "two",
        json!({"targets": ["./one.yaml", "./other.yaml"]}),
    );
    let server = FileServer::start(&[
        ("/two.yaml", &file(&[two])),
        (
            "/one.yaml",
            &file(&[owned("kept", "a"), owned("changed", "a")]),
        ),
        ("/other.yaml", &file(&[owned("elsewhere", "a")])),
    ]);
    tenant.register(&server.url("/two.yaml")).await;
    for name in ["kept", "changed", "elsewhere"] {
        tenant.served(&format!("component:default/{name}")).await;
    }
    // One document is bad, one is changed, one is new, one is not there any more; and one of the targets is gone.
    let no_entity = json!({"kind": "Component", "metadata": {"name": "bad"}});
    let one = file(&[owned("changed", "b"), no_entity, owned("new", "b")]);
    server.put("/one.yaml", &one);
    server.remove("/other.yaml");
    tenant.refresh("location:default/two").await;
    // The two files are looked at one after the other.
    let state = tenant
        .until("both problems are told", async || {
            let state = tenant.state("location:default/two").await;
            let told = state["diagnostics"].as_array().map(Vec::len);
            (state["status"] == "partial" && told == Some(2)).then_some(state)
        })
        .await;
    tenant.served("component:default/new").await;
    tenant
        .until("the good one is updated", async || {
            let changed = tenant.served("component:default/changed").await;
            (changed["spec"]["owner"] == "b").then_some(())
        })
        .await;
    let told = state["diagnostics"].to_string();
    assert!(
        told.contains("/one.yaml") && told.contains("/other.yaml"),
        "{told}"
    );
    for name in ["kept", "elsewhere"] {
        let state = tenant.state(&format!("component:default/{name}")).await;
        assert_eq!(state["parents"], json!(["location:default/two"]), "{name}");
        assert_eq!(state["orphanedAt"], Value::Null, "{name}");
    }
    let two = tenant.served("location:default/two").await;
    let items = two["status"]["items"].as_array().expect("status items");
    assert_eq!(items.len(), 2, "{items:?}");

    // The first run without an error removes.
    server.put("/one.yaml", &file(&[owned("changed", "b")]));
    server.put("/other.yaml", &file(&[owned("elsewhere", "a")]));
    tenant.refresh("location:default/two").await;
    for name in ["kept", "new"] {
        let entity_ref = format!("component:default/{name}");
        tenant
            .until(&format!("{name} is an orphan"), async || {
                let state = tenant.state(&entity_ref).await;
                (!state["orphanedAt"].is_null()).then_some(())
            })
            .await;
    }
    let elsewhere = tenant.state("component:default/elsewhere").await;
    assert_eq!(elsewhere["orphanedAt"], Value::Null);
    assert_eq!(
        tenant.state(&location_ref(&server.url("/two.yaml"))).await["status"],
        "ok"
    );
}
