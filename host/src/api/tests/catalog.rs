//! Backstage's routes: shapes, statuses, error bodies.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::api::tests::host::Host;

fn component(name: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "tags": ["java"]},
        "spec": {"type": "service", "owner": owner},
    })
}

async fn three() -> Host {
    let host = Host::new().await;
    host.provide(&[
        component("Alpha", "x"),
        component("beta", "y"),
        component("gamma", "x"),
    ])
    .await;
    host
}

fn names(items: &Value) -> Vec<&str> {
    items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn lists_filter_order_page_and_project() {
    let host = three().await;
    let all = host.catalog("GET", "/entities", None).await;
    assert_eq!(
        all.headers["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(all.json().as_array().unwrap().len(), 3);
    let owned = host
        .catalog(
            "GET",
            "/entities?filter=kind%3Dcomponent%2Cspec.owner%3DX&order=asc:metadata.name",
            None,
        )
        .await;
    assert_eq!(names(&owned.json()), ["Alpha", "gamma"]);
    let page = host
        .catalog("GET", "/entities?limit=2&fields=metadata.name", None)
        .await;
    assert_eq!(
        page.json(),
        json!([{"metadata": {"name": "Alpha"}}, {"metadata": {"name": "beta"}}])
    );
    let link = page.headers["link"].to_str().unwrap();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    assert_eq!(
        names(&host.catalog("GET", next, None).await.json()),
        ["gamma"]
    );
    let facets = host
        .catalog("GET", "/entity-facets?facet=spec.Owner&facet=nope", None)
        .await;
    let expected =
        json!({"spec.Owner": [{"value": "x", "count": 2}, {"value": "y", "count": 1}], "nope": []});
    assert_eq!(facets.json()["facets"], expected);
}

#[tokio::test]
async fn cursors_are_taken_by_both_verbs() {
    let host = three().await;
    let first = host
        .catalog(
            "GET",
            "/entities/by-query?limit=1&orderField=metadata.name,asc",
            None,
        )
        .await
        .json();
    assert_eq!(
        (names(&first["items"]), &first["totalItems"]),
        (vec!["Alpha"], &json!(3))
    );
    let cursor = first["pageInfo"]["nextCursor"].as_str().unwrap();
    let second = host
        .catalog(
            "POST",
            "/entities/by-query",
            Some(json!({"cursor": cursor, "limit": 1})),
        )
        .await
        .json();
    assert_eq!(names(&second["items"]), ["beta"]);
    let query: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
    let again = host
        .catalog(
            "GET",
            &format!("/entities/by-query?limit=1&cursor={query}"),
            None,
        )
        .await
        .json();
    assert_eq!(again["items"], second["items"]);
    let asked = json!({"query": {"$not": {"spec.owner": "x"}}, "fields": ["kind"]});
    let asked = host
        .catalog("POST", "/entities/by-query", Some(asked))
        .await
        .json();
    assert_eq!(asked["items"], json!([{"kind": "Component"}]));
    for bad in ["x", "e30%3D", "AAAA"] {
        let answer = host
            .catalog("GET", &format!("/entities/by-query?cursor={bad}"), None)
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["name"]),
            (400, &json!("InputError")),
            "h10 {bad}"
        );
    }
}

#[tokio::test]
async fn one_entity_by_name_uid_refs_and_its_end() {
    let host = three().await;
    let by_name = host
        .catalog("GET", "/entities/by-name/COMPONENT/Default/ALPHA", None)
        .await;
    let uid = by_name.json()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let by_uid = format!("/entities/by-uid/{uid}");
    assert_eq!(host.catalog("GET", &by_uid, None).await.text, by_name.text);
    let refs = json!({"entityRefs": ["component:default/beta", "Component:default/Alpha", "x", "component:default/beta"]});
    let items = host
        .catalog("POST", "/entities/by-refs", Some(refs))
        .await
        .json();
    let found: Vec<bool> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| !item.is_null())
        .collect();
    assert_eq!(found, [true, false, false, true]);
    let ancestry = host
        .catalog(
            "GET",
            "/entities/by-name/component/default/alpha/ancestry",
            None,
        )
        .await
        .json();
    assert_eq!(ancestry["rootEntityRef"], "component:default/alpha");
    assert_eq!(
        host.catalog("GET", "/entities", None)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(host.catalog("DELETE", &by_uid, None).await.status, 204);
    assert_eq!(
        host.catalog("GET", "/entities", None)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2,
        "reads its own write"
    );
    assert_eq!(
        host.catalog("DELETE", &by_uid, None).await.status,
        204,
        "idempotent"
    );
    let gone = host
        .catalog("GET", "/entities/by-name/component/default/Alpha", None)
        .await;
    let expected = json!({
        "error": {
            "name": "NotFoundError",
            "message": "No entity named 'Alpha' found, with kind 'component' in namespace 'default'",
        },
        "request": {"method": "GET", "url": "/entities/by-name/component/default/Alpha"},
        "response": {"statusCode": 404},
    });
    assert_eq!((gone.status, gone.json()), (404, expected));
}

#[tokio::test]
async fn locations_are_registered_once_listed_and_removed() {
    let host = Host::new().await;
    let body = json!({"type": "url", "target": "not a url"});
    let added = host.catalog("POST", "/locations", Some(body.clone())).await;
    assert_eq!((added.status, &added.json()["entities"]), (201, &json!([])));
    let location = added.json()["location"].clone();
    let again = host.catalog("POST", "/locations", Some(body.clone())).await;
    assert_eq!(
        (again.status, &again.json()["error"]["message"]),
        (409, &json!("Location url:not a url already exists"))
    );
    assert_eq!(
        host.catalog("POST", "/locations?onConflict=refresh", Some(body))
            .await
            .status,
        201
    );
    assert_eq!(
        host.catalog("GET", "/locations", None).await.json(),
        json!([{"data": location}])
    );
    host.work().await;
    let name = location["entityRef"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let by_entity = host
        .catalog(
            "GET",
            &format!("/locations/by-entity/location/default/{name}"),
            None,
        )
        .await;
    assert_eq!(by_entity.json(), location);
    let refresh = host
        .catalog(
            "POST",
            "/refresh",
            Some(json!({"entityRef": location["entityRef"]})),
        )
        .await;
    assert_eq!((refresh.status, refresh.text.as_str()), (200, ""));
    let path = format!("/locations/{}", location["id"].as_str().unwrap());
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 204);
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 404);
    assert_eq!(
        host.catalog("GET", "/locations/not-a-uuid", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn y15_only_urls_are_registered() {
    let host = Host::new().await;
    let body = json!({"type": "file", "target": "/etc/passwd"});
    for path in ["/locations", "/locations?dryRun=true"] {
        let answer = host.catalog("POST", path, Some(body.clone())).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json()["error"]["message"],
            "Registered locations must be of an allowed type [\"url\"]"
        );
    }
    for bad in [
        json!({"type": "url"}),
        json!({"target": "x"}),
        json!({"type": "url", "target": "x", "extra": 1}),
        json!({"type": "url", "target": "javascript:alert(1)"}),
        json!({"type": "url", "target": ""}),
        json!({"type": "url", "target": "a\0b"}),
    ] {
        assert_eq!(
            host.catalog("POST", "/locations", Some(bad.clone()))
                .await
                .status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_is_not_a_spelling_of_yes_registers() {
    let host = Host::new().await;
    for (spelling, status) in [
        ("false", 201),
        ("NO", 201),
        ("n", 201),
        ("0", 201),
        ("off", 201),
        ("f", 201),
        ("t", 201),
        ("perhaps", 201),
        ("", 400),
    ] {
        let body = json!({"type": "url", "target": format!("https://example.com/{spelling}")});
        let path = format!("/locations?dryRun={spelling}");
        let answer = host.catalog("POST", &path, Some(body)).await;
        assert_eq!(answer.status, status, "{spelling}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_order_of_a_body_has_a_direction() {
    let host = Host::new().await;
    let body = json!({"orderBy": [{"field": "kind", "order": "asc"}, {"field": "kind"}]});
    let answer = host.catalog("POST", "/entities/by-query", Some(body)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["error"]["message"],
        "request/body/orderBy/1 must have required property 'order'"
    );
}

#[tokio::test]
async fn h05_what_is_not_there_has_no_body_below_the_mount() {
    let host = Host::new().await;
    for (method, path) in [
        ("GET", "/nope"),
        ("PATCH", "/entities"),
        ("GET", "//entities"),
        ("GET", "/enti%74ies"),
        ("POST", "/entities"),
    ] {
        let answer = host.catalog(method, path, None).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (404, ""),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn h06_h07_h08_h09_requests_that_are_refused() {
    let host = Host::new().await;
    for query in [
        "foo=1",
        "filter=",
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "offset=x",
        "filter=%3Dx",
        "fields=a%5B0%5D",
        "order=x",
        "after=x",
    ] {
        let answer = host
            .catalog("GET", &format!("/entities?{query}"), None)
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["name"]),
            (400, &json!("InputError")),
            "{query}"
        );
    }
    let past = host
        .catalog(
            "GET",
            "/entities?limit=18446744073709551616&offset=9223372036854775808",
            None,
        )
        .await;
    assert_eq!((past.status, past.json()), (200, json!([])));
    let deep = format!(
        "{{\"query\":{}{}}}",
        "{\"$not\":".repeat(100_000),
        "}".repeat(100_000)
    );
    let unknown = "{\"query\":{\"$foo\":1}}".to_owned();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(101 * 1024));
    let wide = format!(
        "{{\"query\":{{\"kind\":{{\"$in\":[{}1]}}}}}}",
        "1,".repeat(2_000)
    );
    for body in [
        deep,
        unknown,
        large,
        wide,
        "{".to_owned(),
        "{} x".to_owned(),
        "{\"a\":NaN}".to_owned(),
        "[]".to_owned(),
    ] {
        let request = Request::post("/tenants/a/api/catalog/entities/by-query")
            .header("authorization", format!("Bearer {}", host.operator))
            .header("content-type", "application/json")
            .body(Body::from(body.clone()))
            .unwrap();
        assert_eq!(
            host.send(request).await.status,
            400,
            "{}",
            &body[..body.len().min(40)]
        );
    }
    for (header, value, status) in [
        ("content-type", "text/plain", 400),
        ("content-encoding", "gzip", 415),
    ] {
        let request = Request::post("/tenants/a/api/catalog/entities/by-query")
            .header("authorization", format!("Bearer {}", host.operator))
            .header(header, value)
            .body(Body::from("{}"))
            .unwrap();
        assert_eq!(host.send(request).await.status, status);
    }
}

#[tokio::test]
async fn problems_of_an_entity_are_not_the_standard_error() {
    let host = Host::new().await;
    let bad = json!({"entity": {"kind": "x"}, "location": "url:https://example.com"});
    let answer = host.catalog("POST", "/validate-entity", Some(bad)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["errors"][0]["message"].is_string());
    let missing = host
        .catalog("POST", "/validate-entity", Some(json!({"entity": {}})))
        .await;
    assert_eq!(
        missing.json()["error"]["message"],
        "request/body must have required property 'location'"
    );
    let refresh = host
        .catalog("POST", "/refresh", Some(json!({"entityRef": "garbage"})))
        .await;
    assert_eq!(
        (refresh.status, &refresh.json()["error"]["message"]),
        (404, &json!("Entity garbage not found"))
    );
}
