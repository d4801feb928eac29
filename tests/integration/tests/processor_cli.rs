//! Proves what `greenroom processor` promises to people and scripts, with the real binary: a fault replays as the same fault
//! at the same fuel, exit codes mean one thing each, JSON is alone on its stream, and neither a hostile file nor a hostile
//! name controls the terminal.

#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use greenroom_test_artifacts::*;
use greenroom_test_support::{Done, TestHost, command, quiet};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// A folder to work in, with an entity in it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        desk.write(
            "web.yaml",
            "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: web\n\
             spec: {type: website, lifecycle: production, owner: artists}\n",
        );
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.0.path(), "processor", arguments)
    }

    fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().expect("the binary runs"))
    }
}

/// Programs that fault in pre-process the same way everywhere, the fault, and a configuration or limits.
const DETERMINISTIC: &[(&str, &str, &str)] = &[
    (LOOP_FOREVER_COMPONENT, "out-of-fuel", "{}"),
    (
        LOOP_OVER_LOG_COMPONENT,
        "out-of-fuel",
        r#"{"fuel":100000000}"#,
    ),
    (GROW_MEMORY_COMPONENT, "memory-limit", "{}"),
    (
        ANNOTATE_COMPONENT,
        "output-too-large",
        r#"{"resultBytes":10}"#,
    ),
    (WANT_65_READS_COMPONENT, "read-limit", "{}"),
    (
        INVALID_JSON_COMPONENT,
        "invalid-output",
        r#"{"no":"entity"}"#,
    ),
    (LIE_ABOUT_REF_COMPONENT, "invalid-output", "{}"),
    (PANICS_COMPONENT, "trap", "{}"),
    (EXIT_ZERO_COMPONENT, "trap", "{}"),
    (UNDERFLOW_STACK_COMPONENT, "trap", "{}"),
    (REJECT_COMPONENT, "rejected", "{}"),
    (REFUSE_COMPONENT, "denied", "{}"),
];

#[test]
fn every_deterministic_fault_replays_as_the_same_fault_at_the_same_fuel() {
    let desk = Desk::new();
    for (component, fault, config) in DETERMINISTIC {
        let limited = ["Bytes", "fuel"].iter().any(|name| config.contains(name));
        desk.write("config.json", if limited { "{}" } else { config });
        desk.write("limits.json", if limited { config } else { "{}" });
        let ran = desk.run(&[
            "run",
            "web.yaml",
            "--component",
            component,
            "--config",
            "config.json",
            "--limits",
            "limits.json",
            "--save-fault",
            "fault.json",
            "--json",
        ]);
        let saved: Value = serde_json::from_str(
            &fs::read_to_string(desk.path("fault.json")).unwrap_or_else(|error| {
                panic!(
                    "{component} left no fault: {error}\n{}\n{}",
                    ran.out, ran.err
                )
            }),
        )
        .unwrap();
        fs::remove_file(desk.path("fault.json")).unwrap();
        assert_eq!(saved["fault"]["kind"], *fault, "{component}");
        let expected = if matches!(*fault, "rejected" | "denied") {
            3
        } else {
            4
        };
        assert_eq!(ran.code, expected, "{component}");
        desk.write("saved.json", &saved.to_string());
        let replayed = desk
            .run(&["replay", "saved.json", "--component", component, "--json"])
            .ends(0);
        let replayed = &replayed.documents()[0];
        assert_eq!(replayed["reproduced"], true, "{component}: {replayed}");
        assert_eq!(
            replayed["fault"], saved["fault"],
            "{component}: backtrace and all"
        );
        assert_eq!(replayed["fuel"], saved["report"]["fuel"], "{component}");
    }
}

#[test]
fn l05_another_component_is_said_and_replayed_only_when_told_to() {
    let desk = Desk::new();
    desk.run(&[
        "run",
        "web.yaml",
        "--component",
        PANICS_COMPONENT,
        "--save-fault",
        "f.json",
    ])
    .ends(4);
    let refused = desk
        .run(&["replay", "f.json", "--component", ANNOTATE_COMPONENT])
        .ends(1);
    refused.says("--other-revision").says("this component is");
    let other = desk
        .run(&[
            "replay",
            "f.json",
            "--component",
            ANNOTATE_COMPONENT,
            "--other-revision",
        ])
        .ends(5);
    other.says("recorded trap, here no fault");
    let fixed = desk
        .run(&[
            "run",
            "--request",
            "f.json",
            "--component",
            ANNOTATE_COMPONENT,
        ])
        .ends(0);
    fixed
        .says("answered")
        .says("next: greenroom processor test");
}

