//! One call as a file: what a fault is kept and downloaded as, and what a replay starts from.
//!
//! Self-contained: the request with its documents, the limits as they were left for that round of the stage, the seed of
//! the randomness, and what came of it. With the component of the same digest the call can be made again anywhere, and
//! a deterministic fault is then the same fault at the same fuel. Not in it: the component, a credential, a tenant.
//!
//! A file may come from anybody (l05). Reading one bounds its size before it is parsed and its depth while it is; what
//! it says about itself is checked as far as it can be, and nothing of it is believed to be fit for a terminal.

use greenroom_model::{Digest, ProcessorName};
use serde::{Deserialize, Serialize};

use crate::{
    CONFIG_REVISION, CallLimits, CallReport, GuestFault, ReadOutcome, StageCall, WASMTIME_VERSION,
};

/// The name and version of the format, first in every file.
pub const RECORDED_CALL_FORMAT: &str = "greenroom-call/1";

/// Largest file that is read, in bytes: 16 MiB of documents are 22 MiB as base64 text, and an entity of 4 MiB may
/// double when its quotes are escaped.
pub const RECORDED_CALL_BYTES: usize = 64 * 1024 * 1024;

/// A call with everything needed to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordedCall {
    format: Format,
    /// Whose call.
    pub processor: ProcessorName,
    /// The digest of the component that was called.
    pub revision: Digest,
    /// The engine that made it, as [`engine_name`] gives it. Another engine may count fuel differently.
    pub engine: String,
    /// What the call could use: what its stage had left in that round.
    pub limits: CallLimits,
    /// All its randomness.
    #[serde(with = "hex_seed")]
    pub seed: [u8; 32],
    /// The request.
    pub call: StageCall,
    /// Whether the documents are in the request, or only their digests; then the call cannot be made again as it was.
    #[serde(default)]
    pub documents: KeptDocuments,
    /// How it failed; none for a call that answered.
    #[serde(default)]
    pub fault: Option<GuestFault>,
    /// What it cost.
    #[serde(default)]
    pub report: CallReport,
}

/// What a recorded call keeps of the documents that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptDocuments {
    /// Their bytes.
    #[default]
    Whole,
    /// Their digests alone; the bodies are empty (l04).
    Digests,
}

/// The one value of `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "greenroom-call/1")]
    V1,
}

/// A file that is not a recorded call.
#[derive(Debug, thiserror::Error)]
pub enum RecordedCallError {
    /// Too large to be one.
    #[error(
        "the recorded call has {bytes} bytes; at most {RECORDED_CALL_BYTES} are read, record it with smaller documents"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Of another format, or none.
    #[error(
        "the file is not a recorded call of the format `{RECORDED_CALL_FORMAT}`; download one from `…/faults/{{id}}/request`"
    )]
    Format,
    /// Broken.
    #[error("the recorded call cannot be read: {0}")]
    Damaged(#[source] serde_json::Error),
}

/// This build's engine, as recorded calls name it: wasmtime's version and the number of our configuration of it.
#[must_use]
pub fn engine_name() -> String {
    format!("{WASMTIME_VERSION}+{CONFIG_REVISION}")
}

impl RecordedCall {
    /// Records a call made by this build's engine.
    #[must_use]
    pub fn new(
        processor: ProcessorName,
        revision: Digest,
        limits: CallLimits,
        seed: [u8; 32],
        call: StageCall,
    ) -> RecordedCall {
        RecordedCall {
            format: Format::V1,
            processor,
            revision,
            engine: engine_name(),
            limits,
            seed,
            call,
            documents: KeptDocuments::Whole,
            fault: None,
            report: CallReport::default(),
        }
    }

    /// The same with what came of it.
    #[must_use]
    pub fn ended(mut self, fault: Option<GuestFault>, report: CallReport) -> RecordedCall {
        self.fault = fault;
        self.report = report;
        self
    }

    /// The same without the documents' bytes.
    #[must_use]
    pub fn without_documents(mut self) -> RecordedCall {
        self.documents = KeptDocuments::Digests;
        let request = match &mut self.call {
            StageCall::PreProcess(request)
            | StageCall::ValidateKind(request)
            | StageCall::PostProcess(request) => request,
            StageCall::ReadLocation(call) => &mut call.request,
        };
        for read in &mut request.reads {
            if let ReadOutcome::Document { body, .. } = &mut read.outcome {
                *body = [].into();
            }
        }
        self
    }

