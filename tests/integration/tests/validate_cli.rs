//! Proves what `greenroom validate` promises to people and pipelines, with the real binary: exit codes mean one thing each, what
//! is wrong is shown at its line, JSON is alone on its stream, annotations and terminals take no orders from documents, and
//! a host's tenant is compared with and not written to.

#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use greenroom_test_support::{Done, TestHost, command, quiet};
use serde_json::json;
use tempfile::TempDir;

/// How long anything here may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// A repository to validate.
struct Desk(TempDir);

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.0.path(), "validate", arguments)
    }

    fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().expect("the binary runs"))
    }

    /// Against a tenant, from a thread of its own: the host's client is on this one.
    async fn run_at(&self, host: &TestHost, arguments: &[&str]) -> Done {
        let mut command = self.command(arguments);
        command
            .args(["--host", host.origin()])
            .env("GREENROOM_TOKEN", host.token());
        let output = tokio::task::spawn_blocking(move || command.output());
        Done::of(output.await.unwrap().expect("the binary runs"))
    }
}

fn component(name: &str, owner: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n\
         spec: {{type: service, lifecycle: production, owner: {owner}}}\n"
    )
}

/// A good repository: documents of every kind, one in another file, and a placeholder.
fn repository() -> Desk {
    let desk = Desk::new();
    let group = "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: team}\nspec: {type: team, children: []}\n";
    desk.write(
        "catalog-info.yaml",
        &format!("{}---\n{group}", component("web", "team")),
    );
    let api = "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {name: rest}\n\
               spec:\n  type: openapi\n  lifecycle: production\n  owner: team\n  definition:\n    $text: ./docs/openapi.yaml\n";
    desk.write("api/catalog-info.yml", api);
    desk.write("api/docs/openapi.yaml", "openapi: 3.1.0\n");
    desk.write("docker-compose.yaml", "services: {}\n");
    desk
}