#[test]
fn l05_hostile_saved_faults_are_refused_and_print_nothing_raw() {
    let desk = Desk::new();
    desk.run(&[
        "run",
        "web.yaml",
        "--component",
        PANICS_COMPONENT,
        "--save-fault",
        "f.json",
    ])
    .ends(4);
    let good: Value =
        serde_json::from_str(&fs::read_to_string(desk.path("f.json")).unwrap()).unwrap();
    let request = |text: &str| {
        desk.write("hostile.json", text);
        for verb in [
            &["run", "--request", "hostile.json"][..],
            &["replay", "hostile.json"][..],
        ] {
            let mut arguments = verb.to_vec();
            arguments.extend(["--component", PANICS_COMPONENT]);
            desk.run(&arguments).ends(1).is_tame();
            arguments.push("--json");
            let done = desk.run(&arguments).ends(1);
            assert_eq!(done.is_tame().documents()[0]["error"]["kind"], "failed");
        }
    };
    let mut track = good.clone();
    track["format"] = json!("greenroom-call/\u{1b}[2J2");
    let mut extra = good.clone();
    extra["\u{1b}]0;x\u{7}"] = json!(1);
    for text in [
        format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        track.to_string(),
        extra.to_string(),
        "\u{1b}[2J".to_owned(),
        String::new(),
    ] {
        request(&text);
    }
    // 1 GB, of which nothing but its size is looked at.
    let large = fs::File::create(desk.path("large.json")).unwrap();
    large.set_len(1 << 30).unwrap();
    let started = Instant::now();
    let done = desk
        .run(&["replay", "large.json", "--component", PANICS_COMPONENT])
        .ends(1);
    done.says("larger than").is_tame();
    assert!(started.elapsed() < BOUND);

    // A good one whose texts are hostile is run, and shown tame.
    let mut texts = good;
    texts["fault"]["message"] = json!("a\u{1b}[31m\r\n\u{9b}2J\u{202e}b");
    texts["engine"] = json!("1.0\u{1b}[2J");
    desk.write("texts.json", &texts.to_string());
    let done = desk
        .run(&["replay", "texts.json", "--component", PANICS_COMPONENT])
        .ends(5);
    done.is_tame().says("\\u{1b}[31m").says("fuel may differ");
}

#[test]
fn l01_hostile_entities_and_names_do_not_control_the_terminal() {
    let desk = Desk::new();
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "web", "annotations": {"a\u{1b}[2J": "x\u{9b}31m\u{202e}\r\n\u{7}"}},
        "spec": {"type": "a\u{1b}[1A", "lifecycle": "b", "owner": "o\u{202e}p\u{7}"}
    });
    desk.write("bad\u{1b}[2J\u{202e}.json", &entity.to_string());
    for json in [&[][..], &["--json"][..]] {
        let mut arguments = vec![
            "run",
            "bad\u{1b}[2J\u{202e}.json",
            "--component",
            ANNOTATE_COMPONENT,
            "--all",
        ];
        arguments.extend(json);
        desk.run(&arguments).is_tame();
        let mut arguments = vec!["run", "no\u{1b}[2Jfile", "--component", ANNOTATE_COMPONENT];
        arguments.extend(json);
        desk.run(&arguments).ends(3).is_tame();
        let mut arguments = vec!["check", "--component", "\u{1b}[2J.wasm"];
        arguments.extend(json);
        desk.run(&arguments).ends(1).is_tame();
    }
}

