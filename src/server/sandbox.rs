//! What the process takes from itself once it is set up: files it will not need (Landlock) and system calls it does not make (seccomp).
//!
//! Both are for good: whatever a client brings this process to do afterwards, it cannot start a program, look at another process, load
//! code, or touch a file outside its own folders. A server that insists on either (`yes`, not `try`) and cannot have it does
//! not start.
//!
//! # Invariants
//! * Landlock holds for threads that begin after it, so it comes before the first of them; seccomp is laid on all threads at once when the
//!   workers have begun, before the data are read, and later threads inherit it.
//! * A refused system call fails with ENOSYS, for which libraries have another way or an error; it does not end the process.

use super::boot::BootError;
use crate::base::runtime_hint;
use crate::config::Config;
use crate::config::types::Limit;
use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The newest rules asked for; an older kernel enforces those it knows.
const LANDLOCK: ABI = ABI::V6;

/// What is read of the system while the server runs: names of hosts, its libraries, what the kernel tells, devices.
const SYSTEM: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run/systemd/resolve"];

/// Limits files to those the configuration names, if `landlock` asks for it, and to `secrets`, which are read again. Relative paths are seen from
/// the data folder.
///
/// # Errors
/// `landlock yes` on a kernel without it.
pub fn limit_files(config: &Config, file: Option<&Path>, dir: &Path, secrets: &[PathBuf]) -> Result<(), BootError> {
    let enforce = || -> Result<(), String> {
        let rules = ruleset(config, file, dir, secrets).map_err(|e| e.to_string())?;
        match rules.restrict_self().map_err(|e| e.to_string())?.ruleset {
            RulesetStatus::NotEnforced => Err("it needs Linux 5.13 or later with Landlock on".into()),
            RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
        }
    };
    let done = "Landlock: files are limited to the configured folders, and no program can be started";
    settle(config.security.landlock, "landlock", "the kernel does not limit files", enforce, done)
}

/// Does what a directive asks for, as strictly as it asks.
fn settle(
    limit: Limit,
    directive: &str,
    failed: &str,
    enforce: impl FnOnce() -> Result<(), String>,
    done: &str,
) -> Result<(), BootError> {
    if limit == Limit::No {
        return Ok(());
    }
    match enforce() {
        Ok(()) => tracing::info!("{done}"),
        Err(e) if limit == Limit::Yes => {
            return Err(BootError(format!("{directive} yes: {failed}: {e}; '{directive} try' starts without it")));
        }
        Err(e) => tracing::warn!("{directive} try: {failed}: {e}"),
    }
    Ok(())
}

fn ruleset(
    config: &Config,
    file: Option<&Path>,
    dir: &Path,
    secrets: &[PathBuf],
) -> Result<RulesetCreated, RulesetError> {
    let all = AccessFs::from_all(LANDLOCK);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = all & !BitFlags::from(AccessFs::Execute);
    let mut rules = Ruleset::default().handle_access(all)?.scope(Scope::Signal)?.create()?;
    for path in SYSTEM {
        rules = allow(rules, Path::new(path), read)?;
    }
    for path in ["/dev/null", "/dev/shm"] {
        rules = allow(rules, Path::new(path), write)?;
    }
    for path in read_only(config).into_iter().chain(secrets.iter().map(|p| folder_of(p))) {
        rules = allow(rules, &dir.join(path), read)?;
    }
    for path in writable(config, file, dir) {
        rules = allow(rules, &path, write)?;
    }
    Ok(rules)
}

/// Adds a rule; what is not there needs none.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(fd) = PathFd::new(path) else { return Ok(rules) };
    let of_files = AccessFs::from_file(LANDLOCK);
    let access = if path.is_dir() { access } else { access & of_files };
    rules.add_rule(PathBeneath::new(fd, access))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Folders of certificates, keys and lists that are read again when they change; by folder, since they are replaced by renaming.
