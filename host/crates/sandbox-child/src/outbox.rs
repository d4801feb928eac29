//! What the child sends. Whoever has something to say writes it, together with whatever others have queued meanwhile, so
//! that busy threads answer many runs with one system call and none of them needs a writer to be woken.
//!
//! A frame may also be kept for the next write ([`Outbox::keep`]), which wakes the worker once for many. Who keeps one writes
//! before it does anything that a guest can draw out.

use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// Queued bytes that are not kept any longer.
const KEPT_BYTES: usize = 64 << 10;

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

impl State {
    fn queue(&mut self, frame: &[u8]) {
        self.waiting.extend_from_slice(frame);
        self.queued_bytes += frame.len() as u64;
    }
}

impl Outbox {
    pub(crate) fn new(socket: OwnedFd) -> Outbox {
        Outbox {
            socket,
            state: Mutex::default(),
            written: Condvar::new(),
        }
    }

    /// Queues a frame for the next write; there is one at once if much is queued.
    pub(crate) fn keep(&self, frame: &[u8]) {
        let mut state = self.lock();
        state.queue(frame);
        if state.waiting.len() >= KEPT_BYTES {
            self.write_all(state);
        }
    }

    /// Writes what is queued, if anything is.
    pub(crate) fn flush(&self) {
        let state = self.lock();
        if !state.waiting.is_empty() {
            self.write_all(state);
        }
    }

    /// Queues a frame; it is written by this thread, or by the one that writes already.
    pub(crate) fn send(&self, frame: &[u8]) {
        let mut state = self.lock();
        state.queue(frame);
        self.write_all(state);
    }

    fn write_all<'a>(&'a self, mut state: MutexGuard<'a, State>) {
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

    fn lock(&self) -> MutexGuard<'_, State> {
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
    fn a_kept_frame_goes_with_the_next_write_in_its_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let outbox = Outbox::new(ours.into());
        let mut read = [0; 8];
        outbox.keep(&[1]);
        assert!(theirs.read(&mut read).is_err(), "nothing is written");
        outbox.send(&[2]);
        outbox.keep(&[3]);
        outbox.flush();
        outbox.flush();
        assert_eq!(theirs.read(&mut read).unwrap(), 3);
        assert_eq!(read[..3], [1, 2, 3]);
        outbox.keep(&vec![4; KEPT_BYTES]);
        assert_eq!(theirs.read(&mut read).unwrap(), 8, "much is not kept");
    }

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
