//! Takes everything from a process that is about to run or compile what tenants sent: its descriptors, its capabilities,
//! the network, the file system, other processes, and in the end nearly all system calls.
//!
//! The process does it to itself, as its first act and before it reads a byte of what it is given. It comes in two
//! phases, because threads must exist before they can no longer be started:
//!
//! ```text
//! enclose(inmate)   alone, with one thread: descriptors, namespaces, capabilities, limits, Landlock
//!   … threads and the engine are started …
//! Enclosed::seal()  every thread: the filter of system calls; from here on nothing can be had that is not held
//! ```
//!
//! The filter is required; the other layers are taken where the kernel gives them, and [`Layers`] says which those were.
//! Nothing here knows Wasm, frames or storage: the crate is a leaf, so that a stand-in for an escaped guest can be run
//! under the very same function (`tests/a10_stand_in.rs`).
//!
//! Why each layer, when the filter alone refuses files, sockets and processes: a filter is a list, and lists have
//! mistakes. Each row of what must not be possible is refused by two layers that share no code.

mod descriptors;
mod error;
mod files;
mod layers;
mod namespaces;
mod resources;
mod syscalls;

pub use error::LockdownError;
pub use layers::Layers;
pub use resources::{give_way, leave_session};

/// What the process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inmate {
    /// Runs guests for as long as its worker lives. Descriptors 0 (a socket to the worker), 1 (notes shared with it) and
    /// 2 (last words) are its own.
    Guests,
    /// Compiles one component and exits: standard input and output, 2 GiB of memory (DESIGN §3.2).
    Compiler {
        /// CPU time it may use, in seconds; the kernel ends it there.
        cpu_seconds: u64,
    },
}

/// A process that owns nothing but its three descriptors and can still make any system call.
#[derive(Debug)]
#[must_use = "an enclosed process is not locked down until it is sealed"]
pub struct Enclosed {
    layers: Layers,
}

/// The first phase. The process must have one thread, and must not have opened anything it wants to keep.
///
/// # Errors
/// [`LockdownError`] where a limit that every kernel has could not be set.
pub fn enclose(inmate: Inmate) -> Result<Enclosed, LockdownError> {
    descriptors::close_all_but_three();
    resources::mark_first_to_go();
    let namespaces = namespaces::leave();
    resources::limit(inmate)?;
    let landlock = files::renounce();
    let capabilities = namespaces::drop_capabilities();
    Ok(Enclosed {
        layers: Layers {
            namespaces,
            capabilities,
            landlock,
            seccomp: false,
        },
    })
}

impl Enclosed {
    /// The layers so far.
    #[must_use]
    pub fn layers(&self) -> Layers {
        self.layers
    }

    /// The second phase: the filter, on every thread there is. No thread can be started afterwards.
    ///
    /// # Errors
    /// [`LockdownError`] where the kernel takes no filter: the process must then end.
    pub fn seal(self) -> Result<Layers, LockdownError> {
        resources::no_more_processes()?;
        syscalls::filter()?;
        Ok(Layers {
            seccomp: true,
            ..self.layers
        })
    }
}
