//! Who is called for an entity, in which order, and what a call decides (ref §2.1, §2.2).

use greenroom_test_support::{Backend, on_every_backend};
use serde_json::{Value, json};

use super::tenant::{Tenant, component, entity, said, scripted};

on_every_backend! {
    processors_are_called_by_priority_and_all_of_a_stage_before_the_next,
    a_processor_is_called_for_what_it_subscribes_to_before_processing,
    policies_judge_what_pre_process_left_and_nothing_judges_post_process,
    only_an_error_rejects_a_run_and_what_was_good_stays_whole,
}

/// The order is that of the settings, then of the descriptor, which says 20; a processor that is off is not called.
async fn processors_are_called_by_priority_and_all_of_a_stage_before_the_next(backend: Backend) {
    let tenant = Tenant::of(backend, "call-order").await;
    tenant.direct("third", json!({"priority": 30})).await;
    tenant.direct("first", json!({"priority": -10})).await;
    tenant.direct("second", json!({})).await;
    let lines = |name: &str| {
        json!({
            "pre-process": {"append": name, "say": [["info", "before"]]},
            "validate-kind": {"say": [["info", "judged"]]},
            "post-process": {"append": name, "say": [["info", "after"]]},
        })
    };
    let script = json!({"first": lines("1"), "second": lines("2"), "third": lines("3")});
    tenant.push([scripted("web", script)]).await;
    let state = tenant.settled("component:default/web").await;
    let stage = |stage: &'static str, text: &'static str| {
        ["first", "second", "third"].map(|name| [stage, name, text])
    };
    // Its kind is recognised by a bundled processor; the others are asked all the same.
    let expected = [
        stage("pre-process", "before"),
        stage("validate-kind", "judged"),
        stage("post-process", "after"),
    ];
    assert_eq!(said(&state), expected.concat());
    let trail = "/metadata/annotations/example.com~1trail";
    let web = tenant.served("component:default/web").await;
    assert_eq!(web.pointer(trail), Some(&json!("1 2 3 1 2 3")));

    let off = json!({"enabled": false});
    tenant.settings("second", off).await;
    tenant
        .until("the second is not called any more", async || {
            let web = tenant.served("component:default/web").await;
            (web.pointer(trail) == Some(&json!("1 3 1 3"))).then_some(())
        })
        .await;
}

async fn a_processor_is_called_for_what_it_subscribes_to_before_processing(backend: Backend) {
    let tenant = Tenant::of(backend, "subscribed").await;
    let of_apis = json!({"subscription": [{"kinds": ["API"]}]});
    let of_marked = json!({"subscription": [{"annotations": ["example.com/mark"]}]});
    tenant.direct("of-apis", of_apis).await;
    tenant.direct("of-marked", of_marked).await;
    tenant.direct("marker", json!({"priority": 10})).await;
    let append = |word: &str| json!({"pre-process": {"append": word}});
    let mark = json!({"pre-process": {"set": {"/metadata/annotations/example.com~1mark": "yes"}}});
    let script = json!({"of-apis": append("api"), "of-marked": append("marked"), "marker": mark});
    let mut marked_before = scripted("marked-before", script.clone());
    marked_before["metadata"]["annotations"]["example.com/mark"] = "yes".into();
    tenant
        .push([scripted("marked-within", script), marked_before])
        .await;
    tenant.quiet().await;
    for (name, trail) in [
        ("marked-before", json!("marked")),
        ("marked-within", Value::Null),
    ] {
        let served = tenant.served(&format!("component:default/{name}")).await;
        let annotations = &served["metadata"]["annotations"];
        assert_eq!(annotations["example.com/mark"], "yes", "{name}");
        assert_eq!(annotations["example.com/trail"], trail, "{name}");
    }
}

