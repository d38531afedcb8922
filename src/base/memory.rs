//! The allocator, and how much of it is in use.
//!
//! jemalloc serves; this counts. Each thread adds what it takes and gives to a cell of its own, and readers sum the cells: so
//! `used_memory` is exact to the last allocation and costs an allocation a few instructions, no locked one. A thread may free
//! what another took; only the sum means something.

use super::size_class::size_class;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Read by jemalloc when it starts. Where the kernel gives huge pages to everybody, it must not to general allocations, whose
/// holes would then cost two megabytes each. Pages that hold nothing go back to the kernel within a quarter of a second: a
/// growing table leaves them behind in every size of its segments, which after a million short keys was a fifth of the whole.
#[used]
#[unsafe(export_name = "malloc_conf")]
// SAFETY: the first byte of a string that lives for ever.
static MALLOC_CONF: &std::ffi::c_char = unsafe { &*c"thp:never,dirty_decay_ms:250,muzzy_decay_ms:0".as_ptr() };

/// Threads with a cell of their own; later ones share the last, with a locked addition.
const CELLS: usize = 128;

#[repr(align(128))]
struct Count(AtomicI64);

static COUNTS: [Count; CELLS] = [const { Count(AtomicI64::new(0)) }; CELLS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's cell; `usize::MAX` before its first allocation. Without a destructor, so that it can be used to the end.
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The global allocator.
pub struct Counting;

/// Counts bytes that this module does not see being taken (or, below 0, given back).
#[inline(always)]
pub(super) fn count(bytes: i64) {
    let cell = CELL.try_with(Cell::get).unwrap_or(CELLS - 1);
    if cell < CELLS - 1 {
        // This thread alone writes the cell.
        let c = &COUNTS[cell].0;
        c.store(c.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    } else {
        first(bytes);
    }
}

#[cold]
fn first(bytes: i64) {
    let cell = CELL
        .try_with(|c| {
            if c.get() == usize::MAX {
                c.set(NEXT.fetch_add(1, Ordering::Relaxed).min(CELLS - 1));
            }
            c.get()
        })
        .unwrap_or(CELLS - 1);
    COUNTS[cell].0.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to jemalloc's allocator unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as i64);
        // SAFETY: the caller's layout.
        unsafe { tikv_jemallocator::Jemalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as i64);
        // SAFETY: the caller's layout.
        unsafe { tikv_jemallocator::Jemalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count(-(size_class(layout.size()) as i64));
        // SAFETY: the caller's block and layout.
        unsafe { tikv_jemallocator::Jemalloc.dealloc(p, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size_class(size) as i64 - size_class(layout.size()) as i64);
        // SAFETY: the caller's block, layout and size.
        unsafe { tikv_jemallocator::Jemalloc.realloc(p, layout, size) }
    }
}

/// Bytes in use by allocations, rounded as the allocator rounds them.
pub fn used() -> u64 {
    COUNTS.iter().map(|c| c.0.load(Ordering::Relaxed)).fold(0i64, i64::wrapping_add).max(0) as u64
}

/// What the allocator and the kernel say, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocatorFigures {
    pub allocated: u64,
    pub active: u64,
    pub resident: u64,
    pub retained: u64,
    pub metadata: u64,
    /// Resident set of the process.
    pub rss: u64,
}

/// The allocator's version: `5.3.0`.
pub fn allocator_version() -> String {
    let text = tikv_jemalloc_ctl::version::read().unwrap_or_default();
    text.split('-').next().unwrap_or_default().to_owned()
}

/// Has a thread of the allocator give pages back in time, or leaves that to the threads that allocate, which do it only as they
/// go. False if the allocator refused.
pub fn give_back_in_background(yes: bool) -> bool {
    tikv_jemalloc_ctl::background_thread::write(yes).is_ok()
}

/// Gives pages that hold nothing back to the kernel. False if the allocator refused.
pub fn purge() -> bool {
    super::slab::purge();
    // 4096 stands for all arenas in jemalloc's interface.
    // SAFETY: the name is a C string and this call neither reads nor writes a value.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            c"arena.4096.purge".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        ) == 0
    }
}

/// Asks the allocator and the kernel; tens of microseconds.
pub fn figures() -> AllocatorFigures {
    use tikv_jemalloc_ctl::{epoch, stats};
    let _ = epoch::advance();
    let read = |r: Result<usize, tikv_jemalloc_ctl::Error>| r.unwrap_or(0) as u64;
    let slabs = super::slab::figures();
    AllocatorFigures {
        allocated: read(stats::allocated::read()) + slabs.allocated,
        active: read(stats::active::read()) + slabs.active,
        resident: read(stats::resident::read()) + slabs.mapped,
        retained: read(stats::retained::read()),
        metadata: read(stats::metadata::read()),
        rss: rss(),
    }
}

fn rss() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|s| s.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()));
    pages.unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_given_back_is_counted() {
        // Other tests allocate meanwhile; a gigabyte that is never touched stands out.
        let before = used();
        let big: Vec<u8> = Vec::with_capacity(1 << 30);
        assert!(used() >= before + (1 << 29));
        drop(big);
        assert!(used() < before + (1 << 29));
    }
}
