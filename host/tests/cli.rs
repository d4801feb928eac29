//! The binary as a person meets it: help, versions, and mistakes that are answered with what to do. Being an integration
//! test of this package, it also makes `cargo test` build the binary that the other integration tests start.

use std::process::{Command, Output};

fn greenroom(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_greenroom"))
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn names_its_version_and_commands() {
    let output = greenroom(&["--version"], &[]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("greenroom "));
    let help = greenroom(&["serve", "--help"], &[]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in [
        "--data-dir",
        "--listen",
        "--metrics-listen",
        "--workers",
        "--file-root",
        "--config",
    ] {
        assert!(help.contains(flag), "{flag} is not in the help:\n{help}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("greenroom.toml");
    #[expect(
        clippy::disallowed_methods,
        reason = "a test writes its own configuration file"
    )]
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    let output = greenroom(&["serve", "--config", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("lisen"), "{}", stderr(&output));
}

#[test]
fn an_unknown_variable_is_named() {
    let output = greenroom(&["serve"], &[("GREENROOM_LISEN", "127.0.0.1:1")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("GREENROOM_LISEN"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_file_is_named() {
    let output = greenroom(&["serve", "--config", "no-such-file.toml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("no-such-file.toml"),
        "{}",
        stderr(&output)
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test writes its own data directory"
)]
fn s02_a_key_that_others_can_read_refuses_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("artifact-key");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let data = directory.path().to_str().unwrap();
    let output = greenroom(
        &[
            "serve",
            "--data-dir",
            data,
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("can be read by others: run `chmod 600"),
        "{said}"
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test plants a link in a data directory"
)]
fn s04_a_database_that_is_a_link_refuses_the_start_and_is_not_written() {
    let outside = tempfile::tempdir().unwrap();
    let theirs = outside.path().join("theirs.db");
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&theirs, directory.path().join("greenroom.db")).unwrap();
    let data = directory.path().to_str().unwrap();
    let any = "127.0.0.1:0";
    for command in [
        &["serve", "--listen", any, "--metrics-listen", any][..],
        &["worker", "--metrics-listen", any],
    ] {
        let output = greenroom(&[command, &["--data-dir", data]].concat(), &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(
            said.contains("greenroom.db` is not a plain file: move it away"),
            "{said}"
        );
    }
    assert!(!theirs.exists(), "nothing was made where the link leads");
}
