//! The trap list for implementers of Backstage's catalog API (ref §12), as far as the edge alone decides; each test carries
//! its number. What processing decides is in `tests/integration/tests/traps.rs`.

use serde_json::{Value, json};

use crate::api::tests::host::{Answer, Host};

fn component(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn names(items: &Value) -> Vec<&str> {
    let items = items.as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// The names of what a filter matches, by name.
async fn matched(host: &Host, filters: &[&str]) -> Vec<String> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for filter in filters {
        query.append_pair("filter", filter);
    }
    let path = format!("/entities?{}&order=asc:metadata.name", query.finish());
    let answer = host.catalog("GET", &path, None).await;
    assert_eq!(answer.status, 200, "{filters:?}: {}", answer.text);
    let items = answer.json();
    names(&items).into_iter().map(str::to_owned).collect()
}

async fn located(host: &Host, target: &str) -> Answer {
    let body = json!({"type": "url", "target": target});
    host.catalog("POST", "/locations", Some(body)).await
}

#[tokio::test]
async fn trap_01_success_has_exactly_the_status_the_client_checks() {
    let host = Host::new().await;
    let added = located(&host, "https://example.com/a.yaml").await;
    assert_eq!(added.status, 201);
    let location = added.json()["location"].clone();
    let refresh = json!({"entityRef": location["entityRef"]});
    let refreshed = host.catalog("POST", "/refresh", Some(refresh)).await;
    assert_eq!((refreshed.status, refreshed.text.as_str()), (200, ""));
    let path = format!("/locations/{}", location["id"].as_str().unwrap());
    let to = json!({"type": "url", "target": "https://example.com/b.yaml"});
    assert_eq!(host.catalog("PUT", &path, Some(to)).await.status, 200);
}

#[tokio::test]
async fn trap_02_what_is_not_found_says_so_in_a_body_that_clients_parse() {
    let host = Host::new().await;
    for (method, path, body) in [
        ("GET", "/entities/by-name/component/default/none", None),
        (
            "GET",
            "/entities/by-name/component/default/none/ancestry",
            None,
        ),
        ("GET", "/entities/by-uid/none", None),
        ("GET", "/locations/none", None),
        ("DELETE", "/locations/none", None),
        (
            "PUT",
            "/locations/none",
            Some(json!({"type": "url", "target": "x"})),
        ),
        ("GET", "/locations/by-entity/component/default/none", None),
        (
            "POST",
            "/refresh",
            Some(json!({"entityRef": "component:default/none"})),
        ),
    ] {
        let answer = host.catalog(method, path, body).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(
            answer.headers["content-type"],
            "application/json; charset=utf-8"
        );
        let body = answer.json();
        assert_eq!(body["error"]["name"], "NotFoundError");
        assert_eq!(body["request"], json!({"method": method, "url": path}));
        assert_eq!(body["response"], json!({"statusCode": 404}));
    }
}

#[tokio::test]
async fn trap_02_an_entity_whose_origin_is_not_registered_has_no_location() {
    let host = Host::new().await;
    let mut moved = component("moved", &json!({}));
    moved["metadata"]["annotations"] =
        json!({"backstage.io/managed-by-origin-location": "url:https://example.com/x.yaml"});
    host.provide(&[moved]).await;
    for (name, said) in [
        ("none", "found no entity for ref component:default/none"),
        (
            "moved",
            "Found no location with type url and target https://example.com/x.yaml",
        ),
    ] {
        let path = format!("/locations/by-entity/component/default/{name}");
        let answer = host.catalog("GET", &path, None).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["message"], said);
    }
}

#[tokio::test]
async fn trap_03_only_the_list_of_locations_is_wrapped() {
    let host = Host::new().await;
    let location = located(&host, "https://example.com/a.yaml").await.json()["location"].clone();
    let path = format!("/locations/{}", location["id"].as_str().unwrap());
    let list = host.catalog("GET", "/locations", None).await.json();
    assert_eq!(list, json!([{"data": location}]));
    assert_eq!(host.catalog("GET", &path, None).await.json(), location);
    let page = host.catalog("POST", "/locations/by-query", None).await;
    assert_eq!(page.json()["items"], json!([location]));
}

#[tokio::test]
async fn trap_04_limit_and_fields_come_anew_with_a_cursor() {
    let host = Host::new().await;
    let four = ["a", "b", "c", "d"].map(|name| component(name, &json!({"owner": "x"})));
    host.provide(&four).await;
    let first = "/entities/by-query?limit=1&orderField=metadata.name,asc&fields=kind";
    let first = host.catalog("GET", first, None).await.json();
    assert_eq!(first["items"], json!([{"kind": "Component"}]));
    let cursor = first["pageInfo"]["nextCursor"].as_str().unwrap();
    let posted = json!({"cursor": cursor, "limit": 2, "fields": ["metadata.name"]});
    let posted = host
        .catalog("POST", "/entities/by-query", Some(posted))
        .await;
    let expected = json!([{"metadata": {"name": "b"}}, {"metadata": {"name": "c"}}]);
    assert_eq!(posted.json()["items"], expected);
    let encoded: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
    let path = format!("/entities/by-query?cursor={encoded}");
    let rest = host.catalog("GET", &path, None).await.json();
    assert_eq!(
        names(&rest["items"]),
        ["b", "c", "d"],
        "no limit, whole bodies"
    );
    assert_eq!(rest["totalItems"], 4);
}

