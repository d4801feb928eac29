//! What becomes of an entity whose documents cannot be had at present (DESIGN §3.1, §3.4).

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Backend, on_every_backend};
use serde_json::Value;

use super::tenant::{Tenant, component, file, location_ref};

on_every_backend! {
    while_a_source_cannot_answer_runs_wait_and_nothing_is_removed,
    r14_a_source_that_told_one_tenant_to_wait_answers_the_others,
}

async fn while_a_source_cannot_answer_runs_wait_and_nothing_is_removed(backend: Backend) {
    let tenant = Tenant::of(backend, "unavailable").await;
    let server = FileServer::start(&[("/all.yaml", &file(&[component("web")]))]);
    let target = server.url("/all.yaml");
    tenant.register(&target).await;
    tenant.served("component:default/web").await;
    let later = server.url("/later.yaml");
    for path in ["/all.yaml", "/later.yaml"] {
        server.refuse(path, "503 Service Unavailable", "x-test: down");
    }
    tenant.register(&later).await;
    let waiting = tenant.ends(&location_ref(&later), "waiting").await;
    assert!(waiting.to_string().contains("/later.yaml"), "{waiting}");
    assert!(
        !waiting["nextDue"].is_null(),
        "it goes on by itself: {waiting}"
    );
    tenant.refresh(&location_ref(&target)).await;
    tenant
        .until("what was read before is looked at", async || {
            let again = |path: &&String| *path == "/all.yaml";
            (server.asked().iter().filter(again).count() == 2).then_some(())
        })
        .await;
    let web = tenant.state("component:default/web").await;
    let kept = (&web["status"], &web["orphanedAt"]);
    assert_eq!(kept, (&"ok".into(), &Value::Null));
    let web = tenant.served("component:default/web").await;
    assert!(web.get("status").is_none());
    // It need not wait until then.
    server.put("/later.yaml", &file(&[component("late")]));
    tenant.refresh(&location_ref(&later)).await;
    tenant.served("component:default/late").await;
    tenant.ends(&location_ref(&later), "ok").await;
}

async fn r14_a_source_that_told_one_tenant_to_wait_answers_the_others(backend: Backend) {
    let one = Tenant::of(backend, "paused-one").await;
    let two = Tenant::of(backend, "paused-two").await;
    let server = FileServer::start(&[
        ("/second.yaml", &file(&[component("second")])),
        ("/others.yaml", &file(&[component("others")])),
    ]);
    let [first, second] = ["/first.yaml", "/second.yaml"].map(|path| server.url(path));
    server.refuse("/first.yaml", "429 Too Many Requests", "retry-after: 3000");
    one.register(&first).await;
    one.ends(&location_ref(&first), "waiting").await;
    // Whatever else it wants of that source waits too, and is not asked for.
    one.register(&second).await;
    let waiting = one.ends(&location_ref(&second), "waiting").await;
    assert!(
        waiting.to_string().contains("asked for a pause"),
        "{waiting}"
    );
    two.register(&server.url("/others.yaml")).await;
    two.served("component:default/others").await;
    assert_eq!(server.asked(), ["/first.yaml", "/others.yaml"]);
}
