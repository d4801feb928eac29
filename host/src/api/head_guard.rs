//! Requests of HTTP/1 that two parsers may read differently, and with that one in front of us (h04): a line that ends with LF
//! alone or goes on in the next, a length beside an encoding, two hosts, a method that nobody knows. hyper takes most of them
//! in good will; here they are 400, and the connection is closed.
//!
//! The guard reads along with hyper and keeps nothing but the head that is being read. Where a head is wrong it writes a NUL over
//! the byte with which that shows, which no head may hold, so that the refusal is hyper's own. What it cannot follow (another
//! protocol, a length that is none, a head that is too long) hyper refuses or ends, and the guard looks no further.

/// Longest head that is followed; hyper takes fewer bytes and fewer headers.
const MAX_HEAD_BYTES: usize = 512 * 1024;
/// Methods that are answered, if only by saying that they are not offered; those that Node knows.
const METHODS: &str = "DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH \
     UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE \
     MKCALENDAR LINK UNLINK SOURCE QUERY";

/// What comes next on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The head of a request.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// The line that begins a chunk.
    ChunkSize,
    /// So many bytes of a chunk, its line end among them.
    Chunk(u64),
    /// A line behind the last chunk.
    Trailer,
    /// What is not looked at.
    Anything,
}

/// What a head is found to be.
enum Verdict {
    Wrong,
    Next(Next),
}

/// Reads along on one connection.
#[derive(Debug)]
pub(super) struct HeadGuard {
    next: Next,
    /// The head or line that is being read.
    line: Vec<u8>,
}

impl HeadGuard {
    pub(super) fn new() -> Self {
        Self {
            next: Next::Head,
            line: Vec::new(),
        }
    }

    /// Looks at what was read, and breaks what is wrong.
    pub(super) fn judge(&mut self, said: &mut [u8]) {
        let mut at = 0;
        while at < said.len() {
            match self.next {
                Next::Anything => return,
                Next::Body(left) | Next::Chunk(left) => {
                    let here = (said.len() - at) as u64;
                    let taken = left.min(here);
                    at += usize::try_from(taken).unwrap_or(usize::MAX);
                    self.next = match (self.next, left - taken) {
                        (Next::Chunk(_), 0) => Next::ChunkSize,
                        (_, 0) => Next::Head,
                        (Next::Chunk(_), left) => Next::Chunk(left),
                        (_, left) => Next::Body(left),
                    };
                }
                Next::Head | Next::ChunkSize | Next::Trailer => {
                    match self.byte(said[at]) {
                        None => {}
                        Some(Verdict::Next(next)) => {
                            self.line.clear();
                            self.next = next;
                        }
                        Some(Verdict::Wrong) => {
                            said[at] = 0;
                            self.line = Vec::new();
                            self.next = Next::Anything;
                        }
                    }
                    at += 1;
                }
            }
        }
    }

    /// Takes one byte of a head or of a line.
    fn byte(&mut self, byte: u8) -> Option<Verdict> {
        if byte == b'\n' && self.line.last() != Some(&b'\r') {
            return Some(Verdict::Wrong);
        }
        self.line.push(byte);
        if self.line.len() > MAX_HEAD_BYTES {
            return Some(Verdict::Next(Next::Anything));
        }
        if byte != b'\n' {
            return None;
        }
        match self.next {
            // Empty lines before a request are nothing.
            Next::Head if self.line == b"\r\n" => Some(Verdict::Next(Next::Head)),
            Next::Head => self.line.ends_with(b"\r\n\r\n").then(|| head(&self.line)),
            Next::ChunkSize => Some(Verdict::Next(chunk(&self.line))),
            Next::Trailer if self.line == b"\r\n" => Some(Verdict::Next(Next::Head)),
            Next::Trailer => Some(Verdict::Next(Next::Trailer)),
            Next::Body(_) | Next::Chunk(_) | Next::Anything => None,
        }
    }
}

/// Judges a whole head.
fn head(head: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let method = lines.next().and_then(|line| line.split(' ').next());
    match method {
        // The preface of HTTP/2.
        Some("PRI") => return Verdict::Next(Next::Anything),
        Some(method) if METHODS.split(' ').any(|known| known == method) => {}
        _ => return Verdict::Wrong,
    }
    let (mut hosts, mut encoding, mut length) = (0, None, None);
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            return Verdict::Wrong;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "transfer-encoding" => encoding = Some(value),
            "content-length" => length = Some(value),
            _ => {}
        }
    }
    if hosts > 1 || (encoding.is_some() && length.is_some()) {
        return Verdict::Wrong;
    }
    let last = |value: &str| {
        value
            .rsplit(',')
            .next()
            .map(|last| last.trim().to_ascii_lowercase())
    };
    Verdict::Next(match (encoding, length) {
        (Some(encoding), _) if last(encoding).as_deref() == Some("chunked") => Next::ChunkSize,
        (Some(_), _) => Next::Anything,
        (None, Some(length)) => match length.trim().parse() {
            Ok(0) => Next::Head,
            Ok(length) => Next::Body(length),
            Err(_) => Next::Anything,
        },
        (None, None) => Next::Head,
    })
}

