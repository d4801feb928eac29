//! Proves that a connection is bounded before anything is known of it: by the time its first request may take, silence
//! included (h01), by how many there are (h02), by what HTTP/2 lets one ask for (h03), by heads that mean one thing (h04), and by
//! the number of headers (h05); and that a refusal reaches a client that is still sending (h12).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use greenroom_test_support::{Client, TestHost, raise_descriptor_limit, wait_until};

/// The bound, and what a busy machine may add to it.
const CLOSED_AFTER: Duration = Duration::from_secs(10);
const BOUND: Duration = Duration::from_secs(30);

fn connect(host: &TestHost, said: &str) -> TcpStream {
    let origin = host.origin();
    let address = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the host listens");
    stream
        .set_read_timeout(Some(BOUND))
        .expect("a timeout can be set");
    stream.write_all(said.as_bytes()).expect("it is taken");
    stream
}

/// What is answered until the connection is closed.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("the connection is closed in time");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn h01_a_connection_without_a_request_is_closed() {
    let host = TestHost::builder().workers(0).start().await;
    let opened = Instant::now();
    tokio::task::block_in_place(|| {
        let mut silent = connect(&host, "");
        let mut slow = connect(&host, "GET / HTTP/1.1\r\nhost: x\r\n");
        let mut undecided = connect(&host, "PRI * HTTP");
        for stream in [&mut slow, &mut silent, &mut undecided] {
            answer(stream);
            let after = opened.elapsed();
            assert!(
                (CLOSED_AFTER - Duration::from_secs(1)..BOUND).contains(&after),
                "{after:?}"
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn h05_too_many_headers_are_refused() {
    let host = TestHost::builder().workers(0).start().await;
    let with = |count: usize| {
        let headers = "x: y\r\n".repeat(count - 2);
        let request = format!(
            "GET /.backstage/health/v1/liveness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"
        );
        tokio::task::block_in_place(|| answer(&mut connect(&host, &request)))
    };
    let good = with(100);
    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
    let refused = with(101);
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

/// What is shorter than a preface, or begins like one, is a request all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_request_is_answered() {
    let host = TestHost::builder().workers(0).start().await;
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 4"),
        // A method that nobody knows.
        ("PRIX / HTTP/1.0\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let said = tokio::task::block_in_place(|| answer(&mut connect(&host, request)));
        assert!(said.starts_with(status), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h12_a_refusal_reaches_who_is_still_sending() {
    let host = TestHost::builder().workers(0).start().await;
    let length = 16 * 1024 * 1024;
    let request = format!(
        "POST /tenants/default/processors/p/revisions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    let said = tokio::task::block_in_place(|| {
        let mut stream = connect(&host, &request);
        // Without a token it is refused at once; whoever reads only when all is sent must not find a broken pipe.
        stream
            .write_all(&vec![b'x'; length])
            .expect("the body is taken");
        answer(&mut stream)
    });
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
}

/// What two parsers may read differently is 400, and nothing behind it is read. A whole target is judged by its path.
#[tokio::test(flavor = "multi_thread")]
async fn h04_what_two_parsers_read_differently_is_400_and_closed() {
    let host = TestHost::builder().workers(0).start().await;
    let behind = "GET /.backstage/health/v1/liveness HTTP/1.1\r\nhost: x\r\n\r\n";
    for wrong in [
        "POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "GET /x HTTP/1.1\nhost: x\n\n",
        "GET /x HTTP/1.1\r\nhost: x\r\na: b\n\r\n",
        "GET /x HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
        "GET /x HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        "FOO /x HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let said = tokio::task::block_in_place(|| {
            answer(&mut connect(&host, &format!("{wrong}{behind}")))
        });
        assert!(said.starts_with("HTTP/1.1 400 "), "{wrong:?}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{wrong:?}: {said}");
    }
    let whole = "GET http://other.test/.backstage/health/v1/liveness HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let said = tokio::task::block_in_place(|| answer(&mut connect(&host, whole)));
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

/// Opens so many connections. After some of them an answer shows that all before it were accepted, as they are in turn; a
/// system that has too many to accept lets some wait for a second.
fn all_taken(host: &TestHost, places: usize) -> Vec<TcpStream> {
    const AT_ONCE: usize = 200;
    let mut taken = Vec::with_capacity(places);
    while taken.len() < places {
        let more = AT_ONCE.min(places - taken.len());
        taken.extend((0..more).map(|_| connect(host, "")));
        if taken.len() < places {
            answer(&mut connect(
                host,
                "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            ));
        }
    }
    taken
}

/// Whether the other end has closed it, or does within that time.
fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream
        .set_read_timeout(Some(within))
        .expect("a timeout can be set");
    // One that is closed with what it was sent unread is reset.
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// As many connections as there are places, and then some: those are closed at once, while probes have their own listener.
#[tokio::test(flavor = "multi_thread")]
async fn h02_connections_are_capped_and_probes_still_answer() {
    let descriptors = raise_descriptor_limit();
    // What docs/limits.md says: 4 096, or half of the descriptors.
    let places = usize::try_from(descriptors / 2).map_or(4_096, |half| half.min(4_096));
    let host = TestHost::builder().workers(0).start().await;
    let address = host.origin().trim_start_matches("http://");
    let open = || TcpStream::connect(address).expect("the system takes it");
    // On a machine that is busy elsewhere an answer is late; the one that stays open is waited for in vain.
    let (answered, silent) = (Duration::from_secs(5), Duration::from_secs(1));
    // Silent connections are closed after a while (h01): only what is quicker than that says something.
    let (taken, refused, held) = tokio::task::block_in_place(|| {
        (0..5)
            .find_map(|_| {
                let began = Instant::now();
                let mut taken = all_taken(&host, places);
                let refused = (0..20)
                    .take_while(|_| is_closed(&mut open(), answered))
                    .count();
                let held = taken
                    .first_mut()
                    .is_some_and(|first| !is_closed(first, silent));
                (began.elapsed() < CLOSED_AFTER).then_some((taken, refused, held))
            })
            .expect("the machine opens connections faster than they are closed")
    });
    assert_eq!(refused, 20);
    assert!(held, "the first one has its place");
    let probes = Client::new(host.operations(), None);
    probes.get("/.backstage/health/v1/liveness").await.ok();
    assert_eq!(host.metric("greenroom_worker_restarts_total").await, 0);
    drop(taken);
    wait_until("places are free again", BOUND, async || {
        let asked = host.client().try_send(
            "GET".parse().expect("a method"),
            "/.backstage/health/v1/liveness",
            None,
        );
        asked.await.is_ok().then_some(())
    })
    .await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a frame is short")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET`, `/openapi.json`, `http`, and the authority `x`.
const GET: &[u8] = b"\x82\x04\x0d/openapi.json\x86\x41\x01x";

/// The kinds of the frames in what a peer said.
fn kinds(mut said: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = said {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        said = said.get(9 + length..).unwrap_or_default();
    }
    kinds
}

/// What a host may hold after floods, its program's file aside.
const MOST_HELD_BYTES: u64 = 64 << 20;

/// How long a flood waits for a host that does not take it, and for its answer: one that closes floods does so sooner, even on
/// a machine that is busy elsewhere,
const CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// and one that holds them does neither.
const HOLDS_FOR: Duration = Duration::from_secs(1);

/// Floods a connection until it is closed or takes no more; what was answered.
fn flood(
    host: &TestHost,
    patience: Duration,
    settings: &[u8],
    frames: impl Iterator<Item = Vec<u8>>,
) -> Vec<u8> {
    let mut stream = connect(host, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    stream
        .set_write_timeout(Some(patience))
        .expect("a timeout can be set");
    let mut said = frame(SETTINGS, 0, 0, settings);
    for next in frames {
        said.extend(next);
        if said.len() > 16_384 && stream.write_all(&std::mem::take(&mut said)).is_err() {
            break;
        }
    }
    let _ = stream.write_all(&said);
    stream
        .set_read_timeout(Some(patience))
        .expect("a timeout can be set");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn h03_floods_of_http2_are_closed_and_others_are_answered() {
    let host = TestHost::builder().workers(0).start().await;
    let ids = || (0..5_000_u32).map(|number| 2 * number + 1);
    let request = |id, flags| frame(HEADERS, flags | END_HEADERS, id, GET);
    let closed = [
        // Requests that are taken back at once.
        (
            "reset",
            tokio::task::block_in_place(|| {
                let resets = ids().map(|id| {
                    let mut both = request(id, END_STREAM);
                    both.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
                    both
                });
                flood(&host, CLOSES_WITHIN, &[], resets)
            }),
        ),
        // Headers without an end.
        (
            "continuation",
            tokio::task::block_in_place(|| {
                let field = [b"\x00\x01a\x7f\x80\x01".as_slice(), &[b'x'; 255]].concat();
                let fields = field.repeat(60);
                let first = frame(HEADERS, END_STREAM, 1, GET);
                let more = (0..1_000).map(|_| frame(CONTINUATION, 0, 1, &fields));
                flood(
                    &host,
                    CLOSES_WITHIN,
                    &[],
                    std::iter::once(first).chain(more),
                )
            }),
        ),
    ];
    for (flood, answer) in closed {
        assert!(
            kinds(&answer).contains(&GOAWAY),
            "{flood}: {:?}",
            kinds(&answer)
        );
    }
    // An answer that may not be sent: closed while others are.
    let origin = host.origin().to_owned();
    let shut = std::thread::spawn(move || until_closed(&origin));
    // Streams that stay open and answers that may not be sent: bounded by what is not read of them.
    let held = |what: &str| {
        let resident = greenroom_test_support::memory_of(host.pid(), "RssAnon");
        assert!(
            resident < MOST_HELD_BYTES,
            "{what}: {} MiB are held",
            resident >> 20
        );
    };
    tokio::task::block_in_place(|| {
        held("closed floods");
        flood(&host, HOLDS_FOR, &[], ids().map(|id| request(id, 0)));
        held("open streams");
        let no_window = [0, 4, 0, 0, 0, 0];
        flood(
            &host,
            HOLDS_FOR,
            &no_window,
            ids().map(|id| request(id, END_STREAM)),
        );
        held("no window");
        // Pings: 17 bytes each.
        let mut pings = connect(&host, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let many = frame(PING, 0, 0, &[0; 8]).repeat(1_000);
        let _ = pings.write_all(&frame(SETTINGS, 0, 0, &[]));
        let taken = (0..1_000).take_while(|_| pings.write_all(&many).is_ok());
        assert!(taken.count() < 1_000, "17 MB of pings are taken");
        held("pings");
    });
    let asked = Instant::now();
    host.client()
        .get("/.backstage/health/v1/liveness")
        .await
        .ok();
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    let lasted = tokio::task::block_in_place(|| shut.join().expect("the thread ends"));
    assert!(lasted > Duration::from_secs(25), "{lasted:?}");
}

/// How long a connection lasts whose peer asks, answers pings, and leaves no window for the answer.
fn until_closed(origin: &str) -> Duration {
    const LIMIT: Duration = Duration::from_secs(60);
    let address = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("connect to the host");
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a timeout can be set");
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    said.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET));
    stream.write_all(&said).expect("ask");
    let (began, mut heard, mut piece) = (Instant::now(), Vec::new(), [0; 4096]);
    loop {
        assert!(began.elapsed() < LIMIT, "the connection stays open");
        match stream.read(&mut piece) {
            Ok(0) => return began.elapsed(),
            Ok(read) => heard.extend_from_slice(&piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return began.elapsed(),
        }
        while let Some((kind, flags, rest)) = next_frame(&heard) {
            let payload = heard[9..heard.len() - rest].to_vec();
            heard.drain(..9 + payload.len());
            if kind == PING
                && flags & ACK == 0
                && stream.write_all(&frame(PING, ACK, 0, &payload)).is_err()
            {
                return began.elapsed();
            }
        }
    }
}

/// Kind and flags of the first frame, if it is whole, and how many bytes are behind it.
fn next_frame(heard: &[u8]) -> Option<(u8, u8, usize)> {
    let head = heard.get(..9)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let rest = heard.len().checked_sub(9 + length)?;
    Some((head[3], head[4], rest))
}
