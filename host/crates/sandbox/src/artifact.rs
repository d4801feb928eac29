//! Compiled code with what it was compiled from and for, authenticated.
//!
//! Compiled code is executed as it is: whoever can make an artifact owns the process that loads it. So
//! there are five ways to have an [`Artifact`], and no other: [`compile`](crate::compile()) made it in
//! this process; a compile child of ours answered it ([`Artifact::from_compiler`]); [`Artifact::open`]
//! checked its authentication code with the key from configuration; it was embedded in this binary by
//! the build ([`Artifact::embedded`]); or the process that started this one handed it over in sealed
//! memory ([`Artifact::received`]). Nothing that came in an upload ever takes one of
//! the last four.
//!
//! Layout: `GRNART1\n`, 32 bytes HMAC-SHA256 of all that follows, length of the metadata as 4 bytes
//! little-endian, metadata as JSON, code.

use std::borrow::Cow;

use greenroom_model::Digest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::engine::{CONFIG_REVISION, WASMTIME_VERSION};

const MAGIC: &[u8; 8] = b"GRNART1\n";
const MAC_BYTES: usize = 32;

/// The key of artifacts, from configuration. Held by compilers and by whoever loads.
#[derive(Clone)]
pub struct ArtifactKey([u8; 32]);

/// Compiled code of one revision.
#[derive(Clone, Debug)]
pub struct Artifact {
    meta: Meta,
    code: Cow<'static, [u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    wasm_digest: Digest,
    wasmtime: String,
    target: String,
    config: u32,
}

/// An artifact that will not be used. Compile the revision again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Not laid out as an artifact, or cut.
    #[error("it is not an artifact")]
    Malformed,
    /// The authentication code is wrong: another key, or changed bytes.
    #[error("its authentication code does not match")]
    NotAuthentic,
    /// Compiled from another component.
    #[error("it was compiled from `{0}`")]
    OtherRevision(Digest),
    /// Handed over in memory that its giver could still change.
    #[error("its memory is not sealed")]
    NotSealed,
    /// Its memory could not be read.
    #[error("its memory cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// Made for another engine.
    #[error("it was compiled for {0}, not for this engine")]
    OtherEngine(String),
}

impl ArtifactKey {
    /// A key of 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> ArtifactKey {
        ArtifactKey(bytes)
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length")
            .chain_update(bytes)
    }
}

impl std::fmt::Debug for ArtifactKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArtifactKey(..)")
    }
}

impl Artifact {
    /// Takes code that this process compiled.
    pub(crate) fn compiled(wasm_digest: Digest, code: Vec<u8>) -> Artifact {
        Artifact::with_code(wasm_digest, Cow::Owned(code))
    }

    /// Takes code whose origin the caller has made sure of.
    pub(crate) fn with_code(wasm_digest: Digest, code: Cow<'static, [u8]>) -> Artifact {
        Artifact {
            meta: Meta::of_this_engine(wasm_digest),
            code,
        }
    }

    /// Takes the bytes of [`Artifact::to_bytes`] that the build embedded in this binary.
    ///
    /// Not checked beyond its metadata: give it nothing but the build's own output.
    ///
    /// # Errors
    /// [`ArtifactError`] when the bytes are malformed or for another engine.
    pub fn embedded(bytes: &'static [u8]) -> Result<Artifact, ArtifactError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ArtifactError::Malformed)?;
        let rest = rest.get(MAC_BYTES..).ok_or(ArtifactError::Malformed)?;
        let (meta, code) = parse(rest)?;
        Ok(Artifact {
            meta,
            code: Cow::Borrowed(code),
        })
    }