fn read_only(config: &Config) -> Vec<PathBuf> {
    let t = &config.tls;
    let collector = &config.audit.syslog_ca_cert_file;
    let files =
        [&t.cert_file, &t.key_file, &t.ca_cert_file, &t.crl_file, &t.client_cert_file, &t.client_key_file, collector];
    let mut out: Vec<PathBuf> = files.into_iter().flatten().map(|p| folder_of(p)).collect();
    out.extend(t.ca_cert_dir.clone());
    out.extend(config.persistence.encryption_key_source.strip_prefix("file:").map(|p| folder_of(Path::new(p))));
    out
}

/// Folders that the server writes to.
fn writable(config: &Config, file: Option<&Path>, dir: &Path) -> Vec<PathBuf> {
    let mut out = vec![dir.to_owned()];
    let files = [
        config.security.aclfile.as_deref(),
        config.logging.logfile.as_deref(),
        config.general.pidfile.as_deref(),
        config.audit.file.as_deref(),
        config.audit.key_file.as_deref(),
        config.network.unixsocket.as_deref(),
        file,
    ];
    out.extend(files.into_iter().flatten().map(|p| dir.join(folder_of(p))));
    out.extend(runtime_hint::prepared_folders());
    out
}

/// System calls of the data path, of files, of threads, and of looking up a host's name.
const CALLS: &[libc::c_long] = &[
    // Reading and writing.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_flock,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // Files.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_umask,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fadvise64,
    // Sockets; which families, `rules` says.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    // Memory; mmap and mprotect stand in `rules`.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads, signals, time.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_prctl,
];

/// Older names for calls above, which an x86_64 C library still makes.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_chmod,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_time,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[libc::c_long] = &[];

/// Flags of `clone` that make a namespace.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// The filter: calls of [`CALLS`], and these with some arguments only.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let is = |arg, value: libc::c_int| {
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.cast_unsigned().into())
    };
    let without = |arg, bits: libc::c_int| {
        let mask = u64::from(bits.cast_unsigned());
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), 0)
    };
    let rule = |c: Result<SeccompCondition, _>| c.and_then(|c| SeccompRule::new(vec![c]));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().chain(OLDER_CALLS).map(|call| (*call, Vec::new())).collect();
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    rules.insert(libc::SYS_socket, families.into_iter().map(|f| rule(is(0, f))).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socketpair, vec![rule(is(0, libc::AF_UNIX))?]);
    // Threads begin with clone: clone3, whose flags lie in memory, answers ENOSYS, and the C library takes this one.
    rules.insert(libc::SYS_clone, vec![rule(without(0, NAMESPACES))?]);
    // Memory is never written and run: a library's code is mapped, no other becomes any.
    rules.insert(libc::SYS_mmap, vec![rule(without(2, libc::PROT_WRITE))?, rule(without(2, libc::PROT_EXEC))?]);
    rules.insert(libc::SYS_mprotect, vec![rule(without(2, libc::PROT_EXEC))?]);
    let requests = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ, libc::FIOCLEX];
    let requests = requests.into_iter().map(|r| rule(is(1, r as libc::c_int)));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

/// Limits system calls of all threads, if `seccomp` asks for it.
///
/// # Errors
/// `seccomp yes` on a kernel without filters.
pub fn limit_calls(config: &Config) -> Result<(), BootError> {
    let enforce = || {
        let program = filter().map_err(|e| e.to_string())?;
        seccompiler::apply_filter_all_threads(&program).map_err(|e| e.to_string())
    };
    let done = "Seccomp: system calls are limited to those that the server makes";
    settle(config.security.seccomp, "seccomp", "the kernel takes no filter of system calls", enforce, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_knows_no_way_to_another_program() {
        filter().unwrap();
        for call in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_bpf]
        {
            assert!(!CALLS.contains(&call) && !OLDER_CALLS.contains(&call));
        }
    }
}
