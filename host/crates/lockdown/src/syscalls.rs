//! The filter of system calls, on every thread.
//!
//! Two lists. What an engine and an allocator need is *allowed*, everything else is refused with `EPERM`: a call that a
//! C library of another version makes out of habit (it opens a file below `/proc` to tune itself) costs nothing. What no
//! honest code of ours can try once its threads run (to start a program or a process, to have a socket, to signal,
//! trace or read another process, to change identity or namespace, to reach the kernel's widest doors) *kills the
//! process*: that is an escape at work, it should not get a second try, and the worker turns the death into a loud line
//! of the log and, where it happens again, into the fault `host-crash` of whatever ran. Quiet for habits, loud for
//! attacks.
//!
//! Refusing is by number and, where a call is needed in part only, by argument: `tgkill` reaches this process only (it
//! is how `abort` works), `fcntl` duplicates and seals only. Paths cannot be judged by a filter, so no call that takes
//! one is allowed.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use crate::LockdownError;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[i64] = &[
    // What is held already: the socket, the notes, standard output of a compiler; received memory files.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    // Memory, and images of a guest's initial memory, which are memory files.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_membarrier,
    // Threads that exist: waiting, and knowing which one this is.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // A thread that was started before the filter and takes its first steps behind it: glibc aborts where these fail.
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    // Time and randomness of the host's own code; a guest sees neither.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Traps are signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
];

/// Commands of `fcntl` that are allowed.
const FCNTL: &[libc::c_int] = &[
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_DUPFD_CLOEXEC,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

/// Calls that kill the process.
const DEADLY: &[i64] = &[
    // Programs, processes and threads.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone,
    libc::SYS_clone3,
    // The network.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other processes.
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    // Identity, namespaces, mounts.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_by_handle_at,
    // The kernel's widest doors.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
];

/// Calls of one architecture that kill the process.
#[cfg(target_arch = "x86_64")]
const DEADLY_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const DEADLY_HERE: &[i64] = &[];

/// Installs both lists. The kernel applies all filters of a process and obeys the strictest.
pub(crate) fn filter() -> Result<(), LockdownError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    for filter in [deadly(arch)?, allowing(arch)?] {
        apply_filter_all_threads(&filter)?;
    }
    Ok(())
}

fn deadly(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = DEADLY
        .iter()
        .chain(DEADLY_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        arch,
    )?
    .try_into()
}

fn allowing(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let fcntl = FCNTL
        .iter()
        .map(|command| when(1, command.unsigned_abs().into()))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_fcntl, fcntl);
    rules.insert(libc::SYS_tgkill, vec![when(0, std::process::id().into())?]);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()
}

/// A rule for calls whose argument `index` is `value`.
fn when(index: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        index,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        value,
    )?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_on_both_lists() {
        for call in DEADLY.iter().chain(DEADLY_HERE) {
            assert!(!ALLOWED.contains(call), "{call}");
        }
    }

    #[test]
    fn both_filters_can_be_made() {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        for filter in [deadly(arch).unwrap(), allowing(arch).unwrap()] {
            assert!(!filter.is_empty());
        }
    }
}
