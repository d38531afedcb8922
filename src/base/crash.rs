//! What the log says when a signal ends the process, and the stacks of its threads when somebody asks for them with SIGALRM.
//!
//! A report holds the signal, the address and the thread it came to, and the thread's stack as addresses: `addr2line` makes lines of
//! the source of them. Nothing of what the process keeps in memory is in it, since that may be secret.
//!
//! # Invariants
//! * Handlers allocate nothing, take no lock and make no call that is not safe in a signal handler, but for one: the C library's unwinder, which is
//!   run once before (it loads what it needs then) and reads tables that nobody changes afterwards. What is known without it is written first.
//! * A signal that ends the process ends it with its own status, as if there were no handler.
//! * What may come from a stack that is overrun is handled on another one. Threads that have called [`join`] have one with room for a report;
//!   what the standard library gives the others has not, and their faults leave none.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// Where reports go: the log's descriptor.
static LOG: AtomicI32 = AtomicI32::new(libc::STDOUT_FILENO);
static ENABLED: AtomicBool = AtomicBool::new(true);
/// One thread writes at a time.
static WRITING: AtomicBool = AtomicBool::new(false);

/// Threads whose stacks can be shown, by places that their owner gives out: more than there can be workers. The last is the main
/// thread's.
/// They live as long as the process, so that a number here is never another thread's.
pub const THREADS_MAX: usize = 512;
static THREADS: [AtomicI32; THREADS_MAX] = [const { AtomicI32::new(0) }; THREADS_MAX];

/// Frames of one stack that are shown.
const FRAMES_MAX: usize = 64;
/// Room for a handler and the unwinder under it, also where the processor's state is large.
const STACK_BYTES: usize = 64 << 10;
/// Milliseconds a thread waits for another's report.
const PATIENCE_MS: u32 = 2000;

/// Signals that end the process, and the stack each is handled on.
const FATAL: [(libc::c_int, libc::c_int); 5] = [
    (libc::SIGSEGV, libc::SA_ONSTACK),
    (libc::SIGBUS, libc::SA_ONSTACK),
    (libc::SIGFPE, 0),
    (libc::SIGILL, 0),
    (libc::SIGABRT, 0),
];

/// Sets the handlers. To be called once, by the main thread, before there are others.
///
/// # Errors
/// The system's.
pub fn install() -> io::Result<()> {
    trace(-1);
    join(THREADS_MAX - 1);
    for (signal, stack) in FATAL {
        // After its report a signal is what it is without a handler.
        handle(signal, died, stack | libc::SA_RESETHAND)?;
    }
    handle(libc::SIGALRM, asked, libc::SA_RESTART)
}

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

fn handle(signal: libc::c_int, handler: Handler, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: sigaction is plain numbers, for which zero is a value; the calls fill and read it. The handler does only what a handler may.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut()) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reports go to this descriptor from now on, the log's.
pub fn report_to(log: libc::c_int) {
    LOG.store(log, Ordering::Relaxed);
}

/// Whether a crash is reported at all.
pub fn enable(on: bool) {
    ENABLED.store(on, Ordering::Relaxed);
}

/// The calling thread's stack can be shown from now on, as that of this place below [`THREADS_MAX`]. It stays as long as the process.
pub fn join(place: usize) {
    let stack: &'static mut [u8] = Box::leak(vec![0; STACK_BYTES].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    // SAFETY: the call reads the struct. The memory it names is nobody else's and never freed.
    // Should it fail, there is the stack that was there before.
    unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    // SAFETY: takes and touches nothing.
    let thread = unsafe { libc::gettid() };
    if let Some(place) = THREADS.get(place) {
        place.store(thread, Ordering::Relaxed);
    }
}

/// Has the thread of a place write its stack into the log.
pub fn show(place: usize) {
    if let Some(thread) = THREADS.get(place).map(|t| t.load(Ordering::Relaxed)).filter(|t| *t != 0) {
        signal(thread, libc::SIGALRM);
    }
}

