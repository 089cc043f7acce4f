//! seccomp: the system calls that are refused.
//!
//! **A denylist, not an allowlist.** An allowlist has to name every call that a C library may make, on every machine and in
//! years to come; a missing one shows only when the broker has moved, memory is short, or the system was updated. For a
//! sensor that runs for years, that would be the most likely failure. This list refuses the calls that matter, and every
//! call that is newer than the list.
//!
//! **Refused with an error, not killed.** A refused call fails like one that the user is not permitted to make (EPERM), and a
//! newer call like one that the kernel does not have (ENOSYS), for which libraries have a fallback. Only a call of another
//! architecture (32 bits) kills the process: the sensor makes none, and the list would not apply to it.
//!
//! **A packet socket keeps its descriptor.** A filter sees only numbers, and a descriptor refers to another file once its
//! socket is closed or duplicated. Both are refused: the sockets stay open until the process ends, and can neither be
//! duplicated nor be sent over a socket. Packets are read without a call, from a ring in memory.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads, sock_filter,
};

/// Refuses the calls that a sensor does not need. The error, for people, names what stays possible.
pub(super) fn refuse(sockets: &[RawFd]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("seccomp cannot be set up: packets could be sent and programs started ({error})")
    };
    let filters = filters(sockets).map_err(|error| failed(&error))?;
    filters.iter().try_for_each(|filter| apply_filter_all_threads(filter).map_err(|error| failed(&error)))
}

/// All filters. A call is refused if one of them refuses it.
fn filters(sockets: &[RawFd]) -> Result<Vec<BpfProgram>, BackendError> {
    let mut filters = vec![general_filter()?];
    for sockets in sockets.chunks(SOCKETS_PER_FILTER) {
        let mut rules = Rules::new();
        sockets.iter().try_for_each(|socket| refuse_use_of(*socket, &mut rules))?;
        filters.push(eperm_filter(rules)?);
    }
    filters.push(enosys_filter());
    Ok(filters)
}

/// The filter of calls that are refused for every file.
fn general_filter() -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ALWAYS.iter().chain(ALWAYS_HERE).map(|call| (*call, Vec::new())).collect();
    refuse_other_sockets(&mut rules)?;
    // Without CLONE_THREAD, a new process would be started.
    refuse_if(libc::SYS_clone, vec![masked(0, libc::CLONE_THREAD as u64, 0)?], &mut rules)?;
    eperm_filter(rules)
}

/// A filter that answers these calls with EPERM.
fn eperm_filter(rules: Rules) -> Result<BpfProgram, BackendError> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Refuses every call that sends through a packet socket, changes it, or gives it another descriptor.
fn refuse_use_of(socket: RawFd, rules: &mut Rules) -> Result<(), BackendError> {
    for call in ON_SOCKET.iter().chain(ON_SOCKET_HERE) {
        refuse_if(*call, vec![is(0, socket)?], rules)?;
    }
    for duplicating in [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC] {
        refuse_if(libc::SYS_fcntl, vec![is(0, socket)?, is(1, duplicating)?], rules)?;
    }
    // Another file with its descriptor would be subject to the same refusals.
    for call in [libc::SYS_dup3].iter().chain(ONTO_SOCKET_HERE) {
        refuse_if(*call, vec![is(1, socket)?], rules)?;
    }
    Ok(())
}

/// Refuses sockets that are used neither by sinks nor by resolvers nor for the service manager.
fn refuse_other_sockets(rules: &mut Rules) -> Result<(), BackendError> {
    const FAMILIES: [i32; 4] = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];
    let others = FAMILIES.iter().map(|family| is_not(0, *family)).collect::<Result<_, _>>()?;
    refuse_if(libc::SYS_socket, others, rules)?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_RAW, SOCK_PACKET] {
            refuse_if(libc::SYS_socket, vec![is(0, family)?, masked(1, TYPE_MASK, kind as u64)?], rules)?;
        }
    }
    // Resolvers list the local addresses over NETLINK_ROUTE; other netlink protocols are for administration.
    refuse_if(libc::SYS_socket, vec![is(0, libc::AF_NETLINK)?, is_not(2, libc::NETLINK_ROUTE)?], rules)
}

/// Refuses a call if all these conditions hold.
fn refuse_if(call: c_long, conditions: Vec<SeccompCondition>, rules: &mut Rules) -> Result<(), BackendError> {
    rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
    Ok(())
}