    /// Takes what a compile child answered: the bytes of [`Artifact::to_bytes`], without authentication.
    ///
    /// Give it nothing but what came over the pipe of a child this process started for the component of
    /// digest `revision`.
    ///
    /// # Errors
    /// [`ArtifactError`] when the bytes are malformed, for another engine, or of another revision.
    pub fn from_compiler(bytes: &[u8], revision: Digest) -> Result<Artifact, ArtifactError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ArtifactError::Malformed)?;
        let rest = rest.get(MAC_BYTES..).ok_or(ArtifactError::Malformed)?;
        let (meta, code) = parse(rest)?;
        if meta.wasm_digest != revision {
            return Err(ArtifactError::OtherRevision(meta.wasm_digest));
        }
        Ok(Artifact {
            meta,
            code: Cow::Owned(code.to_vec()),
        })
    }

    /// Takes stored bytes after checking that `key` sealed them. The bytes are the caller's private
    /// copy, so that what was checked is what is loaded.
    ///
    /// # Errors
    /// [`ArtifactError`] when they are malformed, not authentic or for another engine.
    pub fn open(bytes: &[u8], key: &ArtifactKey) -> Result<Artifact, ArtifactError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ArtifactError::Malformed)?;
        let (mac, rest) = rest
            .split_at_checked(MAC_BYTES)
            .ok_or(ArtifactError::Malformed)?;
        key.mac(rest)
            .verify_slice(mac)
            .map_err(|_| ArtifactError::NotAuthentic)?;
        let (meta, code) = parse(rest)?;
        Ok(Artifact {
            meta,
            code: Cow::Owned(code.to_vec()),
        })
    }

    /// The bytes to store, authenticated with `key`.
    #[must_use]
    pub fn seal(&self, key: &ArtifactKey) -> Vec<u8> {
        let body = self.body();
        let mac = key.mac(&body).finalize().into_bytes();
        [MAGIC.as_slice(), mac.as_slice(), &body].concat()
    }

    /// The bytes to embed or to answer, without authentication; only [`Artifact::embedded`] and
    /// [`Artifact::from_compiler`] take them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &[0; MAC_BYTES], &self.body()].concat()
    }

    /// The digest of the component it was compiled from: the revision's.
    #[must_use]
    pub fn wasm_digest(&self) -> Digest {
        self.meta.wasm_digest
    }

    /// Size of the compiled code in bytes.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        self.code.len()
    }

    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }

    fn body(&self) -> Vec<u8> {
        let meta = serde_json::to_vec(&self.meta).expect("metadata is plain text and numbers");
        let length = u32::try_from(meta.len()).expect("metadata is a few hundred bytes");
        [&length.to_le_bytes(), meta.as_slice(), &self.code].concat()
    }
}

impl Meta {
    fn of_this_engine(wasm_digest: Digest) -> Meta {
        Meta {
            wasm_digest,
            wasmtime: WASMTIME_VERSION.to_owned(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            config: CONFIG_REVISION,
        }
    }
}

fn parse(body: &[u8]) -> Result<(Meta, &[u8]), ArtifactError> {
    let (length, rest) = body
        .split_first_chunk::<4>()
        .ok_or(ArtifactError::Malformed)?;
    let length =
        usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ArtifactError::Malformed)?;
    let (meta, code) = rest
        .split_at_checked(length)
        .ok_or(ArtifactError::Malformed)?;
    let meta: Meta = serde_json::from_slice(meta).map_err(|_| ArtifactError::Malformed)?;
    if meta != Meta::of_this_engine(meta.wasm_digest) {
        let Meta {
            wasmtime,
            target,
            config,
            ..
        } = meta;
        return Err(ArtifactError::OtherEngine(format!(
            "wasmtime {wasmtime} on {target}, configuration {config}"
        )));
    }
    Ok((meta, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (Vec<u8>, ArtifactKey) {
        let key = ArtifactKey::new([7; 32]);
        let artifact = Artifact::compiled(Digest::of("wasm"), vec![1, 2, 3]);
        (artifact.seal(&key), key)
    }

    #[test]
    fn sealing_round_trips() {
        let (bytes, key) = sealed();
        let artifact = Artifact::open(&bytes, &key).unwrap();
        assert_eq!(artifact.wasm_digest(), Digest::of("wasm"));
        assert_eq!(artifact.code(), [1, 2, 3]);
    }

    #[test]
    fn a03_changed_cut_or_foreign_artifacts_are_refused() {
        let (bytes, key) = sealed();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(Artifact::open(&changed, &key).is_err(), "byte {index}");
            assert!(
                Artifact::open(&bytes[..index], &key).is_err(),
                "cut at {index}"
            );
        }
        let other = Artifact::open(&bytes, &ArtifactKey::new([8; 32]));
        assert_eq!(other.unwrap_err(), ArtifactError::NotAuthentic);
    }

    #[test]
    fn a_compiler_answers_for_the_revision_it_was_asked() {
        let artifact = Artifact::compiled(Digest::of("wasm"), vec![1, 2, 3]);
        let bytes = artifact.to_bytes();
        let taken = Artifact::from_compiler(&bytes, Digest::of("wasm")).unwrap();
        assert_eq!(taken.code(), [1, 2, 3]);
        let other = Artifact::from_compiler(&bytes, Digest::of("other"));
        assert_eq!(
            other.unwrap_err(),
            ArtifactError::OtherRevision(Digest::of("wasm"))
        );
        let cut = Artifact::from_compiler(&bytes[..20], Digest::of("wasm"));
        assert_eq!(cut.unwrap_err(), ArtifactError::Malformed);
    }

    #[test]
    fn artifacts_of_another_engine_are_refused() {
        let key = ArtifactKey::new([7; 32]);
        let mut artifact = Artifact::compiled(Digest::of("wasm"), Vec::new());
        artifact.meta.wasmtime = "48.0.7".to_owned();
        let error = Artifact::open(&artifact.seal(&key), &key).unwrap_err();
        assert!(matches!(error, ArtifactError::OtherEngine(_)));
    }
}
