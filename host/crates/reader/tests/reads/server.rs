//! A server that answers with exactly the bytes a test wants, and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a server does with a connection after it has read the request's head.
pub(crate) enum Reply {
    /// Sends this and closes.
    Whole(Vec<u8>),
    /// Sends this and is silent until the client leaves.
    Hold(Vec<u8>),
    /// Sends the first part, then the second again and again until the client leaves.
    Repeat(Vec<u8>, Vec<u8>),
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Request(String);

impl Request {
    /// Path and query.
    pub(crate) fn path(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a header, by lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A listening server; one request per connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Server { address, seen }
    }

    /// `http://127.0.0.1:port` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("the log").clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let request = Request(String::from_utf8_lossy(&head).into_owned());
    log.lock().expect("the log").push(request.clone());
    // A client that has left ends every reply.
    match answer(&request) {
        Reply::Whole(bytes) => drop(stream.write_all(&bytes)),
        Reply::Hold(bytes) => {
            if stream.write_all(&bytes).is_ok() {
                drop(stream.read(&mut byte));
            }
        }
        Reply::Repeat(first, next) => {
            let mut alive = stream.write_all(&first).is_ok();
            while alive {
                alive = stream.write_all(&next).is_ok();
            }
        }
    }
}

/// A 200 with a body.
pub(crate) fn ok(body: &str) -> Reply {
    answer("200 OK", &[], body)
}

/// An answer with status, further headers and a body of stated length.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Reply {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    Reply::Whole(text.into_bytes())
}

/// A redirect.
pub(crate) fn redirect(target: &str) -> Reply {
    answer("302 Found", &[&format!("location: {target}")], "")
}
