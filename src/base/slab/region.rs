//! Where slabs come from: regions of 2 MiB, each one huge page where the kernel has one.
//!
//! Keys are met in no order, so at each step of a pipeline the processor looks for a page it has not seen lately; with pages of 4 KiB
//! that walk, and its like below a hypervisor, costs more than the data itself. A server that forks has to fear huge pages, since each write after
//! the fork copies one; nothing forks here.
//!
//! The first touch of a huge page clears two megabytes, and where a hypervisor has to find the memory first that takes milliseconds: small
//! pages come from memory that was used lately, huge ones seldom do. So whoever fills the memory with all processors ([`Filling`]: a file
//! that is loaded) gets small pages. A thread of its own makes huge ones of them afterwards, for a tenth of a processor's time.
//!
//! # Invariants
//! * Slabs are taken from the region of the lowest address that has room, so that regions at the end empty by themselves.
//! * A region whose last slab comes back is unmapped, but for one. While more than a quarter of all slabs is free, the pages of a slab that
//!   comes back go to the kernel at once.
//! * A page's size is never seen in what it holds: whether, when and of which regions huge pages are made is nobody else's business, and may
//!   go wrong.

use super::SLAB_BYTES;
use crate::base::clock;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::time::Duration;

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
    /// Those of small pages that are to have huge ones.
    small: BTreeSet<usize>,
    /// How many fill the memory now.
    filling: usize,
    /// A thread makes huge pages.
    settling: bool,
}

static REGIONS: Mutex<Regions> = Mutex::new(Regions {
    free: BTreeMap::new(),
    with_room: BTreeSet::new(),
    free_slabs: 0,
    small: BTreeSet::new(),
    filling: 0,
    settling: false,
});

/// While there is one, regions are of small pages; see the module.
#[derive(Debug)]
pub struct Filling(());

impl Filling {
    #[expect(clippy::new_without_default, reason = "it is begun, not made out of nothing")]
    pub fn new() -> Filling {
        REGIONS.lock().filling += 1;
        Filling(())
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        let regions = &mut *REGIONS.lock();
        regions.filling -= 1;
        if regions.filling == 0 && !regions.small.is_empty() && !regions.settling {
            // Without a thread the pages stay as they are.
            regions.settling = std::thread::Builder::new().name("huge-pages".into()).spawn(settle).is_ok();
        }
    }
}

/// Makes huge pages of what was filled, until somebody fills again. Whoever touches a region at that moment waits for the copy of it, so
/// only those without a free slab are copied; the kernel sees to the others in its own time.
fn settle() {
    let mut may = true;
    loop {
        let (base, full) = {
            let regions = &mut *REGIONS.lock();
            let next = if regions.filling == 0 { regions.small.pop_first() } else { None };
            let Some(base) = next else {
                regions.settling = false;
                return;
            };
            (base, regions.free.get(&base) == Some(&0))
        };
        let region = std::ptr::with_exposed_provenance_mut(base);
        let began = clock::monotonic_ns();
        // Should the region have been unmapped by now, or be somebody else's memory, then that is refused, or as good for him.
        advise_huge(region);
        if full && may {
            may = collapse(region);
            std::thread::sleep(Duration::from_nanos(9 * (clock::monotonic_ns() - began)));
        }
    }
}

/// A slab's memory, at a multiple of its size; `None` where there is none. What is in it is arbitrary.
pub(super) fn take() -> Option<NonNull<u8>> {
    let regions = &mut *REGIONS.lock();
    if regions.with_room.is_empty() {
        let base = map()?.as_ptr().expose_provenance();
        regions.free.insert(base, u64::MAX);
        regions.with_room.insert(base);
        regions.free_slabs += SLABS;
        if regions.filling > 0 {
            regions.small.insert(base);
        } else {
            advise_huge(std::ptr::with_exposed_provenance_mut(base));
        }
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
        regions.small.remove(&base);
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

/// Asks for a huge page; where the kernel knows none, small ones do.
#[cfg(not(miri))]
fn advise_huge(region: *mut u8) {
    // SAFETY: the advice changes no byte of any mapping.
    unsafe { libc::madvise(region.cast(), REGION_BYTES, libc::MADV_HUGEPAGE) };
}

/// Makes one of a region's small pages. False if this kernel cannot (before 6.1), or may not.
#[cfg(not(miri))]
fn collapse(region: *mut u8) -> bool {
    // SAFETY: it changes no byte of any mapping.
    let refused = unsafe { libc::madvise(region.cast(), REGION_BYTES, libc::MADV_COLLAPSE) } != 0;
    !refused || std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL)
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

    pub fn advise_huge(_region: *mut u8) {}

    pub fn collapse(_region: *mut u8) -> bool {
        false
    }
}
#[cfg(miri)]
use plain::{advise_huge, collapse, forget, map, unmap};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_is_in_small_pages_and_the_same_in_huge_ones_afterwards() {
        let filling = Filling::new();
        // Of the last region half the slabs are free.
        let slabs: Vec<NonNull<u8>> = (0..5 * SLABS / 2).map(|_| take().unwrap()).collect();
        let word = |slab: &NonNull<u8>, n: usize| slab.as_ptr().cast::<usize>().wrapping_add(n);
        for slab in &slabs {
            // SAFETY: the slab is as large as that, and nobody else's.
            (0..SLAB_BYTES / 8).for_each(|n| unsafe { *word(slab, n) = slab.as_ptr() as usize ^ n });
        }
        // Other tests may take slabs of the same regions meanwhile.
        let waiting = || {
            let small = &REGIONS.lock().small;
            slabs.iter().any(|slab| small.contains(&(slab.as_ptr() as usize & !(REGION_BYTES - 1))))
        };
        assert!(waiting());
        drop(filling);
        while waiting() {
            std::thread::yield_now();
        }
        for slab in slabs {
            for n in 0..SLAB_BYTES / 8 {
                // SAFETY: as above.
                assert_eq!(unsafe { *word(&slab, n) }, slab.as_ptr() as usize ^ n);
            }
            // SAFETY: nobody uses it any more.
            unsafe { give(slab) };
        }
    }
}
