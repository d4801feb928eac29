//! The life of a child: lock down, greet, sort frames until the worker is gone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use greenroom_lockdown::{Inmate, LockdownError, enclose};
use greenroom_model::TenantId;
use greenroom_sandbox::{Artifact, Sandbox, SandboxError, SandboxOptions};

use crate::frame::{Frame, FrameError, FrameReader, Header, Kind};
use crate::guests::{Guests, Told, Turn};
use crate::inbox::Inbox;
use crate::message::{DescribeRevision, Hello, Load, Refused, TellPipeline, decode, encode};
use crate::outbox::Outbox;

/// Why a child ended before its worker did.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be locked down, so it read nothing.
    #[error(transparent)]
    Lockdown(#[from] LockdownError),
    /// It was not started by a worker.
    #[error("take the socket and the notes of the worker, which alone starts this: {0}")]
    Descriptors(io::Error),
    /// The engine could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The guest threads could not be started.
    #[error("start the guest threads: {0}")]
    Threads(io::Error),
    /// The worker said what no worker says.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The worker broke the order of frames.
    #[error("a frame of kind {0:?} makes no sense here")]
    OutOfOrder(Kind),
}

/// Runs a child until its worker is gone. Standard input is the socket, standard output the notes.
///
/// # Errors
/// [`ChildError`]; the process should then end with a failure.
pub fn run(threads: u32) -> Result<(), ChildError> {
    let enclosed = enclose(Inmate::Guests)?;
    let threads = threads.max(2);
    let socket = own(io::stdin())?;
    let notes = own(io::stdout())?;
    let outbox = Arc::new(Outbox::new(own(io::stdin())?));
    let sandbox = Sandbox::new(SandboxOptions {
        concurrent_calls: threads,
        ..SandboxOptions::default()
    })?;
    let guests = Guests::start(
        usize::try_from(threads).unwrap_or(usize::MAX),
        Arc::clone(&sandbox),
        notes,
        Arc::clone(&outbox),
    )
    .map_err(ChildError::Threads)?;
    let layers = enclosed.seal()?;
    let hello = Hello {
        protocol: Hello::PROTOCOL,
        engine: Hello::engine(),
        layers: layers.to_bits(),
        threads,
    };
    outbox.send(&encode(Header::new(Kind::Hello, 0, 0), &hello)?);
    let mut child = Child {
        pipelines: HashMap::new(),
        sandbox,
        guests,
        outbox,
    };
    let mut frames = FrameReader::new(Inbox::new(socket));
    while let Some(frame) = frames.next_frame()? {
        child.take(frame, &mut frames)?;
    }
    Ok(())
}

/// A descriptor of our own for a standard stream.
fn own(stream: impl std::os::fd::AsFd) -> Result<OwnedFd, ChildError> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map_err(ChildError::Descriptors)
}

struct Child {
    /// What the worker has told and not taken back; it bounds their number.
    pipelines: HashMap<u64, Arc<Told>>,
    sandbox: Arc<Sandbox>,
    guests: Guests,
    outbox: Arc<Outbox>,
}

impl Child {
    fn take(&mut self, frame: Frame, frames: &mut FrameReader<Inbox>) -> Result<(), ChildError> {
        let Frame { header, body } = frame;
        match header.kind {
            Kind::Ping => {
                let pong = encode(Header::new(Kind::Pong, header.run, 0), &())?;
                self.outbox.send(&pong);
            }
            Kind::Load => {
                let load: Load = decode(&body)?;
                let memory = frames.source().take();
                let memory = memory.ok_or(ChildError::OutOfOrder(Kind::Load))?;
                self.load(&load, memory.as_fd())?;
            }
            Kind::Pipeline => {
                let TellPipeline { tenant, pipeline } = decode(&body)?;
                let told = Told {
                    tenant,
                    pipeline: pipeline.into_owned(),
                };
                self.pipelines.insert(header.pipeline, Arc::new(told));
            }
            Kind::Forget => {
                self.pipelines.remove(&header.pipeline);
            }
            Kind::Start | Kind::Resume => {
                let told = self.pipelines.get(&header.pipeline).map(Arc::clone);
                let told = told.ok_or(ChildError::OutOfOrder(header.kind))?;
                let turn = Turn {
                    header,
                    body,
                    pipeline: Some(Arc::clone(&told)),
                };
                self.guests.queue(told.tenant, turn);
            }
            Kind::Describe => {
                let asked: DescribeRevision = decode(&body)?;
                let turn = Turn {
                    header,
                    body,
                    pipeline: None,
                };
                self.guests.queue(asked.scope.unwrap_or(TenantId(0)), turn);
            }
            from_child => return Err(ChildError::OutOfOrder(from_child)),
        }
        Ok(())
    }

    fn load(&self, load: &Load, memory: BorrowedFd<'_>) -> Result<(), FrameError> {
        let loaded = Artifact::received(load.revision, memory, load.bytes)
            .map_err(|error| error.to_string())
            .and_then(|artifact| {
                self.sandbox
                    .load(load.scope, &artifact)
                    .map_err(|error| error.to_string())
            });
        if let Err(reason) = loaded {
            let refused = Refused {
                scope: load.scope,
                revision: load.revision,
                reason,
            };
            self.outbox
                .send(&encode(Header::new(Kind::Refused, 0, 0), &refused)?);
        }
        Ok(())
    }
}
