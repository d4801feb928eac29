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
    pub const PROTOCOL: u32 = 2;

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

/// Reads a body. Bounded: nesting by `DEPTH`, memory by the body's own size times a small factor.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH);
    T::deserialize(&mut deserializer).map_err(|error| FrameError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use greenroom_orchestrator::{Job, Step};
    use greenroom_sandbox::{ReadOutcome, Want};
    use serde_json::{Value, json};

    use super::*;
    use crate::frame::{FrameReader, Kind};

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Null, |inner, level| match level % 2 {
            0 => json!([inner]),
            _ => json!({"in": inner}),
        })
    }

    #[test]
    fn entities_as_deep_as_they_may_be_cross_and_deeper_ones_do_not() {
        let cross = |levels| decode::<Value>(&encoded(&nested(levels)).unwrap());
        assert_eq!(cross(128).unwrap(), nested(128));
        // Lists in a list in a list, as no serializer of ours would write them.
        for levels in [1_000, 1_000_000] {
            let bytes = [vec![0x91; levels], vec![0xc0]].concat();
            assert!(matches!(
                decode::<Value>(&bytes),
                Err(FrameError::Malformed(_))
            ));
        }
    }

    #[test]
    fn values_are_the_same_on_the_other_side() {
        let value = json!({
            "z": 1.0, "a": [u64::MAX, i64::MIN, 0.1, -0.0, 1e300],
            "text": "\u{0} \u{10ffff} \"", "null": null, "yes": true, "empty": {},
        });
        let crossed: Value = decode(&encoded(&value).unwrap()).unwrap();
        assert_eq!(crossed.to_string(), value.to_string(), "order and numbers");
    }

    #[test]
    fn documents_cross_as_they_are() {
        let body: Arc<[u8]> = (0..=255).cycle().take(1 << 20).collect();
        let read = Read {
            want: Want::Get("https://example.com/a.yaml".to_owned()),
            outcome: ReadOutcome::Document {
                body: Arc::clone(&body),
                final_url: "https://example.com/a.yaml".to_owned(),
                digest: Digest::of(&body),
            },
        };
        let bytes = encoded(&vec![read.clone()]).unwrap();
        assert!(bytes.len() < body.len() + 1024, "as bytes, not as text");
        assert_eq!(decode::<Vec<Read>>(&bytes).unwrap(), [read]);
    }

    #[test]
    fn whatever_a_child_sends_is_an_error_or_a_value() {
        let job = Job {
            entity: "{}".to_owned(),
            caches: BTreeMap::new(),
            now_ms: 1,
            tenant_secret: [7; 32],
            observe: None,
        };
        let good = encode(Header::new(Kind::Start, 1, 1), &StartRun { job }).unwrap();
        // Every byte changed in turn, and every cut: as a stream of frames, and as each body a worker reads.
        for at in 0..good.len() {
            for byte in [0, 0x7f, 0x80, 0xc1, 0xdd, 0xdf, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let mut frames = FrameReader::new(bytes.as_slice());
                while let Ok(Some(frame)) = frames.next_frame() {
                    let _ = decode::<Step>(&frame.body);
                    let _ = decode::<StartRun>(&frame.body);
                    let _ = decode::<Hello>(&frame.body);
                    let _ = decode::<Announced<'static>>(&frame.body);
                }
            }
            let _ = decode::<StartRun>(&good[HEADER_BYTES.min(at)..at]);
        }
        // Lengths that are not there are not allocated.
        for hostile in [
            b"\xdd\xff\xff\xff\xff".as_slice(),
            b"\xdf\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
        ] {
            assert!(decode::<Value>(hostile).is_err());
            assert!(decode::<Step>(hostile).is_err());
        }
    }

    #[test]
    fn a_body_that_is_too_large_is_an_error_here_and_not_there() {
        let large = "x".repeat(FRAME_MAX_BYTES + 1);
        assert!(matches!(encoded(&large), Err(FrameError::TooLarge(_))));
    }
}
