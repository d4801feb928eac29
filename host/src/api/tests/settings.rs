//! Settings of a processor: their version, and what is refused before it is stored.

use axum::body::Body;
use greenroom_storage::RevisionState;
use http::Request;
use serde_json::{Value, json};

use super::host::{Answer, Host};

const SETTINGS: &str = "/tenants/a/processors/p/settings";

async fn put(host: &Host, settings: Value, if_match: Option<&str>) -> Answer {
    let mut request = Request::put(SETTINGS)
        .header("authorization", format!("Bearer {}", host.operator))
        .header("content-type", "application/json");
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    host.send(request.body(Body::from(settings.to_string())).unwrap())
        .await
}

fn tag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

async fn processor(host: &Host) {
    let created = host.call("PUT", "/tenants/a/processors/p", None).await;
    assert_eq!(created.status, 201);
}

#[tokio::test]
async fn a_writer_replaces_the_version_it_read_and_no_newer_one() {
    let host = Host::new().await;
    assert_eq!(put(&host, json!({}), None).await.status, 404);
    processor(&host).await;
    let read = host.call("GET", SETTINGS, None).await;
    assert_eq!(read.json()["enabled"], true);
    let whole = host.call("GET", "/tenants/a/processors/p", None).await;
    assert_eq!(
        (tag(&whole), &whole.json()["settings"]),
        (tag(&read), &read.json())
    );

    let first = put(&host, json!({"priority": 1}), Some(&tag(&read))).await;
    assert_eq!((first.status, &first.json()["priority"]), (200, &json!(1)));
    assert_ne!(tag(&first), tag(&read));
    let late = put(&host, json!({"priority": 2}), Some(&tag(&read))).await;
    assert_eq!(late.status, 412);
    assert_eq!(late.json()["error"]["name"], "PreconditionFailedError");
    let kept = host.call("GET", SETTINGS, None).await;
    assert_eq!(
        (kept.json()["priority"].clone(), tag(&kept)),
        (json!(1), tag(&first))
    );

    let either = format!("\"7777\", {}", tag(&first));
    let second = put(&host, json!({"priority": 3}), Some(&either)).await;
    assert_eq!(second.status, 200);
    assert_eq!(
        put(&host, json!({"priority": 4}), Some("W/\"1\""))
            .await
            .status,
        412
    );
    assert_eq!(
        put(&host, json!({"priority": 4}), Some("1")).await.status,
        400
    );
    assert_eq!(
        put(&host, json!({"priority": 4}), Some("*")).await.status,
        200
    );
    let last = put(&host, json!({"priority": 5}), None).await;
    assert_eq!(last.status, 200);
    // The same settings again are no new version.
    assert_eq!(
        tag(&put(&host, json!({"priority": 5}), None).await),
        tag(&last)
    );

    let audit = host.call("GET", "/admin/audit?tenant=a", None).await;
    let deeds = audit.text.matches("update_processor_settings").count();
    assert_eq!(deeds, 4, "{}", audit.text);
}

#[tokio::test]
async fn if_match_guards_a_put_of_the_processor_too() {
    let host = Host::new().await;
    let put = async |tag: &str| {
        let request = Request::put("/tenants/a/processors/p")
            .header("authorization", format!("Bearer {}", host.operator))
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(Body::from(json!({"priority": 9}).to_string()));
        host.send(request.unwrap()).await
    };
    assert_eq!(put("*").await.status, 404);
    processor(&host).await;
    assert_eq!(put("\"0\"").await.status, 412);
    assert_eq!(put("*").await.status, 200);
}

#[tokio::test]
async fn c28_limits_out_of_range_are_refused_with_the_range() {
    let host = Host::new().await;
    processor(&host).await;
    for (bad, said) in [
        (
            json!({"fuel": 0}),
            "`fuel` is 0; set it to a whole number between 1 and 10000000000",
        ),
        (json!({"fuel": -1}), "`fuel` is -1;"),
        (json!({"fuel": 1.5}), "`fuel` is 1.5;"),
        (json!({"memoryBytes": "1GB"}), "between 1 and 268435456"),
        (json!({"fuel": null}), "`fuel` is null;"),
        (
            json!({"fuel": 1_u64 << 63}),
            "`fuel` is 9223372036854775808;",
        ),
        (json!({"fuel": u64::MAX}), "`fuel` is 18446744073709551615;"),
        (json!({"cpuMs": 20_001}), "between 1 and 20000"),
        (
            json!({"feul": 1}),
            "`feul` is no limit; use one of memoryBytes",
        ),
        (json!([]), "request/body/limits must be object"),
    ] {
        let answer = put(&host, json!({"limits": bad}), None).await;
        assert_eq!(answer.status, 400, "{bad}");
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(said), "{bad}: {message}");
    }
    let good = json!({"limits": {"fuel": 10_000_000_000_u64, "cpuMs": 1}});
    assert_eq!(put(&host, good, None).await.status, 200);
}