/// Compares the lower half of an argument, as the kernel does for an `int`.
fn is(argument: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    compare(argument, SeccompCmpOp::Eq, value as u32)
}

fn is_not(argument: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    compare(argument, SeccompCmpOp::Ne, value as u32)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    compare(argument, SeccompCmpOp::MaskedEq(mask), value as u32)
}

fn compare(argument: u8, how: SeccompCmpOp, value: u32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value.into())
}

/// The filter that answers with ENOSYS: `clone3`, whose arguments a filter cannot see and for which libraries have a
/// fallback, and every call newer than [`LATEST`]. The numbers of x32 on x86-64 are above it, too.
fn enosys_filter() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IS_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let does = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let skips = |code, k, jt| sock_filter { code, jt, jf: 0, k };
    vec![
        does(LOAD, 0), // the number of the call
        skips(IS_GREATER, LATEST, 2),
        skips(IS, libc::SYS_clone3 as u32, 1),
        does(RETURN, libc::SECCOMP_RET_ALLOW),
        does(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    ]
}

/// The latest call that was reviewed: `listns` of Linux 6.19. Newer calls have the same numbers on every architecture.
const LATEST: u32 = 470;

/// Packet sockets for each filter: the rules of more might exceed its maximum length.
const SOCKETS_PER_FILTER: usize = 16;

/// The obsolete type of packet sockets of Linux 2.0, which still works.
const SOCK_PACKET: i32 = 10;

/// The bits of a socket's type, without its flags.
const TYPE_MASK: u64 = 0xf;

/// The calls that a sensor never makes.
const ALWAYS: &[c_long] = &[
    // Programs, processes and their memory.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // Ways to write to a file without a call that names it, and to pass an open file.
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_sendfile,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_setup,
    libc::SYS_io_submit,
    libc::SYS_close_range,
    libc::SYS_socketpair,
    libc::SYS_sendmsg,
    libc::SYS_recvmmsg,
    NEEDED_BY_OTHER_LIBRARIES,
    // Namespaces and file systems.
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// A process can send itself an open file with `sendmsg` or `sendmmsg`, and receive it as another descriptor with `recvmsg`
/// or `recvmmsg`. One side has to be refused, but a resolver needs one call of either: glibc sends with `sendmmsg`, musl
/// receives with `recvmsg`.
#[cfg(not(target_env = "musl"))]
const NEEDED_BY_OTHER_LIBRARIES: c_long = libc::SYS_recvmsg;
#[cfg(target_env = "musl")]
const NEEDED_BY_OTHER_LIBRARIES: c_long = libc::SYS_sendmmsg;

/// Such calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const ALWAYS_HERE: &[c_long] =
    &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_uselib, libc::SYS_modify_ldt, libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_HERE: &[c_long] = &[];

/// The calls that are refused on a packet socket: all that send, change or duplicate it.
const ON_SOCKET: &[c_long] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_sendto,
    #[cfg(not(target_env = "musl"))]
    libc::SYS_sendmmsg,
    // A transmit ring, another interface, another peer.
    libc::SYS_setsockopt,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_shutdown,
    // Another descriptor, or another file with this one.
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_close,
];

#[cfg(target_arch = "x86_64")]
const ON_SOCKET_HERE: &[c_long] = &[libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const ON_SOCKET_HERE: &[c_long] = &[];

/// Calls beside `dup3` that replace the file of a descriptor.
const ONTO_SOCKET_HERE: &[c_long] = ON_SOCKET_HERE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_always_refused_has_no_conditions() {
        let mut rules = Rules::new();
        refuse_other_sockets(&mut rules).expect("sound");
        for call in ALWAYS.iter().chain(ALWAYS_HERE) {
            assert!(!rules.contains_key(call), "{call}: a condition would be the only one that counts");
        }
    }

    #[test]
    fn the_filters_of_the_largest_number_of_sockets_have_a_valid_length() {
        let sockets: Vec<RawFd> = (3..67).collect();
        for filter in filters(&sockets).expect("sound") {
            assert!(filter.len() <= BPF_MAXINSNS, "{}", filter.len());
        }
    }

    /// Instructions of a filter, at most.
    const BPF_MAXINSNS: usize = 4096;
}
