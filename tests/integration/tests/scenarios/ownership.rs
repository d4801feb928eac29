//! Who owns a ref that several give: location keys, conflicts and edges (ref §5.4).

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component, entity, file, location_ref, scripted};

on_every_backend! {
    the_first_owner_keeps_a_ref_and_the_loser_takes_over_when_it_goes,
    a_document_that_moves_to_another_file_keeps_its_uid,
    a_document_that_moves_between_files_of_one_location_keeps_its_uid,
}

fn owned(name: &str, owner: &str) -> Value {
    let mut entity = component(name);
    entity["spec"]["owner"] = owner.into();
    entity
}

async fn the_first_owner_keeps_a_ref_and_the_loser_takes_over_when_it_goes(backend: Backend) {
    let tenant = Tenant::of(backend, "conflict").await;
    tenant.direct("parent", json!({})).await;
    let server = FileServer::start(&[
        (
            "/first.yaml",
            &file(&[owned("web", "first"), owned("own", "first")]),
        ),
        (
            "/second.yaml",
            &file(&[owned("web", "second"), owned("other", "second")]),
        ),
    ]);
    let (first, second) = (server.url("/first.yaml"), server.url("/second.yaml"));
    let id = tenant.register(&first).await;
    tenant.served("component:default/web").await;
    tenant.register(&second).await;
    tenant.served("component:default/other").await;
    tenant.quiet().await;
    let owner = |web: &Value| web["spec"]["owner"].clone();
    assert_eq!(
        owner(&tenant.served("component:default/web").await),
        "first"
    );
    let conflicts = async || {
        let listed = tenant
            .client()
            .get(&tenant.path("processing/conflicts"))
            .await;
        listed.ok()["items"].as_array().expect("conflicts").clone()
    };
    let listed = conflicts().await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["entityRef"], "component:default/web");
    assert_eq!(listed[0]["loser"], location_ref(&second));
    assert_eq!(listed[0]["locationKey"], format!("url:{second}"));
    assert_eq!(listed[0]["ownerLocationKey"], format!("url:{first}"));
    // To lose is no failure: what else the loser emits is there.
    assert_eq!(tenant.state(&location_ref(&second)).await["status"], "ok");

    // An emission without a key is refused as well; with the owner's key it is let in, and both keep their edges.
    let emits = |name: &str, key: Value| {
        let emit = json!([{"entity": owned("web", name), "key": key}]);
        scripted(name, json!({"parent": {"post-process": {"emit": emit}}}))
    };
    let keyed = emits("keyed", json!(format!("url:{first}")));
    tenant.push([emits("keyless", Value::Null), keyed]).await;
    tenant
        .until("the last emitter's bytes are served", async || {
            let web = tenant.served("component:default/web").await;
            (owner(&web) == "keyed").then_some(())
        })
        .await;
    tenant.quiet().await;
    let losers: Vec<Value> = conflicts()
        .await
        .iter()
        .map(|one| one["loser"].clone())
        .collect();
    assert_eq!(losers.len(), 2, "{losers:?}");
    assert!(
        losers.contains(&json!("component:default/keyless")),
        "{losers:?}"
    );
    let mut parents = vec!["component:default/keyed".to_owned(), location_ref(&first)];
    parents.sort();
    let web = tenant.state("component:default/web").await;
    assert_eq!(web["parents"], json!(parents));
    let path = tenant.catalog("entities/by-name/component/default/web/ancestry");
    let ancestry = tenant.client().get(&path).await.ok();
    for parent in &parents {
        assert!(
            ancestry["items"].to_string().contains(parent.as_str()),
            "{ancestry}"
        );
    }

    // One owner goes, and the other owns it alone; that goes too, and who lost is next.
    let deleted = tenant
        .client()
        .delete(&tenant.catalog(&format!("locations/{id}")))
        .await;
    assert_eq!(deleted.status, 204);
    let web = tenant.served("component:default/web").await;
    assert_eq!(owner(&web), "keyed");
    let gone = json!({"remove": {"entityRef": "component:default/keyed"}});
    let none_left = json!({"remove": {"entityRef": "component:default/keyless"}});
    tenant
        .mutate("provider", "type=delta", vec![none_left, gone])
        .await
        .ok();
    tenant
        .until("the loser has it", async || {
            let web = tenant.find("component:default/web").await?;
            (owner(&web) == "second").then_some(())
        })
        .await;
    assert!(conflicts().await.is_empty());
}

