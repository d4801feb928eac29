//! Proves that docs/authoring.md is true: every command of its tutorial is run in order, in an empty folder outside this
//! repository, without a network and against a real host, and ends with the code that the page says. At its end the
//! processor that the reader has written annotates an entity of a live catalog. And it leaves nothing out: every command of the
//! binary and every public name of the SDK is on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use greenroom_integration_tests::documents::{code_words, read};
use greenroom_test_support::{TestHost, binary, wait_until};
use serde_json::json;

/// How long the entity may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository")
}

/// A command of the page, and the code it says the command ends with.
#[derive(Debug)]
struct Step {
    command: String,
    code: i32,
}

/// The commands of the tutorial.
fn steps(page: &str) -> Vec<Step> {
    let tutorial = page.split_once("\n## Tutorial\n").expect("a tutorial").1;
    let tutorial = tutorial.split("\n## ").next().expect("its end");
    let mut steps = Vec::new();
    for block in tutorial.split("```console\n").skip(1) {
        let block = block.split("\n```").next().expect("the end of a block");
        for line in block.lines() {
            let command = line
                .strip_prefix("$ ")
                .expect("a line of a console block is a command");
            let (command, code) = command
                .split_once("  # exits with ")
                .unwrap_or((command, "0"));
            let code = code.trim().parse().expect("an exit code");
            steps.push(Step {
                command: command.to_owned(),
                code,
            });
        }
    }
    steps
}

/// Runs a command as a person at a shell would.
fn run(step: &Step, folder: &Path, host: &TestHost) -> String {
    let bin = binary();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.parent().expect("a folder").display());
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours =
            name.starts_with("GREENROOM_") || name.contains("RUSTFLAGS") || name.contains("RUSTC_");
        if ours || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["-c", &step.command])
        .current_dir(folder)
        .env("PATH", path)
        // What other builds of guests need too is built once; the crate itself is elsewhere each time.
        .env("CARGO_TARGET_DIR", root().join("target-guests/authoring"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("GREENROOM_URL", host.origin())
        .env("GREENROOM_DATA_DIR", host.data_dir())
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        output.status.code(),
        Some(step.code),
        "`{}`:\n{text}",
        step.command
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_leads_from_an_empty_folder_to_a_live_processor() {
    let page = std::fs::read_to_string(root().join("docs/authoring.md")).expect("the page");
    let steps = steps(&page);
    assert!(steps.len() >= 15, "{steps:?}");
    let host = TestHost::builder().start().await;
    let desk = tempfile::tempdir().expect("an empty folder");
    let mut folder = desk.path().to_owned();
    let mut said = String::new();
    for step in &steps {
        match step.command.strip_prefix("cd ") {
            Some(name) => folder.push(name),
            None => said += &tokio::task::block_in_place(|| run(step, &folder, &host)),
        }
    }
    // What the page says of its commands.
    for words in [
        "src/lib.rs:",
        "a full ref",
        "reproduced",
        "1 passed, 0 failed",
        "by function",
        "uploaded team-label",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "web", "annotations": {
            "backstage.io/managed-by-location": "url:https://example.com/web.yaml",
            "backstage.io/managed-by-origin-location": "url:https://example.com/web.yaml"}},
        "spec": {"type": "website", "lifecycle": "production", "owner": "group:default/artists"}
    });
    host.client().push("default", "test", [entity]).await.ok();
    wait_until("the entity has its annotation", BOUND, async || {
        let entity = host
            .client()
            .entity("default", "component:default/web")
            .await?;
        (entity["metadata"]["annotations"]["example.com/team"] == "artists").then_some(())
    })
    .await;
}

#[test]
fn every_command_of_the_binary_is_on_the_page() {
    let page = std::fs::read_to_string(root().join("docs/authoring.md")).expect("the page");
    let help = Command::new(binary())
        .args(["processor", "--help"])
        .output()
        .expect("the binary runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands = help
        .split_once("Commands:\n")
        .expect("commands")
        .1
        .split("\n\n")
        .next()
        .expect("their end");
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() >= 11, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(
            page.contains(&format!("`{name} ")) || page.contains(&format!("`{name}`")),
            "`{name}` is not on the page"
        );
    }
}

/// Names that the sources of the SDK make public, but for what macros expand to.
fn public_names() -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let part = |c: &char| c.is_alphanumeric() || *c == '_';
        text.chars().take_while(part).collect()
    };
    let library = read("guest-sdk/src/lib.rs");
    let mut names: BTreeSet<String> = library
        .split("\npub use ")
        .skip(1)
        .flat_map(|rest| {
            let statement = rest.split(';').next().unwrap_or_default();
            let last = statement.rsplit("::").next().unwrap_or_default();
            let last = last.trim_matches(['{', '}', '\n']);
            last.split(',')
                .map(|name| word(name.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    for file in [
        "catalog_files",
        "context",
        "descriptor",
        "document",
        "emitter",
        "error",
        "outcome",
        "testing",
        "testing/outcome",
        "yaml",
    ] {
        let source = read(&format!("guest-sdk/src/{file}.rs"));
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        names.extend(code.split("pub fn ").skip(1).map(word));
    }
    names.remove("");
    names
}

#[test]
fn everything_of_the_sdk_is_on_the_page() {
    let page = read("docs/authoring.md");
    let on_page: BTreeSet<&str> = code_words(&page)
        .into_iter()
        .flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || c == '_')))
        .collect();
    let names = public_names();
    assert!(names.len() > 80, "{names:?}");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !on_page.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "the page does not say what these are for: {missing:?}"
    );
}
