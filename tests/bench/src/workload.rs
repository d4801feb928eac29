//! What is called: `builtin-kinds` with an entity of 1.2 KB, which comes back sorted, as JSON in and out.

use std::sync::Arc;

use greenroom_bundle::BundledProcessor;
use greenroom_model::LocationRef;
use greenroom_sandbox::{GivenEntity, Request, StageCall};
use serde_json::json;

/// The entity as JSON text.
pub(crate) fn entity() -> String {
    let links: Vec<_> = (0..4)
        .map(|number| json!({"url": format!("https://grafana.example.com/d/board-{number}"), "title": format!("Board {number}"), "icon": "dashboard"}))
        .collect();
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": "payment-gateway",
            "title": "Payment Gateway",
            "description": "Takes payments of the web shop and of the mobile applications and hands them to the providers.",
            "annotations": {
                "backstage.io/managed-by-location": "url:https://github.com/acme/payments/blob/main/catalog-info.yaml",
                "backstage.io/managed-by-origin-location": "url:https://github.com/acme/payments/blob/main/catalog-info.yaml",
                "github.com/project-slug": "acme/payments",
                "pagerduty.com/integration-key": "a1b2c3d4e5f6",
            },
            "tags": ["java", "payments", "tier-1"],
            "links": links,
        },
        "spec": {
            "type": "service",
            "lifecycle": "production",
            "owner": "group:default/payments",
            "system": "shop",
            "dependsOn": ["resource:default/payments-db", "component:default/ledger"],
            "providesApis": ["payments-v2", "payments-v1"],
        },
    })
    .to_string()
}

/// The request of all calls.
pub(crate) fn request() -> Request {
    let location = LocationRef::new(
        "url",
        "https://github.com/acme/payments/blob/main/catalog-info.yaml",
    );
    Request {
        entity: GivenEntity::parse(entity()).expect("it has a ref"),
        location: location.clone(),
        origin_location: location,
        config: "{}".into(),
        cache: None,
        reads: Vec::new(),
        integrations: Arc::from([]),
        now_ms: None,
    }
}

/// The call.
pub(crate) fn call() -> StageCall {
    StageCall::PreProcess(request())
}

/// The processor.
pub(crate) fn processor() -> Result<&'static BundledProcessor, String> {
    let of_name = |processor: &&BundledProcessor| processor.name() == "builtin-kinds";
    let found = greenroom_bundle::bundled().iter().find(of_name);
    found.ok_or_else(|| "`builtin-kinds` is not bundled".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entity_has_the_size_the_figures_are_about() {
        let bytes = entity().len();
        assert!((1_100..=1_400).contains(&bytes), "{bytes} bytes");
    }
}
