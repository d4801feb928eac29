//! One child: its process, what is in flight in it, and how it ends.
//!
//! A thread of its own lives exactly as long as the child: it starts it, reads its frames, watches it, ends it and says
//! how it ended to every turn that was in flight. Ending is always by `SIGKILL`: what runs there is pure and can be done
//! again, and a child that has to be ended cannot be asked.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use greenroom_lockdown::Layers;
use greenroom_model::Digest;
use greenroom_processing::TenantPipeline;
use greenroom_sandbox::{Scope, SealedCode};
use greenroom_sandbox_child::{
    Frame, FrameError, FrameReader, Header, Hello, Kind, Load, Note, Refused, TellPipeline, decode,
    encode, now_ms, read_notes,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::death::{Death, Reason, is_noted, last_words};
use super::known::{Known, Loaded};
use super::mailbox::{Letter, Mailbox};
use super::spawn::{self, Started};
use crate::supervisor::{Pulse, SandboxEnd};

/// How often a child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A child that lived this long is replaced before it is missed; others when something is to run, so that children that
/// keep dying by themselves cost nothing while there is nothing to do.
const LIVED: Duration = Duration::from_millis(200);
/// Silence after which a child is taken for dead; its listening thread answers within microseconds.
const SILENCE: Duration = Duration::from_secs(10);
/// What a call may take beyond its limit of wall clock before its child is taken for hung, in milliseconds. The engine
/// looks at the limit every few milliseconds, so a call that is not over by then is not in the engine's hands.
const GRACE_MS: u64 = 5_000;
/// Longest that a turn may be in a child, waiting included. Notes are the child's word and could be forged; this is ours.
const LONGEST_TURN: Duration = Duration::from_secs(3600);

/// What a turn is answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// By a frame: `Step`, `Described`, `Missing` or `Failed`.
    Frame(Kind, Vec<u8>),
    /// By the child's death.
    Died(Death),
    /// By a child that could not be started.
    NotStarted(String),
}

/// A child.
#[derive(Debug)]
pub(super) struct Process {
    threads: usize,
    alone: bool,
    pulse: Pulse,
    mailbox: Mailbox,
    state: Mutex<State>,
    /// Called when it is gone.
    then: Mutex<Option<Then>>,
    /// Held while code is fetched and told, so that many turns of one tenant tell it once.
    pub(super) telling: tokio::sync::Mutex<()>,
}