#[test]
fn a_run_shows_the_change_its_cost_and_the_next_command() {
    let desk = Desk::new();
    let done = desk
        .run(&["run", "web.yaml", "--component", ANNOTATE_COMPONENT])
        .ends(0);
    done.is_tame()
        .says("component:default/web")
        .says("processed")
        .says("ownedBy")
        .says("next: ");
    assert!(
        done.out.contains("annotate pre-process  fuel ") && done.out.contains("memory "),
        "{}",
        done.out
    );
    let run = desk
        .run(&[
            "run",
            "web.yaml",
            "--component",
            ANNOTATE_COMPONENT,
            "--json",
        ])
        .ends(0);
    let run = &run.documents()[0];
    assert_eq!(run["outcome"], "processed");
    let calls = run["calls"].as_array().unwrap();
    let own = calls
        .iter()
        .find(|call| call["processor"] == "annotate")
        .expect("its own call");
    assert!(own["fuel"].as_u64().unwrap() > 0 && own["fuelLimit"] == 1_000_000_000);
    assert!(
        calls
            .iter()
            .any(|call| call["processor"] == "builtin-kinds"),
        "production's pipeline"
    );
    assert!(
        run["diff"]
            .as_array()
            .unwrap()
            .iter()
            .all(|change| change["op"].is_string()),
        "{run}"
    );
    let alone = desk
        .run(&[
            "run",
            "web.yaml",
            "--component",
            ANNOTATE_COMPONENT,
            "--alone",
            "--json",
        ])
        .ends(0);
    let relations = alone.documents()[0]["emissions"]["relations"].clone();
    assert_eq!(relations, json!([]), "the bundled processors emit nothing");
}

#[test]
fn a_read_nobody_gave_is_shown_and_answered_by_a_file() {
    let desk = Desk::new();
    let waiting = desk
        .run(&["run", "web.yaml", "--component", SAME_WANT_AGAIN_COMPONENT])
        .ends(3);
    waiting.says("waiting for reads").says("--read URL=FILE");
    let run = desk
        .run(&[
            "run",
            "web.yaml",
            "--component",
            SAME_WANT_AGAIN_COMPONENT,
            "--json",
        ])
        .ends(3);
    let want = run.documents()[0]["reads"][0].clone();
    assert_eq!(want["outcome"], "unanswered", "{want}");
    let url = want["want"]["get"].as_str().unwrap().to_owned();
    desk.write("document", "hello");
    let flag = format!("{url}=document");
    let answered = desk.run(&[
        "run",
        "web.yaml",
        "--component",
        SAME_WANT_AGAIN_COMPONENT,
        "--read",
        &flag,
    ]);
    answered.ends(4).says("read-limit");
    // A document beside the entity is the repository's.
    desk.write(
        "api.yaml",
        "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {name: a}\n\
         spec: {type: openapi, lifecycle: production, owner: artists, definition: {$text: ./docs/definition.txt}}\n",
    );
    desk.write("docs/definition.txt", "openapi: 3.0.0");
    let run = desk
        .run(&[
            "run",
            "api.yaml",
            "--component",
            ANNOTATE_COMPONENT,
            "--json",
        ])
        .ends(0);
    assert_eq!(
        run.documents()[0]["entity"]["spec"]["definition"],
        "openapi: 3.0.0"
    );
}

#[test]
fn exit_codes_mean_one_thing_each() {
    let desk = Desk::new();
    desk.run(&["run"]).ends(2);
    desk.run(&["nonsense"]).ends(2);
    desk.run(&["check"]).ends(1).says("greenroom processor new");
    desk.write("core.wasm", "\0asm\u{1}\0\0\0");
    desk.run(&["check", "--component", "core.wasm"])
        .ends(3)
        .says("core module");
    desk.run(&["check", "--component", LOOP_AT_START_COMPONENT])
        .ends(3)
        .says("out-of-fuel");
    desk.run(&["run", "web.yaml", "--component", REJECT_COMPONENT])
        .ends(3)
        .says("rejected");
    desk.run(&["run", "web.yaml", "--component", PANICS_COMPONENT])
        .ends(4)
        .says("trap")
        .says("panics.rs");
    desk.write("bad.yaml", "kind: {{");
    desk.run(&["run", "bad.yaml", "--component", ANNOTATE_COMPONENT])
        .ends(3)
        .says("bad.yaml");
    let unreachable = desk.run(&["list", "--host", "http://127.0.0.1:9"]).ends(6);
    unreachable.says("--host");
    let json = desk
        .run(&["list", "--host", "http://127.0.0.1:9", "--json"])
        .ends(6);
    assert_eq!(json.documents()[0]["error"]["kind"], "refused");
    let help = desk.run(&["--help"]).ends(0);
    help.says("Exit codes").says("5  a result");
}

