//! Whether an HTTP/2 connection gets anywhere, and its end when it does not (h03).
//!
//! A peer may talk without asking for anything (pings, settings, frames of streams that were refused) and ask without
//! taking what is answered (a window that stays shut). Both cost it nothing, and no timer of hyper or of the socket sees
//! them. So requests, and pieces of bodies either way, count as steps; a connection on which [`MOST_BYTES`] arrive without a
//! step, or on which an answer waits [`LONGEST`] for the next one, is closed. HTTP/1 needs none of this: there a peer cannot
//! talk beside its request, and a reply that is not taken is a write that times out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Bytes that may arrive without a step. More than the windows of a connection, which fill before a handler reads a body.
const MOST_BYTES: u64 = 4 << 20;
/// How long an answer may wait for its next piece; event streams say something every 15 s.
const LONGEST: Duration = Duration::from_secs(30);

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    since: Instant,
    /// Milliseconds after `since`.
    last_step: AtomicU64,
    bytes: AtomicU64,
    answers: AtomicU64,
}

impl Progress {
    /// Of a new connection.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            last_step: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        })
    }

    /// A request, or a piece of a body.
    pub(super) fn step(&self) {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_step.store(passed, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Counts what arrived; whether that may still be.
    pub(super) fn arrived(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 <= MOST_BYTES
    }

    /// Comes when an answer has waited too long.
    pub(super) async fn stalled(&self) {
        loop {
            tokio::time::sleep(LONGEST / 6).await;
            let last = Duration::from_millis(self.last_step.load(Ordering::Relaxed));
            let waits = self.answers.load(Ordering::Relaxed) > 0;
            if waits && self.since.elapsed().saturating_sub(last) > LONGEST {
                return;
            }
        }
    }
}

/// A body whose pieces are steps.
pub(super) struct Stepping {
    body: Body,
    progress: Arc<Progress>,
    is_answer: bool,
}

impl Stepping {
    /// What a client sends.
    pub(super) fn request(body: Body, progress: &Arc<Progress>) -> Body {
        progress.step();
        Body::new(Self {
            body,
            progress: Arc::clone(progress),
            is_answer: false,
        })
    }

    /// What it is answered.
    pub(super) fn answer(body: Body, progress: &Arc<Progress>) -> Body {
        progress.step();
        progress.answers.fetch_add(1, Ordering::Relaxed);
        Body::new(Self {
            body,
            progress: Arc::clone(progress),
            is_answer: true,
        })
    }
}

impl Drop for Stepping {
    fn drop(&mut self) {
        if self.is_answer {
            self.progress.answers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Stepping {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.step();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h03_bytes_without_a_step_are_bounded() {
        let progress = Progress::new();
        let most = usize::try_from(MOST_BYTES).unwrap();
        assert!(progress.arrived(most));
        assert!(!progress.arrived(1));
        progress.step();
        assert!(progress.arrived(most));
    }

    #[test]
    fn h03_an_answer_counts_until_it_is_given_up() {
        let progress = Progress::new();
        let answer = Stepping::answer(Body::from("x"), &progress);
        drop(Stepping::request(Body::empty(), &progress));
        assert_eq!(progress.answers.load(Ordering::Relaxed), 1);
        drop(answer);
        assert_eq!(progress.answers.load(Ordering::Relaxed), 0);
    }
}
