//! What the child sends. Whoever has something to say writes it, together with whatever others have queued meanwhile, so
//! that busy threads answer many runs with one system call and none of them needs a writer to be woken.

use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// The sending half of the socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: OwnedFd,
    state: Mutex<State>,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    queued_bytes: u64,
    written_bytes: u64,
    writing: bool,
}

impl Outbox {
    pub(crate) fn new(socket: OwnedFd) -> Outbox {
        Outbox {
            socket,
            state: Mutex::default(),
            written: Condvar::new(),
        }
    }

    /// Queues a frame; it is written by this thread, or by the one that writes already.
    pub(crate) fn send(&self, frame: &[u8]) {
        let mut state = self.lock();
        state.waiting.extend_from_slice(frame);
        state.queued_bytes += frame.len() as u64;
        if state.writing {
            return;
        }
        state.writing = true;
        while !state.waiting.is_empty() {
            let bytes = std::mem::take(&mut state.waiting);
            drop(state);
            self.write(&bytes);
            state = self.lock();
            state.written_bytes += bytes.len() as u64;
            self.written.notify_all();
        }
        state.writing = false;
    }

    /// Sends a frame and returns when it has left this process, so that it is known even if the next thing kills it.
    pub(crate) fn send_now(&self, frame: &[u8]) {
        self.send(frame);
        let mut state = self.lock();
        let queued = state.queued_bytes;
        while state.written_bytes < queued {
            state = self
                .written
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes all. A worker that is gone needs no answer; the reading half sees its end and ends the process.
    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn frames_of_many_threads_arrive_whole() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let outbox = Arc::new(Outbox::new(ours.into()));
        let threads: Vec<_> = (0..4_u8)
            .map(|number| {
                let outbox = Arc::clone(&outbox);
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        outbox.send(&[number; 64]);
                    }
                    outbox.send_now(&[number; 64]);
                })
            })
            .collect();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        for thread in threads {
            thread.join().unwrap();
        }
        drop(outbox);
        let all = reading.join().unwrap();
        assert_eq!(all.len(), 4 * 501 * 64);
        assert!(
            all.chunks(64)
                .all(|frame| frame.iter().all(|byte| *byte == frame[0]))
        );
    }
}
