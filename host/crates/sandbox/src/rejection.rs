//! Why an uploaded component will not be run, in words for its author: what is wrong and what to do.

/// A component that is refused. The first group is told from the first bytes, before anything is
/// stored (400); the rest after inspection (the revision is `rejected`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No bytes.
    #[error("the body is empty; send the component's bytes")]
    Empty,
    /// The text format.
    #[error("this is WebAssembly text; send the binary component that `cargo build` makes")]
    Text,
    /// A core module (a02).
    #[error(
        "this is a core module; build for wasm32-wasip2 or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Native or precompiled code (a03).
    #[error("precompiled code is never accepted; send the WebAssembly component it was made from")]
    Precompiled,
    /// An archive or compressed file (a04).
    #[error("looks like {0}: send the component's bytes")]
    Packed(&'static str),
    /// Nothing we know.
    #[error("this is not WebAssembly; send the bytes of a component built for wasm32-wasip2")]
    Unknown,
    /// More bytes than allowed.
    #[error(
        "the component has {bytes} bytes; at most {limit} may be, build with `--release` and strip it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Breaks a rule of the format.
    #[error("invalid component at offset {offset:#x}: {reason}")]
    Invalid {
        /// Where.
        offset: usize,
        /// What, by the validator.
        reason: String,
    },
    /// Valid, but uses a proposal we do not offer (a14).
    #[error(
        "uses a WebAssembly proposal that is not offered here, at offset {offset:#x}: {reason}; build without it"
    )]
    Proposal {
        /// Where.
        offset: usize,
        /// Which, by the validator.
        reason: String,
    },
    /// Too many or too much of something (a08, a13).
    #[error("has {figure} {what}; at most {limit} may be")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How much it has.
        figure: u64,
        /// The limit.
        limit: u64,
    },
    /// Imports what is not offered (a11).
    #[error("imports `{import}`, which is not offered; offered are {offered}")]
    Import {
        /// The import.
        import: String,
        /// The list of what is.
        offered: String,
    },
    /// Does not export the contract, or in a track we do not speak (a12).
    #[error("does not export `{expected}`{found}; build it with greenroom-sdk")]
    Export {
        /// What must be there.
        expected: &'static str,
        /// What is there instead, as `, but ...`, or nothing.
        found: String,
    },
    /// An import or export has another type than the contract says.
    #[error("does not fit the contract: {0}")]
    Contract(String),
    /// The compiler gave up.
    #[error("cannot be compiled: {0}")]
    Compile(String),
}
