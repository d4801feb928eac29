//! Proves that a full mutation of 100 000 entities is taken in bounded memory, and that one whose stream breaks changes nothing
//! and leaves nothing (h21), also where most of it was staged already (DESIGN §5, §7).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use greenroom_test_support::{TestHost, forget_peak, memory_of};
use serde_json::{Value, json};

const ENTITIES: usize = 100_000;
/// What the process that takes it may grow by. The body is over 50 MiB; what is held of it is one batch of 1 MiB, which is
/// there as text, as values and as rows at times; each connection of the database may cache 2 MiB and its log in shared
/// memory. A process that held the entities, in whatever form, would grow by more than the body.
const GROWTH_BYTES: u64 = 32 << 20;
const BOUND: Duration = Duration::from_secs(120);

/// A line that adds an entity of about half a kilobyte.
fn line(prefix: &str, number: usize) -> String {
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {
            "name": format!("{prefix}{number}"),
            "description": "what it is for and why it is there, said at some length ".repeat(5),
        },
        "spec": {"type": "service", "lifecycle": "production", "owner": "team"},
    });
    format!("{}\n", json!({"add": {"entity": entity}}))
}

/// A full mutation of the provider `p` on its way, whose length is not known before.
struct Sending {
    stream: TcpStream,
    buffer: String,
    sent: usize,
}

impl Sending {
    fn begin(host: &TestHost) -> Self {
        let address = host.origin().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("the host listens");
        stream
            .set_read_timeout(Some(BOUND))
            .expect("a timeout can be set");
        let head = format!(
            "POST /tenants/default/providers/p/mutations?type=full HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
            host.token()
        );
        stream.write_all(head.as_bytes()).expect("it is taken");
        Self {
            stream,
            buffer: String::new(),
            sent: 0,
        }
    }

    fn say(&mut self, line: &str) {
        self.buffer.push_str(line);
        if self.buffer.len() > 60_000 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.sent += self.buffer.len();
        let chunk = format!("{:x}\r\n{}\r\n", self.buffer.len(), self.buffer);
        self.stream
            .write_all(chunk.as_bytes())
            .expect("it is taken");
        self.buffer.clear();
    }

    /// Ends the body; the answer.
    fn end(mut self) -> String {
        self.flush();
        self.stream.write_all(b"0\r\n\r\n").expect("it is taken");
        let mut answer = String::new();
        self.stream
            .read_to_string(&mut answer)
            .expect("it is answered");
        answer
    }
}

async fn status_of(host: &TestHost, name: &str) -> u16 {
    let path = format!("/tenants/default/processing/component/default/{name}");
    host.client().get(&path).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn h21_a_hundred_thousand_entities_are_one_mutation_in_bounded_memory() {
    let host = TestHost::builder().workers(0).start().await;
    forget_peak(host.pid());
    let before = memory_of(host.pid(), "VmRSS");
    let answer = tokio::task::block_in_place(|| {
        let mut sending = Sending::begin(&host);
        for number in 0..ENTITIES {
            sending.say(&line("c", number));
        }
        sending.say(&format!("{{\"commit\":{{\"count\":{ENTITIES}}}}}\n"));
        assert!(
            sending.sent as u64 > GROWTH_BYTES,
            "the bound says something"
        );
        sending.end()
    });
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let outcome: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(outcome["added"], ENTITIES);
    let grown = memory_of(host.pid(), "VmHWM").saturating_sub(before);
    assert!(grown < GROWTH_BYTES, "grew by {} KiB", grown >> 10);
    assert_eq!(status_of(&host, "c99999").await, 200);

    a_broken_stream_changes_nothing(&host).await;
}

/// 3 000 lines of another set, some batches of which are staged, and then silence, a wrong count or a bad line.
async fn a_broken_stream_changes_nothing(host: &TestHost) {
    let ends = [
        ("cut", ""),
        ("count", "{\"commit\":{\"count\":2999}}\n"),
        ("line", "{\"add\":{}}\n"),
    ];
    for (name, end) in ends {
        tokio::task::block_in_place(|| {
            let mut sending = Sending::begin(host);
            for number in 0..3_000 {
                sending.say(&line("d", number));
            }
            sending.say(end);
            if name == "cut" {
                sending.flush();
                return;
            }
            let answer = sending.end();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
            assert!(answer.contains("nothing was changed"), "{name}: {answer}");
        });
        assert_eq!(status_of(host, "d0").await, 404, "{name}");
        assert_eq!(status_of(host, "c0").await, 200, "{name}");
    }
    // A set that is smaller by more than it may is refused, also when it was staged.
    let answer = tokio::task::block_in_place(|| {
        let mut sending = Sending::begin(host);
        for number in 0..600 {
            sending.say(&line("c", number));
        }
        sending.say("{\"commit\":{\"count\":600}}\n");
        sending.end()
    });
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.contains("600 of 100000"), "{answer}");
}
