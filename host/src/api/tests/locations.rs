//! Registered locations and what surrounds them: changing, querying, analysing, what was never served, and what the
//! platform asks of every plugin.

use std::time::Duration;

use greenroom_storage::{RunKind, RunState, TaskSettings, WorkerId};
use serde_json::{Value, json};

use crate::api::tests::host::{Answer, Host};

async fn add(host: &Host, target: &str) -> Value {
    let body = json!({"type": "url", "target": target});
    let added = host.catalog("POST", "/locations", Some(body)).await;
    assert_eq!(added.status, 201, "{}", added.text);
    added.json()["location"].clone()
}

fn id_of(location: &Value) -> String {
    location["id"].as_str().unwrap().to_owned()
}

fn message(answer: &Answer) -> String {
    let body = answer.json();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_location_is_changed_and_keeps_its_id_and_its_entity() {
    let host = Host::new().await;
    let first = add(&host, "https://example.com/a.yaml").await;
    let other = add(&host, "https://example.com/b.yaml").await;
    host.work().await;
    let path = format!("/locations/{}", id_of(&first));
    let to = |target: &str| Some(json!({"type": "url", "target": target}));

    let updated = host
        .catalog("PUT", &path, to("https://example.com/c.yaml"))
        .await;
    let mut expected = first.clone();
    expected["target"] = json!("https://example.com/c.yaml");
    assert_eq!((updated.status, updated.json()), (200, expected.clone()));
    assert_eq!(
        host.catalog("GET", &path, None).await.json(),
        expected,
        "it is kept"
    );
    host.work().await;
    let name = first["entityRef"].as_str().unwrap().rsplit('/').next();
    let name = name.unwrap().to_owned();
    let entity = host
        .catalog(
            "GET",
            &format!("/entities/by-name/location/default/{name}"),
            None,
        )
        .await
        .json();
    assert_eq!(entity["spec"]["target"], "https://example.com/c.yaml");
    assert_eq!(
        entity["metadata"]["annotations"]["backstage.io/managed-by-origin-location"],
        "url:https://example.com/c.yaml"
    );

    let again = host
        .catalog("PUT", &path, to("https://example.com/c.yaml"))
        .await;
    assert_eq!(again.status, 200, "the same again is no conflict");
    let taken = host
        .catalog("PUT", &path, to(other["target"].as_str().unwrap()))
        .await;
    assert_eq!(
        (taken.status, message(&taken).as_str()),
        (
            409,
            "Location url:https://example.com/b.yaml already exists"
        )
    );
    let gone = host.catalog("PUT", "/locations/nope", to("x")).await;
    assert_eq!(
        (gone.status, message(&gone).as_str()),
        (404, "Found no location with ID nope")
    );
    for bad in [
        json!({"type": "file", "target": "/etc/passwd"}),
        json!({"type": "url"}),
        json!({"type": "url", "target": 1}),
        json!({"type": "url", "target": "a\0b"}),
        json!({"type": "url", "target": "x", "extra": true}),
    ] {
        let answer = host.catalog("PUT", &path, Some(bad.clone())).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert_eq!(host.catalog("GET", &path, None).await.json(), expected);
}

#[tokio::test]
async fn locations_are_queried_page_by_page() {
    let host = Host::new().await;
    let mut all = Vec::new();
    for number in 0..5 {
        all.push(add(&host, &format!("https://example.com/{number}.yaml")).await);
    }
    all.sort_by_key(id_of);
    let query = async |body: Option<Value>| {
        let answer = host.catalog("POST", "/locations/by-query", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let whole = query(None).await;
    assert_eq!(whole["items"], json!(all));
    assert_eq!(whole["totalItems"], 5);
    assert_eq!(whole["pageInfo"], json!({}));

    let mut walked = Vec::new();
    let mut page = query(Some(json!({"limit": 2, "query": {"type": "URL"}}))).await;
    loop {
        assert_eq!(page["totalItems"], 5, "every page counts all");
        walked.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["pageInfo"]["nextCursor"].as_str() else {
            break;
        };
        // The page size of the cursor counts, and none beside it.
        page = query(Some(json!({"cursor": cursor, "limit": 1}))).await;
        assert!(page["items"].as_array().unwrap().len() <= 2);
    }
    assert_eq!(walked, all);

    let third = &all[2];
    for predicate in [
        json!({"id": third["id"]}),
        json!({"target": third["target"].as_str().unwrap().to_uppercase()}),
        json!({"ENTITYREF": third["entityRef"], "type": {"$in": ["url"]}}),
        json!({"target": {"$hasPrefix": third["target"]}}),
    ] {
        let found = query(Some(json!({"query": predicate}))).await;
        assert_eq!(found["items"], json!([third]), "{predicate}");
        assert_eq!(found["totalItems"], 1);
    }
    let none = query(Some(json!({"query": {"$all": []}}))).await;
    assert_eq!(
        (&none["items"], &none["totalItems"]),
        (&json!([]), &json!(0))
    );
}

#[tokio::test]
async fn h10_queries_of_locations_that_are_refused() {
    use base64::Engine as _;
    let host = Host::new().await;
    add(&host, "https://example.com/a.yaml").await;
    let cursor = |value: Value| base64::engine::general_purpose::STANDARD.encode(value.to_string());
    for bad in [
        json!({"limit": 0}),
        json!({"limit": -1}),
        json!({"limit": 1.5}),
        json!({"limit": "1"}),
        json!({"cursor": ""}),
        json!({"cursor": 1}),
        json!({"cursor": "x"}),
        json!({"cursor": cursor(json!([]))}),
        json!({"cursor": cursor(json!({"limit": 0}))}),
        json!({"cursor": cursor(json!({"limit": 1, "afterId": 1}))}),
        json!({"cursor": cursor(json!({"limit": 1, "query": {"owner": "x"}}))}),
        json!({"query": "x"}),
        json!({"query": {"owner": "x"}}),
        json!({"query": {"$foo": 1}}),
    ] {
        let answer = host
            .catalog("POST", "/locations/by-query", Some(bad.clone()))
            .await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["name"]),
            (400, &json!("InputError")),
            "{bad}"
        );
    }
    // One that was edited is answered within the caller's own locations.
    let edited = cursor(json!({"limit": 1_000_000_000_u64, "afterId": "", "tenant": "b"}));
    let answer = host
        .catalog(
            "POST",
            "/locations/by-query",
            Some(json!({"cursor": edited})),
        )
        .await;
    assert_eq!(
        (answer.status, &answer.json()["totalItems"]),
        (200, &json!(1))
    );
}

/// Answers the next run as a worker does; what was asked.
async fn answer_run(host: &Host, kind: RunKind, result: &Value) -> Value {
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    loop {
        if let Some(run) = host.storage.claim_runs(&worker, 1).await.unwrap().pop() {
            assert_eq!((run.kind, run.state), (kind, RunState::Running));
            let text = result.to_string();
            let finished = host
                .storage
                .finish_run(host.tenant, &run.id, &worker, &text);
            assert!(finished.await.unwrap());
            return serde_json::from_str(&run.request).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_worker_is_asked_what_is_behind_a_location() {
    let host = Host::new().await;
    let body = json!({
        "location": {"type": "url", "target": "https://github.com/o/r"},
        "catalogFilename": "catalog.yaml",
    });
    let analyze = host.catalog("POST", "/analyze-location", Some(body.clone()));
    let skeleton = json!({
        "existingEntityFiles": [],
        "generateEntities": [{"entity": {"kind": "Component"}, "fields": []}],
    });
    let answering = answer_run(&host, RunKind::AnalyzeLocation, &skeleton);
    let (answer, asked) = tokio::join!(analyze, answering);
    assert_eq!((answer.status, answer.json()), (200, skeleton));
    assert_eq!(
        asked,
        json!({"target": "https://github.com/o/r", "catalogFilename": "catalog.yaml"})
    );

    let analyze = host.catalog("POST", "/analyze-location", Some(body.clone()));
    let errors =
        json!({"errors": [{"name": "InputError", "message": "a"}, {"name": "E", "message": "b"}]});
    let (answer, _) = tokio::join!(
        analyze,
        answer_run(&host, RunKind::AnalyzeLocation, &errors)
    );
    assert_eq!((answer.status, message(&answer).as_str()), (400, "a, b"));

    let analyze = host.catalog("POST", "/analyze-location", Some(body));
    let busy = json!({"unavailable": "github.com does not answer"});
    let (answer, _) = tokio::join!(analyze, answer_run(&host, RunKind::AnalyzeLocation, &busy));
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));

    for (bad, said) in [
        (
            json!({}),
            "request/body must have required property 'location'",
        ),
        (
            json!({"location": "x"}),
            "request/body/location must be object",
        ),
        (
            json!({"location": {"type": "url"}}),
            "request/body/location must have required property 'target'",
        ),
        (
            json!({"location": {"type": "url", "target": 1}}),
            "request/body/location/target must be string",
        ),
        (
            json!({"location": {"type": "url", "target": "x"}, "catalogFilename": 1}),
            "request/body/catalogFilename must be string",
        ),
        (
            json!({"location": {"type": "file", "target": "/etc"}}),
            "Registered locations must be of an allowed type [\"url\"]",
        ),
    ] {
        let answer = host
            .catalog("POST", "/analyze-location", Some(bad.clone()))
            .await;
        assert_eq!(
            (answer.status, message(&answer).as_str()),
            (400, said),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_was_never_served_is_listed_and_deleted() {
    let host = Host::new().await;
    let component = |name: &str, owner: &str| {
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": {"name": name}, "spec": {"owner": owner},
        })
    };
    host.provide(&[component("served", "x")]).await;
    host.queue(&[component("Waits", "x"), component("other", "y")])
        .await;
    let list = async |path: &str| {
        let path = format!("/entities/unprocessed/{path}");
        let answer = host.catalog("GET", &path, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let pending = list("pending").await;
    assert_eq!(pending["type"], "pending");
    let refs: Vec<&Value> = pending["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["entity_ref"])
        .collect();
    assert_eq!(refs, ["component:default/other", "component:default/waits"]);
    let row = list("pending?owner=x").await["entities"][0].clone();
    assert_eq!(row["unprocessed_entity"]["metadata"]["name"], "Waits");
    assert_eq!(row["errors"], json!([]));
    assert!(row["next_update_at"].is_string(), "it is queued");
    assert_eq!(list("pending?owner=X").await["entities"], json!([]));
    assert_eq!(
        list("failed").await,
        json!({"type": "failed", "entities": []})
    );

    host.fail("component:default/waits", "Policy check failed")
        .await;
    let failed = list("failed?owner=x").await["entities"][0].clone();
    assert_eq!(failed["entity_ref"], "component:default/waits");
    assert_eq!(
        failed["errors"],
        json!([{"name": "InputError", "message": "Policy check failed"}])
    );
    let path = format!(
        "/entities/unprocessed/delete/{}",
        failed["entity_id"].as_str().unwrap()
    );
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 204);
    assert_eq!(host.catalog("DELETE", &path, None).await.status, 204);
    assert_eq!(list("failed").await["entities"], json!([]));
    let served = host
        .catalog("GET", "/entities/by-name/component/default/served", None)
        .await;
    assert_eq!(served.status, 200);
}

#[tokio::test]
async fn permissions_are_told_and_conditions_applied() {
    let host = Host::new().await;
    host.provide(&[json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "a", "annotations": {"a/b": "1"}},
    })])
    .await;
    let metadata = host
        .catalog("GET", "/.well-known/backstage/permissions/metadata", None)
        .await
        .json();
    let names = |list: &str| -> Vec<String> {
        let items = metadata[list].as_array().unwrap();
        let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
        items.iter().map(name).collect()
    };
    assert_eq!(
        names("rules"),
        [
            "HAS_ANNOTATION",
            "HAS_LABEL",
            "HAS_METADATA",
            "HAS_SPEC",
            "IS_ENTITY_KIND",
            "IS_ENTITY_OWNER"
        ]
    );
    assert_eq!(names("permissions").len(), 13);
    assert_eq!(
        metadata["permissions"][2],
        json!({
            "type": "resource", "name": "catalog.entity.read",
            "attributes": {"action": "read"}, "resourceType": "catalog-entity",
        })
    );

    let apply = async |items: Value| {
        let path = "/.well-known/backstage/permissions/apply-conditions";
        host.catalog("POST", path, Some(json!({"items": items})))
            .await
    };
    let annotated = json!({"rule": "HAS_ANNOTATION", "params": {"annotation": "a/b"}});
    let item = |id: &str, entity_ref: Value, conditions: Value| {
        json!({
            "id": id, "resourceRef": entity_ref, "resourceType": "catalog-entity", "conditions": conditions,
        })
    };
    let answer = apply(json!([
        item("1", json!("component:default/a"), annotated.clone()),
        item(
            "2",
            json!("component:default/none"),
            json!({"not": annotated})
        ),
        item(
            "3",
            json!(["component:default/none", "component:default/a"]),
            annotated.clone()
        ),
    ]))
    .await;
    assert_eq!(
        answer.json(),
        json!({"items": [
            {"id": "1", "result": "ALLOW"},
            {"id": "2", "result": "DENY"},
            {"id": "3", "result": ["DENY", "ALLOW"]},
        ]})
    );
    let mut stranger = item("1", json!("x"), annotated.clone());
    stranger["resourceType"] = json!("scaffolder-template");
    for (items, said) in [
        (
            json!([stranger]),
            "Unexpected resource types: scaffolder-template.",
        ),
        (
            json!([item("1", json!("x"), json!({"rule": "X"}))]),
            "Unexpected permission rule: X",
        ),
        (json!([{"id": "1"}]), "request/body"),
        (
            json!(vec![item("1", json!("x"), annotated.clone()); 1_001]),
            "entity too large",
        ),
        (
            json!(vec![
                json!({"id": "", "resourceRef": "", "resourceType": "", "conditions": 0});
                1_001
            ]),
            "1000 items",
        ),
        (
            json!([
                item("1", json!(vec!["x"; 1]), annotated.clone()),
                item(
                    "2",
                    json!((0..1_001).map(|n| n.to_string()).collect::<Vec<_>>()),
                    annotated
                )
            ]),
            "1000 entities",
        ),
    ] {
        let answer = apply(items).await;
        assert_eq!(answer.status, 400);
        assert!(message(&answer).contains(said), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_document_is_also_where_a_plugin_has_it() {
    let host = Host::new().await;
    let document = host.catalog("GET", "/openapi.json", None).await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/entities/by-query") && paths.contains_key("/locations/{id}"));
    assert!(paths.keys().all(|path| !path.contains("tenant")));
    let parameters = document["paths"]["/locations/{id}"]["put"]["parameters"].clone();
    assert_eq!(parameters.as_array().unwrap().len(), 1, "{parameters}");
}

#[tokio::test]
async fn tasks_are_listed_triggered_and_cancelled() {
    const TASKS: &str = "/.backstage/scheduler/v1/tasks";
    let host = Host::new().await;
    let list = host.catalog("GET", TASKS, None).await.json();
    assert_eq!(
        list,
        json!({"tasks": []}),
        "no worker has said what there is"
    );
    let settings = TaskSettings {
        cadence_ms: 600_000,
        initial_delay_ms: 60_000,
        timeout_ms: 24_000,
    };
    host.storage.keep_task("sweep", settings).await.unwrap();
    let task = host.catalog("GET", TASKS, None).await.json()["tasks"][0].clone();
    assert_eq!(
        task,
        json!({
            "taskId": "sweep", "pluginId": "catalog", "scope": "global",
            "settings": {
                "version": 2, "cadence": "PT10M", "initialDelayDuration": "PT1M", "timeoutAfterDuration": "PT24S",
            },
            "taskState": {"status": "idle", "startsAt": "2027-01-15T08:01:00.000Z"},
            "workerState": null,
        })
    );
    let ask = async |task: &str, what: &str| {
        let path = format!("{TASKS}/{task}/{what}");
        let answer = host.catalog("POST", &path, None).await;
        let said = match answer.status {
            200 => answer.text,
            _ => message(&answer),
        };
        (answer.status, said)
    };
    let told = |status: u16, said: &str| (status, said.to_owned());
    assert_eq!(
        ask("none", "trigger").await,
        told(404, "Task none does not exist")
    );
    assert_eq!(
        ask("none", "cancel").await,
        told(404, "Task none does not exist")
    );
    assert_eq!(
        ask("sweep", "cancel").await,
        told(409, "Task sweep is not running")
    );
    assert_eq!(ask("sweep", "trigger").await, told(200, ""));
    let worker = WorkerId("w".into());
    host.storage.renew_lease(&worker).await.unwrap();
    assert!(
        host.storage
            .claim_task("sweep", &worker, "1")
            .await
            .unwrap()
    );
    let running = ask("sweep", "trigger").await;
    assert_eq!(running, told(409, "Task sweep is currently running"));
    let state = |list: Value| list["tasks"][0]["taskState"].clone();
    let now = state(host.catalog("GET", TASKS, None).await.json());
    assert_eq!(
        now,
        json!({
            "status": "running", "startedAt": "2027-01-15T08:00:00.000Z", "timesOutAt": "2027-01-15T08:00:24.000Z",
        })
    );
    assert_eq!(ask("sweep", "cancel").await, told(200, ""));
    let now = state(host.catalog("GET", TASKS, None).await.json());
    assert_eq!(now["status"], "idle");
    assert_eq!(now["lastRunEndedAt"], "2027-01-15T08:00:00.000Z");
    let error: Value = serde_json::from_str(now["lastRunError"].as_str().unwrap()).unwrap();
    assert_eq!(error["message"], "Task was cancelled");
}

#[tokio::test]
async fn settings_say_whether_locations_change_and_what_a_conflict_does() {
    let host = Host::new().await;
    let location = add(&host, "https://example.com/a.yaml").await;
    let path = format!("/locations/{}", id_of(&location));
    let settings = async |text: &str| {
        let put = host.storage.put_tenant_settings(host.tenant, text);
        put.await.unwrap();
    };
    let body = || Some(json!({"type": "url", "target": "https://example.com/a.yaml"}));
    settings("{\"catalog\":{\"defaultLocationConflictStrategy\":\"refresh\",\"rules\":[]}}").await;
    let refreshed = host.catalog("POST", "/locations", body()).await;
    assert_eq!(
        (refreshed.status, &refreshed.json()["location"]),
        (201, &location)
    );
    let rejected = host
        .catalog("POST", "/locations?onConflict=reject", body())
        .await;
    assert_eq!(rejected.status, 409, "the request has the last word");

    settings("{\"catalog\":{\"readonly\":true}}").await;
    for (method, path) in [
        ("POST", "/locations"),
        ("PUT", path.as_str()),
        ("DELETE", path.as_str()),
    ] {
        let asked = (method != "DELETE").then(body).flatten();
        let answer = host.catalog(method, path, asked).await;
        assert_eq!(
            (answer.status, message(&answer).as_str()),
            (403, "This operation not allowed in readonly mode"),
            "{method}"
        );
    }
    assert_eq!(host.catalog("GET", &path, None).await.json(), location);
    let unknown = "/entities/by-uid/00000000-0000-4000-8000-000000000000";
    assert_eq!(
        host.catalog("DELETE", unknown, None).await.status,
        204,
        "entities may go"
    );
}

#[tokio::test]
async fn a_target_has_at_most_2_048_bytes() {
    let host = Host::new().await;
    for (bytes, status) in [(2_048, 201), (2_049, 400)] {
        let body = json!({"type": "url", "target": "x".repeat(bytes)});
        let answer = host.catalog("POST", "/locations", Some(body)).await;
        assert_eq!(answer.status, status, "{bytes}: {}", answer.text);
    }
}
