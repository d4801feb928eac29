//! Why a process could not be locked down. It must then end before it reads anything.

/// A layer that may not be missing is missing.
#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    /// A resource limit or an attribute of the process.
    #[error("limit {what} of the process: {source}")]
    Limit {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The filter of system calls.
    #[error(
        "install the filter of system calls: {0}: run on a kernel with seccomp, and in a container whose profile allows the `seccomp` call"
    )]
    Filter(#[from] seccompiler::Error),
    /// The filter of system calls, which could not be put together for this architecture.
    #[error("make the filter of system calls: {0}")]
    Backend(#[from] seccompiler::BackendError),
}
