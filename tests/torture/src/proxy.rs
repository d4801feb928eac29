//! Between a host and Postgres: a forwarder of our own that can stall, cut, and be away.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// How it treats what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Forward,
    /// What has come is kept, and nothing passes.
    Stall,
    /// Each piece waits that long.
    Delay(Duration),
    /// Nobody is there.
    Away,
}

#[derive(Debug, Clone, Copy)]
struct State {
    manner: Manner,
    /// How often all connections were cut; one that began earlier ends.
    cuts: u64,
}

/// A forwarder from a port of the loopback to a socket; it ends with the value.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Begins to forward to the socket at `to`.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(to: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::new(watch::Sender::new(State {
            manner: Manner::Forward,
            cuts: 0,
        }));
        let told = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = told.subscribe();
                if state.borrow().manner == Manner::Away {
                    reset(&client);
                    continue;
                }
                tokio::spawn(forward(client, to.clone(), state));
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything passes as it comes.
    pub fn flow(&self) {
        self.behave(Manner::Forward);
    }

    /// Nothing passes, and nobody is told.
    pub fn stall(&self) {
        self.behave(Manner::Stall);
    }

    /// Each piece, of a question or of an answer, waits that long.
    pub fn delay(&self, by: Duration) {
        self.behave(Manner::Delay(by));
    }

    /// Resets every connection, in the middle of what it carries.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets every connection, and each that is made from now on.
    pub fn go_away(&self) {
        self.behave(Manner::Away);
        self.cut();
    }

    fn behave(&self, manner: Manner) {
        self.state.send_modify(|state| state.manner = manner);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: TcpStream, to: PathBuf, state: watch::Receiver<State>) {
    let Ok(mut server) = UnixStream::connect(to).await else {
        reset(&client);
        return;
    };
    let began = state.borrow().cuts;
    let mut cut = state.clone();
    let is_cut = async {
        // The sender lives as long as anybody is forwarded.
        let _ = cut.wait_for(|state| state.cuts != began).await;
    };
    let passed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = is_cut => false,
            () = pump(from_client, to_server, state.clone()) => true,
            () = pump(from_server, to_client, state) => true,
        }
    };
    if !passed {
        reset(&client);
    }
}

/// One direction, until either side ends.
async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let Ok(count @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let manner = state.borrow().manner;
        if let Manner::Delay(by) = manner {
            tokio::time::sleep(by).await;
        }
        let flows = state.wait_for(|state| state.manner != Manner::Stall);
        if flows.await.is_err() || to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

/// Ends it with a reset and not with an orderly end.
fn reset(client: &TcpStream) {
    // It may be gone already.
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}
