//! Which sockets are dialled at all.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenroom_reader::{Grant, Reader, ReaderConfig, Want};

use crate::server::{Server, ok};
use crate::support::{Names, get, open_policy, policy, reader, refusal, text, unavailability};

/// A socket that must see no connection.
struct Trap {
    listener: TcpListener,
    port: u16,
}

impl Trap {
    fn new() -> Trap {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a socket");
        listener
            .set_nonblocking(true)
            .expect("a non-blocking socket");
        let port = listener.local_addr().expect("an address").port();
        Trap { listener, port }
    }

    fn is_untouched(&self) -> bool {
        self.listener
            .accept()
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[tokio::test]
async fn r01_private_addresses_are_refused_before_any_packet() {
    let trap = Trap::new();
    let reader = reader();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.64.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
    ] {
        // The tenant may configure what it likes: only the operator permits a network.
        let entry = format!("{host}:{}", trap.port);
        let named = policy(&[&entry], Vec::new(), &[]);
        for scheme in ["http", "https"] {
            let reason = refusal(get(&reader, &named, &format!("{scheme}://{entry}/")).await);
            assert!(
                reason.contains("not on the public internet"),
                "{host}: {reason}"
            );
        }
    }
    let zone = refusal(get(&reader, &open_policy(&["a"]), "http://[fe80::1%25eth0]/").await);
    assert!(zone.contains("absolute URL"), "{zone}");
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn r02_only_permitted_answers_of_a_name_are_dialled() {
    let server = Server::start(|_| ok("here"));
    let port = server.address.port();
    // The private address comes first and is not tried: 10.0.0.1 would time out.
    let names = Names::new("mixed.test", &[&["10.0.0.1", "::1", "127.0.0.1"]]);
    let reader = Reader::with_names(ReaderConfig::default(), names).expect("a reader");
    let entry = format!("mixed.test:{port}");
    let outcome = get(
        &reader,
        &open_policy(&[&entry]),
        &format!("http://{entry}/"),
    )
    .await;
    assert_eq!(text(&outcome), "here");
}

#[tokio::test]
async fn r02_a_name_is_resolved_once_and_the_checked_address_is_dialled() {
    let server = Server::start(|_| ok("here"));
    let names = Names::new("rebind.test", &[&["127.0.0.1"], &["10.0.0.1"]]);
    let lookup: Arc<Names> = Arc::clone(&names);
    let reader = Reader::with_names(ReaderConfig::default(), lookup).expect("a reader");
    let entry = format!("rebind.test:{}", server.address.port());
    let named = open_policy(&[&entry]);
    let url = format!("http://{entry}/");
    assert_eq!(text(&get(&reader, &named, &url).await), "here");
    assert_eq!(names.lookups.load(Ordering::SeqCst), 1);
    // The server closed the connection, so this one resolves anew and finds the private address.
    refusal(get(&reader, &named, &url).await);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn r02_a_name_with_private_addresses_only_is_refused() {
    let trap = Trap::new();
    let names = Names::new("inner.test", &[&["127.0.0.1", "::1", "169.254.169.254"]]);
    let reader = Reader::with_names(ReaderConfig::default(), names).expect("a reader");
    let entry = format!("inner.test:{}", trap.port);
    let closed = policy(&[&entry], Vec::new(), &[]);
    let reason = refusal(get(&reader, &closed, &format!("http://{entry}/")).await);
    assert!(
        reason.contains("`inner.test`") && !reason.contains("127."),
        "{reason}"
    );
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn r02_a_connection_of_one_policy_serves_no_stricter_one() {
    let server = Server::start(|_| ok("here"));
    let names = Names::new("inner.test", &[&["127.0.0.1"]]);
    let reader = Reader::with_names(ReaderConfig::default(), names).expect("a reader");
    let entry = format!("inner.test:{}", server.address.port());
    let url = format!("http://{entry}/");
    text(&get(&reader, &open_policy(&[&entry]), &url).await);
    refusal(get(&reader, &policy(&[&entry], Vec::new(), &[]), &url).await);
}

#[tokio::test]
async fn r03_an_unconfigured_host_is_refused() {
    let trap = Trap::new();
    let reader = reader();
    let nothing = policy(&[], Vec::new(), &["127.0.0.0/8"]);
    let reason = refusal(
        get(
            &reader,
            &nothing,
            &format!("http://127.0.0.1:{}/", trap.port),
        )
        .await,
    );
    assert!(reason.contains("`reading.allow`"), "{reason}");
    // Another port of a configured host is another host.
    let other = open_policy(&["127.0.0.1"]);
    refusal(get(&reader, &other, &format!("http://127.0.0.1:{}/", trap.port)).await);
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn r06_odd_urls_are_refused() {
    let trap = Trap::new();
    let reader = reader();
    let entry = format!("127.0.0.1:{}", trap.port);
    let named = open_policy(&[&entry]);
    for url in [
        format!("http://user@{entry}/"),
        format!("http://:secret@{entry}/"),
        format!("ftp://{entry}/"),
        "file:///etc/passwd".to_owned(),
        "data:,x".to_owned(),
        "//host/x".to_owned(),
        "x.yaml".to_owned(),
        String::new(),
        "http://".to_owned(),
        format!("http://{entry}/{}", "x".repeat(9000)),
    ] {
        let reason = refusal(get(&reader, &named, &url).await);
        assert!(!reason.contains("secret"), "{reason}");
    }
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn y14_what_the_grant_leaves_out_is_not_dialled() {
    let trap = Trap::new();
    let entry = format!("127.0.0.1:{}", trap.port);
    let grant = Grant::prefixes([format!("http://{entry}/acme/*").as_str()]).expect("a grant");
    for path in [
        "/other",
        "/acme/../other",
        "/acme/%2e%2e/other",
        "/acme/..%2Fother",
    ] {
        let want = Want::Get(format!("http://{entry}{path}"));
        let outcome = reader()
            .read(&open_policy(&[&entry]), &grant, &want, None)
            .await;
        assert!(refusal(outcome).contains("grant"));
    }
    assert!(trap.is_untouched());
}

#[tokio::test]
async fn r11_failures_to_connect_read_alike() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a socket")
        .local_addr()
        .expect("an address");
    let names = Names::new("known.test", &[&["127.0.0.1"]]);
    let reader = Reader::with_names(ReaderConfig::default(), names).expect("a reader");
    let reason = |name: &'static str| {
        let entry = format!("{name}:{}", closed.port());
        let reader = &reader;
        async move {
            let outcome = get(reader, &open_policy(&[&entry]), &format!("http://{entry}/")).await;
            unavailability(outcome).replace(name, "NAME")
        }
    };
    assert_eq!(reason("known.test").await, reason("unknown.test").await);
}