    /// Reads a recorded call.
    ///
    /// # Errors
    /// [`RecordedCallError`] for anything that is not one.
    pub fn from_json(bytes: &[u8]) -> Result<RecordedCall, RecordedCallError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        if bytes.len() > RECORDED_CALL_BYTES {
            return Err(RecordedCallError::TooLarge { bytes: bytes.len() });
        }
        // Depth is bounded by the parser's own limit of 128.
        match serde_json::from_slice::<Head>(bytes) {
            Ok(head) if head.format == RECORDED_CALL_FORMAT => {
                serde_json::from_slice(bytes).map_err(RecordedCallError::Damaged)
            }
            Err(error) if error.is_syntax() || error.is_eof() => {
                Err(RecordedCallError::Damaged(error))
            }
            Ok(_) | Err(_) => Err(RecordedCallError::Format),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for a value made by [`RecordedCall::new`] or read from a file.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

mod hex_seed {
    //! The seed as 64 hex digits.

    use greenroom_model::Digest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        seed: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Digest::from_bytes(*seed).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        Digest::deserialize(deserializer).map(|seed| *seed.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use greenroom_model::LocationRef;

    use crate::{FaultKind, GivenEntity, Read, Request, Want};

    fn recorded() -> RecordedCall {
        let location = LocationRef::new("url", "https://h.test/a.yaml");
        let call = StageCall::PostProcess(Request {
            entity: GivenEntity::parse(r#"{"kind":"Component","metadata":{"name":"a"}}"#).unwrap(),
            location: location.clone(),
            origin_location: location,
            config: "{}".into(),
            cache: None,
            reads: vec![Read {
                want: Want::Get("https://h.test/b".to_owned()),
                outcome: ReadOutcome::Document {
                    body: b"secret".as_slice().into(),
                    final_url: "https://h.test/b".to_owned(),
                    digest: Digest::of("secret"),
                },
            }],
            integrations: [].into(),
            now_ms: None,
        });
        let name = ProcessorName::parse("p").unwrap();
        RecordedCall::new(
            name,
            Digest::of("wasm"),
            CallLimits::default(),
            [7; 32],
            call,
        )
        .ended(
            Some(GuestFault::new(FaultKind::OutOfFuel, "out of fuel")),
            CallReport {
                fuel: 5,
                ..CallReport::default()
            },
        )
    }

    #[test]
    fn a_recorded_call_comes_back_and_names_its_format_and_engine() {
        let text = recorded().to_json().unwrap();
        assert!(text.starts_with(r#"{"format":"greenroom-call/1","processor":"p""#));
        assert!(text.contains(&format!(r#""seed":"{}""#, "07".repeat(32))));
        assert!(text.contains(r#""engine":"48."#));
        assert_eq!(
            RecordedCall::from_json(text.as_bytes()).unwrap(),
            recorded()
        );
    }

    #[test]
    fn l04_documents_may_be_left_out_and_their_digests_stay() {
        let call = recorded().without_documents();
        let text = call.to_json().unwrap();
        let body = "c2VjcmV0"; // base64 of the document
        assert!(recorded().to_json().unwrap().contains(body) && !text.contains(body));
        assert!(text.contains(&Digest::of("secret").to_string()));
        let read = RecordedCall::from_json(text.as_bytes()).unwrap();
        assert_eq!(read.documents, KeptDocuments::Digests);
    }

    #[test]
    fn l05_hostile_files_are_refused_with_a_reason() {
        let text = recorded().to_json().unwrap();
        let deep = format!(
            r#"{{"format":"greenroom-call/1","call":{}"#,
            "[".repeat(100_000)
        );
        for damaged in [
            "",
            "{",
            "\u{feff}{}",
            &deep,
            &text[..text.len() - 1],
            &text.replace("\"seed\":\"07", "\"seed\":\"x7"),
            &text.replace("\"report\":{", "\"extra\":1,\"report\":{"),
            &text
                .replace("post-process", "describe")
                .replace("postProcess", "describe"),
            &format!("{text} x"),
        ] {
            let error = RecordedCall::from_json(damaged.as_bytes()).unwrap_err();
            assert!(
                matches!(error, RecordedCallError::Damaged(_)),
                "{damaged:.80}: {error}"
            );
        }
        for other in [
            "{}",
            "[]",
            "1",
            r#"{"format":"greenroom-call/2"}"#,
            r#"{"format":1}"#,
        ] {
            let error = RecordedCall::from_json(other.as_bytes()).unwrap_err();
            assert!(matches!(error, RecordedCallError::Format), "{other}");
        }
        let large = vec![b' '; RECORDED_CALL_BYTES + 1];
        let error = RecordedCall::from_json(&large).unwrap_err();
        assert!(matches!(error, RecordedCallError::TooLarge { .. }));
    }
}