#[test]
fn a_good_repository_is_good_here_and_its_references_are_its_own_files() {
    let desk = repository();
    let done = desk.run(&["."]).ends(0);
    assert_eq!(done.out, "documents: 3  3 valid\n");
    let report = desk.run(&[".", "--json"]).ends(0).json();
    assert_eq!(
        (&report["ok"], &report["wanted"]),
        (&json!(true), &json!([]))
    );
    let refs: Vec<_> = report["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["entityRef"])
        .collect();
    assert_eq!(
        refs,
        [
            "api:default/rest",
            "component:default/web",
            "group:default/team"
        ]
    );
    // In a folder of another name the same, and a file by itself.
    let elsewhere = Desk::new();
    let root = desk.0.path().to_str().unwrap();
    elsewhere.run(&[root, "--root", root]).ends(0);
    desk.run(&["docker-compose.yaml"])
        .ends(3)
        .says("docker-compose.yaml:1:1");
}

#[test]
fn what_is_wrong_is_shown_at_its_line_and_the_rest_is_judged_all_the_same() {
    let desk = repository();
    let broken = format!(
        "{}---\na: {{% b\n---\n{}---\n{}",
        component("one", "team"),
        component("-bad-", "team"),
        component("web", "team"),
    );
    desk.write("broken/catalog-info.yaml", &broken);
    let done = desk.run(&["."]).ends(3);
    done.says("invalid  broken/catalog-info.yaml:7:")
        .says("a plain value cannot start with `%`")
        .says("invalid  broken/catalog-info.yaml:9:1")
        .says("documents: 7  4 valid, 3 not valid")
        .is_tame();
    let report = desk.run(&[".", "--format", "json"]).ends(3).json();
    let broken: Vec<_> = report["documents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["path"] == "broken/catalog-info.yaml")
        .map(|one| {
            (
                one["document"].as_u64().unwrap(),
                one["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        broken,
        [(0, "valid"), (1, "invalid"), (2, "invalid"), (3, "valid")],
        "{report:#}"
    );
    // Its last document is in another file too.
    done.says("invalid  catalog-info.yaml:1:1  component:default/web")
        .says("`component:default/web` is also in `broken/catalog-info.yaml`, line 15");
}

#[test]
fn a_document_chooses_no_file_that_is_not_for_a_catalog() {
    let desk = Desk::new();
    desk.write(".env", "SECRET=canary-of-the-environment\n");
    let reads = |path: &str| {
        format!(
            "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: web\n  description:\n    $text: {path}\n\
             spec: {{type: service, lifecycle: production, owner: team}}\n"
        )
    };
    for (path, code) in [
        ("./.env", 3),
        ("../../../../etc/hostname", 3),
        ("https://example.com/x", 3),
    ] {
        desk.write("catalog-info.yaml", &reads(path));
        let done = desk.run(&[".", "--json"]).ends(code);
        assert!(!done.out.contains("canary"), "{}", done.out);
    }
    // What is elsewhere is for a host to read.
    desk.write(
        "catalog-info.yaml",
        "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: {name: far}\n\
         spec: {type: url, target: \"https://example.com/x.yaml\"}\n",
    );
    desk.run(&["."])
        .ends(3)
        .says("waiting")
        .says("validate with --host");
}

#[test]
fn exit_codes_mean_one_thing_each() {
    let desk = repository();
    desk.run(&[]).ends(2);
    desk.run(&[".", "--json", "--format", "text"]).ends(2);
    desk.run(&["none.yaml"]).ends(1).says("none.yaml");
    desk.run(&["../x.yaml"]).ends(1).says("by `--root`");
    let failed = desk.run(&["none.yaml", "--json"]).ends(1);
    assert_eq!(failed.json()["error"]["code"], 1);
    // Port 1 is nobody's.
    let gone = ["--host", "http://127.0.0.1:1"];
    desk.run(&[&["."], &gone[..]].concat())
        .ends(6)
        .says("is the host running");
    desk.run(&[&[".", "--offline"], &gone[..]].concat()).ends(0);
    let mut in_actions = desk.command(&["none.yaml"]);
    let failed = in_actions.env("GITHUB_ACTIONS", "true").output().unwrap();
    Done::of(failed)
        .ends(1)
        .says("::error title=greenroom validate::");
}

#[test]
fn l01_in_github_actions_findings_are_annotations_and_no_name_gives_an_order() {
    let desk = repository();
    let name = "x,line=9%0A::stop-commands::y/catalog-info.yaml";
    desk.write(name, &component("-bad-", "\"::add-mask::z\""));
    let mut command = desk.command(&["."]);
    let done = Done::of(command.env("GITHUB_ACTIONS", "true").output().unwrap()).ends(3);
    done.is_tame();
    let lines: Vec<&str> = done.out.lines().collect();
    let file = "x%2Cline=9%250A%3A%3Astop-commands%3A%3Ay/catalog-info.yaml";
    let start = format!("::error file={file},line=1,col=1,title=");
    assert!(lines[0].starts_with(&start), "{}", done.out);
    let orders = lines.iter().filter(|line| line.starts_with("::")).count();
    assert_eq!(orders, lines.len() - 1, "{}", done.out);
    assert_eq!(*lines.last().unwrap(), "documents: 4  3 valid, 1 not valid");
    // Only there, unless it is asked for; and what is asked for goes before.
    assert!(!desk.run(&["."]).out.contains("::error"));
    desk.run(&[".", "--format", "github"])
        .ends(3)
        .says("::error file=");
    let mut command = desk.command(&[".", "--json"]);
    let json = Done::of(command.env("GITHUB_ACTIONS", "true").output().unwrap()).ends(3);
    assert_eq!(json.json()["ok"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_judges_against_its_catalog_and_is_not_written_to() {
    let host = TestHost::builder()
        .config_toml("[[tenants.default.catalog.rules]]\nallow = [\"Component\", \"API\", \"Group\", \"Location\"]\n")
        .start()
        .await;
    let client = host.client();
    let served = |name: &str, owner: &str| {
        json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name, "annotations": {
                "backstage.io/managed-by-location": "url:https://h.test/a.yaml",
                "backstage.io/managed-by-origin-location": "url:https://h.test/a.yaml",
            }},
            "spec": {"type": "service", "lifecycle": "production", "owner": owner},
        })
    };
    client
        .push(
            "default",
            "p",
            [served("web", "team"), served("shop", "old")],
        )
        .await
        .ok();
    quiet(client, "default", BOUND).await;
    let before = client.get("/tenants/default/changes").await.ok();

    let desk = repository();
    desk.write("shop/catalog-info.yaml", &component("shop", "nobody"));
    let done = desk.run_at(&host, &["."]).await.ends(0);
    done.says("valid    shop/catalog-info.yaml:1:1  component:default/shop  changed")
        .says("replace /spec/owner  \"old\"  \"nobody\"")
        .says("names `group:default/nobody`, which is neither in the catalog nor among these documents")
        .says("documents: 4  4 valid, 2 new, 1 changed, 1 unchanged, 1 warnings")
        .is_tame();
    desk.run_at(&host, &[".", "--strict"]).await.ends(3);
    let report = desk.run_at(&host, &[".", "--json"]).await.ends(0).json();
    assert_eq!(report["summary"]["unchanged"], 1, "{report:#}");

    // Its rules are those of where the files will be.
    desk.write("user/catalog-info.yaml", "apiVersion: backstage.io/v1alpha1\nkind: User\nmetadata: {name: u}\nspec: {memberOf: []}\n");
    desk.run_at(&host, &[".", "--location", "https://h.test/r"])
        .await
        .ends(3)
        .says("is not of an allowed kind for that location");
    desk.run_at(&host, &[".", "--tenant", "no-such-tenant"])
        .await
        .ends(6);

    assert_eq!(client.get("/tenants/default/changes").await.ok(), before);
    assert_eq!(client.count("default").await, 2);
}
