//! Starts the process of a child: this executable, with a socket, a page of notes and a pipe for last words, and nothing
//! else. It locks itself down; see `greenroom-lockdown`.

use std::ffi::OsStr;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use greenroom_sandbox_child::page_bytes;
use rustix::fs::{
    MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_getfl, fcntl_setfl, ftruncate,
    memfd_create,
};

/// A started process and our ends of what it holds.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) socket: UnixStream,
    pub(super) notes: OwnedFd,
    pub(super) last_words: PipeReader,
}

/// Starts `program sandbox`. The thread that calls this must live as long as the child is to live.
pub(super) fn start(program: &OsStr, threads: usize, alone: bool) -> io::Result<Started> {
    let (ours, theirs) = UnixStream::pair()?;
    let notes = memfd_create(
        "greenroom-notes",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    ftruncate(&notes, page_bytes(threads))?;
    fcntl_add_seals(
        &notes,
        SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    let (last_words, speaking) = io::pipe()?;
    // Neither end waits for the other: a child that says more than fits is cut off, and reading after its death ends.
    for end in [last_words.as_fd(), speaking.as_fd()] {
        fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
    }
    let mut command = Command::new(program);
    command
        .args(["sandbox", "--threads", &threads.to_string()])
        .env_clear()
        .current_dir("/")
        // What is pressed on a terminal is for the worker to act on.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(notes.try_clone()?))
        .stderr(Stdio::from(OwnedFd::from(speaking)));
    if alone {
        command.arg("--alone");
    }
    Ok(Started {
        child: command.spawn()?,
        socket: ours,
        notes,
        last_words,
    })
}
