//! Proves that `POST /analyze-location` looks for the catalog file of a repository as the tenant may read it: what the file
//! brings is shown and nothing is registered; without a file, and where the tenant may not read, there is a skeleton.

use std::time::Duration;

use greenroom_integration_tests::FileServer;
use greenroom_test_support::{Client, TestHost, quiet};
use serde_json::{Value, json};

const CATALOG: &str = "/tenants/default/api/catalog";
const DESCRIPTOR: &str = "\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: found
spec:
  type: service
  lifecycle: experimental
  owner: shop
";

async fn analyze(client: &Client, target: &str, file: Option<&str>) -> Value {
    let mut body = json!({"location": {"type": "url", "target": target}});
    if let Some(file) = file {
        body["catalogFilename"] = json!(file);
    }
    let path = format!("{CATALOG}/analyze-location");
    let reply = client.post(&path, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

#[tokio::test]
async fn a_repository_is_analysed_under_the_tenants_own_policy() {
    let files = FileServer::start(&[
        ("/raw/o/full/HEAD/catalog-info.yaml", DESCRIPTOR),
        (
            "/raw/o/full/dev/other.yaml",
            &DESCRIPTOR.replace("found", "other"),
        ),
        (
            "/raw/o/bad/HEAD/catalog-info.yaml",
            &DESCRIPTOR.replace("  owner: shop\n", ""),
        ),
    ]);
    let at = files.address();
    let host = TestHost::builder()
        .config_toml(format!(
            "private_networks = [\"127.0.0.0/8\"]
[[tenants.default.integrations.github]]
host = \"{at}\"
rawBaseUrl = \"http://{at}/raw\"
[[tenants.default.reading.allow]]
host = \"{at}\"
"
        ))
        .start()
        .await;
    let client = host.client();
    let url = |path: &str| format!("http://{at}/{path}");

    let found = analyze(client, &url("o/full"), None).await;
    assert_eq!(found["generateEntities"], json!([]));
    let existing = found["existingEntityFiles"].as_array().unwrap();
    let names: Vec<&Value> = existing
        .iter()
        .map(|one| &one["entity"]["metadata"]["name"])
        .collect();
    assert_eq!(names.len(), 2, "the Location and what it brings: {names:?}");
    assert_eq!(names[1], "found");
    let target = url("o/full/blob/HEAD/catalog-info.yaml");
    for one in existing {
        assert_eq!(one["location"], json!({"type": "url", "target": target}));
        assert_eq!(one["isRegistered"], false);
    }
    let named = analyze(client, &url("o/full/tree/dev/sub"), Some("other.yaml")).await;
    let entity = &named["existingEntityFiles"][1]["entity"];
    assert_eq!(entity["metadata"]["name"], "other");

    let skeleton = |name: &str, annotations: Option<Value>| {
        let mut metadata = json!({"name": name});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        let entity = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
            "metadata": metadata, "spec": {"type": "other", "lifecycle": "unknown"},
        });
        json!({"existingEntityFiles": [], "generateEntities": [{"entity": entity, "fields": []}]})
    };
    let slug = |slug: &str| Some(json!({"github.com/project-slug": slug}));
    let empty = analyze(client, &url("o/empty"), None).await;
    assert_eq!(empty, skeleton("empty", slug("o/empty")));
    // Of these the tenant may read nothing, and nothing is asked.
    let closed = analyze(client, "https://github.com/o/closed.git", None).await;
    assert_eq!(closed, skeleton("closed", slug("o/closed")));
    let unknown = analyze(client, "https://example.org/a/b/c", None).await;
    assert_eq!(unknown, skeleton("c", None));
    let nothing = analyze(client, "https://example.org/", None).await;
    assert_eq!(nothing, skeleton("", None));

    let path = format!("{CATALOG}/analyze-location");
    for (target, said) in [
        ("not a url", "The given location.target is not a URL"),
        (url("o/bad").as_str(), "owner"),
    ] {
        let body = json!({"location": {"type": "url", "target": target}});
        let reply = client.post(&path, &body).await;
        assert_eq!(reply.error(400), "InputError");
        assert!(reply.body.contains(said), "{}", reply.body);
    }

    let added = client
        .post(
            &format!("{CATALOG}/locations"),
            &json!({"type": "url", "target": target}),
        )
        .await;
    assert_eq!(
        added.status, 201,
        "nothing was registered before: {}",
        added.body
    );
    quiet(client, "default", Duration::from_secs(60)).await;
    let again = analyze(client, &url("o/full"), None).await;
    assert_eq!(again["existingEntityFiles"][0]["isRegistered"], true);
    let asked = files.asked();
    assert!(
        asked.contains(&"/raw/o/empty/HEAD/catalog-info.yaml".to_owned()),
        "{asked:?}"
    );
}
