//! Where slabs come from: regions of 2 MiB, in the kernel's small pages.
//!
//! Nothing forks here, so huge pages would cost nothing at a save, and a search that waits for the address of a page would wait for fewer. But a
//! batch asks the cache for what its keys need before it needs it, and the page's address comes with that: with ten million keys no
//! request was found to be cheaper in huge pages. What they do cost is their first touch, under a stripe's lock: two megabytes are cleared, which
//! takes milliseconds where a hypervisor has to find the memory first. A file of 1 GB was loaded in 2.7 seconds with them on such a
//! machine, and in 1.6 without.
//!
//! # Invariants
//! * Slabs are taken from the region of the lowest address that has room, so that regions at the end empty by themselves.
//! * A region whose last slab comes back is unmapped, but for one. While more than a quarter of all slabs is free, the pages of a slab that
//!   comes back go to the kernel at once.

use super::SLAB_BYTES;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

const REGION_BYTES: usize = 2 << 20;
const SLABS: usize = REGION_BYTES / SLAB_BYTES;
const _: () = assert!(SLABS == 64, "a region's free slabs are the bits of a word");
/// Free slabs that keep their pages whatever their share is.
const KEEP: usize = SLABS;

/// All regions: by address, which of their slabs are free.
struct Regions {
    free: BTreeMap<usize, u64>,
    with_room: BTreeSet<usize>,
    free_slabs: usize,
}

static REGIONS: Mutex<Regions> =
    Mutex::new(Regions { free: BTreeMap::new(), with_room: BTreeSet::new(), free_slabs: 0 });

/// A slab's memory, at a multiple of its size; `None` where there is none. What is in it is arbitrary.
pub(super) fn take() -> Option<NonNull<u8>> {
    let regions = &mut *REGIONS.lock();
    if regions.with_room.is_empty() {
        let base = map()?.as_ptr().expose_provenance();
        regions.free.insert(base, u64::MAX);
        regions.with_room.insert(base);
        regions.free_slabs += SLABS;
    }
    let base = *regions.with_room.first()?;
    let free = regions.free.get_mut(&base)?;
    let n = free.trailing_zeros() as usize;
    *free &= *free - 1;
    if *free == 0 {
        regions.with_room.remove(&base);
    }
    regions.free_slabs -= 1;
    NonNull::new(std::ptr::with_exposed_provenance_mut(base + n * SLAB_BYTES))
}

/// Takes a slab's memory back.
///
/// # Safety
/// It is from [`take`], and nobody uses it any more.
pub(super) unsafe fn give(slab: NonNull<u8>) {
    let regions = &mut *REGIONS.lock();
    let address = slab.as_ptr().expose_provenance();
    let base = address & !(REGION_BYTES - 1);
    let all = regions.free.len() * SLABS;
    let Some(free) = regions.free.get_mut(&base) else { return };
    *free |= 1 << ((address - base) / SLAB_BYTES);
    regions.free_slabs += 1;
    regions.with_room.insert(base);
    if *free == u64::MAX && regions.with_room.len() > 1 {
        regions.free.remove(&base);
        regions.with_room.remove(&base);
        regions.free_slabs -= SLABS;
        // SAFETY: no slab of the region is in use, and it is not known here any more.
        unsafe { unmap(std::ptr::with_exposed_provenance_mut(base), REGION_BYTES) };
    } else if regions.free_slabs > KEEP && regions.free_slabs > all / 4 {
        // SAFETY: the slab is free.
        unsafe { forget(slab.as_ptr(), SLAB_BYTES) };
    }
}

/// Bytes mapped, and those of them in slabs that are in use.
pub(super) fn figures() -> (u64, u64) {
    let regions = REGIONS.lock();
    let slabs = regions.free.len() * SLABS;
    ((slabs * SLAB_BYTES) as u64, ((slabs - regions.free_slabs) * SLAB_BYTES) as u64)
}

/// Gives the pages of all free slabs to the kernel.
pub(super) fn purge() {
    let regions = REGIONS.lock();
    for base in &regions.with_room {
        let free = regions.free.get(base).copied().unwrap_or(0);
        for n in (0..SLABS).filter(|n| free >> n & 1 == 1) {
            // SAFETY: the slab is free, and stays so while the lock is held.
            unsafe { forget(std::ptr::with_exposed_provenance_mut(base + n * SLAB_BYTES), SLAB_BYTES) };
        }
    }
}

/// A new region.
#[cfg(not(miri))]
fn map() -> Option<NonNull<u8>> {
    // Twice as much, of which the part at a multiple of the region's size is kept.
    // SAFETY: a new private mapping; the parts that are unmapped lie inside it.
    unsafe {
        let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let p = libc::mmap(std::ptr::null_mut(), 2 * REGION_BYTES, read_write, private, -1, 0);
        if p == libc::MAP_FAILED {
            return None;
        }
        let p = p.cast::<u8>();
        let before = p.align_offset(REGION_BYTES);
        let base = p.add(before);
        if before > 0 {
            unmap(p, before);
        }
        unmap(base.add(REGION_BYTES), REGION_BYTES - before);
        NonNull::new(base)
    }
}

/// # Safety
/// The bytes are mapped and nobody uses them.
#[cfg(not(miri))]
unsafe fn unmap(p: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller's word. It can fail only where splitting a mapping would exceed the kernel's limit; then it stays mapped.
        unsafe { libc::munmap(p.cast(), bytes) };
    }
}

/// # Safety
/// The bytes are mapped and nobody needs what is in them.
#[cfg(not(miri))]
unsafe fn forget(p: *mut u8, bytes: usize) {
    // SAFETY: the caller's word.
    unsafe { libc::madvise(p.cast(), bytes, libc::MADV_DONTNEED) };
}

/// Miri knows no `madvise`: there, regions are plain allocations.
#[cfg(miri)]
mod plain {
    use super::{NonNull, REGION_BYTES};
    use std::alloc::{Layout, alloc, dealloc};

    fn layout() -> Layout {
        Layout::from_size_align(REGION_BYTES, REGION_BYTES).expect("a power of two")
    }

    pub fn map() -> Option<NonNull<u8>> {
        // SAFETY: the layout is not empty.
        NonNull::new(unsafe { alloc(layout()) })
    }

    /// # Safety
    /// A region that nobody uses.
    pub unsafe fn unmap(p: *mut u8, _bytes: usize) {
        // SAFETY: the caller's word.
        unsafe { dealloc(p, layout()) }
    }

    /// # Safety
    /// None is needed.
    pub unsafe fn forget(_p: *mut u8, _bytes: usize) {}
}
#[cfg(miri)]
use plain::{forget, map, unmap};
