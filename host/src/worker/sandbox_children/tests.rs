//! Programs in place of a child that are not one: each is found out, ended, and told to whoever waits.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_sandbox_child::{Header, Hello, Kind, encode};

use super::process::{Process, Reply};
use crate::supervisor::Pulse;

/// A script that takes the place of `greenroom sandbox`. Its standard input is the socket.
#[expect(
    clippy::disallowed_methods,
    reason = "a test writes its own stand-in for the program"
)]
fn script(directory: &tempfile::TempDir, text: &str) -> OsString {
    let path = directory.path().join("child");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}

/// Bytes as a shell prints them.
fn printed(bytes: &[u8]) -> String {
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("printf '{octal}' >&0")
}

fn hello(layers: u8, threads: u32) -> Vec<u8> {
    let hello = Hello {
        protocol: Hello::PROTOCOL,
        engine: Hello::engine(),
        layers,
        threads,
    };
    encode(Header::new(Kind::Hello, 0, 0), &hello).unwrap()
}

async fn reply(program: OsString) -> (Reply, Arc<Process>) {
    let process = Process::start(program, 2, false, Pulse::default(), || {});
    let answered = process.describe(&Bytes::from_static(b"\xc0"));
    let waited = tokio::time::timeout(Duration::from_secs(20), answered).await;
    (waited.unwrap().unwrap(), process)
}

/// What a turn is told of a child that prints these bytes and then waits.
async fn told(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let program = script(&directory, &format!("{}\nexec sleep 60", printed(bytes)));
    match reply(program).await {
        (Reply::NotStarted(reason), _) => reason,
        (Reply::Died(death), _) => death.reason,
        (Reply::Frame(kind, _), _) => panic!("a frame of kind {kind:?}"),
    }
}

#[tokio::test]
async fn a_program_that_is_none_of_ours_is_not_taken_for_a_child() {
    let reason = told(b"HTTP/1.1 200 OK\r\n\r\n and so on").await;
    assert!(reason.contains("broke the protocol"), "{reason}");
    let step = encode(Header::new(Kind::Step, 1, 0), &()).unwrap();
    let reason = told(&step).await;
    assert!(reason.contains("before it had greeted"), "{reason}");
}

#[tokio::test]
async fn a_child_without_its_filter_or_of_another_version_is_not_used() {
    let reason = told(&hello(0b0111, 2)).await;
    assert!(reason.contains("not what was started"), "{reason}");
    let reason = told(&hello(0b1111, 3)).await;
    assert!(reason.contains("not what was started"), "{reason}");
    let other = Hello {
        protocol: 0,
        engine: Hello::engine(),
        layers: 0b1111,
        threads: 2,
    };
    let frame = encode(Header::new(Kind::Hello, 0, 0), &other).unwrap();
    let reason = told(&frame).await;
    assert!(reason.contains("another version"), "{reason}");
}

#[tokio::test]
async fn a_child_that_says_what_no_child_says_is_ended() {
    let says = |kind, run| {
        let frame = encode(Header::new(kind, run, 0), &"x").unwrap();
        [hello(0b1111, 2), frame].concat()
    };
    for (frames, expected) in [
        (says(Kind::Step, 99), "not given"),
        (says(Kind::Announce, 1), "nobody asked about"),
        (says(Kind::Load, 0), "kind Load"),
        (says(Kind::Hello, 0), "kind Hello"),
        (says(Kind::Refused, 0), "does not read back"),
    ] {
        let reason = told(&frames).await;
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn the_last_words_of_a_child_that_does_not_start_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let program = script(&directory, "echo 'no filter here' >&2; exit 1");
    let (reply, process) = reply(program).await;
    let Reply::NotStarted(reason) = reply else {
        panic!("{reply:?}");
    };
    assert!(reason.contains("no filter here"), "{reason}");
    assert!(!process.is_alive());
    let late = process.describe(&Bytes::new()).await.unwrap();
    assert!(matches!(late, Reply::Died(_)));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let reason = reply("/nowhere/greenroom".into()).await.0;
    assert!(
        matches!(&reason, Reply::NotStarted(why) if why.contains("start it")),
        "{reason:?}"
    );
}

#[tokio::test]
async fn the_next_child_is_started_when_one_that_lived_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{}\nsleep 0.4", printed(&hello(0b1111, 2)));
    let (say, said) = mpsc::channel();
    let process = Process::start(
        script(&directory, &text),
        2,
        false,
        Pulse::default(),
        move || {
            let _ = say.send(());
        },
    );
    let answered = process.describe(&Bytes::new()).await.unwrap();
    assert!(matches!(answered, Reply::Died(death) if !death.noted));
    said.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[tokio::test]
async fn a_dismissed_child_is_ended_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{}\nexec sleep 60", printed(&hello(0b1111, 2)));
    let (say, said) = mpsc::channel::<()>();
    let process = Process::start(
        script(&directory, &text),
        2,
        false,
        Pulse::default(),
        move || {
            let _ = say.send(());
        },
    );
    let answered = process.describe(&Bytes::new());
    process.dismiss();
    let reply = tokio::time::timeout(Duration::from_secs(10), answered)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(reply, Reply::Died(_) | Reply::NotStarted(_)));
    // The sender goes with the thread that would have called it.
    assert!(said.recv_timeout(Duration::from_secs(5)).is_err());
}
