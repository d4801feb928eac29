//! What a provider's mutation does, whole or not at all (ref §6.1, DESIGN §5).

use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component};

on_every_backend! {
    a_mutation_that_is_not_whole_changes_nothing,
    a_full_mutation_is_applied_as_a_difference,
    a_delta_touches_its_own_providers_entities_only,
}

fn add(entity: &Value) -> Value {
    json!({"add": {"entity": entity}})
}

fn remove(name: &str) -> Value {
    json!({"remove": {"entityRef": format!("component:default/{name}")}})
}

fn owned(name: &str, owner: &str) -> Value {
    let mut entity = component(name);
    entity["spec"]["owner"] = owner.into();
    entity
}

/// Added, updated, unchanged, removed.
fn figures(outcome: &Value) -> [u64; 4] {
    ["added", "updated", "unchanged", "removed"].map(|name| outcome[name].as_u64().expect(name))
}

async fn a_mutation_that_is_not_whole_changes_nothing(backend: Backend) {
    let tenant = Tenant::of(backend, "uncommitted").await;
    tenant.push([component("there")]).await;
    tenant.served("component:default/there").await;
    let path = tenant.path("providers/provider/mutations?type=delta");
    let (good, gone) = (add(&component("new")), remove("there"));
    let nameless =
        json!({"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {}});
    let commit = |count: u64| json!({"commit": {"count": count}});
    let not_whole = [
        vec![good.clone(), gone.clone()],
        vec![good.clone(), gone.clone(), commit(3)],
        vec![good.clone(), gone.clone(), add(&nameless), commit(3)],
        vec![good, json!({"replace": {}}), gone, commit(3)],
    ];
    for lines in not_whole {
        let refused = tenant.client().ndjson(&path, &lines).await;
        assert_eq!(refused.error(400), "InputError");
        assert!(
            refused.body.contains("nothing was changed"),
            "{}",
            refused.body
        );
    }
    let states = tenant.quiet().await;
    let refs: Vec<&Value> = states.iter().map(|state| &state["entityRef"]).collect();
    assert_eq!(refs, ["component:default/there"]);
}

async fn a_full_mutation_is_applied_as_a_difference(backend: Backend) {
    let tenant = Tenant::of(backend, "fulls").await;
    let full = async |query: &str, entities: &[Value]| {
        let lines = entities.iter().map(add).collect();
        tenant
            .mutate("provider", &format!("type=full{query}"), lines)
            .await
    };
    let first = [
        owned("same", "a"),
        owned("changed", "a"),
        owned("gone", "a"),
    ];
    assert_eq!(figures(&full("", &first).await.ok()), [3, 0, 0, 0]);
    tenant.push_as("another", [component("anothers")]).await;
    tenant.quiet().await;
    let ran_at = tenant.state("component:default/same").await["lastRun"].clone();
    let second = [owned("same", "a"), owned("changed", "b"), owned("new", "b")];
    assert_eq!(figures(&full("", &second).await.ok()), [1, 1, 1, 1]);
    tenant.quiet().await;
    assert_eq!(
        tenant.listed().await,
        ["anothers", "changed", "new", "same"].map(|name| format!("component:default/{name}"))
    );
    tenant
        .shows("component:default/changed", "/spec/owner", &json!("b"))
        .await;
    assert_eq!(
        tenant.state("component:default/same").await["lastRun"],
        ran_at
    );

    // A set that shrinks by much is most often a mistake.
    let many: Vec<Value> = (0..20)
        .map(|number| component(&format!("many-{number}")))
        .collect();
    full("", &many).await.ok();
    let refused = full("", &many[..9]).await;
    assert_eq!(refused.error(409), "ConflictError");
    assert!(refused.body.contains("9 of 20"), "{}", refused.body);
    assert_eq!(
        figures(&full("&allow_shrink=true", &many[..9]).await.ok()),
        [0, 0, 9, 11]
    );
    assert_eq!(tenant.quiet().await.len(), 10);
}

async fn a_delta_touches_its_own_providers_entities_only(backend: Backend) {
    let tenant = Tenant::of(backend, "deltas").await;
    tenant.push([component("mine"), component("gone")]).await;
    tenant.push_as("another", [component("theirs")]).await;
    let uid = tenant.served("component:default/mine").await["metadata"]["uid"].clone();
    tenant.quiet().await;
    let keyed = json!({"add": {"entity": owned("mine", "b"), "locationKey": "mine"}});
    let lines = vec![
        remove("gone"),
        remove("theirs"),
        remove("unheard-of"),
        keyed,
    ];
    let outcome = tenant.mutate("provider", "type=delta", lines).await.ok();
    assert_eq!(figures(&outcome), [0, 1, 0, 1]);
    tenant.quiet().await;
    assert_eq!(
        tenant.listed().await,
        ["component:default/mine", "component:default/theirs"]
    );
    // Another location key is another owner elsewhere; a provider's own entity stays what it was (Backstage: a new uid).
    let mine = tenant
        .shows("component:default/mine", "/spec/owner", &json!("b"))
        .await;
    assert_eq!(mine["metadata"]["uid"], uid);
    assert_eq!(
        tenant.state("component:default/mine").await["locationKey"],
        "mine"
    );
    // Whoever does not have the key is told that it lost.
    let lost = tenant.push_as("another", [owned("mine", "c")]).await;
    assert_eq!(lost["conflicts"], json!(["component:default/mine"]));
    assert_eq!(
        tenant.settled("component:default/mine").await["status"],
        "ok"
    );
    assert_eq!(
        tenant.served("component:default/mine").await["spec"]["owner"],
        "b"
    );
}