#[tokio::test]
async fn trap_05_refs_are_answered_in_order_with_nulls_from_a_body_above_100_kib() {
    let host = Host::new().await;
    host.provide(&[component("a", &json!({})), component("b", &json!({}))])
        .await;
    let mut refs: Vec<String> = (0..6_000)
        .map(|number| format!("component:default/none-{number}"))
        .collect();
    refs[10] = "component:default/b".to_owned();
    refs[5_990] = "component:default/a".to_owned();
    let body = json!({"entityRefs": refs});
    assert!(body.to_string().len() > 100 * 1024);
    let answer = host
        .catalog("POST", "/entities/by-refs", Some(body))
        .await
        .json();
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 6_000);
    for (at, item) in items.iter().enumerate() {
        let name = item["metadata"]["name"].as_str();
        let expected = match at {
            10 => Some("b"),
            5_990 => Some("a"),
            _ => None,
        };
        assert_eq!(name, expected, "{at}");
    }
}

#[tokio::test]
async fn trap_06_problems_of_an_entity_have_a_body_of_their_own() {
    let host = Host::new().await;
    for (entity, location) in [
        (json!({"kind": "x"}), "url:https://example.com"),
        (component("a", &json!({})), "file:/etc/passwd"),
        (component("a", &json!({})), "nonsense"),
    ] {
        let body = json!({"entity": entity, "location": location});
        let answer = host
            .catalog("POST", "/validate-entity", Some(body.clone()))
            .await;
        assert_eq!(answer.status, 400, "{body}");
        let answer = answer.json();
        assert!(answer["errors"][0]["message"].is_string(), "{answer}");
        assert!(answer["errors"][0]["name"].is_string());
        assert!(answer.get("error").is_none());
    }
    for missing in [
        json!({"entity": {}}),
        json!({"location": "url:x"}),
        json!({}),
    ] {
        let answer = host
            .catalog("POST", "/validate-entity", Some(missing))
            .await;
        assert_eq!(answer.json()["error"]["name"], "InputError");
    }
}

#[tokio::test]
async fn trap_07_deleting_an_entity_twice_is_204_and_a_location_404() {
    let host = Host::new().await;
    let unknown = "/entities/by-uid/00000000-0000-4000-8000-000000000000";
    assert_eq!(host.catalog("DELETE", unknown, None).await.status, 204);
    let location = located(&host, "https://example.com/a.yaml").await.json()["location"].clone();
    let path = format!("/locations/{}", location["id"].as_str().unwrap());
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 204);
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 404);
}

#[tokio::test]
async fn trap_09_refs_are_lower_case_and_bodies_and_messages_keep_their_casing() {
    let host = Host::new().await;
    host.provide(&[component("Artist-Web", &json!({}))]).await;
    let path = "/entities/by-name/COMPONENT/Default/ARTIST-web";
    let entity = host.catalog("GET", path, None).await.json();
    assert_eq!(entity["metadata"]["name"], "Artist-Web");
    let ancestry = host
        .catalog("GET", &format!("{path}/ancestry"), None)
        .await
        .json();
    assert_eq!(ancestry["rootEntityRef"], "component:default/artist-web");
    let gone = host
        .catalog("GET", "/entities/by-name/Component/Default/None", None)
        .await
        .json();
    assert_eq!(
        gone["error"]["message"],
        "No entity named 'None' found, with kind 'Component' in namespace 'Default'"
    );
}

#[tokio::test]
async fn trap_10_the_filter_grammar() {
    let host = Host::new().await;
    host.provide(&[
        component("a", &json!({"type": "service", "owner": "x", "n": null})),
        component("b", &json!({"type": "website", "owner": "x", "empty": ""})),
        component("c", &json!({"type": "library", "owner": "y"})),
    ])
    .await;
    for (filters, expected) in [
        (
            &["spec.type=service,spec.type=website"][..],
            &["a", "b"][..],
        ),
        (&["spec.type=service,spec.owner=y"], &[]),
        (&["spec.type=service", "spec.owner=y"], &["a", "c"]),
        (&["spec.owner=x,spec.type=website", "spec.n"], &["a", "b"]),
        (&["spec.n"], &["a"]),
        (&["spec.n="], &[]),
        (&["spec.empty="], &["b"]),
        (&["spec.missing="], &[]),
        (&["spec.type,spec.type=library"], &["c"]),
        (&[" SPEC.Type = LIBRARY "], &["c"]),
        (&["spec.owner=x=y"], &[]),
    ] {
        assert_eq!(matched(&host, filters).await, expected, "{filters:?}");
    }
    let empty_key = host.catalog("GET", "/entities?filter=%3Dx", None).await;
    assert_eq!(empty_key.status, 400);
}