fn signal(thread: libc::pid_t, signal: libc::c_int) {
    // SAFETY: takes numbers and touches no memory. The process is this one, so the signal cannot reach another's thread.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

/// A line in the making; what does not fit is cut off.
struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Text {
    /// Begins as the log's lines do. The time is left out: to know it as the log writes it takes locks.
    fn new() -> Text {
        let text = Text { bytes: [0; 256], len: 0 };
        // SAFETY: takes and touches nothing.
        text.number(unsafe { libc::getpid() }.unsigned_abs().into(), 10).text(":signal-handler ")
    }

    fn text(mut self, text: &str) -> Text {
        // One byte stays free for the end of the line.
        for byte in text.bytes().take(self.bytes.len() - 1 - self.len) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        self
    }

    fn number(self, mut number: u64, base: u64) -> Text {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
            if number == 0 {
                break;
            }
        }
        let text = std::str::from_utf8(&digits[at..]).unwrap_or_default();
        self.text(text)
    }

    fn write(mut self) {
        self.bytes[self.len] = b'\n';
        let line = &self.bytes[..=self.len];
        // SAFETY: the pointer and the length are those of a slice. There is nobody to tell of a failure.
        unsafe { libc::write(LOG.load(Ordering::Relaxed), line.as_ptr().cast(), line.len()) };
    }
}

/// Writes the calling thread's stack to a descriptor, a frame a line.
fn trace(to: libc::c_int) {
    #[cfg(target_env = "gnu")]
    {
        let mut frames = [std::ptr::null_mut(); FRAMES_MAX];
        // SAFETY: the first call fills at most as many frames as there are, the second reads as many as were filled. Neither allocates, once the
        // unwinder is loaded.
        unsafe {
            let count = libc::backtrace(frames.as_mut_ptr(), FRAMES_MAX as libc::c_int);
            if to >= 0 {
                libc::backtrace_symbols_fd(frames.as_ptr(), count, to);
            }
        }
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = to;
}

/// Runs `report` when nobody else writes one; also if that takes too long, because a report that is mixed with another is better than none.
fn alone(report: impl FnOnce()) {
    for _ in 0..PATIENCE_MS {
        if !WRITING.swap(true, Ordering::Acquire) {
            break;
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: the call reads the struct.
        unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
    }
    report();
    WRITING.store(false, Ordering::Release);
}

fn stack() {
    // SAFETY: takes and touches nothing.
    let thread = unsafe { libc::gettid() }.unsigned_abs();
    Text::new().text("------ STACK TRACE ------ thread ").number(thread.into(), 10).write();
    trace(LOG.load(Ordering::Relaxed));
    Text::new().text("------ STACK TRACE DONE ------").write();
}

/// A signal that ends the process.
extern "C" fn died(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a pointer that is good while it runs; which fields are set, the signal says.
    let (code, address, sender) = unsafe { ((*info).si_code, (*info).si_addr() as u64, (*info).si_pid()) };
    if ENABLED.load(Ordering::Relaxed) {
        alone(|| {
            Text::new().text("=== HOLDFAST BUG REPORT START: Cut & paste starting from here ===").write();
            Text::new()
                .text(concat!("Holdfast ", env!("CARGO_PKG_VERSION"), " crashed by signal: "))
                .number(signal.unsigned_abs().into(), 10)
                .text(", si_code: ")
                .text(if code < 0 { "-" } else { "" })
                .number(code.unsigned_abs().into(), 10)
                .write();
            if code > 0 {
                Text::new().text("Accessing address: 0x").number(address, 16).write();
            } else {
                Text::new().text("Sent by process ").number(sender.unsigned_abs().into(), 10).write();
            }
            stack();
            Text::new().text("=== HOLDFAST BUG REPORT END ===").write();
        });
    }
    // What the kernel raised comes again when the instruction is run again; what was sent does not.
    // SAFETY: takes a number; the handler is gone by now, so the process ends when this one returns.
    unsafe { libc::raise(signal) };
}

/// SIGALRM: from outside, all stacks; from [`show`], this thread's.
extern "C" fn asked(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: as in `died`.
    let (code, errno) = unsafe { ((*info).si_code, *libc::__errno_location()) };
    if code == libc::SI_TKILL {
        alone(stack);
    } else {
        alone(|| Text::new().text("Received SIGALRM: the stacks of the threads that serve follow").write());
        for thread in THREADS.iter().map(|t| t.load(Ordering::Relaxed)).filter(|t| *t != 0) {
            signal(thread, libc::SIGALRM);
        }
    }
    // SAFETY: as in `died`; what was interrupted finds the value it left.
    unsafe { *libc::__errno_location() = errno };
}
