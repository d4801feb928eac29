//! What a client still sends when its request is answered already: read on and dropped, so that the answer arrives.
//!
//! Whoever refuses an upload at its first bytes leaves the rest in the socket. Closed with that unread, a connection is
//! reset, and a client that is writing sees a broken pipe instead of the 413 or 429 that tells what to do. Servers call
//! the cure a lingering close. It lasts [`LINGER`] at most and ends with the process; nothing of the body is held.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};

use super::body::Pieces;
use super::state::ApiState;
use crate::lifecycle::Lifecycle;

/// How long a body is read on after its answer: nginx's `lingering_time`.
const LINGER: Duration = Duration::from_secs(30);

/// A layer: a body that its handler gives up is read to its end. HTTP/2 has a frame for that, and needs none of this.
pub(super) async fn read_on(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let lifecycle = Arc::clone(&state.lifecycle);
    let request = request.map(|body| {
        Body::new(Lingering {
            body: Some(body),
            lifecycle,
            linger: LINGER,
        })
    });
    next.run(request).await
}

/// A body that is read on when it is dropped before its end.
struct Lingering {
    /// `None` once it has ended.
    body: Option<Body>,
    lifecycle: Arc<Lifecycle>,
    linger: Duration,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        // Outside a runtime the process is ending, and the connection with it.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let linger = self.linger;
        let mut stopping = self.lifecycle.stopping();
        self.lifecycle.spawn(async move {
            let mut rest = Pieces::new(body);
            let read = async { while matches!(rest.next().await, Ok(Some(_))) {} };
            tokio::select! {
                () = read => {}
                () = tokio::time::sleep(linger) => {}
                () = stopping.wait() => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    /// A client that sends a byte at each tick for ever.
    fn endless() -> Body {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(TICK).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        }))
    }

    async fn given_up_with(linger: Duration) -> Arc<Lifecycle> {
        let lifecycle = Lifecycle::new();
        let mut body = Body::new(Lingering {
            body: Some(endless()),
            lifecycle: Arc::clone(&lifecycle),
            linger,
        });
        let first = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert!(matches!(first, Some(Ok(_))));
        drop(body);
        assert_eq!(lifecycle.tasks(), 1, "it is read on");
        lifecycle
    }

    #[tokio::test]
    async fn h12_a_client_that_never_ends_is_left_after_the_answer() {
        let lifecycle = given_up_with(TICK * 4).await;
        tokio::time::timeout(Duration::from_secs(10), async {
            while lifecycle.tasks() > 0 {
                tokio::time::sleep(TICK).await;
            }
        })
        .await
        .expect("the rest is read for a bounded time");
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_what_is_left() {
        let lifecycle = given_up_with(LINGER).await;
        assert_eq!(lifecycle.drain(Duration::from_secs(10)).await, 0);
    }
}
