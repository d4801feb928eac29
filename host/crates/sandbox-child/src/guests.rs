//! The threads that guests run on, and what one turn of a run is.
//!
//! All calls of a turn are made on one thread, which belongs to guests and to nothing else. Bodies are read and written
//! here, so that the thread that listens only sorts frames.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};

use greenroom_model::{Digest, TenantId};
use greenroom_orchestrator::{Pipeline, Step, resume, start};
use greenroom_sandbox::{
    CallLimits, CallProcessor, Called, Sandbox, SandboxError, ScopedSandbox, StageAnswer, StageCall,
};

use crate::frame::{FrameError, Header, Kind};
use crate::message::{Announced, DescribeRevision, ResumeRun, StartRun, decode, encode};
use crate::note::{Note, clear_note, now_ms, write_note};
use crate::outbox::Outbox;
use crate::thread_queue::{Queued, ThreadQueue};

/// Stack of a guest thread: 2 MiB for a call, and as much for reading deeply nested bodies in a build without optimisation.
const STACK_BYTES: usize = 4 << 20;

/// The thread that the queue keeps, which has work rarely and then at once. The others are lower in priority than it, than
/// the worker and than the API, so that guests that burn all of their fuel cost nobody else more than what cores are left.
const KEPT: usize = 0;

/// A pipeline the worker has told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) tenant: TenantId,
    pub(crate) pipeline: Pipeline,
}

/// A turn that waits for a thread.
pub(crate) struct Turn {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    /// None for `Describe`.
    pub(crate) pipeline: Option<Arc<Told>>,
}

/// What threads share.
struct Shared {
    queue: ThreadQueue<Turn>,
    sandbox: Arc<Sandbox>,
    notes: OwnedFd,
    outbox: Arc<Outbox>,
}

/// The threads.
pub(crate) struct Guests {
    shared: Arc<Shared>,
}

/// Why a turn gave nothing.
enum TurnError {
    Sandbox(SandboxError),
    Frame(FrameError),
}

impl From<SandboxError> for TurnError {
    fn from(error: SandboxError) -> TurnError {
        TurnError::Sandbox(error)
    }
}

impl From<FrameError> for TurnError {
    fn from(error: FrameError) -> TurnError {
        TurnError::Frame(error)
    }
}

impl Guests {
    /// Starts `count` threads, at least two, and returns when each of them runs.
    pub(crate) fn start(
        count: usize,
        sandbox: Arc<Sandbox>,
        notes: OwnedFd,
        outbox: Arc<Outbox>,
    ) -> io::Result<Guests> {
        let shared = Arc::new(Shared {
            queue: ThreadQueue::new(count),
            sandbox,
            notes,
            outbox,
        });
        let started = Arc::new(Barrier::new(count + 1));
        for thread in 0..count {
            let (shared, started) = (Arc::clone(&shared), Arc::clone(&started));
            std::thread::Builder::new()
                .name(format!("guest-{thread}"))
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    if thread != KEPT {
                        greenroom_lockdown::give_way();
                    }
                    started.wait();
                    work(&shared, thread);
                })?;
        }
        started.wait();
        Ok(Guests { shared })
    }

    /// Queues a turn.
    pub(crate) fn queue(&self, tenant: TenantId, turn: Turn) {
        self.shared.queue.push(Queued {
            tenant,
            on_request: turn.header.on_request,
            work: turn,
        });
    }
}

/// Takes turns.
///
/// The answer of a turn is written when there is no next one, or before that one makes a call: answers that follow each
/// other closely leave together, and none waits for a guest.
fn work(shared: &Shared, thread: usize) -> ! {
    let kept = thread == KEPT;
    loop {
        let next = shared.queue.try_pop(kept);
        let (tenant, turn) = next.unwrap_or_else(|| {
            shared.outbox.flush();
            shared.queue.pop(kept)
        });
        let run = turn.header.run;
        write_note(&shared.notes, thread, Note::between_calls(run));
        // A panic of ours outside a call, where the sandbox does not catch it: the run failed through us (c21).
        let answer = catch_unwind(AssertUnwindSafe(|| answer(shared, thread, &turn)))
            .unwrap_or_else(|_| failed(run, "the orchestrator panicked"));
        clear_note(&shared.notes, thread);
        shared.queue.done(tenant);
        shared.outbox.keep(&answer);
    }
}