/// What follows the line that begins a chunk.
fn chunk(line: &[u8]) -> Next {
    let text = String::from_utf8_lossy(line);
    let size = text.trim_end().split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(size, 16) {
        Ok(0) => Next::Trailer,
        Ok(size) => Next::Chunk(size.saturating_add(2)),
        Err(_) => Next::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that come again with the same seed.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }

        fn one(&mut self, of: &[&'static str]) -> &'static str {
            of[self.below(of.len())]
        }
    }

    /// Bodies that look like what they are not.
    const BODIES: [&str; 5] = [
        "x",
        "\n",
        "{\"a\":\n1}",
        "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
        "\r\n\r\nFOO / HTTP/1.1\r\n\r\n",
    ];

    /// A request that is right: head and body.
    fn right(numbers: &mut Numbers) -> (String, String) {
        let target = numbers.one(&["/", "/a?b=c", "http://other.test/x", "*"]);
        let method = numbers.one(&["GET", "POST", "OPTIONS", "M-SEARCH"]);
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n");
        for _ in 0..numbers.below(3) {
            head.push_str(numbers.one(&[
                "A: b\r\n",
                "X-Host: y\r\n",
                "C:\r\n",
                "Te: trailers\r\n",
            ]));
        }
        let body = numbers.one(&BODIES);
        let body = match numbers.below(3) {
            0 => String::new(),
            1 => {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
                body.to_owned()
            }
            _ => {
                head.push_str("Transfer-Encoding: gzip, Chunked\r\n");
                let end = numbers.one(&["0\r\n\r\n", "0;x=y\r\nT: u\r\n\r\n"]);
                format!("{:x};e=f\r\n{body}\r\n{end}", body.len())
            }
        };
        head.push_str("\r\n");
        (head, body)
    }

    /// The same head with one thing wrong.
    fn wrong(numbers: &mut Numbers, head: &str) -> String {
        let more = |line: &str| head.replacen("Host: x\r\n", &format!("Host: x\r\n{line}"), 1);
        match numbers.below(6) {
            0 => head.replacen("Host: x\r\n", "Host: x\n", 1),
            1 => head.replacen("HTTP/1.1\r\n", "HTTP/1.1\n", 1),
            2 => more("Host: y\r\n"),
            3 => more(" folded\r\n"),
            4 => more("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            _ => format!("FOO{}", &head[head.find(' ').unwrap()..]),
        }
    }

    /// Judges it in pieces of any size.
    fn judged(numbers: &mut Numbers, stream: &str) -> Vec<u8> {
        let mut guard = HeadGuard::new();
        let (mut left, mut judged) = (stream.as_bytes(), Vec::new());
        while !left.is_empty() {
            let (piece, rest) = left.split_at(1 + numbers.below(left.len().min(40)));
            let mut piece = piece.to_vec();
            guard.judge(&mut piece);
            judged.extend(piece);
            left = rest;
        }
        judged
    }

    #[test]
    fn h04_one_byte_of_what_is_wrong_is_broken_and_none_of_what_is_right() {
        let seed = u64::from(uuid::Uuid::new_v4().as_fields().0) | 1;
        eprintln!("seed {seed}");
        let mut numbers = Numbers(seed);
        for _ in 0..10_000 {
            let requests: Vec<_> = (0..1 + numbers.below(3))
                .map(|_| right(&mut numbers))
                .collect();
            let good: String = requests
                .iter()
                .map(|(head, body)| format!("{head}{body}"))
                .collect();
            assert_eq!(judged(&mut numbers, &good), good.as_bytes(), "{good:?}");
            let (head, body) = requests.last().unwrap();
            let bad = wrong(&mut numbers, head);
            let stream = format!("{good}{bad}{body}{good}");
            let judged = judged(&mut numbers, &stream);
            let broken: Vec<usize> = (0..stream.len())
                .filter(|at| judged[*at] != stream.as_bytes()[*at])
                .collect();
            assert_eq!(broken.len(), 1, "{stream:?}");
            let within = good.len()..good.len() + bad.len();
            assert!(
                within.contains(&broken[0]) && judged[broken[0]] == 0,
                "{stream:?}"
            );
        }
    }

    #[test]
    fn http_2_and_what_hyper_ends_are_not_followed() {
        for text in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n\n",
            "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\n",
        ] {
            let mut said = text.as_bytes().to_vec();
            HeadGuard::new().judge(&mut said);
            assert_eq!(said, text.as_bytes());
        }
    }
}
