//! A TCP stream that gives up on a peer which says nothing, or does not take what is written (h01, h13).
//!
//! A write that makes no progress for 30 s fails, so that a reply never waits for ever. Reads pass through once it is known
//! which version of HTTP is spoken, and hyper's timers hold; before that nobody's do, so that a silent peer would stay. What is
//! read is judged on its way (h04), and what comes by HTTP/2 counted (h03).

use std::future::Future as _;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::head_guard::HeadGuard;
use super::progress::Progress;

/// Longest time without progress of a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a client that speaks HTTP/2 begins with. While all that was read could become it, the version is not known.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// See the module's head.
pub(super) struct TimedSocket {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    greeting: Option<Greeting>,
    guard: HeadGuard,
    /// Of a connection that speaks HTTP/2, once that is known.
    http2: bool,
    progress: Arc<Progress>,
}

/// What was read of the preface so far, and when that must have come to something.
struct Greeting {
    read: usize,
    until: Pin<Box<Sleep>>,
}

impl TimedSocket {
    /// The peer has `patience` to say something that tells the version.
    pub(super) fn new(stream: TcpStream, patience: Duration, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            stalled: None,
            greeting: Some(Greeting {
                read: 0,
                until: Box::pin(sleep(patience)),
            }),
            guard: HeadGuard::new(),
            http2: false,
            progress,
        }
    }

    fn timed<T>(&mut self, cx: &mut Context<'_>, result: Poll<Result<T>>) -> Poll<Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "the peer does not read",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for TimedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if result.is_ready() {
            self.guard.judge(&mut buffer.filled_mut()[before..]);
        }
        let read = buffer.filled().len() - before;
        if self.http2 && !self.progress.arrived(read) {
            return Poll::Ready(Err(Error::other("the peer talks and asks for nothing")));
        }
        let Some(greeting) = &mut self.greeting else {
            return result;
        };
        if result.is_ready() {
            let said = &buffer.filled()[before..];
            if PREFACE[greeting.read..].starts_with(said)
                && greeting.read + said.len() < PREFACE.len()
            {
                greeting.read += said.len();
            } else {
                self.http2 = said.starts_with(&PREFACE[greeting.read..]);
                self.greeting = None;
            }
            return result;
        }
        match greeting.until.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "the peer says nothing",
            ))),
            Poll::Pending => result,
        }
    }
}

impl AsyncWrite for TimedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.timed(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(cx, result)
    }
}
