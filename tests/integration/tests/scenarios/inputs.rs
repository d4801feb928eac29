//! When an entity runs again: when an input changed, and at no other time (DESIGN §2, §2.1); and the cache, which is none.

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component, entity, file, location_ref, said, scripted};

on_every_backend! {
    an_entity_runs_again_only_when_an_input_changed,
    a_changed_document_runs_its_users_and_of_their_children_those_that_changed,
    a_refresh_key_finds_who_emitted_it_until_it_does_so_no_more,
    the_cache_of_a_good_run_is_given_to_the_next,
}

async fn last_run(tenant: &Tenant, entity_ref: &str) -> Value {
    tenant.state(entity_ref).await["lastRun"].clone()
}

/// Waits until it ran once more and nothing is pending.
async fn runs_after(tenant: &Tenant, entity_ref: &str, before: &Value) -> Value {
    let ran = tenant.until("it runs again", async || {
        let last = last_run(tenant, entity_ref).await;
        (last != *before).then_some(last)
    });
    let ran = ran.await;
    tenant.quiet().await;
    assert_eq!(last_run(tenant, entity_ref).await, ran, "once");
    ran
}

async fn an_entity_runs_again_only_when_an_input_changed(backend: Backend) {
    let tenant = Tenant::of(backend, "inputs").await;
    let of_components = |more: &str| {
        json!({
            "subscription": [{"kinds": ["Component"]}],
            "config": {"as": "annotator", "more": more},
        })
    };
    tenant.direct("annotator", of_components("")).await;
    let spec =
        json!({"type": "openapi", "lifecycle": "production", "owner": "team-a", "definition": "x"});
    let given = [
        scripted(
            "web",
            json!({"annotator": {"pre-process": {"append": "seen"}}}),
        ),
        entity("API", "orders", spec),
    ];
    let (web, orders) = ("component:default/web", "api:default/orders");
    tenant.push(given.clone()).await;
    tenant.quiet().await;
    let first = [
        last_run(&tenant, web).await,
        last_run(&tenant, orders).await,
    ];

    // The same bytes.
    let again = tenant.push(given.clone()).await;
    assert_eq!(
        (&again["unchanged"], &again["updated"]),
        (&json!(2), &json!(0))
    );
    // A setting of a processor that is not called for the API.
    tenant.settings("annotator", of_components("changed")).await;
    let second = runs_after(&tenant, web, &first[0]).await;
    // Other bytes.
    let mut changed = given[0].clone();
    changed["spec"]["owner"] = "team-b".into();
    tenant.push([changed]).await;
    let third = runs_after(&tenant, web, &second).await;
    // A processor more, which is called for both.
    assert_eq!(
        last_run(&tenant, orders).await,
        first[1],
        "nothing of it changed so far"
    );
    tenant.direct("another", json!({})).await;
    let fourth = runs_after(&tenant, web, &third).await;
    let orders_ran = runs_after(&tenant, orders, &first[1]).await;
    // Somebody who insists.
    let forced = tenant.path("processing/component/default/web/refresh?wait=60");
    let state = tenant.client().post(&forced, &json!({})).await.ok();
    assert_ne!(state["lastRun"], fourth);
    assert_eq!(last_run(&tenant, orders).await, orders_ran);
}

async fn a_changed_document_runs_its_users_and_of_their_children_those_that_changed(
    backend: Backend,
) {
    let tenant = Tenant::of(backend, "refresh").await;
    let owned = |name: &str, owner: &str| {
        let mut entity = component(name);
        entity["spec"]["owner"] = owner.into();
        entity
    };
    let server = FileServer::start(&[
        (
            "/two.yaml",
            &file(&[owned("one", "a"), owned("other", "a")]),
        ),
        ("/third.yaml", &file(&[owned("third", "a")])),
    ]);
    let [two, third] = ["/two.yaml", "/third.yaml"].map(|path| server.url(path));
    tenant.register(&two).await;
    tenant.served("component:default/one").await;
    tenant.register(&third).await;
    tenant.served("component:default/third").await;
    tenant.quiet().await;
    let refs = [
        "component:default/one".to_owned(),
        "component:default/other".to_owned(),
        "component:default/third".to_owned(),
        location_ref(&two),
        location_ref(&third),
    ];
    let ran = async || {
        let mut ran = Vec::new();
        for entity_ref in &refs {
            ran.push(last_run(&tenant, entity_ref).await);
        }
        ran
    };
    let before = ran().await;
    // A refresh of an entity looks at what its Location read; nothing runs, because nothing changed.
    assert_eq!(server.asked(), ["/two.yaml", "/third.yaml"]);
    tenant.refresh(&refs[0]).await;
    tenant
        .until("the document is looked at", async || {
            (server.asked().len() == 3).then_some(())
        })
        .await;
    assert_eq!(server.asked()[2], "/two.yaml");
    tenant.quiet().await;
    assert_eq!(ran().await, before);

    server.put(
        "/two.yaml",
        &file(&[owned("one", "b"), owned("other", "a")]),
    );
    tenant.refresh(&refs[0]).await;
    runs_after(&tenant, &refs[0], &before[0]).await;
    let after = ran().await;
    let again: Vec<bool> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| before != after)
        .collect();
    assert_eq!(again, [true, false, false, true, false]);
    tenant.shows(&refs[0], "/spec/owner", &json!("b")).await;
}