#[tokio::test]
async fn what_is_not_a_setting_is_refused() {
    let host = Host::new().await;
    processor(&host).await;
    let many = vec![json!({}); 65];
    for bad in [
        json!({"priorty": 1}),
        json!({"priority": 1.5}),
        json!({"config": [1]}),
        json!({"config": {"a": "x".repeat(65 * 1024)}}),
        json!({"grants": ["file:///"]}),
        json!({"grants": vec!["origin"; 101]}),
        json!({"enabled": "no"}),
        json!({"subscription": {}}),
        json!({"subscription": [{"kind": ["API"]}]}),
        json!({"subscription": [{"kinds": ["a\u{7}"]}]}),
        json!({"subscription": many}),
    ] {
        let answer = put(&host, bad.clone(), None).await;
        assert_eq!(answer.status, 400, "{bad:.100}");
    }
    let good = json!({
        "subscription": [{"kinds": ["API"], "keysStartingWith": ["$"]}], "enabled": false,
        "grants": ["location", "https://example.com/"], "config": {}, "limits": {}, "priority": -5,
    });
    assert_eq!(put(&host, good.clone(), None).await.status, 200);
    let read = host.call("GET", SETTINGS, None).await.json();
    assert_eq!(read["subscription"][0]["kinds"], json!(["API"]));
    assert_eq!(
        (&read["enabled"], &read["priority"]),
        (&json!(false), &json!(-5))
    );
}

#[tokio::test]
async fn c27_a_config_is_as_large_as_the_limits_of_its_processor_allow() {
    let host = Host::new().await;
    processor(&host).await;
    let (config, limits) = (json!({"a": "x".repeat(1_000)}), json!({"configBytes": 500}));
    assert_eq!(
        put(&host, json!({"config": config}), None).await.status,
        200
    );
    let both = json!({"config": config, "limits": limits});
    let refused = put(&host, both, None).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["error"]["message"],
        "request/body/config has 1008 bytes, of at most 500; keep data in a file and read it"
    );
}

/// Before any call is made: against the current revision when settings change, against the new one at activation.
#[tokio::test]
async fn c27_a_config_that_does_not_match_its_schema_is_refused_with_the_schema_path() {
    let host = Host::new().await;
    processor(&host).await;
    let team =
        json!({"type": "object", "required": ["team"], "properties": {"team": {"type": "string"}}});
    let owner = json!({"type": "object", "required": ["owner"], "additionalProperties": false,
                       "properties": {"owner": {"type": "string"}}});
    host.revision("p", Some(&team.to_string())).await;
    host.revision("p", Some(&owner.to_string())).await;
    let activate = async |body: Value| {
        host.call("POST", "/tenants/a/processors/p/activate", Some(body))
            .await
    };
    let message = |answer: &Answer| {
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    // Nothing is current: nothing is known of the schema yet.
    assert_eq!(
        put(&host, json!({"config": {"team": 1}}), None)
            .await
            .status,
        200
    );
    let unfit = activate(json!({"revision": 1})).await;
    assert_eq!(unfit.status, 409);
    assert!(
        message(&unfit).contains("config/team must be string (schema path #/properties/team/type)")
    );
    assert_eq!(
        put(&host, json!({"config": {"team": "a"}}), None)
            .await
            .status,
        200
    );
    assert_eq!(activate(json!({"revision": 1})).await.status, 200);

    let bad = put(&host, json!({"config": {}}), None).await;
    assert_eq!(bad.status, 400);
    assert_eq!(
        message(&bad),
        "request/body/config must have required property 'team' (schema path #/required)"
    );
    assert_eq!(put(&host, json!({}), None).await.status, 400);

    // Another schema comes with another configuration, in one step; going back likewise.
    assert_eq!(activate(json!({"revision": 2})).await.status, 409);
    assert_eq!(
        activate(json!({"revision": 2, "config": {"team": "a"}}))
            .await
            .status,
        400
    );
    assert_eq!(
        activate(json!({"revision": 2, "config": []})).await.status,
        400
    );
    let both = activate(json!({"revision": 2, "config": {"owner": "b"}})).await;
    assert_eq!((both.status, &both.json()["current"]), (200, &json!(2)));
    assert_eq!(both.json()["settings"]["config"], json!({"owner": "b"}));
    let back = async |body| {
        host.call("POST", "/tenants/a/processors/p/rollback", body)
            .await
    };
    assert_eq!(back(None).await.status, 409);
    let back = back(Some(json!({"config": {"team": "c"}}))).await;
    assert_eq!((back.status, &back.json()["current"]), (200, &json!(1)));
}

#[tokio::test]
async fn a_schema_of_an_older_host_that_cannot_be_read_says_so() {
    let host = Host::new().await;
    processor(&host).await;
    host.revision("p", Some(r#"{"$ref":"https://example.com/"}"#))
        .await;
    let activate = json!({"revision": 1});
    let answer = host
        .call("POST", "/tenants/a/processors/p/activate", Some(activate))
        .await;
    assert_eq!(answer.status, 409);
    assert!(
        answer.text.contains("upload the processor again"),
        "{}",
        answer.text
    );
    let rejected = RevisionState::Rejected {
        reason: "no".into(),
    };
    assert!(!host.finish_inspection("p", 1, rejected).await);
}
