//! A tenant that uploads one misbehaving program and pushes entities at it, with a token of its own, over HTTP only.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use greenroom_test_support::{Client, wait_until};
use serde_json::{Value, json};

/// How long an upload or a push may take to be worked off on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) struct Hostile {
    tenant: &'static str,
    client: Client,
}

impl Hostile {
    /// Creates the tenant and its token, uploads the component and makes it current. Tenant and processor have one name.
    pub(crate) async fn enter(
        operator: &Client,
        tenant: &'static str,
        component: &str,
    ) -> anyhow::Result<Self> {
        let bytes = fs::read(component).with_context(|| format!("read `{component}`"))?;
        operator
            .post("/admin/tenants", &json!({"name": tenant}))
            .await
            .ok();
        let scopes = json!({"name": "demo", "scopes": ["read", "write", "deploy"]});
        let token = operator
            .post(&format!("/admin/tenants/{tenant}/tokens"), &scopes)
            .await
            .ok();
        let client = operator.with_token(token["token"].as_str());
        let processor = format!("/tenants/{tenant}/processors/{tenant}");
        client.put(&processor, &json!({})).await.ok();
        let revision = client
            .upload(&format!("{processor}/revisions"), bytes)
            .await
            .ok();
        anyhow::ensure!(
            revision["state"] == "ready",
            "the upload is not ready: {revision}"
        );
        client
            .post(
                &format!("{processor}/activate"),
                &json!({"revision": revision["number"]}),
            )
            .await
            .ok();
        Ok(Self { tenant, client })
    }

    /// Replaces all entities by `count` new ones, in one mutation.
    pub(crate) async fn push(&self, round: usize, count: usize) {
        let lines: Vec<Value> = (0..count)
            .map(|number| {
                json!({"add": {"entity": {
                    "apiVersion": "backstage.io/v1alpha1",
                    "kind": "Component",
                    "metadata": {"name": format!("{}-{round}-{number}", self.tenant)},
                    "spec": {"type": "service", "lifecycle": "experimental", "owner": "demo"},
                }}})
            })
            .chain([json!({"commit": {"count": count}})])
            .collect();
        let path = format!(
            "/tenants/{}/providers/demo/mutations?type=full&allow_shrink=true",
            self.tenant
        );
        self.client.ndjson(&path, &lines).await.ok();
    }

    /// Waits until every entity that was pushed has been tried.
    pub(crate) async fn wait_until_tried(&self) {
        let path = format!("/tenants/{}/processing?status=pending&limit=1", self.tenant);
        wait_until("every entity is tried", BOUND, async || {
            let pending = self.client.get(&path).await.ok();
            (pending["items"] == json!([])).then_some(())
        })
        .await;
    }

    /// Where every entity is in its life.
    pub(crate) async fn processing(&self) -> Vec<Value> {
        self.client.processing(self.tenant).await
    }

    /// What was recorded against the program, newest first.
    pub(crate) async fn faults(&self) -> Vec<Value> {
        let tenant = self.tenant;
        let path = format!("/tenants/{tenant}/processors/{tenant}/faults");
        let faults = self.client.get(&path).await.ok();
        faults["items"].as_array().cloned().unwrap_or_default()
    }
}
