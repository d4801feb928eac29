//! What a server answers, and what it cannot make of it.

use std::process::Command;
use std::time::Duration;

use greenroom_model::Digest;
use greenroom_reader::{Grant, ReadOutcome, Reader, ReaderConfig, Want};

use crate::server::{Reply, Server, answer, ok};
use crate::support::{
    get, get_if, impatient_reader, open_policy, reader, refusal, strict_reader, text,
    unavailability,
};

/// `kind: Component\n`, compressed.
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcb\xce\xcc\x4b\xb1\x52\x70\xce\xcf\x2d\xc8\xcf\x4b\xcd\x2b\xe1\x02\0\xf3\xd3\xa5\x21\x10\0\0\0";
/// The beginning of endless zeros, compressed; zero bytes continue it.
const GZIP_ZEROS: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xec\xc1\x01\x01\0\0\0\x80\x90\xfe\xaf\xee\x08\x0a";

fn raw(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

async fn outcome_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> ReadOutcome {
    read_by(&strict_reader(), reply).await
}

async fn read_by(
    reader: &Reader,
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> ReadOutcome {
    let server = Server::start(move |_| reply());
    let named = open_policy(&[&server.address.to_string()]);
    get(reader, &named, &server.url("/x")).await
}

#[tokio::test]
async fn a_document_is_read() {
    let server = Server::start(|_| {
        answer(
            "200 OK",
            &["etag: W/\"1\"", "last-modified: then"],
            "kind: A",
        )
    });
    let named = open_policy(&[&server.address.to_string()]);
    let outcome = get(&reader(), &named, &server.url("/x#part")).await;
    let ReadOutcome::Document {
        bytes,
        digest,
        final_url,
        conditional,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        (&bytes[..], digest),
        (&b"kind: A"[..], Digest::of("kind: A"))
    );
    assert_eq!(final_url, server.url("/x"));
    assert_eq!(conditional.etag.as_deref(), Some("W/\"1\""));
    let asked = &server.seen()[0];
    assert_eq!(
        (asked.header("accept-encoding"), asked.header("user-agent")),
        (Some("gzip"), Some("greenroom"))
    );
    assert_eq!(
        (asked.header("authorization"), asked.header("referer")),
        (None, None)
    );
    get_if(&reader(), &named, &server.url("/x"), Some(&conditional)).await;
    assert_eq!(server.seen()[1].header("if-modified-since"), Some("then"));
}

#[test]
fn a_read_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (reader, policy, grant) = (reader(), open_policy(&[]), Grant::everything());
    let want = Want::List("https://h/*".to_owned());
    is_send(&reader.read(&policy, &grant, &want, None));
}

#[tokio::test]
async fn compressed_documents_are_read() {
    let head = format!(
        "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}",
        GZIP.len()
    );
    let outcome = outcome_of(move || Reply::Whole(raw(&head, GZIP))).await;
    assert_eq!(text(&outcome), "kind: Component\n");
}

#[tokio::test]
async fn r09_bombs_are_cut_at_the_decompressed_cap() {
    for head in [
        "200 OK\r\ncontent-encoding: gzip",
        "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10000",
    ] {
        let bomb = move || Reply::Repeat(raw(head, GZIP_ZEROS), vec![0; 4096]);
        assert!(refusal(outcome_of(bomb).await).contains("larger than 1000 bytes"));
    }
    let endless = || {
        Reply::Repeat(
            raw("200 OK\r\ntransfer-encoding: chunked", b""),
            b"1\r\nx\r\n".to_vec(),
        )
    };
    assert!(refusal(outcome_of(endless).await).contains("larger than 1000 bytes"));
    let exact = |size: usize| move || answer("200 OK", &[], &"x".repeat(size));
    assert_eq!(text(&outcome_of(exact(1000)).await).len(), 1000);
    refusal(outcome_of(exact(1001)).await);
}

#[tokio::test]
async fn r09_incomplete_documents_are_no_documents() {
    let replies: Vec<(&str, Vec<u8>)> = vec![
        ("short", raw("200 OK\r\ncontent-length: 100", b"kind: A")),
        (
            "chunk",
            raw("200 OK\r\ntransfer-encoding: chunked", b"7\r\nkind: A\r\n"),
        ),
        ("gzip", raw("200 OK\r\ncontent-encoding: gzip", &GZIP[..20])),
        (
            "gzip trailer",
            raw("200 OK\r\ncontent-encoding: gzip", &GZIP[..GZIP.len() - 8]),
        ),
        (
            "no gzip",
            raw(
                "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 7",
                b"kind: A",
            ),
        ),
        (
            "brotli",
            raw("200 OK\r\ncontent-encoding: br\r\ncontent-length: 1", b"x"),
        ),
        ("empty until close", raw("200 OK", b"")),
        (
            "two lengths",
            raw(
                "200 OK\r\ncontent-length: 1\r\ncontent-length: 7",
                b"kind: A",
            ),
        ),
        (
            "partial",
            raw("206 Partial Content\r\ncontent-length: 7", b"kind: A"),
        ),
        ("304 unasked", raw("304 Not Modified", b"")),
        ("no content", raw("204 No Content", b"")),
        ("not http", b"kind: A\r\n\r\n".to_vec()),
        ("nothing", Vec::new()),
        (
            "many headers",
            raw(
                &format!("200 OK\r\n{}content-length: 1", "a: b\r\n".repeat(200_000)),
                b"x",
            ),
        ),
    ];
    for (name, reply) in replies {
        let outcome = outcome_of(move || Reply::Whole(reply.clone())).await;
        assert!(
            matches!(outcome, ReadOutcome::Unavailable { .. }),
            "{name}: {outcome:?}"
        );
    }
    // Stated and delivered, an empty document is one.
    assert_eq!(text(&outcome_of(|| ok("")).await), "");
}

#[tokio::test]
async fn r09_silent_servers_are_left() {
    let silent = || Reply::Hold(Vec::new());
    unavailability(read_by(&impatient_reader(), silent).await);
    let stalled = || Reply::Hold(raw("200 OK\r\ncontent-length: 100", b"kind: A"));
    unavailability(read_by(&impatient_reader(), stalled).await);
    // Bytes that keep coming do not extend the total.
    let config = ReaderConfig {
        total_timeout: Duration::from_millis(300),
        ..ReaderConfig::default()
    };
    let reader = Reader::new(config).expect("a reader");
    // Empty blocks: bytes without end that decompress to nothing.
    let head = raw("200 OK\r\ncontent-encoding: gzip", &GZIP_ZEROS[..10]);
    let block = [0, 0, 0, 0xff, 0xff].repeat(100);
    let server = Server::start(move |_| Reply::Repeat(head.clone(), block.clone()));
    let named = open_policy(&[&server.address.to_string()]);
    let reason = unavailability(get(&reader, &named, &server.url("/")).await);
    assert!(reason.contains("longer than"), "{reason}");
}

#[tokio::test]
async fn r10_hostile_validators_and_waits_are_dropped_or_clamped() {
    let long = format!("etag: \"{}\"", "x".repeat(10_000));
    let outcome = outcome_of(move || answer("200 OK", &[&long], "a")).await;
    assert!(matches!(outcome, ReadOutcome::Document { conditional, .. } if conditional.is_empty()));
    let busy =
        outcome_of(|| answer("429 Too Many Requests", &["retry-after: 1000000000000"], "")).await;
    assert!(matches!(
        busy,
        ReadOutcome::Unavailable {
            retry_after_ms: Some(3_600_000),
            ..
        }
    ));
    let reset = [
        "date: Thu, 01 Jan 1970 00:00:10 GMT",
        "x-ratelimit-remaining: 0",
        "x-ratelimit-reset: 70",
    ];
    let spent = outcome_of(move || answer("403 Forbidden", &reset, "")).await;
    assert!(matches!(
        spent,
        ReadOutcome::Unavailable {
            retry_after_ms: Some(60_000),
            ..
        }
    ));
}

#[tokio::test]
async fn r11_statuses_are_told_and_bodies_are_not() {
    let secret = "s3cret body";
    for (status, kind) in [
        ("404 Not Found", "not-found"),
        ("410 Gone", "not-found"),
        ("401 Unauthorized", "refused"),
        ("403 Forbidden", "refused"),
        ("400 Bad Request", "refused"),
        ("451 Unavailable", "refused"),
        ("500 Internal Server Error", "unavailable"),
        ("503 Service Unavailable", "unavailable"),
        ("429 Too Many Requests", "unavailable"),
        ("408 Request Timeout", "unavailable"),
        ("300 Multiple Choices", "unavailable"),
        ("202 Accepted", "unavailable"),
        ("999 Odd", "unavailable"),
    ] {
        let outcome = outcome_of(move || answer(status, &[], secret)).await;
        let found = match &outcome {
            ReadOutcome::NotFound => "not-found",
            ReadOutcome::Refused { .. } => "refused",
            ReadOutcome::Unavailable { .. } => "unavailable",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, kind, "{status}");
        assert!(!format!("{outcome:?}").contains("s3cret"));
    }
}

#[test]
fn r12_proxies_of_the_environment_are_ignored() {
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new(program);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        again.env(name, "http://127.0.0.1:9");
    }
    let run = again
        .args(["--exact", "answers::a_document_is_read"])
        .output()
        .expect("a run");
    let printed = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}
