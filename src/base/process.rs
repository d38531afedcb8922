//! What the kernel is asked for the process as a whole.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Raises the limit of open files to at least `wanted` if the hard limit allows it. Returns the limit that holds then.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills the struct it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    // Root may raise the hard limit too; everybody else gets what it allows.
    for max in [limit.rlim_max.max(wanted), limit.rlim_max] {
        let new = libc::rlimit { rlim_cur: wanted.min(max), rlim_max: max };
        // SAFETY: the call reads the struct it is given.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &new) } == 0 {
            return Ok(new.rlim_cur);
        }
    }
    Ok(limit.rlim_cur)
}

/// Keeps the kernel from backing this process with huge pages it has not asked for: they make memory jump. What asks is
/// the blocks of records alone ([`slab`](super::slab)); the general allocator refuses them by itself (`thp:never`, see
/// [`memory`](super::memory)), and that has to do on kernels before 6.18, which know no exception for those who ask.
pub fn disable_unasked_huge_pages() {
    /// `PR_THP_DISABLE_EXCEPT_ADVISED`.
    const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;
    // SAFETY: this option takes two numbers and touches no memory. An older kernel answers that it does not know the second.
    unsafe {
        libc::prctl(
            libc::PR_SET_THP_DISABLE,
            1 as libc::c_ulong,
            EXCEPT_ADVISED,
            0 as libc::c_ulong,
            0 as libc::c_ulong,
        )
    };
}

/// Lets the calling thread's short sleeps end when they should: the kernel may otherwise add 50 microseconds, to wake less often.
pub fn sleep_precisely() {
    // SAFETY: this option takes a number of nanoseconds and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong) };
}

/// Adds bits to the file mode mask: what is made from now on lacks them.
pub fn add_umask(bits: u32) {
    let bits = bits as libc::mode_t;
    // SAFETY: the calls exchange a number. No other thread makes files yet, so the moment between them does no harm.
    unsafe { libc::umask(bits | libc::umask(0o777)) };
}

/// Leaves a connection with the kernel until its client has said something, or for about `seconds`; set on the listening socket.
pub fn defer_accept(listener: BorrowedFd<'_>, seconds: u8) -> io::Result<()> {
    let value = libc::c_int::from(seconds);
    // SAFETY: the pointer and the length are those of an integer that lives through the call, which reads it.
    let failed = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Who [`go_to_background`] returns to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The process that was started, which has nothing more to do.
    Started,
    /// The one that goes on: the leader of a session of its own, without a terminal.
    Background,
}

/// Splits the process: one side ends, so that who has started it goes on, and the other one is the server.
///
/// # Errors
/// There is more than the calling thread, since the others would be missing on the other side; or the kernel refuses.
pub fn go_to_background() -> io::Result<Side> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("{threads} threads run already")));
    }
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    // SAFETY: this is the only thread, so the copy holds no lock whose owner it lacks.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => return Ok(Side::Started),
    }
    // SAFETY: the call takes nothing and touches no memory.
    if unsafe { libc::setsid() } < 0 {
        return Err(io::Error::last_os_error());
    }
    for standard in 0..=2 {
        // SAFETY: the calls take numbers; the first one is a descriptor that is open through them.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(Side::Background)
}

const OOM_SCORE_ADJ: &str = "/proc/self/oom_score_adj";

/// How much likelier (or less likely) the kernel is to end this process when memory runs out.
pub fn oom_score_adj() -> io::Result<i32> {
    let text = std::fs::read_to_string(OOM_SCORE_ADJ)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{OOM_SCORE_ADJ}: {text:?}")))
}

/// Sets it, -1000 to 1000; less than it was needs a privilege.
pub fn set_oom_score_adj(score: i32) -> io::Result<()> {
    // The kernel's file: nothing of it is kept on a disk.
    std::fs::write(OOM_SCORE_ADJ, score.to_string())
}

/// User and system time of the process (`children`: of its ended children), in seconds.
pub fn cpu_seconds(children: bool) -> (f64, f64) {
    let who = if children { libc::RUSAGE_CHILDREN } else { libc::RUSAGE_SELF };
    usage(who)
}

/// User and system time of the calling thread, in seconds.
pub fn thread_cpu_seconds() -> (f64, f64) {
    usage(libc::RUSAGE_THREAD)
}

fn usage(who: libc::c_int) -> (f64, f64) {
    // SAFETY: rusage is plain numbers, for which zero is a value, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}
