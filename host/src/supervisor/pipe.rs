//! The worker's end of the pipe, and wake-ups within a process.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::sync::Notify;
use tracing::error;

use super::{Message, Pulse, read_message, write_message};
use crate::lifecycle::Lifecycle;

/// How often a worker says that its tasks turn.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Wake-ups both ways; cheap to clone. Hints only: whoever is woken looks at storage, and looks there anyway from time to
/// time.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Something may be there for this process.
    pub incoming: Arc<Notify>,
    /// This process has committed something for the other.
    pub outgoing: Arc<Notify>,
}

/// The pipe to `serve`, on standard input and output.
#[derive(Debug)]
pub struct ParentPipe;

impl ParentPipe {
    /// Says who this worker is, then exchanges messages until `serve` is gone or says stop; then stops the process.
    pub fn join(lifecycle: &Arc<Lifecycle>, worker: String, wakes: Wakes, pulse: Pulse) {
        let listening = Arc::clone(lifecycle);
        let incoming = Arc::clone(&wakes.incoming);
        lifecycle.spawn(async move {
            let mut stopping = listening.stopping();
            let mut input = BufReader::new(tokio::io::stdin());
            loop {
                tokio::select! {
                    () = stopping.wait() => return,
                    message = read_message(&mut input) => match message {
                        Some(Message::Wake) => incoming.notify_waiters(),
                        Some(Message::Stop) | None => {
                            listening.stop();
                            return;
                        }
                        Some(Message::Started { .. } | Message::Heartbeat { .. }) => {}
                    },
                }
            }
        });
        let speaking = Arc::clone(lifecycle);
        lifecycle.spawn(async move {
            let mut stopping = speaking.stopping();
            let mut output = tokio::io::stdout();
            let mut message = Some(Message::Started { worker });
            // Its own time, however many wake-ups there are between.
            let mut beats = tokio::time::interval(HEARTBEAT);
            loop {
                if let Some(message) = &message
                    && write_message(&mut output, message).await.is_err()
                {
                    speaking.stop();
                    return;
                }
                message = tokio::select! {
                    () = stopping.wait() => return,
                    () = wakes.outgoing.notified() => Some(Message::Wake),
                    _ = beats.tick() => {
                        // A process whose tasks do not turn is not vouched for; silence gets it replaced.
                        let stuck = speaking.stuck();
                        if let Some(stuck) = stuck {
                            error!(task = stuck.task, ended = stuck.ended, "a task of the worker does not turn");
                        }
                        stuck.is_none().then(|| Message::Heartbeat { told: pulse.sheet().changes() })
                    }
                };
            }
        });
    }
}
