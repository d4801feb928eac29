//! Namespaces of its own, with nothing in them, and no capabilities in any.
//!
//! The network namespace is empty but for a loopback device that is down, so that a socket, were one had, would lead
//! nowhere. Taken where the kernel lets us, which without privileges means user namespaces; a container may forbid them,
//! and then the other layers stand alone.

use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities};

/// Leaves the namespaces the process was started in; answers whether it could.
pub(crate) fn leave() -> bool {
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    unshare(own | UnshareFlags::NEWUSER) || unshare(own)
}

fn unshare(flags: UnshareFlags) -> bool {
    #[expect(
        unsafe_code,
        reason = "rustix calls `unshare` unsafe because of a flag that is not used here"
    )]
    // SAFETY: unsharing the table of descriptors between threads is what can break I/O safety; `FILES` is not among the
    // flags, and the process has one thread.
    let left = unsafe { rustix::thread::unshare_unsafe(flags) };
    left.is_ok()
}

/// Gives up every capability; answers whether none is left.
pub(crate) fn drop_capabilities() -> bool {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).is_ok()
}
