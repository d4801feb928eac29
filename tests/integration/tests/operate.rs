//! Proves the operator's commands: tenants, tokens and the audit log of a running host; the schema brought to this version by one
//! of several at once, and refused by name where it is newer; a backup of a database in use that comes back; and an operator token
//! that is never printed, never written through a link, and the same on all hosts that are given it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use greenroom_test_support::{
    Backend, Client, Done, TestHost, command, on_every_backend, wait_until,
};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);

fn component(name: &str) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    })
}

/// A command in that folder that ended.
fn run(folder: &Path, subcommand: &str, arguments: &[&str]) -> Done {
    let output = command(folder, subcommand, arguments).output();
    Done::of(output.expect("the binary runs"))
}

/// A command against that host, as its operator.
fn on_host(host: &TestHost, folder: &Path, arguments: &[&str]) -> Done {
    let mut command = command(folder, arguments[0], &arguments[1..]);
    command
        .env("GREENROOM_URL", host.origin())
        .env("GREENROOM_DATA_DIR", host.data_dir());
    tokio::task::block_in_place(|| Done::of(command.output().expect("the binary runs")))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_tenants_tokens_and_the_audit_log_at_the_command_line() {
    let host = TestHost::builder().workers(0).start().await;
    let desk = tempfile::tempdir().expect("a folder");
    let greenroom = |arguments: &[&str]| on_host(&host, desk.path(), arguments);

    greenroom(&["tenant", "create", "acme"])
        .ends(0)
        .says("created acme")
        .says("next: greenroom token create --tenant acme --scope admin");
    greenroom(&["tenant", "create", "acme"])
        .ends(6)
        .says("choose another name");
    greenroom(&["tenant", "list"])
        .ends(0)
        .says("acme")
        .says("default");
    let listed = greenroom(&["tenant", "list", "--json"]).ends(0).json();
    assert_eq!(listed["items"][0]["name"], "acme");

    // A token to a new file that only its owner may read, and one to standard output.
    let create = [
        "token",
        "create",
        "--tenant",
        "acme",
        "--scope",
        "read,write",
        "--days",
        "7",
    ];
    let made = greenroom(
        &[
            &create[..],
            &["--name", "ci", "--output", "token", "--json"],
        ]
        .concat(),
    );
    let made = made.ends(0).json();
    assert_eq!(
        (&made["token"], &made["scopes"]),
        (&Value::Null, &json!(["read", "write"]))
    );
    let file = desk.path().join("token");
    assert_eq!(
        fs::metadata(&file).expect("the file").permissions().mode() & 0o777,
        0o600
    );
    let written = fs::read_to_string(&file).expect("the token");
    let holder = Client::new(host.origin(), Some(written.trim()));
    assert_eq!(
        holder.get("/tenants/acme/api/catalog/entities").await.ok(),
        json!([])
    );
    greenroom(&[&create[..], &["--output", "token"]].concat())
        .ends(1)
        .says("make the new file `token`");
    let printed = greenroom(&["token", "create", "--name", "second"]).ends(0);
    let operator = Client::new(host.origin(), Some(printed.out.trim()));
    operator.get("/admin/tenants").await.ok();
    greenroom(&["token", "create", "--tenant", "acme"])
        .ends(1)
        .says("say what it may do");
    greenroom(&["token", "create", "--scope", "read"]).ends(2);

    let id = made["id"].as_str().expect("an id");
    greenroom(&["token", "list", "--tenant", "acme"])
        .ends(0)
        .says(id)
        .says("read,write")
        .says("until 20");
    greenroom(&["token", "revoke", id, "--tenant", "acme"])
        .ends(0)
        .says("revoked");
    greenroom(&["token", "revoke", id]).ends(6);
    let refused = holder.get("/tenants/acme/api/catalog/entities").await;
    assert_eq!(refused.error(401), "AuthenticationError");
    greenroom(&["token", "list", "--tenant", "acme"])
        .ends(0)
        .says("revoked 20");

    greenroom(&["audit", "--tenant", "acme", "--limit", "2"])
        .ends(0)
        .says("revoke_token")
        .says("create_token");
    let audit = greenroom(&["audit", "--limit", "1", "--json"])
        .ends(0)
        .json();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1));
    greenroom(&["audit", "--tenant", "nobody"])
        .ends(6)
        .says("No tenant of that name");

    greenroom(&["tenant", "delete", "acme"])
        .ends(1)
        .says("tenant export acme")
        .says("--yes");
    greenroom(&["tenant", "delete", "acme", "--yes"])
        .ends(0)
        .says("deleted acme");
    greenroom(&["tenant", "delete", "acme", "--yes"]).ends(6);
    // Hostile names stay one segment, and text.
    for name in ["../tokens", "a\u{1b}[2J", "%2e%2e", "a/b"] {
        greenroom(&["tenant", "delete", name, "--yes"])
            .ends(6)
            .is_tame();
        greenroom(&["token", "list", "--tenant", name])
            .ends(6)
            .is_tame();
    }
    let mut anonymous = command(desk.path(), "tenant", &["list", "--host", host.origin()]);
    let anonymous = tokio::task::block_in_place(|| Done::of(anonymous.output().expect("it runs")));
    anonymous.ends(6).says("GREENROOM_TOKEN");
}

