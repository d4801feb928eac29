//! One process of a host, started again whenever it ends, as an operator's supervisor does.
//!
//! A process that is killed has done nothing wrong. One that ends by itself has, unless it was started without room to write: it
//! says so, and is started again.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use greenroom_test_support::{kill_group, kill_hard, stop_softly, wait_until};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::offences::Offences;

/// Pause before it is started again.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause between two looks whether it lives.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it may take to stop when asked: three times what it promises, for a machine that is busy elsewhere.
const STOP_BOUND: Duration = Duration::from_secs(30);

/// A process and whoever starts it again. Ends with the value.
pub(crate) struct Process {
    pid: Arc<AtomicU32>,
    /// It was asked to end, and is to be started again.
    renewing: Arc<AtomicBool>,
    stopping: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

/// Kills a process that still runs, and its group, when it is let go. What one leaves that has ended is the product's affair.
struct Leash {
    child: Child,
    ended: bool,
}

impl Drop for Leash {
    fn drop(&mut self) {
        if !self.ended {
            kill_group(self.child.id());
            // Reaped, if it could be killed.
            let _ = self.child.wait();
        }
    }
}

impl Process {
    /// Starts what `command` describes, and again whenever it has ended.
    pub(crate) fn keep(
        name: String,
        command: impl Fn() -> Command + Send + 'static,
        has_room: Arc<AtomicBool>,
        offences: Arc<Offences>,
    ) -> Self {
        let pid = Arc::new(AtomicU32::new(0));
        let renewing = Arc::new(AtomicBool::new(false));
        let stopping = watch::Sender::new(false);
        let (told, stop) = (Arc::clone(&pid), stopping.subscribe());
        let asked = Arc::clone(&renewing);
        let keeper = tokio::spawn(async move {
            while !*stop.borrow() {
                let had_room = has_room.load(Ordering::SeqCst);
                let child = command().process_group(0).spawn();
                let mut leash = Leash {
                    child: child.expect("start a process"),
                    ended: false,
                };
                told.store(leash.child.id(), Ordering::SeqCst);
                let status = ended(&mut leash.child).await;
                leash.ended = true;
                if *stop.borrow() {
                    if !status.success() {
                        offences.add(format!("{name}: asked to stop, it ended with {status}"));
                    }
                    return;
                }
                let renewed = asked.swap(false, Ordering::SeqCst) && status.success();
                let refused = status.code() == Some(1) && !had_room;
                if refused {
                    offences.count("starts without room");
                } else if status.signal() != Some(9) && !renewed {
                    offences.add(format!("{name}: ended by itself with {status}"));
                }
                offences.count("processes started again");
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self {
            pid,
            renewing,
            stopping,
            keeper,
        }
    }

    /// Its pid now.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Asks it to stop, and waits until it is there again.
    pub(crate) async fn renew(&self) {
        let before = self.pid();
        self.renewing.store(true, Ordering::SeqCst);
        stop_softly(before);
        wait_until("a process is started again", STOP_BOUND, async || {
            (self.pid() != before).then_some(())
        })
        .await;
    }

    /// `kill -9`; it is started again.
    pub(crate) fn kill(&self) {
        kill_hard(self.pid());
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        self.stopping.send_replace(true);
        stop_softly(self.pid());
        let ended = tokio::time::timeout(STOP_BOUND, &mut self.keeper).await;
        ended.map(|_| ()).map_err(|_| {
            let pid = self.pid();
            format!("process {pid} does not stop within {STOP_BOUND:?}")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn ended(child: &mut Child) -> ExitStatus {
    loop {
        if let Some(status) = child.try_wait().expect("look at a process") {
            return status;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
