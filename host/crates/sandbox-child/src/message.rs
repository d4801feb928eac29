//! The bodies of frames: MessagePack, which describes itself (entities are JSON values), carries documents as bytes, and is
//! bounded in depth when read.

use std::borrow::Cow;

use greenroom_model::{Digest, TenantId};
use greenroom_orchestrator::{Job, Pipeline, Read, Suspended};
use greenroom_sandbox::{CallLimits, StageCall};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{FRAME_MAX_BYTES, FrameError, HEADER_BYTES, Header};

/// Levels of nesting that are read: an entity has at most 128 of JSON, around which a message puts a few.
const DEPTH: usize = 192;

/// Of `Hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Number of this protocol; raised when a message changes.
    pub protocol: u32,
    /// Version and configuration of the engine.
    pub engine: String,
    /// The layers it is behind, as `greenroom_lockdown::Layers` tells them.
    pub layers: u8,
    /// Guest threads, each with a slot of notes.
    pub threads: u32,
}

impl Hello {
    /// Number of this protocol.
    pub const PROTOCOL: u32 = 1;

    /// The engine of this binary.
    #[must_use]
    pub fn engine() -> String {
        format!(
            "{}+{}",
            greenroom_sandbox::WASMTIME_VERSION,
            greenroom_sandbox::CONFIG_REVISION
        )
    }
}

/// Of `Load`; the code is in the memory file that comes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Whose; none for those we ship.
    pub scope: Option<TenantId>,
    /// Of which component.
    pub revision: Digest,
    /// Size of the code.
    pub bytes: u64,
}

/// Of `Refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whose.
    pub scope: Option<TenantId>,
    /// Of which component.
    pub revision: Digest,
    /// Why the engine does not take it.
    pub reason: String,
}

/// Of `Pipeline`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TellPipeline<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// What it is.
    pub pipeline: Cow<'a, Pipeline>,
}

/// Of `Start`.
#[derive(Debug, Serialize, Deserialize)]
pub struct StartRun {
    /// What it starts from.
    pub job: Job,
}

/// Of `Resume`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResumeRun {
    /// Where it stands.
    pub state: Box<Suspended>,
    /// What its wanted reads gave.
    pub reads: Vec<Read>,
}

/// Of `Describe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeRevision {
    /// Whose; none for those we ship.
    pub scope: Option<TenantId>,
    /// Which.
    pub revision: Digest,
    /// With which limits.
    pub limits: CallLimits,
}

/// Of `Announce`: the call that is about to be made, for whoever has to explain its death.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announced<'a> {
    /// The processor.
    pub revision: Digest,
    /// The request.
    pub call: Cow<'a, StageCall>,
    /// What it may use.
    pub limits: CallLimits,
    /// Its randomness.
    pub seed: [u8; 32],
}

/// A whole frame with a body.
///
/// # Errors
/// [`FrameError::TooLarge`], or [`FrameError::Malformed`] for what cannot be written.
pub fn encode(header: Header, body: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    body.serialize(&mut serializer)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    let start = header.to_bytes(bytes.len() - HEADER_BYTES)?;
    bytes[..HEADER_BYTES].copy_from_slice(&start);
    Ok(bytes)
}

/// A body alone, to be sent as often as its run has to be started anew.
///
/// # Errors
/// As [`encode`].
pub fn encoded(body: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    body.serialize(&mut serializer)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    if bytes.len() > FRAME_MAX_BYTES {
        return Err(FrameError::TooLarge(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Reads a body. Bounded: nesting by [`DEPTH`], memory by the body's own size times a small factor.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH);
    T::deserialize(&mut deserializer).map_err(|error| FrameError::Malformed(error.to_string()))
}
