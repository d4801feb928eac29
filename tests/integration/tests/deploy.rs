//! Proves that what `deploy/` says is what Kubernetes, Compose, Prometheus and the binary itself take: the manifests fit the schemas
//! of Kubernetes and ask for no privilege, every variable, flag and key in them exists, every alert has a runbook, asks for a metric
//! that there is, and fires when it should and only then.
//!
//! What YAML says is judged by `tests/integration/deploy/check.py`, and rules by promtool; `tests/integration/deploy/prepare` gets what
//! they need. Where that cannot be had the tests are skipped, aloud; on CI (`CI=true`) that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use greenroom::config::{Config, ServeFlags, VARIABLES, WorkerFlags};
use greenroom_integration_tests::documents::{read, root};
use greenroom_integration_tests::skipped;
use greenroom_test_support::binary;

/// Files that set variables or arguments of the binary.
const SETTING: [&str; 5] = [
    "deploy/Dockerfile",
    "deploy/docker-compose.yaml",
    "deploy/kubernetes/api.yaml",
    "deploy/kubernetes/migrate.yaml",
    "deploy/kubernetes/worker.yaml",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// What is missing here for the checks to run; asked once.
fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let missing = MISSING.get_or_init(|| {
        let python = Command::new("python3")
            .args(["-c", "import ensurepip, venv"])
            .output();
        if !python.is_ok_and(|output| output.status.success()) {
            return Some("Python with venv is not installed".to_owned());
        }
        match Command::new(folder().join("prepare")).output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!(
                "tests/integration/deploy/prepare failed: {}",
                said(&output)
            )),
            Err(error) => Some(format!("tests/integration/deploy/prepare: {error}")),
        }
    });
    missing.as_deref()
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn assert_succeeds(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}", said(&output));
}

/// Has check.py judge one thing.
fn judge(what: &str) {
    match missing() {
        Some(missing) => skipped(missing),
        None => assert_succeeds(
            Command::new(folder().join(".venv/bin/python"))
                .arg(folder().join("check.py"))
                .arg(what)
                .env("PYTHONDONTWRITEBYTECODE", "1"),
        ),
    }
}

/// Promtool in the folder of the rules: the system's, or the one that `prepare` took out of its package.
fn promtool(arguments: &[&str]) {
    if let Some(missing) = missing() {
        return skipped(missing);
    }
    let ours = folder().join(".tools/promtool");
    let program = if ours.exists() {
        ours
    } else {
        "promtool".into()
    };
    assert_succeeds(
        Command::new(program)
            .args(arguments)
            .current_dir(root().join("deploy/prometheus")),
    );
}

#[test]
fn manifests_fit_kubernetes_and_ask_for_no_privilege() {
    judge("kubernetes");
}

#[test]
fn the_compose_file_fits_compose_and_asks_for_no_privilege() {
    judge("compose");
}

#[test]
fn every_alert_has_a_runbook_and_metrics_that_there_are() {
    judge("alerts");
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
}

#[test]
fn every_variable_in_deploy_exists() {
    let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    for file in SETTING {
        let text = read(file);
        let mut named = 0;
        // Comments may speak of variables in general.
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            for (at, _) in line.match_indices("GREENROOM_") {
                let name: String = line[at..]
                    .chars()
                    .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                    .collect();
                assert!(known.contains(&name.as_str()), "{file}: `{name}`");
                named += 1;
            }
        }
        assert!(named > 0, "{file}");
    }
}

#[test]
fn the_binary_takes_every_command_in_deploy() {
    let mut taken = 0;
    for file in SETTING {
        for line in read(file).lines() {
            let line = line.trim();
            let list = ["args: ", "command: ", "CMD "]
                .iter()
                .find_map(|key| line.strip_prefix(key));
            let Some(list) = list.filter(|list| !list.contains("postgres")) else {
                continue;
            };
            let arguments: Vec<String> = serde_json::from_str(list).expect("a list of strings");
            // The parser judges what comes before it answers with the help.
            let output = Command::new(binary())
                .args(&arguments)
                .arg("--help")
                .output();
            let output =
                output.expect("the binary runs: build it with `cargo build --bin greenroom`");
            assert!(output.status.success(), "{file}: {line}: {}", said(&output));
            taken += 1;
        }
    }
    assert_eq!(taken, 6, "the image, two services, two deployments, a job");
}

#[test]
fn the_configuration_in_deploy_is_one() {
    let flags = ServeFlags {
        worker: WorkerFlags {
            config: Some("deploy/greenroom.toml".into()),
            ..WorkerFlags::default()
        },
        ..ServeFlags::default()
    };
    let config = Config::read(&flags, &root(), |path| std::fs::read_to_string(path));
    let config = config.expect("deploy/greenroom.toml is a configuration");
    // Where the manifests and the compose file put them.
    let named = [config.artifact_key_file, config.operator_token_file];
    for path in named.map(|path| path.expect("one for all hosts")) {
        let mount = path.parent().expect("a folder").display().to_string();
        let name = path.file_name().expect("a name").to_string_lossy();
        for file in ["deploy/docker-compose.yaml", "deploy/kubernetes/api.yaml"] {
            let text = read(file);
            assert!(
                text.contains(&mount) && text.contains(&*name),
                "{file} mounts `{}`",
                path.display()
            );
        }
    }
}

#[test]
fn the_image_is_built_with_our_toolchain_and_is_not_root() {
    let dockerfile = read("deploy/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .split_once("channel = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(channel, _)| channel)
        .expect("a channel");
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .collect();
    // Of one release of Debian, so that the binary finds the C library that it was linked with.
    let [build, run] = stages[..] else {
        panic!("two stages: {stages:?}");
    };
    assert_eq!(build, format!("rust:{channel}-trixie AS build"));
    assert_eq!(run, "debian:trixie-slim");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").expect("a stage");
    let user = last.lines().find_map(|line| line.strip_prefix("USER "));
    assert_eq!(user, Some("65532:65532"));
    for line in dockerfile.lines() {
        assert!(
            !line.starts_with("ADD "),
            "what is fetched is not pinned: {line}"
        );
    }
}

#[test]
fn what_git_ignores_is_not_sent_to_whoever_builds_the_image() {
    let (git, docker) = (read(".gitignore"), read(".dockerignore"));
    let sent: Vec<&str> = git
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        // Without a slash git means any folder; Docker says so.
        .filter(|path| {
            !docker
                .lines()
                .any(|line| line.trim_start_matches("**/") == *path)
        })
        .collect();
    assert!(sent.is_empty(), "add to .dockerignore: {sent:?}");
}