/// What is done when a child is gone; see [`Process::start`].
struct Then(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

#[derive(Debug, Default)]
struct State {
    in_flight: HashMap<u64, InFlight>,
    known: Known,
    next_run: u64,
    greeted: bool,
    ended: bool,
    /// Nobody needs it any more.
    unwanted: bool,
    socket: Option<UnixStream>,
    pid: Option<u32>,
}

#[derive(Debug)]
struct InFlight {
    answer: oneshot::Sender<Reply>,
    since: Instant,
    announce: bool,
    announced: Option<Vec<u8>>,
}

impl Process {
    /// Starts a child on a thread of its own. That it could not be started is told to the turns that are sent to it.
    /// `then` is called when a child that had lived for a while is gone and was still needed.
    pub(super) fn start(
        program: OsString,
        threads: usize,
        alone: bool,
        pulse: Pulse,
        then: impl FnOnce() + Send + 'static,
    ) -> Arc<Process> {
        let process = Arc::new(Process {
            threads,
            alone,
            pulse,
            then: Mutex::new(Some(Then(Box::new(then)))),
            mailbox: Mailbox::default(),
            state: Mutex::default(),
            telling: tokio::sync::Mutex::default(),
        });
        let living = Arc::clone(&process);
        let started = std::thread::Builder::new()
            .name("sandbox-child".to_owned())
            .spawn(move || living.live(&program));
        if let Err(error) = started {
            let text = format!("start a thread for it: {error}");
            process.end(&Reason::new(SandboxEnd::NotStarted, text), &[], "");
        }
        process
    }

    /// Whether turns can be sent to it.
    pub(super) fn is_alive(&self) -> bool {
        !self.state().ended
    }

    /// Its process id, while it lives.
    pub(super) fn pid(&self) -> Option<u32> {
        self.state().pid
    }

    /// Turns that were sent to it and not answered.
    pub(super) fn turns(&self) -> usize {
        self.state().in_flight.len()
    }

    /// Whether it has said that it is locked down and reads.
    pub(super) fn has_greeted(&self) -> bool {
        self.state().greeted
    }

    /// Ends it: it is not needed any more.
    pub(super) fn dismiss(&self) {
        let mut state = self.state();
        state.unwanted = true;
        if let Some(socket) = &state.socket {
            // Its thread sees the end and does the rest; a socket that is gone is a child that is gone.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Sends a turn of a pipeline. None where the child has not been told the pipeline: see [`Process::tell`].
    pub(super) fn turn(
        &self,
        kind: Kind,
        pipeline: &Arc<TenantPipeline>,
        on_request: bool,
        body: &Bytes,
    ) -> Option<oneshot::Receiver<Reply>> {
        let mut state = self.state();
        // Under one lock with sending, so that the pipeline is not taken back between.
        let number = state.known.number_of(pipeline)?;
        Some(self.post(&mut state, kind, number, on_request, body))
    }

    /// Asks a revision that was told what it is.
    pub(super) fn describe(&self, body: &Bytes) -> oneshot::Receiver<Reply> {
        let mut state = self.state();
        self.post(&mut state, Kind::Describe, 0, true, body)
    }

    fn post(
        &self,
        state: &mut State,
        kind: Kind,
        pipeline: u64,
        on_request: bool,
        body: &Bytes,
    ) -> oneshot::Receiver<Reply> {
        let (answer, answered) = oneshot::channel();
        state.next_run += 1;
        let header = Header {
            on_request: on_request || self.alone,
            announce: self.alone,
            ..Header::new(kind, state.next_run, pipeline)
        };
        match header.to_bytes(body.len()) {
            _ if state.ended => {
                let _ = answer.send(Reply::Died(Death {
                    reason: "it ended".to_owned(),
                    noted: false,
                    announced: None,
                }));
            }
            Err(error) => {
                let _ = answer.send(Reply::NotStarted(error.to_string()));
            }
            Ok(bytes) => {
                let in_flight = InFlight {
                    answer,
                    since: Instant::now(),
                    announce: self.alone,
                    announced: None,
                };
                state.in_flight.insert(header.run, in_flight);
                self.mailbox.post(Letter::Turn(bytes, body.clone()));
            }
        }
        answered
    }

    /// Whether code was told.
    pub(super) fn has(&self, loaded: &Loaded) -> bool {
        self.state().known.has(loaded)
    }

    /// Tells code.
    pub(super) fn load(&self, scope: Scope, code: &Arc<SealedCode>) -> Result<(), FrameError> {
        let load = Load {
            scope,
            revision: code.revision(),
            bytes: code.bytes(),
        };
        let frame = encode(Header::new(Kind::Load, 0, 0), &load)?;
        let mut state = self.state();
        state.known.load((scope, load.revision));
        self.mailbox.post(Letter::Code(frame, Arc::clone(code)));
        Ok(())
    }

    /// Tells a pipeline whose code was told.
    pub(super) fn tell(&self, pipeline: &Arc<TenantPipeline>) -> Result<(), FrameError> {
        let told = TellPipeline {
            tenant: pipeline.tenant,
            pipeline: std::borrow::Cow::Borrowed(&pipeline.pipeline),
        };
        let mut state = self.state();
        let (number, gone) = state.known.add(pipeline);
        let frame = encode(Header::new(Kind::Pipeline, 0, number), &told)?;
        self.mailbox.post(Letter::Frame(frame));
        gone.map_or(Ok(()), |gone| self.forget(gone))
    }

    fn forget(&self, pipeline: u64) -> Result<(), FrameError> {
        let frame = encode(Header::new(Kind::Forget, 0, pipeline), &())?;
        self.mailbox.post(Letter::Frame(frame));
        Ok(())
    }

    /// The child misses code it was told once; it has to be told again. Answers why, if its engine did not take it.
    pub(super) fn miss(
        &self,
        revision: &Digest,
        scopes: [Scope; 2],
    ) -> Result<Option<String>, FrameError> {
        let mut state = self.state();
        for gone in state.known.miss(revision) {
            self.forget(gone)?;
        }
        Ok(scopes
            .into_iter()
            .find_map(|scope| state.known.refusal(&(scope, *revision))))
    }

    /// The life of the child, on its own thread.
    fn live(&self, program: &OsStr) {
        let began = Instant::now();
        let started = spawn::start(program, self.threads, self.alone)
            .and_then(|started| Ok((started.socket.try_clone()?, started)));
        let (socket, started) = match started {
            Ok(started) => started,
            Err(error) => {
                let text = format!("start it: {error}");
                return self.end(&Reason::new(SandboxEnd::NotStarted, text), &[], "");
            }
        };
        let Started {
            mut child,
            socket: writing,
            notes,
            last_words: words,
        } = started;
        self.state().pid = Some(child.id());
        let reason = match self.open(&socket) {
            Err(error) => Some(Reason::new(
                SandboxEnd::NotStarted,
                format!("set up its socket: {error}"),
            )),
            Ok(()) => std::thread::scope(|scope| {
                // Writing ends when the mailbox is closed or the socket is shut.
                scope.spawn(|| self.mailbox.deliver(&writing));
                let reason = self.read(&socket, &notes, child.id());
                self.mailbox.close();
                let _ = socket.shutdown(Shutdown::Both);
                reason
            }),
        };
        // It may be gone already, which is no error of ours.
        let _ = child.kill();
        let status = child.wait();
        let reason = reason.unwrap_or_else(|| Reason::of_exit(status));
        let notes = read_notes(&notes, self.threads);
        self.end(&reason, &notes, &last_words(words));
        let needed = self.has_greeted() && !self.state().unwanted && began.elapsed() >= LIVED;
        let then = self
            .then
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (true, Some(then)) = (needed, then) {
            (then.0)();
        }
    }

    fn open(&self, socket: &UnixStream) -> std::io::Result<()> {
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let mut state = self.state();
        state.socket = Some(socket.try_clone()?);
        if state.unwanted {
            socket.shutdown(Shutdown::Both)?;
        }
        Ok(())
    }

    /// Reads until the child is gone or has to go; answers why it has to, nothing if it went by itself.
    fn read(&self, socket: &UnixStream, notes: &OwnedFd, pid: u32) -> Option<Reason> {
        let hostile = |text: String| Some(Reason::new(SandboxEnd::Hostile, text));
        let hung = |text: String| Some(Reason::new(SandboxEnd::Hung, text));
        let mut frames = FrameReader::new(socket);
        let (mut heard, mut looked) = (Instant::now(), Instant::now());
        let mut unanswered = false;
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => {
                    heard = Instant::now();
                    unanswered &= frame.header.kind != Kind::Pong;
                    if let Err(reason) = self.take(frame, pid) {
                        return hostile(reason);
                    }
                }
                Ok(None) | Err(FrameError::Cut) => return None,
                Err(FrameError::Read(error)) if is_timeout(&error) => {}
                Err(FrameError::Read(_)) => return None,
                Err(error) => return hostile(format!("it broke the protocol: {error}")),
            }
            if looked.elapsed() < LOOK_EVERY {
                continue;
            }
            looked = Instant::now();
            if heard.elapsed() >= SILENCE {
                return hung(format!("it was silent for {} s", SILENCE.as_secs()));
            }
            if let Some(reason) = self.hung(&read_notes(notes, self.threads)) {
                return hung(reason);
            }
            if !std::mem::replace(&mut unanswered, true)
                && let Ok(ping) = encode(Header::new(Kind::Ping, 0, 0), &())
            {
                self.mailbox.post(Letter::Frame(ping));
            }
        }
    }

    /// Why the child is taken for hung, if it is.
    fn hung(&self, notes: &[Note]) -> Option<String> {
        let now = now_ms();
        if let Some(note) = notes.iter().find(|note| note.is_overdue(now, GRACE_MS)) {
            return Some(format!(
                "a call of `{}` was not over {} s after its limit",
                note.revision,
                GRACE_MS / 1000
            ));
        }
        let long = |one: &InFlight| one.since.elapsed() > LONGEST_TURN;
        self.state()
            .in_flight
            .values()
            .any(long)
            .then(|| format!("a turn took longer than {} s", LONGEST_TURN.as_secs()))
    }

    /// Takes a frame; an error is a reason to end the child.
    fn take(&self, frame: Frame, pid: u32) -> Result<(), String> {
        let Frame { header, body } = frame;
        let mut state = self.state();
        if header.kind == Kind::Hello && !state.greeted {
            state.greeted = true;
            return greeting(&body, self.threads, pid, self.alone);
        }
        if !state.greeted {
            return Err("it spoke before it had greeted".to_owned());
        }
        match header.kind {
            Kind::Step | Kind::Described | Kind::Missing | Kind::Failed => {
                let in_flight = state
                    .in_flight
                    .remove(&header.run)
                    .ok_or("it answered a turn that it was not given")?;
                // Nobody waits any more where the run was cancelled.
                let _ = in_flight.answer.send(Reply::Frame(header.kind, body));
                Ok(())
            }
            Kind::Announce => match state.in_flight.get_mut(&header.run) {
                Some(in_flight) if in_flight.announce => {
                    in_flight.announced = Some(body);
                    Ok(())
                }
                _ => Err("it announced a call that nobody asked about".to_owned()),
            },
            Kind::Refused => {
                let refused: Refused = decode(&body).map_err(|error| error.to_string())?;
                let reason: String = refused.reason.chars().take(1024).collect();
                warn!(sandbox.pid = pid, processor.digest = %refused.revision, reason, "compiled code is not taken");
                state
                    .known
                    .refuse((refused.scope, refused.revision), reason);
                Ok(())
            }
            Kind::Pong => Ok(()),
            kind => Err(format!("it sent a frame of kind {kind:?}")),
        }
    }

    /// Says how it ended to every turn that was in flight.
    fn end(&self, reason: &Reason, notes: &[Note], words: &str) {
        self.mailbox.close();
        let Reason { end, text: reason } = reason;
        let (in_flight, greeted, unwanted) = {
            let mut state = self.state();
            state.ended = true;
            state.socket = None;
            state.pid = None;
            let in_flight = std::mem::take(&mut state.in_flight);
            (in_flight, state.greeted, state.unwanted)
        };
        if !unwanted {
            let end = match greeted {
                true => *end,
                false => SandboxEnd::NotStarted,
            };
            self.pulse.sandbox_ended(end);
            warn!(
                end = end.as_str(),
                reason,
                last_words = words,
                alone = self.alone,
                in_flight = in_flight.len(),
                in_calls = notes.len(),
                "a sandbox child is gone and is replaced"
            );
        }
        for (run, one) in in_flight {
            let reply = if greeted {
                Reply::Died(Death {
                    reason: reason.clone(),
                    noted: is_noted(notes, run),
                    announced: one.announced,
                })
            } else {
                Reply::NotStarted(format!("{reason} {words}").trim().to_owned())
            };
            let _ = one.answer.send(reply);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

/// Judges the first frame, and says once in the life of the worker what its children are behind.
fn greeting(body: &[u8], threads: usize, pid: u32, alone: bool) -> Result<(), String> {
    static SAID: OnceLock<()> = OnceLock::new();
    let hello: Hello = decode(body).map_err(|error| error.to_string())?;
    if hello.protocol != Hello::PROTOCOL || hello.engine != Hello::engine() {
        return Err("it is of another version".to_owned());
    }
    let layers = Layers::from_bits(hello.layers);
    if !layers.seccomp || usize::try_from(hello.threads) != Ok(threads) {
        return Err("it is not what was started".to_owned());
    }
    if SAID.set(()).is_ok() {
        info!(layers = %layers, threads, "guests run in sandbox children");
    }
    tracing::debug!(sandbox.pid = pid, alone, "a sandbox child is ready");
    Ok(())
}
