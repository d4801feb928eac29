//! Compiled code in memory that nobody can change any more: how it goes from the process that checked it to one that runs
//! it, and that may open nothing by itself.
//!
//! The giver writes the code into a memory file and seals it against writing, growing, shrinking and unsealing; the
//! taker looks for the seals, copies the code and loads that copy. So what was checked is what is loaded, and a process
//! that went over to the enemy cannot change what the next one is given.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use greenroom_model::Digest;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use crate::{Artifact, ArtifactError};

/// All that keeps the memory as it is.
const SEALS: SealFlags = SealFlags::WRITE
    .union(SealFlags::GROW)
    .union(SealFlags::SHRINK)
    .union(SealFlags::SEAL);
/// Largest code that is taken, in bytes; compiled code is 3 to 6 times its component of at most 32 MiB.
const MOST_BYTES: u64 = 256 << 20;

/// The code of one revision in sealed memory.
#[derive(Debug)]
pub struct SealedCode {
    revision: Digest,
    bytes: u64,
    memory: OwnedFd,
}

impl SealedCode {
    /// Copies the code of an artifact into sealed memory.
    ///
    /// # Errors
    /// When the system has no memory, or no more descriptors.
    pub fn new(artifact: &Artifact) -> io::Result<SealedCode> {
        let memory = memfd_create(
            "greenroom-code",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        let mut rest = artifact.code();
        while !rest.is_empty() {
            let written = rustix::io::write(&memory, rest)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        fcntl_add_seals(&memory, SEALS)?;
        Ok(SealedCode {
            revision: artifact.wasm_digest(),
            bytes: artifact.code_bytes() as u64,
            memory,
        })
    }

    /// The digest of the component it was compiled from.
    #[must_use]
    pub fn revision(&self) -> Digest {
        self.revision
    }

    /// Size of the code in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl AsFd for SealedCode {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl Artifact {
    /// Takes code that the process which started this one handed over: `bytes` of it in `memory`, which must be sealed.
    ///
    /// # Errors
    /// [`ArtifactError`] when the memory is not sealed, not as large as was said, or cannot be read.
    pub fn received(
        revision: Digest,
        memory: BorrowedFd<'_>,
        bytes: u64,
    ) -> Result<Artifact, ArtifactError> {
        let seals = fcntl_get_seals(memory).map_err(|_| ArtifactError::NotSealed)?;
        if !seals.contains(SEALS) {
            return Err(ArtifactError::NotSealed);
        }
        let size = usize::try_from(bytes.min(MOST_BYTES + 1)).unwrap_or(usize::MAX);
        if bytes > MOST_BYTES {
            return Err(ArtifactError::Malformed);
        }
        let mut code = vec![0; size];
        let mut read = 0;
        while read < size {
            let more = rustix::io::pread(memory, &mut code[read..], read as u64)
                .map_err(|error| ArtifactError::Unreadable(io::Error::from(error).kind()))?;
            if more == 0 {
                return Err(ArtifactError::Malformed);
            }
            read += more;
        }
        Ok(Artifact::with_code(revision, Cow::Owned(code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> Artifact {
        Artifact::with_code(Digest::of("wasm"), Cow::Owned(vec![1, 2, 3]))
    }

    #[test]
    fn sealed_code_is_received_as_it_was_given() {
        let sealed = SealedCode::new(&artifact()).unwrap();
        assert_eq!((sealed.revision(), sealed.bytes()), (Digest::of("wasm"), 3));
        let received = Artifact::received(sealed.revision(), sealed.as_fd(), 3).unwrap();
        assert_eq!(received.code(), [1, 2, 3]);
    }

    #[test]
    fn sealed_code_cannot_be_changed_by_whoever_has_it() {
        let sealed = SealedCode::new(&artifact()).unwrap();
        assert!(rustix::io::pwrite(&sealed, b"other", 0).is_err());
        assert!(rustix::fs::ftruncate(&sealed, 0).is_err());
        assert!(rustix::fs::ftruncate(&sealed, 10).is_err());
        assert!(fcntl_add_seals(&sealed, SealFlags::GROW).is_err());
    }

    #[test]
    fn memory_that_could_still_change_or_is_short_is_refused() {
        let open = memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::io::write(&open, b"code").unwrap();
        let received = |bytes| Artifact::received(Digest::of("wasm"), open.as_fd(), bytes);
        assert_eq!(received(4).unwrap_err(), ArtifactError::NotSealed);
        fcntl_add_seals(&open, SEALS).unwrap();
        assert_eq!(received(5).unwrap_err(), ArtifactError::Malformed);
        assert_eq!(received(u64::MAX).unwrap_err(), ArtifactError::Malformed);
        assert!(received(4).is_ok());
    }
}
