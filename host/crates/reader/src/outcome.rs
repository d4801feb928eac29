//! What is asked for and how a read ends.
//!
//! `Document`, `Listing`, `NotFound` and `Refused` are facts that a run may depend on (DESIGN §3.1):
//! they are given to the guest and go into the memo. `NotModified` repeats the fact stored before.
//! `Unavailable` is no fact: the run waits, and nothing is applied or removed.

use bytes::Bytes;
use greenroom_model::Digest;

use crate::conditional::Conditional;

/// What a guest asked to read, as it named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// The bytes at an absolute URL, or at an absolute path with or without `file:`.
    Get(String),
    /// The URLs or paths that match a pattern with `*`, `**`, `?`, `[a-z]` or `{a,b}` in its path.
    List(String),
}

/// How a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The bytes, complete.
    Document {
        /// The body, decompressed, at most the configured cap (16 MiB).
        bytes: Bytes,
        /// SHA-256 of `bytes`; equality of documents is equality of this.
        digest: Digest,
        /// Where it was found after redirects, in the form a reader may ask for again.
        final_url: String,
        /// For the next read.
        conditional: Conditional,
    },
    /// The matches of a [`Want::List`]. Empty if the place exists and nothing matches.
    Listing {
        /// What to [`Want::Get`], sorted by bytes, without repetition.
        targets: Vec<String>,
        /// Covers the targets and the identity of each one's content.
        digest: Digest,
        /// For the next read.
        conditional: Conditional,
    },
    /// The stored document or listing is still current. Only in answer to a [`Conditional`].
    NotModified,
    /// The source says there is nothing there.
    NotFound,
    /// The configuration, the grant, an address rule or the source refuses.
    Refused {
        /// For the author of the entity: what was refused and what to do. Quotes no body.
        reason: String,
    },
    /// The source cannot answer now.
    Unavailable {
        /// For the author of the entity. Tells no state of a port or a host behind a name.
        reason: String,
        /// When the source asked to be left alone until, from now in milliseconds, at most one hour.
        retry_after_ms: Option<u64>,
    },
}

impl ReadOutcome {
    /// A listing of (target, identity of the content), in any order.
    pub(crate) fn listing(
        mut entries: Vec<(String, String)>,
        conditional: Conditional,
    ) -> ReadOutcome {
        entries.sort_unstable();
        entries.dedup_by(|one, other| one.0 == other.0);
        let parts = entries
            .iter()
            .flat_map(|(target, id)| [target.as_bytes(), id.as_bytes()]);
        let digest = Digest::of_parts(parts);
        let targets = entries.into_iter().map(|(target, _)| target).collect();
        ReadOutcome::Listing {
            targets,
            digest,
            conditional,
        }
    }
}

/// An end of a read without bytes, for `?`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    NotModified,
    NotFound,
    Refused(String),
    Unavailable(String, Option<u64>),
}

impl Stop {
    pub(crate) fn refused(reason: impl Into<String>) -> Stop {
        Stop::Refused(reason.into())
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Stop {
        Stop::Unavailable(reason.into(), None)
    }
}

impl From<Stop> for ReadOutcome {
    fn from(stop: Stop) -> ReadOutcome {
        match stop {
            Stop::NotModified => ReadOutcome::NotModified,
            Stop::NotFound => ReadOutcome::NotFound,
            Stop::Refused(reason) => ReadOutcome::Refused { reason },
            Stop::Unavailable(reason, retry_after_ms) => ReadOutcome::Unavailable {
                reason,
                retry_after_ms,
            },
        }
    }
}