#[test]
fn s10_of_migrations_at_once_one_runs_and_a_newer_schema_is_refused_by_name() {
    let desk = tempfile::tempdir().expect("a folder");
    let migrate = |more: &[&str]| {
        run(
            desk.path(),
            "migrate",
            &[&["--data-dir", "data"], more].concat(),
        )
    };
    let planned = migrate(&["--plan", "--json"]).ends(0).json();
    assert_eq!(
        (&planned["found"], &planned["done"]),
        (&json!(0), &json!(false))
    );
    let database = desk.path().join("data/greenroom.db");
    assert!(!database.exists(), "a plan makes nothing");
    migrate(&["--plan"])
        .ends(0)
        .says("to do from schema version 0");

    let started: Vec<_> = (0..3)
        .map(|_| {
            command(desk.path(), "migrate", &["--data-dir", "data"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary runs")
        })
        .collect();
    for child in started {
        let done = Done::of(child.wait_with_output().expect("it ends"));
        done.ends(0);
    }
    migrate(&[]).ends(0).says("up to date");
    let known = &planned["known"];
    assert_eq!(
        &migrate(&["--plan", "--json"]).ends(0).json()["found"],
        known
    );

    // The version is at byte 60 of an SQLite file.
    run(desk.path(), "backup", &["copy.db", "--data-dir", "data"]).ends(0);
    let mut bytes = fs::read(desk.path().join("copy.db")).expect("the copy");
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::create_dir(desk.path().join("newer")).expect("a data directory");
    fs::write(desk.path().join("newer/greenroom.db"), &bytes).expect("write the database");
    fs::write(desk.path().join("newer.db"), &bytes).expect("write the copy");
    let refusal = format!(
        "the database has schema version 9999, this binary knows {known}: run a newer greenroom"
    );
    let newer = |subcommand: &str, more: &[&str]| {
        let arguments = [&["--data-dir", "newer"], more].concat();
        run(desk.path(), subcommand, &arguments)
            .ends(1)
            .says(&refusal);
    };
    newer("migrate", &["--plan"]);
    newer("migrate", &[]);
    newer(
        "serve",
        &["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
    );
    newer("worker", &["--metrics-listen", "127.0.0.1:0"]);
    newer("backup", &["another.db"]);
    assert!(!desk.path().join("another.db").exists());
    run(
        desk.path(),
        "restore",
        &["newer.db", "--data-dir", "restored"],
    )
    .ends(1)
    .says(&refusal);
}

/// Served names of the default tenant, sorted: without `orderFields` the catalog answers in the order of uids, which is chance.
async fn names(host: &TestHost, wanted: usize) -> Vec<String> {
    wait_until("the entities are served", BOUND, async || {
        let served = host
            .client()
            .get("/tenants/default/api/catalog/entities?fields=metadata.name")
            .await
            .ok();
        let mut names: Vec<String> = served
            .as_array()?
            .iter()
            .filter_map(|one| Some(one["metadata"]["name"].as_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        (names.len() == wanted).then_some(names)
    })
    .await
}

async fn cursor(host: &TestHost) -> String {
    let page = host.client().get("/tenants/default/changes").await.ok();
    page["next"].as_str().expect("a cursor").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_database_in_use_comes_back_and_followers_begin_anew() {
    let mut host = TestHost::builder().start().await;
    let desk = tempfile::tempdir().expect("a folder");
    let saved = [component("one"), component("two")];
    host.client().push("default", "p", saved).await.ok();
    names(&host, 2).await;
    let before = cursor(&host).await;
    let greenroom = |arguments: &[&str]| on_host(&host, desk.path(), arguments);
    greenroom(&["backup", "copy.db"])
        .ends(0)
        .says("saved copy.db")
        .says("next: greenroom restore");
    greenroom(&["backup", "copy.db"])
        .ends(1)
        .says("make the new file");
    let mode = fs::metadata(desk.path().join("copy.db"))
        .expect("the copy")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    host.client()
        .push("default", "p", [component("lost")])
        .await
        .ok();
    names(&host, 3).await;
    greenroom(&["restore", "copy.db"])
        .ends(1)
        .says("stop the host and move it away");
    greenroom(&["restore", "nothing.db"])
        .ends(1)
        .says("there is no `nothing.db`");
    greenroom(&["restore"]).ends(1).says("name the file");

    greenroom_test_support::stop_softly(host.pid());
    host.wait_for_end(BOUND).await;
    for name in ["greenroom.db", "greenroom.db-wal", "greenroom.db-shm"] {
        drop(fs::rename(
            host.data_dir().join(name),
            desk.path().join(name),
        ));
    }
    // An attempt that was cut off is in nobody's way.
    fs::write(host.data_dir().join("greenroom.db.restoring"), "half").expect("write");
    on_host(&host, desk.path(), &["restore", "copy.db", "--json"])
        .ends(0)
        .says("\"tenants\":1");
    host.start_again().await;
    assert_eq!(names(&host, 2).await, ["one", "two"]);
    let stale = host
        .client()
        .get(&format!("/tenants/default/changes?cursor={before}"))
        .await;
    assert_eq!(stale.status, 410, "{}", stale.body);
}

#[test]
fn what_is_no_backup_is_refused_and_leaves_nothing() {
    let desk = tempfile::tempdir().expect("a folder");
    fs::write(
        desk.path().join("text"),
        "not a database at all".repeat(100),
    )
    .expect("write");
    fs::write(desk.path().join("empty"), "").expect("write");
    for file in ["text", "empty"] {
        run(desk.path(), "restore", &[file, "--data-dir", "data"])
            .ends(1)
            .says("restore `");
        let left: Vec<_> = fs::read_dir(desk.path().join("data"))
            .expect("the directory")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    run(desk.path(), "backup", &["copy.db", "--data-dir", "data"])
        .ends(1)
        .says("there is no database in");
}

#[tokio::test(flavor = "multi_thread")]
async fn i15_the_operator_token_is_made_new_for_its_owner_and_never_printed() {
    let host = TestHost::builder().workers(0).start().await;
    let file = host.data_dir().join("operator-token");
    let mode = fs::symlink_metadata(&file)
        .expect("the token's file")
        .permissions()
        .mode();
    assert_eq!(mode, 0o100_600);
    let printed = fs::read_to_string(host.data_dir().with_file_name("stdout")).expect("the output");
    assert!(
        printed.contains("operator token: "),
        "where it is, is said: {printed}"
    );
    for text in [printed, host.log()] {
        assert!(!text.contains(host.token()), "{text}");
        let secret = host.token().rsplit('_').next().expect("a secret");
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn i15_a_start_is_refused_where_the_operator_token_is_not_its_own() {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    type Plant<'a> = &'a dyn Fn(&Path);
    let plant: [(&str, Plant<'_>); 5] = [
        ("is not a plain file: move it away", &|data| {
            symlink("../theirs", data.join("operator-token")).expect("plant a link");
        }),
        ("is not a plain file: move it away", &|data| {
            fs::create_dir(data.join("operator-token")).expect("plant a directory");
        }),
        ("can be read by others: run `chmod 600", &|data| {
            let file = data.join("operator-token");
            fs::write(&file, format!("gr_12345678_{}", "0".repeat(64))).expect("write");
            mode(&file, 0o644).expect("open it");
        }),
        ("holds no operator token: write one with", &|data| {
            let file = data.join("operator-token");
            fs::write(&file, "gr_short_guess").expect("write");
            mode(&file, 0o600).expect("close it");
        }),
        ("can be written by everybody: run `chmod o-w", &|data| {
            mode(data, 0o777).expect("open it");
        }),
    ];
    for (said, plant) in plant {
        let desk = tempfile::tempdir().expect("a folder");
        let data = desk.path().join("data");
        fs::create_dir(&data).expect("a data directory");
        plant(&data);
        let arguments = [
            "--data-dir",
            "data",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ];
        run(desk.path(), "serve", &arguments).ends(1).says(said);
        assert!(
            !desk.path().join("theirs").exists(),
            "nothing is written through a link"
        );
    }
}

on_every_backend!(hosts_that_are_given_an_operator_token_take_it);

async fn hosts_that_are_given_an_operator_token_take_it(backend: Backend) {
    let desk = tempfile::tempdir().expect("a folder");
    let token = format!("gr_0123456789abcdef_{}", "5".repeat(64));
    let file = desk.path().join("token");
    fs::write(&file, &token).expect("write the token");
    let config = format!("operator_token_file = \"{}\"\n", path(&file));
    let host = TestHost::builder()
        .workers(0)
        .backend(backend)
        .config_toml(config)
        .token(&token)
        .start()
        .await;
    host.client().get("/admin/tenants").await.ok();
    assert!(
        !host.data_dir().join("operator-token").exists(),
        "it has no other"
    );
}