/// A provider that hears of a change names the keys of what changed.
async fn a_refresh_key_finds_who_emitted_it_until_it_does_so_no_more(backend: Backend) {
    let tenant = Tenant::of(backend, "keys").await;
    tenant.direct("keyed", json!({})).await;
    let server = FileServer::start(&[("/all.yaml", &file(&[component("from-file")]))]);
    let target = server.url("/all.yaml");
    tenant.register(&target).await;
    let with_key = json!({"keyed": {"post-process": {"emit": [{"refreshKey": "a key"}]}}});
    tenant.push([scripted("web", with_key)]).await;
    tenant.served("component:default/from-file").await;
    tenant.quiet().await;
    let refresh = async |keys: &[&str]| {
        let path = tenant.path("providers/scm/refresh");
        let refreshed = tenant.client().post(&path, &json!({"keys": keys})).await;
        refreshed.ok()["entities"].clone()
    };
    assert_eq!(refresh(&["a key", "another"]).await, 1);
    // What read the file emitted its key: what it read is looked at.
    let mut changed = component("from-file");
    changed["spec"]["owner"] = "team-b".into();
    server.put("/all.yaml", &file(&[changed]));
    assert_eq!(refresh(&[&format!("url:{target}")]).await, 1);
    tenant
        .until("the change is served", async || {
            let served = tenant.served("component:default/from-file").await;
            (served["spec"]["owner"] == "team-b").then_some(())
        })
        .await;
    assert_eq!(server.asked(), ["/all.yaml", "/all.yaml"]);
    tenant.push([component("web")]).await;
    tenant.quiet().await;
    assert_eq!(refresh(&["a key"]).await, 0);
}

async fn the_cache_of_a_good_run_is_given_to_the_next(backend: Backend) {
    let tenant = Tenant::of(backend, "cache").await;
    tenant.direct("one", json!({"priority": 1})).await;
    tenant.direct("two", json!({"priority": 2})).await;
    let remember = |text: &str| json!({"remember": text});
    let run = async |script: Value| {
        tenant.push([scripted("web", script)]).await;
        let state = tenant.settled("component:default/web").await;
        // A guest whose answer depends on its cache is told so now and then, which is another test's.
        let said = said(&state)
            .into_iter()
            .filter(|[_, _, message]| message.starts_with("remembered"));
        said.map(|[_, name, message]| format!("{name} {message}"))
            .collect::<Vec<_>>()
    };
    // What a run keeps is for the next, each processor's for itself.
    let first = run(json!({
        "one": {"pre-process": remember("a"), "post-process": remember("b")},
        "two": {"pre-process": remember("c")},
    }));
    let none = [
        "one remembered None",
        "two remembered None",
        "one remembered None",
    ];
    assert_eq!(first.await, none);
    let second =
        run(json!({"one": {"pre-process": remember("d")}, "two": {"pre-process": remember("e")}}));
    let kept = [r#"one remembered Some("b")"#, r#"two remembered Some("c")"#];
    assert_eq!(second.await, kept);
    // A run that fails leaves it as it was.
    let failing = json!({"one": {"pre-process": remember("f"), "post-process": {"fail": "no"}}});
    run(failing).await;
    assert_eq!(
        tenant.state("component:default/web").await["status"],
        "failed"
    );
    let third = run(json!({"one": {"post-process": remember("g")}}));
    assert_eq!(third.await, [r#"one remembered Some("d")"#]);
    // Who keeps nothing has nothing the next time.
    let fourth = run(json!({"two": {"post-process": remember("h")}}));
    assert_eq!(fourth.await, ["two remembered None"]);
    // It is no input: the same bytes do not run again because there is another.
    let ran = last_run(&tenant, "component:default/web").await;
    let last = json!({"two": {"post-process": remember("h")}});
    let again = tenant.push([scripted("web", last)]).await;
    assert_eq!(again["unchanged"], 1);
    tenant.quiet().await;
    assert_eq!(last_run(&tenant, "component:default/web").await, ran);
}