#[test]
fn fixtures_are_blessed_compared_and_their_fuel_is_bounded() {
    let desk = Desk::new();
    let entity = fs::read_to_string(desk.path("web.yaml")).unwrap();
    desk.write("fixtures/web/entity.yaml", &entity);
    let test = |more: &[&str]| {
        let mut arguments = vec!["test", "--component", ANNOTATE_COMPONENT];
        arguments.extend(more);
        desk.run(&arguments)
    };
    test(&[]).ends(5).says("nothing is expected yet");
    test(&["--bless"]).ends(0).says("written");
    test(&[])
        .ends(0)
        .says("1 passed, 0 failed")
        .says("next: greenroom processor push");
    let path = desk.path("fixtures/web/expected.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut cheaper: Value = serde_json::from_str(&good).unwrap();
    let fuel = cheaper["fuel"]["pre-process"].as_u64().unwrap();
    cheaper["fuel"]["pre-process"] = json!(fuel / 2);
    fs::write(&path, cheaper.to_string()).unwrap();
    test(&[]).ends(5).says("dearer");
    test(&["--fuel-tolerance", "150"]).ends(0);
    let mut other: Value = serde_json::from_str(&good).unwrap();
    other["outcome"] = json!("rejected");
    fs::write(&path, other.to_string()).unwrap();
    let json = test(&["--json"]).ends(5);
    assert_eq!(
        json.documents()[0]["fixtures"][0]["differences"][0]["path"],
        "/outcome"
    );
    test(&["--bless"]).ends(0);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        good,
        "blessing is the same every time"
    );
}

#[test]
fn cost_names_the_function_that_burns_and_is_the_same_every_time() {
    let desk = Desk::new();
    let cost = |component: &str| {
        let arguments = [
            "cost",
            "web.yaml",
            "--component",
            component,
            "--samples",
            "50",
            "--json",
        ];
        desk.run(&arguments).ends(0).documents().remove(0)
    };
    let first = cost(SLOW_CPU_COMPONENT);
    let top = &first["functions"][0];
    assert!(
        top["function"].as_str().unwrap().contains("slow_cpu"),
        "{}",
        first["functions"]
    );
    assert!(
        top["ownSamples"].as_u64().unwrap() >= 45,
        "the loop is nearly all of it: {top}"
    );
    assert_eq!(first["stages"][0]["stage"], "pre-process");
    let again = cost(SLOW_CPU_COMPONENT);
    assert_eq!(
        (&first["functions"], &first["stages"]),
        (&again["functions"], &again["stages"])
    );
    let parsing = cost(ANNOTATE_COMPONENT);
    let lines = parsing["functions"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .any(|one| one["file"].is_string() && one["line"].is_u64()),
        "{parsing}"
    );
    desk.run(&[
        "cost",
        "web.yaml",
        "--component",
        SLOW_CPU_COMPONENT,
        "--samples",
        "20",
    ])
    .ends(0)
    .says("by function");
}

#[test]
fn check_says_what_a_component_is() {
    let desk = Desk::new();
    let done = desk
        .run(&["check", "--component", ANNOTATE_COMPONENT])
        .ends(0);
    done.says("ok annotate")
        .says("stages pre-process")
        .says("called for every entity")
        .says("next: ");
    let json = desk
        .run(&["check", "--component", ANNOTATE_COMPONENT, "--json"])
        .ends(0)
        .documents();
    assert_eq!(json[0]["descriptor"]["stages"][0], "pre-process");
    assert!(json[0]["warnings"].as_array().is_some_and(|all| {
        all.iter()
            .any(|one| one.as_str().unwrap().contains("every entity"))
    }));
}

