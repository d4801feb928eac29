//! What the child receives: bytes, and the memory files that come with some of them.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Descriptors taken with one read; the worker sends one at a time.
const AT_ONCE: usize = 4;

/// The receiving half of the socket.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: OwnedFd,
    received: VecDeque<OwnedFd>,
}

impl Inbox {
    pub(crate) fn new(socket: OwnedFd) -> Inbox {
        Inbox {
            socket,
            received: VecDeque::new(),
        }
    }

    /// The memory file that came first and was not taken yet.
    pub(crate) fn take(&mut self) -> Option<OwnedFd> {
        self.received.pop_front()
    }
}

impl Read for Inbox {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(into)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                self.received.extend(descriptors);
            }
        }
        Ok(message.bytes)
    }
}
