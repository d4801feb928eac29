//! Proves that a connection is bounded before anything is known of it: by the time its first request may take, silence
//! included (h01), and by the number of headers (h05); and that a refusal reaches a client that is still sending (h12).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use greenroom_test_support::TestHost;

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
    for request in ["GET / HTTP/1.0\r\n\r\n", "PRIX / HTTP/1.0\r\n\r\n"] {
        let said = tokio::task::block_in_place(|| answer(&mut connect(&host, request)));
        assert!(said.starts_with("HTTP/1.0 4"), "{said}");
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