async fn policies_judge_what_pre_process_left_and_nothing_judges_post_process(backend: Backend) {
    let tenant = Tenant::of(backend, "judged").await;
    tenant.direct("author", json!({})).await;
    let by = |stage: &str, does: Value| json!({"author": {stage: does}});
    let mut mended = scripted(
        "mended",
        by("pre-process", json!({"set": {"/spec/owner": "team-b"}})),
    );
    mended["spec"]
        .as_object_mut()
        .expect("a spec")
        .remove("owner");
    let foreign = json!({"set": {"/attachments": {"size": 1}}});
    let items =
        json!({"items": [{"type": "example.com/check", "level": "warning", "message": "old"}]});
    let after = json!({"set": {"/attachments": {"size": 1}, "/status": items, "/metadata/labels": "no labels"}});
    let claimed = json!({"author": {"validate-kind": {"recognise": true}}});
    tenant
        .push([
            mended,
            scripted("foreign", by("pre-process", foreign)),
            scripted("after", by("post-process", after)),
            entity("Gadget", "claimed", json!({"script": claimed})),
            entity("Gadget", "nobodys", json!({})),
        ])
        .await;
    tenant.quiet().await;
    let mended = tenant.served("component:default/mended").await;
    assert_eq!(mended["spec"]["owner"], "team-b");
    assert_eq!(
        mended["metadata"]["namespace"], "default",
        "a policy adds it"
    );
    let foreign = tenant.state("component:default/foreign").await;
    assert_eq!(foreign["status"], "failed");
    assert_eq!(foreign["diagnostics"][0]["stage"], "policy", "{foreign}");
    let text = "<root> must NOT have additional properties";
    assert!(
        foreign["diagnostics"].to_string().contains(text),
        "{foreign}"
    );
    let after = tenant.served("component:default/after").await;
    assert_eq!(after["attachments"]["size"], 1);
    assert_eq!(after["status"]["items"][0]["type"], "example.com/check");
    assert_eq!(after["metadata"]["labels"], "no labels");
    tenant.served("gadget:default/claimed").await;
    let nobodys = tenant.state("gadget:default/nobodys").await;
    assert_eq!(nobodys["diagnostics"][0]["stage"], "validate-kind");
    let text = "No processor recognized the entity";
    assert!(
        nobodys["diagnostics"].to_string().contains(text),
        "{nobodys}"
    );
}

async fn only_an_error_rejects_a_run_and_what_was_good_stays_whole(backend: Backend) {
    let tenant = Tenant::of(backend, "levels").await;
    tenant.direct("critic", json!({})).await;
    let by = |stage: &str, does: Value| scripted("web", json!({"critic": {stage: does}}));
    let emit = json!([
        {"relation": ["component:default/web", "dependsOn", "component:default/db"]},
        {"entity": component("child")},
    ]);
    let remarks = json!([["info", "as you know"], ["warning", "mind this"]]);
    tenant
        .push([by("post-process", json!({"emit": emit, "say": remarks}))])
        .await;
    let state = tenant.settled("component:default/web").await;
    assert_eq!(state["status"], "ok");
    let levels = state["diagnostics"].as_array().expect("diagnostics");
    let levels: Vec<&Value> = levels.iter().map(|one| &one["level"]).collect();
    assert_eq!(levels, ["info", "warning"]);
    let good = tenant.served("component:default/web").await;
    assert!(good.get("status").is_none(), "remarks are no status");
    assert_eq!(good["relations"].as_array().map(Vec::len), Some(2));
    tenant.served("component:default/child").await;

    let doing = [
        ("pre-process", "preprocessing"),
        ("validate-kind", "validating"),
        ("post-process", "postprocessing"),
    ];
    for (stage, doing) in doing {
        let failing = by(stage, json!({"fail": format!("no {stage}")}));
        tenant.push([failing]).await;
        let state = tenant.settled("component:default/web").await;
        assert_eq!(state["status"], "failed", "{state}");
        let text = format!(
            "Processor critic threw an error while {doing} the entity component:default/web; caused by InputError: no {stage}"
        );
        assert_eq!(said(&state), [[stage, "critic", text.as_str()]]);
    }
    // An error that is told and not thrown rejects as well, and nothing of its run is applied.
    let more = json!([{"entity": component("other")}]);
    tenant
        .push([by(
            "pre-process",
            json!({"say": [["error", "never"]], "emit": more}),
        )])
        .await;
    let state = tenant.settled("component:default/web").await;
    assert_eq!(said(&state), [["pre-process", "critic", "never"]]);
    let kept = tenant
        .until("its error is served", async || {
            let web = tenant.served("component:default/web").await;
            (web["status"]["items"][0]["message"] == "InputError: never").then_some(web)
        })
        .await;
    assert_eq!(kept["status"]["items"][0]["level"], "error");
    assert_eq!(
        (&kept["spec"], &kept["relations"], &kept["metadata"]["uid"]),
        (&good["spec"], &good["relations"], &good["metadata"]["uid"])
    );
    let child = tenant.state("component:default/child").await;
    assert_eq!(child["parents"], json!(["component:default/web"]));
    assert_eq!(child["orphanedAt"], Value::Null);
    assert_eq!(tenant.state("component:default/other").await, Value::Null);
}
