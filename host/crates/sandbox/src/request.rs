//! What a call is made with: plain data, everything the guest will ever know (DESIGN §3.1).
//!
//! The texts that are the same for every call of a run are shared, so that a request is cheap to
//! build per processor. All of it can cross a process boundary and be kept with a fault, to be
//! replayed.

use std::sync::Arc;

use greenroom_model::{Digest, LocationRef, Presence, Stage};
use serde::{Deserialize, Serialize};

use crate::GivenEntity;

/// What every stage is called with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The entity.
    pub entity: GivenEntity,
    /// Where the entity was read.
    pub location: LocationRef,
    /// What started the chain that led here.
    pub origin_location: LocationRef,
    /// The processor's configuration as JSON text, `{}` if none.
    pub config: Arc<str>,
    /// What the processor asked to keep after the entity's last good run.
    #[serde(default)]
    pub cache: Option<String>,
    /// Documents wanted so far in this stage, in the order they were first wanted.
    #[serde(default)]
    pub reads: Vec<Read>,
    /// The tenant's source-code hosts.
    #[serde(default)]
    pub integrations: Arc<[Integration]>,
    /// Milliseconds since the Unix epoch cut to the declared grain; none without that declaration.
    #[serde(default)]
    pub now_ms: Option<u64>,
}

/// What read-location is called with: one target of a Location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocationRequest {
    /// The Location entity and the rest.
    pub request: Request,
    /// The target, absolute where it could be made so.
    pub target: LocationRef,
    /// Whether it must exist.
    pub presence: Presence,
    /// What the previous step returned as carry; none in the first.
    #[serde(default)]
    pub carry: Option<String>,
}

/// A source-code host, without its credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Integration {
    /// `github`, `gitlab` and so on, as in app-config.
    pub r#type: String,
    /// Host name, with a port if it is not the default one.
    pub host: String,
}

/// Something a processor asks the host to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Want {
    /// The bytes at this URL.
    Get(String),
    /// The URLs that match this pattern.
    List(String),
}

/// A want and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// What was asked.
    pub want: Want,
    /// What came back.
    pub outcome: ReadOutcome,
}

/// What reading one want gave. A source that cannot answer now never gets here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReadOutcome {
    /// The bytes.
    Document {
        /// All of them; base64 text in JSON.
        #[serde(with = "document_bytes")]
        body: Arc<[u8]>,
        /// Where they were found after redirects.
        final_url: String,
        /// Their digest.
        digest: Digest,
    },
    /// The matches, sorted.
    Listing(Vec<String>),
    /// The source says there is nothing there.
    NotFound,
    /// The grant, an address rule or the source refuses, and why.
    Refused(String),
}

/// One call: a stage and its request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StageCall {
    /// Before the policies.
    PreProcess(Request),
    /// Is this kind the processor's, and valid?
    ValidateKind(Request),
    /// Read one target of a Location.
    ReadLocation(LocationRequest),
    /// After validation.
    PostProcess(Request),
}

impl StageCall {
    /// The stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            StageCall::PreProcess(_) => Stage::PreProcess,
            StageCall::ValidateKind(_) => Stage::ValidateKind,
            StageCall::ReadLocation(_) => Stage::ReadLocation,
            StageCall::PostProcess(_) => Stage::PostProcess,
        }
    }

    /// The request common to all stages.
    #[must_use]
    pub fn request(&self) -> &Request {
        match self {
            StageCall::PreProcess(request)
            | StageCall::ValidateKind(request)
            | StageCall::PostProcess(request) => request,
            StageCall::ReadLocation(call) => &call.request,
        }
    }
}

mod document_bytes {
    //! Bytes as bytes where the format has them, as between worker and sandbox; as base64 text in JSON, a third longer
    //! instead of four times as a list of numbers.

    use std::fmt;
    use std::sync::Arc;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<[u8]>, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text)
        } else {
            deserializer.deserialize_bytes(Bytes)
        }
    }

    struct Text;

    impl Visitor<'_> for Text {
        type Value = Arc<[u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64 text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            STANDARD.decode(text).map(Into::into).map_err(E::custom)
        }
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Arc<[u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(bytes.into())
        }
    }
}
