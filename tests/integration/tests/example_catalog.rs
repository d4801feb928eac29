//! Proves that the example catalog that `make run` serves is whole: every kind is there and nothing failed, relations are
//! there from both ends, placeholders are resolved, and relative Locations lead to their children.

use std::path::Path;
use std::time::Duration;

use greenroom_test_support::{Client, TestHost, quiet};
use serde_json::{Value, json};

const TENANT: &str = "default";

async fn has_relation(client: &Client, source: &str, r#type: &str, target: &str) {
    let entity = client
        .entity(TENANT, source)
        .await
        .unwrap_or_else(|| panic!("{source} is served"));
    let wanted = json!({"type": r#type, "targetRef": target});
    let relations = entity["relations"].as_array().cloned().unwrap_or_default();
    assert!(
        relations.contains(&wanted),
        "{source} lacks {wanted}: {relations:?}"
    );
}

#[tokio::test]
async fn is_served_whole() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example/greenroom.toml");
    let file = file
        .canonicalize()
        .expect("the example is in the repository");
    let host = TestHost::builder().config_file(file).start().await;
    let client = host.client();
    let states = quiet(client, TENANT, Duration::from_secs(60)).await;
    let bad: Vec<&Value> = states
        .iter()
        .filter(|state| state["status"] != "ok" || state["diagnostics"] != json!([]))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");

    every_kind_is_there(client, states.len()).await;
    for (source, forward, backward, target) in [
        (
            "component:default/website",
            "ownedBy",
            "ownerOf",
            "group:default/shop",
        ),
        (
            "component:default/website",
            "partOf",
            "hasPart",
            "system:default/ticket-shop",
        ),
        (
            "component:default/order-service",
            "providesApi",
            "apiProvidedBy",
            "api:default/orders",
        ),
        (
            "component:default/website",
            "consumesApi",
            "apiConsumedBy",
            "api:default/shop-graph",
        ),
        (
            "component:default/website",
            "dependsOn",
            "dependencyOf",
            "component:default/design-kit",
        ),
        (
            "system:default/ticket-shop",
            "partOf",
            "hasPart",
            "domain:default/ticketing",
        ),
        (
            "user:default/amara.okafor",
            "memberOf",
            "hasMember",
            "group:default/shop",
        ),
        (
            "group:default/shop",
            "childOf",
            "parentOf",
            "group:default/product",
        ),
    ] {
        has_relation(client, source, forward, target).await;
        has_relation(client, target, backward, source).await;
    }
    placeholders_are_resolved(client).await;
}

async fn every_kind_is_there(client: &Client, entities: usize) {
    let facets = client
        .get("/tenants/default/api/catalog/entity-facets?facet=kind")
        .await
        .ok();
    let counted = facets["facets"]["kind"]
        .as_array()
        .expect("a facet")
        .clone();
    let mut kinds: Vec<&str> = counted
        .iter()
        .filter_map(|one| one["value"].as_str())
        .collect();
    kinds.sort_unstable();
    let all = [
        "API",
        "Component",
        "Domain",
        "Group",
        "Location",
        "Resource",
        "System",
        "Template",
        "User",
    ];
    assert_eq!(kinds, all);
    let total: u64 = counted.iter().filter_map(|one| one["count"].as_u64()).sum();
    assert_eq!(total, entities as u64, "every entity is served once");
}

async fn placeholders_are_resolved(client: &Client) {
    let orders = client
        .entity(TENANT, "api:default/orders")
        .await
        .expect("the example has it");
    let definition = orders["spec"]["definition"]
        .as_str()
        .expect("the example has it");
    assert!(definition.starts_with("openapi:"), "{definition}");
    assert!(orders["metadata"]["labels"].is_object());
    assert!(orders["metadata"]["labels"].get("$json").is_none());
    let gateway = client
        .entity(TENANT, "component:default/shop-gateway")
        .await
        .expect("the example has it");
    assert!(!gateway.to_string().contains("$yaml"), "{gateway}");
}