/// The frame that answers a turn.
fn answer(shared: &Shared, thread: usize, turn: &Turn) -> Vec<u8> {
    let run = turn.header.run;
    let answered = match (turn.header.kind, &turn.pipeline) {
        (Kind::Start | Kind::Resume, Some(told)) => step(shared, thread, turn, told)
            .and_then(|step| Ok(encode(Header::new(Kind::Step, run, 0), &step)?)),
        _ => describe(shared, thread, turn),
    };
    match answered {
        Ok(frame) => frame,
        Err(TurnError::Sandbox(SandboxError::NotLoaded(revision))) => {
            encode(Header::new(Kind::Missing, run, 0), &revision)
                .unwrap_or_else(|error| failed(run, &error.to_string()))
        }
        Err(TurnError::Sandbox(error)) => failed(run, &error.to_string()),
        Err(TurnError::Frame(error)) => failed(run, &error.to_string()),
    }
}

fn failed(run: u64, reason: &str) -> Vec<u8> {
    let header = Header::new(Kind::Failed, run, 0);
    // A short text always fits; an empty body is read as a failure without a reason.
    encode(header, &reason).unwrap_or_default()
}

/// One turn of a run.
fn step(shared: &Shared, thread: usize, turn: &Turn, told: &Told) -> Result<Step, TurnError> {
    let calls = NotedCalls {
        inner: shared.sandbox.for_scope(Some(told.tenant)),
        shared,
        thread,
        run: turn.header.run,
        announce: turn.header.announce,
    };
    Ok(if turn.header.kind == Kind::Start {
        let StartRun { job } = decode(&turn.body)?;
        start(job, &told.pipeline, &calls)?
    } else {
        let ResumeRun { state, reads } = decode(&turn.body)?;
        resume(*state, reads, &told.pipeline, &calls)?
    })
}

/// Asks a processor what it is.
fn describe(shared: &Shared, thread: usize, turn: &Turn) -> Result<Vec<u8>, TurnError> {
    let asked: DescribeRevision = decode(&turn.body)?;
    let loaded = shared
        .sandbox
        .loaded(asked.scope, &asked.revision)
        .ok_or(SandboxError::NotLoaded(asked.revision))?;
    note_call(
        shared,
        thread,
        turn.header.run,
        asked.revision,
        &asked.limits,
    );
    let called = shared.sandbox.describe(&loaded, &asked.limits)?;
    Ok(encode(
        Header::new(Kind::Described, turn.header.run, 0),
        &called,
    )?)
}

/// What comes before each call.
fn note_call(shared: &Shared, thread: usize, run: u64, revision: Digest, limits: &CallLimits) {
    shared.outbox.flush();
    let note = Note {
        run,
        began_ms: now_ms(),
        wall_ms: limits.wall_ms,
        revision,
    };
    write_note(&shared.notes, thread, note);
}

/// Calls that are noted before they are made, and announced where somebody has to know exactly.
struct NotedCalls<'a> {
    inner: ScopedSandbox,
    shared: &'a Shared,
    thread: usize,
    run: u64,
    announce: bool,
}

impl CallProcessor for NotedCalls<'_> {
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        limits: &CallLimits,
        seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError> {
        note_call(self.shared, self.thread, self.run, *revision, limits);
        if self.announce {
            let announced = Announced {
                revision: *revision,
                call: std::borrow::Cow::Borrowed(call),
                limits: *limits,
                seed,
            };
            // A request that does not fit into a frame is not announced; its death then names nobody.
            if let Ok(frame) = encode(Header::new(Kind::Announce, self.run, 0), &announced) {
                self.shared.outbox.send_now(&frame);
            }
        }
        let called = self.inner.call(revision, call, limits, seed);
        write_note(
            &self.shared.notes,
            self.thread,
            Note::between_calls(self.run),
        );
        called
    }
}
