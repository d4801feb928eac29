//! A web server of a test: a few files, and what was asked for.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Serves files by path from a thread of its own until the process of the test ends; anything else is 404.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: BTreeMap<String, Answer>,
    asked: Vec<String>,
}

/// What is answered for a path.
#[derive(Debug, Clone)]
struct Answer {
    status: String,
    /// Lines of the head, each with its end.
    headers: String,
    body: String,
}

impl Answer {
    fn not_found() -> Self {
        Self {
            status: "404 Not Found".to_owned(),
            headers: String::new(),
            body: String::new(),
        }
    }

    fn file(text: &str) -> Self {
        Self {
            status: "200 OK".to_owned(),
            headers: String::new(),
            body: text.to_owned(),
        }
    }
}

impl FileServer {
    /// Serves these files on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(files: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::default();
        let server = Self { address, shared };
        for (path, text) in files {
            server.put(path, text);
        }
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure of the server.
                let _ = answer(stream, &shared);
            }
        });
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.shared).asked.clone()
    }

    /// From now on there is this file at the path.
    pub fn put(&self, path: &str, text: &str) {
        self.set(path, Answer::file(text));
    }

    /// From now on there is nothing at the path.
    pub fn remove(&self, path: &str) {
        self.set(path, Answer::not_found());
    }

    /// From now on the path is answered with that status and one header.
    pub fn refuse(&self, path: &str, status: &str, header: &str) {
        let refused = Answer {
            status: status.to_owned(),
            headers: format!("{header}\r\n"),
            body: String::new(),
        };
        self.set(path, refused);
    }

    fn set(&self, path: &str, answer: Answer) {
        lock(&self.shared).answers.insert(path.to_owned(), answer);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let found = {
        let mut shared = lock(shared);
        let found = shared.answers.get(&path).cloned();
        shared.asked.push(path);
        found
    };
    let Answer {
        status,
        headers,
        body,
    } = found.unwrap_or_else(Answer::not_found);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/yaml\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}
