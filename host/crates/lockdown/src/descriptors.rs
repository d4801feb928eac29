//! Closes what the parent left open by mistake: a descriptor without close-on-exec is a file of the worker's in the hands
//! of a guest that escaped.
//!
//! The one place of this repository that closes descriptors by number. Contract: called once, first thing in a process of
//! ours, when nothing in it has opened a descriptor that it still means to use.

/// Closes every descriptor from 3 on.
pub(crate) fn close_all_but_three() {
    #[expect(
        unsafe_code,
        reason = "descriptors that nobody in this process owns have no owner to drop"
    )]
    // SAFETY: by the contract above no `OwnedFd` of this process names a descriptor from 3 on, so none is closed under
    // its owner. The call touches no memory.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed != 0 {
        // A kernel before 5.9 lacks the call. The limit is what `enclose` finds, not what it sets.
        for number in 3..rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(65_536)
            .min(65_536)
        {
            let Ok(number) = libc::c_int::try_from(number) else {
                return;
            };
            #[expect(unsafe_code, reason = "as above, one by one")]
            // SAFETY: as above.
            unsafe {
                libc::close(number)
            };
        }
    }
}