#[tokio::test]
async fn trap_11_long_values_only_exist_and_long_keys_do_not() {
    let host = Host::new().await;
    let (fits, long) = ("v".repeat(200), "v".repeat(201));
    let key = "k".repeat(200);
    let spec = json!({"fits": fits, "long": long, "none": null, "tags": ["x"], key.clone(): "1"});
    host.provide(&[component("a", &spec)]).await;
    for (filter, found) in [
        (format!("spec.fits={fits}"), true),
        ("spec.long".to_owned(), true),
        (format!("spec.long={long}"), false),
        ("spec.none".to_owned(), true),
        ("spec.none=null".to_owned(), false),
        (format!("spec.{key}"), false),
        ("spec.tags.x=true".to_owned(), true),
    ] {
        let matched = matched(&host, &[&filter]).await;
        assert_eq!(matched.len(), usize::from(found), "{filter}");
    }
    let facets = "/entity-facets?facet=spec.long&facet=spec.none&facet=spec.tags.x";
    let facets = host.catalog("GET", facets, None).await.json();
    let expected = json!({
        "spec.long": [], "spec.none": [], "spec.tags.x": [{"value": "true", "count": 1}],
    });
    assert_eq!(facets["facets"], expected);
}

#[tokio::test]
async fn trap_12_parameters_nobody_knows_and_empty_ones_are_refused() {
    let host = Host::new().await;
    for (method, path) in [
        ("GET", "/entities"),
        ("GET", "/entities/by-query"),
        ("GET", "/entity-facets"),
        ("GET", "/locations"),
        ("GET", "/entities/by-name/a/b/c"),
    ] {
        let unknown = host
            .catalog(method, &format!("{path}?foo=1"), None)
            .await
            .json();
        assert_eq!(
            unknown["error"]["message"], "Unknown query parameter 'foo'",
            "{path}"
        );
    }
    for name in ["filter", "fields", "order", "limit", "after"] {
        let path = format!("/entities?{name}=");
        let empty = host.catalog("GET", &path, None).await;
        assert_eq!(empty.status, 400);
        assert_eq!(
            empty.json()["error"]["message"],
            format!("Empty value found for query parameter '{name}'")
        );
    }
    let facet = host.catalog("GET", "/entity-facets", None).await;
    assert_eq!(
        facet.json()["error"]["message"],
        "request/query must have required property 'facet'"
    );
}

#[tokio::test]
async fn trap_15_a_registered_location_has_the_entity_that_tools_compute() {
    let host = Host::new().await;
    let location = located(&host, "http://h/c.yaml").await.json()["location"].clone();
    // SHA-1 of `url:http://h/c.yaml`.
    let expected = "location:default/generated-e7145c4b5858fcfc0f408d253ce1e906da60bba5";
    assert_eq!(location["entityRef"], expected);
    host.work().await;
    let path = format!("/entities/by-name/{}", expected.replacen(':', "/", 1));
    assert_eq!(host.catalog("GET", &path, None).await.status, 200);
}

#[tokio::test]
async fn trap_17_order_is_that_of_lower_cased_text_with_the_uid_behind_it() {
    let host = Host::new().await;
    host.provide(&[
        component("e1", &json!({"v": "b"})),
        component("e2", &json!({"v": "B"})),
        component("e3", &json!({"v": 10})),
        component("e4", &json!({"v": 9})),
        component("e5", &json!({"v": "\u{e4}"})),
        component("e6", &json!({"v": "z"})),
        component("e7", &json!({})),
    ])
    .await;
    let ordered = async |direction: &str| {
        let path = format!("/entities/by-query?orderField=spec.v,{direction}");
        host.catalog("GET", &path, None).await.json()
    };
    let up = ordered("asc").await;
    let items = up["items"].as_array().unwrap();
    let values: Vec<String> = items
        .iter()
        .map(|item| match &item["spec"]["v"] {
            Value::String(text) => text.to_lowercase(),
            other => other.to_string(),
        })
        .collect();
    assert_eq!(values, ["10", "9", "b", "b", "z", "\u{e4}"]);
    assert_eq!(up["totalItems"], 6, "what lacks the field is not counted");
    let uids: Vec<&str> = items[2..4]
        .iter()
        .map(|item| item["metadata"]["uid"].as_str().unwrap())
        .collect();
    assert!(uids[0] < uids[1]);
    let mut down = ordered("desc").await["items"].as_array().unwrap().clone();
    down.reverse();
    assert_eq!(&down, items, "the uid goes in the same direction");
}

#[tokio::test]
async fn trap_18_entities_without_paging_are_all_in_one_reply() {
    let host = Host::new().await;
    let many: Vec<Value> = (0..1_234)
        .map(|number| component(&format!("e{number:04}"), &json!({"n": number})))
        .collect();
    host.provide(&many).await;
    let all = host
        .catalog("GET", "/entities?fields=metadata.name", None)
        .await;
    assert!(!all.headers.contains_key("link"));
    assert!(
        !all.headers.contains_key("content-length"),
        "it is streamed"
    );
    let all = all.json();
    let mut found = names(&all);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 1_234);
}