/// A document moves from one file to another, of another Location: seen first where it is now, or first where it was.
async fn a_document_that_moves_to_another_file_keeps_its_uid(backend: Backend) {
    let tenant = Tenant::of(backend, "moved").await;
    let stays = file(&[component("stays")]);
    let server = FileServer::start(&[
        ("/from.yaml", &file(&[component("web")])),
        ("/to.yaml", &stays),
    ]);
    let [from, to] = ["/from.yaml", "/to.yaml"].map(|path| server.url(path));
    tenant.register(&from).await;
    tenant.register(&to).await;
    tenant.served("component:default/stays").await;
    let uid = tenant.served("component:default/web").await["metadata"]["uid"].clone();
    let moves = async |from: &str, to: &str, owner: &str, order: [&str; 2]| {
        server.put(to, &file(&[owned("web", owner)]));
        server.put(from, &file(&[]));
        for path in order {
            let asked = server.asked().len();
            tenant.refresh(&location_ref(&server.url(path))).await;
            tenant
                .until("the file is looked at", async || {
                    server.asked()[asked..]
                        .iter()
                        .any(|one| one == path)
                        .then_some(())
                })
                .await;
        }
        let web = tenant
            .shows("component:default/web", "/spec/owner", &json!(owner))
            .await;
        assert_eq!(web["metadata"]["uid"], uid, "it is the same one");
        let state = tenant.settled("component:default/web").await;
        let to = server.url(to);
        assert_eq!(state["parents"], json!([location_ref(&to)]));
        assert_eq!(state["locationKey"], format!("url:{to}"));
        assert_eq!(state["orphanedAt"], Value::Null);
    };
    moves(
        "/from.yaml",
        "/to.yaml",
        "team-b",
        ["/from.yaml", "/to.yaml"],
    )
    .await;
    moves(
        "/to.yaml",
        "/from.yaml",
        "team-c",
        ["/from.yaml", "/to.yaml"],
    )
    .await;
}

/// For a moment the Location loses against itself.
async fn a_document_that_moves_between_files_of_one_location_keeps_its_uid(backend: Backend) {
    let tenant = Tenant::of(backend, "moved-within").await;
    let two = entity(
        "Location",
        "two",
        json!({"targets": ["./one.yaml", "./other.yaml"]}),
    );
    let server = FileServer::start(&[
        ("/two.yaml", &file(&[two])),
        ("/one.yaml", &file(&[owned("web", "team-a")])),
        ("/other.yaml", &file(&[component("stays")])),
    ]);
    tenant.register(&server.url("/two.yaml")).await;
    tenant.served("component:default/stays").await;
    let before = tenant.served("component:default/web").await;
    server.put(
        "/other.yaml",
        &file(&[component("stays"), owned("web", "team-b")]),
    );
    server.put("/one.yaml", &file(&[]));
    tenant.refresh("location:default/two").await;
    let after = tenant
        .shows("component:default/web", "/spec/owner", &json!("team-b"))
        .await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let state = tenant.settled("component:default/web").await;
    let key = format!("url:{}", server.url("/other.yaml"));
    assert_eq!(state["locationKey"], key);
    assert_eq!(state["parents"], json!(["location:default/two"]));
    let conflicts = tenant
        .client()
        .get(&tenant.path("processing/conflicts"))
        .await;
    assert_eq!(conflicts.ok()["items"], json!([]));
}
