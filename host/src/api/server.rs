//! Connections: hyper's builder with a timer, without which its header timeout is inert (DESIGN §5, h01).
//!
//! Every connection is a task of the lifecycle's tracked set. When the process stops, requests are taken for a time of grace, in
//! which readiness says no, so that none fails; then connections finish the request they are at and close. Above the cap the newest connection is refused; probes have a listener of their own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures_util::future::{BoxFuture, Either};
use http::Version;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::auth::Peer;
use super::progress::{Progress, Stepping};
use super::socket::TimedSocket;
use crate::lifecycle::{Lifecycle, Stopping};

/// Connections at a time; fewer where the system allows fewer descriptors.
const MAX_CONNECTIONS: usize = 4096;
/// Time for the headers of a request. hyper's timer runs while a connection is idle too, the socket's until it is known
/// which version of HTTP is spoken.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of one request.
const MAX_HEADERS: usize = 100;
/// Bytes of all headers of one request.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Pause after `accept` failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a listener until the process stops.
pub async fn serve(listener: TcpListener, router: Router, lifecycle: Arc<Lifecycle>) {
    let mut stopping = lifecycle.stopping();
    let places = Arc::new(Semaphore::new(places()));
    let builder = Arc::new(builder());
    loop {
        let accepted = tokio::select! {
            () = stopping.grace_is_over() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let progress = Progress::new();
        let service = WithPeer {
            router: router.clone(),
            peer: Peer(peer),
            progress: Arc::clone(&progress),
        };
        let builder = Arc::clone(&builder);
        let stopping = lifecycle.stopping();
        lifecycle.spawn(async move {
            connection(&builder, stream, service, progress, stopping).await;
            drop(place);
        });
    }
}

/// How many connections a listener takes. Half of the descriptors, so that the other listener, the database and the workers
/// have theirs however many connections there are (h02).
fn places() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = descriptors.map_or(MAX_CONNECTIONS as u64, |descriptors| descriptors / 2);
    usize::try_from(half)
        .unwrap_or(MAX_CONNECTIONS)
        .min(MAX_CONNECTIONS)
}

/// The router, told who the peer is; what it is asked and answers by HTTP/2 is progress of the connection.
struct WithPeer {
    router: Router,
    peer: Peer,
    progress: Arc<Progress>,
}

impl Service<http::Request<Incoming>> for WithPeer {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<RouteFuture<Infallible>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let mut router = self.router.clone();
        let request = request.map(Body::new);
        if request.version() < Version::HTTP_2 {
            return Either::Left(tower::Service::call(&mut router, request));
        }
        let progress = Arc::clone(&self.progress);
        let request = request.map(|body| Stepping::request(body, &progress));
        let answered = tower::Service::call(&mut router, request);
        Either::Right(Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| Stepping::answer(body, &progress)))
        }))
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

async fn connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    service: WithPeer,
    progress: Arc<Progress>,
    mut stopping: Stopping,
) {
    // Replies are written in one piece or in large ones; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let socket = TokioIo::new(TimedSocket::new(
        stream,
        HEADER_TIMEOUT,
        Arc::clone(&progress),
    ));
    let connection = builder.serve_connection(socket, service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = progress.stalled() => {
            debug!("a connection is closed: its peer does not take what it asked for");
            return;
        }
        () = stopping.grace_is_over() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(error, "a connection ended early");
    }
}
