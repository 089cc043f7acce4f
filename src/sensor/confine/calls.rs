//! seccomp: which system calls are refused.
//!
//! **What is refused, not what is allowed.** A list of what is allowed has to name every call that a C library makes in a
//! bad moment, on every machine and in years to come; one that is missing shows when the broker has moved, the memory is
//! short, or the system was updated. Of a sensor that runs for years, that would be the most likely end. Here, the calls
//! that matter are refused, and so is every call that is newer than this list.
//!
//! **Refused with an error, not killed.** What is asked for in vain is answered like what a user may not do (EPERM), and
//! calls that are newer like those that a kernel does not have (ENOSYS), for which libraries have another way. The one
//! thing that ends the program is a call in the manner of another architecture (32 bits): it makes none, and there this
//! list would not hold.
//!
//! **A packet socket keeps its number.** Calls are judged by their numbers, and a number means something else once a
//! socket is closed, or the socket has another number. So neither can be done: the sockets stay open until the process
//! ends, whatever closes them, and cannot be duplicated, nor sent to oneself. What arrives there is read without a call,
//! from a ring in memory.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads, sock_filter,
};

/// Refuses what a sensor does not do. Otherwise says what it could still do.
pub(super) fn refuse(sockets: &[RawFd]) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("seccomp cannot be set up: packets could be sent and programs started ({error})")
    };
    let filters = filters(sockets).map_err(|error| failed(&error))?;
    filters.iter().try_for_each(|filter| apply_filter_all_threads(filter).map_err(|error| failed(&error)))
}

/// All filters: what each of them refuses is refused.
fn filters(sockets: &[RawFd]) -> Result<Vec<BpfProgram>, BackendError> {
    let mut filters = vec![whatever_is_named()?];
    for sockets in sockets.chunks(SOCKETS_OF_A_FILTER) {
        let mut rules = Rules::new();
        sockets.iter().try_for_each(|socket| through(*socket, &mut rules))?;
        filters.push(refusing(rules)?);
    }
    filters.push(unknown());
    Ok(filters)
}

/// Refuses calls whatever file they are about.
fn whatever_is_named() -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ALWAYS.iter().chain(ALWAYS_HERE).map(|call| (*call, Vec::new())).collect();
    sockets_of_other_kinds(&mut rules)?;
    // A thread shares everything with the others; without this it is a process.
    when(libc::SYS_clone, vec![masked(0, libc::CLONE_THREAD as u64, 0)?], &mut rules)?;
    refusing(rules)
}

/// A filter for calls that get EPERM.
fn refusing(rules: Rules) -> Result<BpfProgram, BackendError> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Refuses whatever sends through a packet socket, changes it, or gives it another number.
fn through(socket: RawFd, rules: &mut Rules) -> Result<(), BackendError> {
    for call in THROUGH.iter().chain(THROUGH_HERE) {
        when(*call, vec![is(0, socket)?], rules)?;
    }
    for duplicating in [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC] {
        when(libc::SYS_fcntl, vec![is(0, socket)?, is(1, duplicating)?], rules)?;
    }
    // Another file under its number would be refused what is refused to the socket.
    for call in [libc::SYS_dup3].iter().chain(ONTO_HERE) {
        when(*call, vec![is(1, socket)?], rules)?;
    }
    Ok(())
}

/// Refuses sockets that are neither for the broker, nor for names, nor for the service manager.
fn sockets_of_other_kinds(rules: &mut Rules) -> Result<(), BackendError> {
    const FAMILIES: [i32; 4] = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];
    let others = FAMILIES.iter().map(|family| is_not(0, *family)).collect::<Result<_, _>>()?;
    when(libc::SYS_socket, others, rules)?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_RAW, SOCK_PACKET] {
            when(libc::SYS_socket, vec![is(0, family)?, masked(1, KIND, kind as u64)?], rules)?;
        }
    }
    // Resolvers ask which addresses there are; the rest of netlink is for those who administer.
    when(libc::SYS_socket, vec![is(0, libc::AF_NETLINK)?, is_not(2, libc::NETLINK_ROUTE)?], rules)
}

fn when(call: c_long, conditions: Vec<SeccompCondition>, rules: &mut Rules) -> Result<(), BackendError> {
    rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
    Ok(())
}

/// The kernel looks at the lower half of what is an `int` to it, and so do these.
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

/// The calls that get ENOSYS: `clone3`, whose arguments a filter cannot see and for which libraries have another way, and
/// what is newer than this list. The numbers of x86-64 in the manner of x32 are beyond them too.
fn unknown() -> BpfProgram {
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

/// The latest call that was looked at: `listns` of Linux 6.19. On every architecture the newer ones have the same numbers.
const LATEST: u32 = 470;

/// Sockets for which one filter has room, generously.
const SOCKETS_OF_A_FILTER: usize = 16;

/// What a packet socket was in Linux 2.0, and still is.
const SOCK_PACKET: i32 = 10;

/// The kind of a socket, without its flags.
const KIND: u64 = 0xf;

/// What a sensor never does.
const ALWAYS: &[c_long] = &[
    // Programs, processes, and what is in them.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // Ways to write into a file without naming it in a call of its own, and to send or get an open file.
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

/// An open file can be sent to oneself with `sendmsg` or `sendmmsg`, and be got under another number with `recvmsg` or
/// `recvmmsg`. One end of it has to be closed, and a resolver needs one call of either: glibc sends its questions with
/// `sendmmsg`, musl gets its answers with `recvmsg`.
#[cfg(not(target_env = "musl"))]
const NEEDED_BY_OTHER_LIBRARIES: c_long = libc::SYS_recvmsg;
#[cfg(target_env = "musl")]
const NEEDED_BY_OTHER_LIBRARIES: c_long = libc::SYS_sendmmsg;

/// Calls that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const ALWAYS_HERE: &[c_long] =
    &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_uselib, libc::SYS_modify_ldt, libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_HERE: &[c_long] = &[];

/// What is not done through a packet socket: everything but looking at it.
const THROUGH: &[c_long] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_sendto,
    #[cfg(not(target_env = "musl"))]
    libc::SYS_sendmmsg,
    // A ring that is sent from, another interface, another way.
    libc::SYS_setsockopt,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_shutdown,
    // Another number, or another file under this one.
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_close,
];

#[cfg(target_arch = "x86_64")]
const THROUGH_HERE: &[c_long] = &[libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const THROUGH_HERE: &[c_long] = &[];

/// Calls beside `dup3` that put a file under a number.
const ONTO_HERE: &[c_long] = THROUGH_HERE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_always_refused_has_no_conditions() {
        let mut rules = Rules::new();
        sockets_of_other_kinds(&mut rules).expect("sound");
        for call in ALWAYS.iter().chain(ALWAYS_HERE) {
            assert!(!rules.contains_key(call), "{call}: a condition would be the only one that counts");
        }
    }

    #[test]
    fn as_many_sockets_as_a_sensor_may_have_fit_a_filter() {
        let sockets: Vec<RawFd> = (3..67).collect();
        for filter in filters(&sockets).expect("sound") {
            assert!(filter.len() <= BPF_MAXINSNS, "{}", filter.len());
        }
    }

    /// Instructions of a filter, at most.
    const BPF_MAXINSNS: usize = 4096;
}