#[test]
fn watch_runs_again_when_a_file_changes() {
    let desk = Desk::new();
    let out = fs::File::create(desk.path("out")).unwrap();
    let mut child = desk
        .command(&[
            "run",
            "web.yaml",
            "--component",
            ANNOTATE_COMPONENT,
            "--watch",
            "--json",
        ])
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = |count: usize| {
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(desk.path("out")).unwrap();
            if text.matches('\n').count() >= count {
                return text;
            }
            assert!(started.elapsed() < BOUND, "{count} results: {text}");
            #[expect(
                clippy::disallowed_methods,
                reason = "the state waited for is a file that another process writes"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    lines(1);
    let entity = fs::read_to_string(desk.path("web.yaml")).unwrap();
    // At once, as editors do: a file that is being written may be read half.
    desk.write("new.yaml", &entity.replace("name: web", "name: changed"));
    fs::rename(desk.path("new.yaml"), desk.path("web.yaml")).unwrap();
    let text = lines(2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .contains("component:default/changed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn against_a_host_push_activate_faults_and_rollback() {
    let host = TestHost::builder().start().await;
    let desk = Desk::new();
    let data_dir = host.data_dir();
    let on_host = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command
            .env("GREENROOM_URL", host.origin())
            .env("GREENROOM_DATA_DIR", &data_dir);
        tokio::task::block_in_place(|| Done::of(command.output().expect("the binary runs")))
    };
    on_host(&["list"]).ends(0).says("greenroom processor new");
    let pushed = on_host(&["push", "--component", ANNOTATE_COMPONENT, "--name", "label"]).ends(0);
    pushed
        .says("uploaded label")
        .says("next: greenroom processor activate label --revision 1");
    on_host(&["activate", "label"]).ends(0).says("revision 1");
    // A second, faulting revision at once.
    let pushed = on_host(&[
        "push",
        "--component",
        PANICS_COMPONENT,
        "--name",
        "label",
        "--activate",
        "--json",
    ])
    .ends(0);
    let pushed = pushed.documents().remove(0);
    assert_eq!(
        (
            &pushed["revision"]["number"],
            &pushed["processor"]["current"]
        ),
        (&json!(2), &json!(2))
    );
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "web", "annotations": {
            "backstage.io/managed-by-location": "url:https://example.com/web.yaml",
            "backstage.io/managed-by-origin-location": "url:https://example.com/web.yaml"}},
        "spec": {"type": "website", "lifecycle": "production", "owner": "artists"}
    });
    host.client().push("default", "test", [entity]).await.ok();
    quiet(host.client(), "default", BOUND).await;
    let faults = on_host(&["faults", "label", "--json"])
        .ends(0)
        .documents()
        .remove(0);
    let fault = &faults["items"][0];
    assert_eq!(fault["fault"], "trap", "{faults}");
    let id = fault["id"].as_str().unwrap();
    on_host(&["faults", "label"])
        .ends(0)
        .says("trap")
        .says(&format!("next: greenroom processor replay label {id}"));
    on_host(&["faults", "label", id])
        .ends(0)
        .says("panics.rs")
        .says("component:default/web");
    on_host(&["rollback", "label"]).ends(0).says("revision 1");
    let listed = on_host(&["list", "label", "--json"])
        .ends(0)
        .documents()
        .remove(0);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    on_host(&["rollback", "label"])
        .ends(6)
        .says("no older revision");
    // Hostile names stay names.
    on_host(&["list", "../../admin/tenants"]).ends(6).is_tame();
    on_host(&["faults", "a\u{1b}[2J"]).ends(6).is_tame();
    // What would be rejected is not sent.
    desk.write("core.wasm", "\0asm\u{1}\0\0\0");
    on_host(&["push", "--component", "core.wasm", "--name", "label"])
        .ends(3)
        .says("core module");
    // Without a token.
    let mut anonymous = desk.command(&["list", "--host", host.origin()]);
    let anonymous = tokio::task::block_in_place(|| Done::of(anonymous.output().unwrap()));
    anonymous.ends(6).says("GREENROOM_TOKEN");
}

#[test]
fn the_token_is_never_an_argument() {
    let desk = Desk::new();
    for command in ["push", "list", "activate", "rollback", "faults", "replay"] {
        let help = desk.run(&[command, "--help"]).ends(0);
        assert!(!help.out.contains("--token "), "{command}");
        help.says("--token-file");
    }
}

