//! What is to be written to a child. While nothing queues, whoever posts a turn writes it, as far as the socket takes it at
//! once; a thread for writing has the rest, and what queues up while it writes goes out together.

use std::collections::VecDeque;
use std::io::{IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use greenroom_sandbox::SealedCode;
use greenroom_sandbox_child::HEADER_BYTES;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Frames are put together into writes of about this size; larger bodies are written by themselves.
const TOGETHER_BYTES: usize = 128 << 10;

/// A frame to be written.
#[derive(Debug)]
pub(super) enum Letter {
    /// A whole frame.
    Frame(Vec<u8>),
    /// A header and a body that is kept, to be sent again where its run has to be.
    Turn([u8; HEADER_BYTES], Bytes),
    /// A whole frame that a memory file goes with.
    Code(Vec<u8>, Arc<SealedCode>),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    letters: VecDeque<Letter>,
    closed: bool,
    /// Where [`Mailbox::deliver`] writes, while it waits. While it writes, nobody else does, nor has to wake it.
    idle: Option<OwnedFd>,
}

impl Mailbox {
    /// Queues a letter; one for a child that is gone is dropped.
    pub(super) fn post(&self, letter: Letter) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.closed {
            let letter = match &state.idle {
                Some(socket) if state.letters.is_empty() => write_now(socket, letter),
                _ => Some(letter),
            };
            if let Some(letter) = letter {
                state.letters.push_back(letter);
                if state.idle.is_some() {
                    self.changed.notify_one();
                }
            }
        }
    }

    /// Takes no more letters and drops those that wait.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.letters.clear();
        self.changed.notify_one();
    }

    /// Writes letters to `socket` until the box is closed or the child is gone.
    pub(super) fn deliver(&self, mut socket: &UnixStream) -> std::io::Result<()> {
        let mut together = Vec::with_capacity(TOGETHER_BYTES);
        let mut own = Some(socket.as_fd().try_clone_to_owned()?);
        while let Some(letters) = self.wait(&mut own) {
            for letter in letters {
                match letter {
                    Letter::Frame(frame) => together.extend_from_slice(&frame),
                    Letter::Turn(header, body) => {
                        together.extend_from_slice(&header);
                        if body.len() < TOGETHER_BYTES {
                            together.extend_from_slice(&body);
                        } else {
                            flush(&mut socket, &mut together)?;
                            socket.write_all(&body)?;
                        }
                    }
                    Letter::Code(frame, code) => {
                        flush(&mut socket, &mut together)?;
                        send_with(socket, &frame, &code)?;
                    }
                }
                if together.len() >= TOGETHER_BYTES {
                    flush(&mut socket, &mut together)?;
                }
            }
            flush(&mut socket, &mut together)?;
        }
        Ok(())
    }

    /// All letters there are, waiting for one; none when the box is closed. Meanwhile others may write to `socket`.
    fn wait(&self, socket: &mut Option<OwnedFd>) -> Option<VecDeque<Letter>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            if !state.letters.is_empty() {
                return Some(std::mem::take(&mut state.letters));
            }
            state.idle = socket.take();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            *socket = state.idle.take();
        }
    }
}

/// Writes a turn without waiting; what is left of it is given back, to be written by who may wait.
fn write_now(socket: &OwnedFd, letter: Letter) -> Option<Letter> {
    let Letter::Turn(header, body) = &letter else {
        return Some(letter);
    };
    let parts = [IoSlice::new(header), IoSlice::new(body)];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let whole = HEADER_BYTES + body.len();
    match sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), flags) {
        Ok(sent) if sent == whole => None,
        Ok(sent) => {
            let rest = [header, &body[..]].concat().split_off(sent.min(whole));
            Some(Letter::Frame(rest))
        }
        // Full, or gone: the thread for writing waits, or finds out.
        Err(_) => Some(letter),
    }
}

fn flush(socket: &mut &UnixStream, together: &mut Vec<u8>) -> std::io::Result<()> {
    if !together.is_empty() {
        socket.write_all(together)?;
        together.clear();
    }
    Ok(())
}

/// Sends a frame whose first bytes carry a memory file.
fn send_with(mut socket: &UnixStream, frame: &[u8], code: &SealedCode) -> std::io::Result<()> {
    let descriptors = [code.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = sendmsg(
        socket,
        &[IoSlice::new(frame)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    socket.write_all(frame.get(sent..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn letters_arrive_in_order_and_none_after_the_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mailbox = Arc::new(Mailbox::default());
        let delivering = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || mailbox.deliver(&ours))
        };
        mailbox.post(Letter::Frame(vec![1; 10]));
        let large = Bytes::from(vec![2; TOGETHER_BYTES * 2]);
        mailbox.post(Letter::Turn([9; HEADER_BYTES], large.clone()));
        mailbox.post(Letter::Frame(vec![3; 10]));
        let mut read = vec![0; 20 + HEADER_BYTES + large.len()];
        theirs.read_exact(&mut read).unwrap();
        assert!(read.starts_with(&[1; 10]) && read.ends_with(&[3; 10]));
        mailbox.close();
        mailbox.post(Letter::Frame(vec![4]));
        delivering.join().unwrap().unwrap();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }

    /// The socket is full again and again: every byte arrives, once and in order.
    #[test]
    fn what_the_socket_does_not_take_at_once_is_written_by_the_thread_for_it() {
        const LETTERS: u32 = 3_000;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mailbox = Arc::new(Mailbox::default());
        let delivering = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || mailbox.deliver(&ours))
        };
        let posting = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || {
                for number in 0..LETTERS {
                    let body = number.to_le_bytes().repeat(1 + number as usize % 2_000);
                    mailbox.post(Letter::Turn([7; HEADER_BYTES], body.into()));
                }
            })
        };
        for number in 0..LETTERS {
            let body = number.to_le_bytes().repeat(1 + number as usize % 2_000);
            let mut read = vec![0; HEADER_BYTES + body.len()];
            theirs.read_exact(&mut read).unwrap();
            assert_eq!(read[..HEADER_BYTES], [7; HEADER_BYTES]);
            assert!(read[HEADER_BYTES..] == body, "letter {number}");
        }
        posting.join().unwrap();
        mailbox.close();
        delivering.join().unwrap().unwrap();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