/// Answers requests from a list, by method and path; counts nothing, keeps nothing. For what a real host is not needed for:
/// that the commands speak the documented routes.
fn stub_host(answers: Vec<(&'static str, u16, Vec<u8>)>) -> String {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.take(length).read_to_end(&mut Vec::new()).unwrap();
            let asked = first.trim_end_matches(" HTTP/1.1\r\n");
            let none = (
                404,
                br#"{"error":{"name":"NotFoundError","message":"no such thing"}}"#.to_vec(),
            );
            let (status, body) = answers
                .iter()
                .find(|(wanted, ..)| *wanted == asked)
                .map_or(none, |(_, status, body)| (*status, body.clone()));
            let location = if status == 202 {
                "location: /tenants/default/runs/r1\r\n"
            } else {
                ""
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} x\r\n{location}content-length: {length}\r\nconnection: close\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    origin
}

#[test]
fn a_fault_of_a_host_is_replayed_with_the_component_of_its_revision() {
    let desk = Desk::new();
    desk.run(&[
        "run",
        "web.yaml",
        "--component",
        PANICS_COMPONENT,
        "--save-fault",
        "f.json",
    ])
    .ends(4);
    let saved = fs::read(desk.path("f.json")).unwrap();
    let revision = serde_json::from_slice::<Value>(&saved).unwrap()["revision"].clone();
    let revisions =
        json!({"items": [{"number": 7, "digest": "00"}, {"number": 3, "digest": revision}]});
    let host = stub_host(vec![
        (
            "GET /tenants/default/processors/p/faults/f1/request",
            200,
            saved.clone(),
        ),
        (
            "GET /tenants/default/processors/p/faults/f1",
            200,
            br#"{"id":"f1","fault":"trap","message":"m","backtrace":[],"log":{}}"#.to_vec(),
        ),
        (
            "GET /tenants/default/processors/p/revisions",
            200,
            revisions.to_string().into_bytes(),
        ),
        (
            "GET /tenants/default/processors/p/revisions/3/component",
            200,
            fs::read(PANICS_COMPONENT).unwrap(),
        ),
    ]);
    desk.run(&["replay", "p", "f1", "--host", &host])
        .ends(0)
        .says("reproduced");
    desk.run(&["faults", "p", "f1", "--save", "kept.json", "--host", &host])
        .ends(0)
        .says("run --request kept.json");
    assert_eq!(fs::read(desk.path("kept.json")).unwrap(), saved);
    desk.run(&["replay", "p", "f2", "--host", &host])
        .ends(6)
        .says("no such thing");
}

#[test]
fn a_preview_waits_for_its_run_and_stops_an_activation_that_would_break_entities() {
    let desk = Desk::new();
    let preview = |failing: u64| {
        let preview = json!({"revision": 1, "against": null, "entities": 9, "same": 8, "different": 0, "newlyFailing": failing,
            "alreadyFailing": 0, "noLongerFailing": 0, "changes": [], "cost": {"current": {}, "preview": {"fuel": 5}}});
        let run = json!({"id": "r1", "state": "done", "result": preview});
        stub_host(vec![
            (
                "GET /tenants/default/processors/annotate",
                200,
                b"{}".to_vec(),
            ),
            (
                "POST /tenants/default/processors/annotate/revisions?wait=30",
                201,
                br#"{"number":1,"state":"ready"}"#.to_vec(),
            ),
            (
                "POST /tenants/default/processors/annotate/preview?wait=30",
                202,
                b"{}".to_vec(),
            ),
            (
                "GET /tenants/default/runs/r1",
                200,
                run.to_string().into_bytes(),
            ),
            (
                "POST /tenants/default/processors/annotate/activate",
                200,
                br#"{"name":"annotate","current":1}"#.to_vec(),
            ),
        ])
    };
    let push = |host: &str| {
        desk.run(&[
            "push",
            "--component",
            ANNOTATE_COMPONENT,
            "--preview",
            "9",
            "--activate",
            "--host",
            host,
        ])
    };
    push(&preview(0))
        .ends(0)
        .says("9 entities, against no revision")
        .says("current annotate");
    push(&preview(1))
        .ends(5)
        .says("newly failing")
        .says("not activated");
}

#[test]
fn l01_a_hostile_host_does_not_control_the_terminal_and_gets_no_token_by_redirect() {
    let desk = Desk::new();
    let name = "n\u{1b}[2J\u{9b}\u{202e}";
    let list = json!({"items": [{"name": name, "current": 1, "settings": {}, "activation": {"state": name}}]});
    let error = json!({"error": {"name": name, "message": name}});
    let host = stub_host(vec![
        (
            "GET /tenants/default/processors",
            200,
            list.to_string().into_bytes(),
        ),
        (
            "GET /tenants/default/processors/bad/revisions",
            500,
            error.to_string().into_bytes(),
        ),
        (
            "GET /tenants/default/processors/moved/revisions",
            307,
            Vec::new(),
        ),
        (
            "GET /tenants/default/processors/none/revisions",
            200,
            b"\x1b[2J".to_vec(),
        ),
    ]);
    for json in [&["--json"][..], &[]] {
        let run = |arguments: &[&str], code: i32| {
            let mut all = arguments.to_vec();
            all.extend(["--host", &host]);
            all.extend(json);
            desk.run(&all).ends(code).is_tame();
        };
        run(&["list"], 0);
        run(&["list", "bad"], 6);
        run(&["list", "moved"], 6);
        run(&["list", "none"], 6);
    }
}
