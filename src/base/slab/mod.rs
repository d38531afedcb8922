//! Blocks of records and of their tables' segments: size classes in steps of 8 bytes, where the general allocator's are up to a fifth apart.
//!
//! A key of 16 bytes with a value of 64 is a block of 88; jemalloc's next class is 96, and for one of 136 it is 160. With a block per
//! key that rounding is the largest waste of memory there is, so records have an allocator of their own below [`BLOCK_MAX`].
//!
//! ```text
//! slab, 32 KiB at a multiple of 32 KiB:   header (64 bytes) | block | block | ...        all blocks of one class
//! region, 2 MiB at a multiple of 2 MiB:   slab | slab | ...                              see `region`
//! ```
//!
//! A block's slab is found by clearing its address' low bits. Each thread keeps a few free blocks per class (the magazines of Bonwick
//! and Adams, USENIX 2001) and trades them by the half with the class' list of slabs that have room, under that class' lock. A slab whose
//! last block comes back is freed, but for one per class.
//!
//! # Invariants
//! * A block belongs to one place at a time: its user, one thread's magazine, or its slab's free list. `used` counts those that are not
//!   in the free list, so a slab is freed only when nobody can know a block of it.
//! * A slab is on its class' list exactly while it has a free block.
//! * `used_memory` counts blocks, not slabs.

mod region;

pub use region::Filling;

use super::memory;
use parking_lot::Mutex;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};

/// Larger blocks are the general allocator's. Eight of these and the header fill a slab.
pub const BLOCK_MAX: usize = 4032;
/// Up to here classes are 8 bytes apart, up to the next 16, above it a cache line.
const FINE_MAX: usize = 512;
const MIDDLE_MAX: usize = 1024;
const FINE_CLASSES: usize = FINE_MAX / 8;
const MIDDLE_CLASSES: usize = FINE_CLASSES + (MIDDLE_MAX - FINE_MAX) / 16;
const CLASSES: usize = MIDDLE_CLASSES + (BLOCK_MAX - MIDDLE_MAX) / LINE;
const LINE: usize = 64;
const SLAB_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 64;
/// Free blocks of a class that a thread keeps at most, and never more than a slab of them.
const MAGAZINE_MAX: usize = 32;

const fn magazine_max(class: usize) -> usize {
    let slab = SLAB_BYTES / bytes_of(class);
    if slab < MAGAZINE_MAX { slab } else { MAGAZINE_MAX }
}

const fn class_of(bytes: usize) -> usize {
    if bytes <= FINE_MAX {
        bytes.div_ceil(8).saturating_sub(1)
    } else if bytes <= MIDDLE_MAX {
        FINE_CLASSES + (bytes - FINE_MAX).div_ceil(16) - 1
    } else {
        MIDDLE_CLASSES + (bytes - MIDDLE_MAX).div_ceil(LINE) - 1
    }
}

const fn bytes_of(class: usize) -> usize {
    if class < FINE_CLASSES {
        (class + 1) * 8
    } else if class < MIDDLE_CLASSES {
        FINE_MAX + (class - FINE_CLASSES + 1) * 16
    } else {
        MIDDLE_MAX + (class - MIDDLE_CLASSES + 1) * LINE
    }
}

/// Bytes really set aside for a block of `bytes`.
#[must_use]
pub const fn block_bytes(bytes: usize) -> usize {
    if bytes > BLOCK_MAX { super::size_class::size_class(bytes) } else { bytes_of(class_of(bytes)) }
}

#[repr(C)]
struct Slab {
    next: *mut Slab,
    previous: *mut Slab,
    /// Blocks that came back, linked through their first eight bytes.
    free: *mut u8,
    /// Blocks that are not in the free list and were handed out once.
    used: u32,
    /// Blocks handed out at least once; those behind have never been touched.
    fresh: u32,
    class: u32,
}

const _: () = assert!(size_of::<Slab>() <= HEADER_BYTES);

const fn capacity(class: usize) -> u32 {
    ((SLAB_BYTES - HEADER_BYTES) / bytes_of(class)) as u32
}

/// The slabs of one class that have room.
struct Class {
    first: *mut Slab,
    /// Blocks that are out, in threads' magazines too.
    out: usize,
}

// SAFETY: the slabs behind the pointer are touched under the class' lock alone.
unsafe impl Send for Class {}

static CENTRAL: [Mutex<Class>; CLASSES] = [const { Mutex::new(Class { first: null_mut(), out: 0 }) }; CLASSES];

impl Class {
    /// # Safety
    /// `slab` is a live slab of this class that is not on the list.
    unsafe fn link(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's word; list members are live.
        unsafe {
            (*slab).previous = null_mut();
            (*slab).next = self.first;
            if !self.first.is_null() {
                (*self.first).previous = slab;
            }
        }
        self.first = slab;
    }

    /// # Safety
    /// `slab` is on the list.
    unsafe fn unlink(&mut self, slab: *mut Slab) {
        // SAFETY: the caller's word; its neighbours are live members too.
        unsafe {
            let (next, previous) = ((*slab).next, (*slab).previous);
            if previous.is_null() {
                self.first = next;
            } else {
                (*previous).next = next;
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
    }

    /// Hands out `out.len()` blocks.
    fn take(&mut self, class: usize, out: &mut [*mut u8]) {
        self.out += out.len();
        let mut out = out.iter_mut();
        let mut place = out.next();
        while place.is_some() {
            if self.first.is_null() {
                let Some(slab) = region::take() else { handle_alloc_error(layout(SLAB_BYTES)) };
                // SAFETY: the memory is a slab's; the header is written before the slab is linked.
                unsafe {
                    let slab = slab.cast::<Slab>().as_ptr();
                    slab.write(Slab {
                        next: null_mut(),
                        previous: null_mut(),
                        free: null_mut(),
                        used: 0,
                        fresh: 0,
                        class: class as u32,
                    });
                    self.link(slab);
                }
            }
            let slab = self.first;
            // SAFETY: a slab on the list is live and has a free block: in its free list, which holds blocks of this slab, or behind
            // `fresh`, which is inside the slab. The class' lock is held.
            unsafe {
                while let Some(p) = &mut place {
                    let block = if (*slab).free.is_null() {
                        if (*slab).fresh == capacity(class) {
                            break;
                        }
                        let block = slab.cast::<u8>().add(HEADER_BYTES + (*slab).fresh as usize * bytes_of(class));
                        (*slab).fresh += 1;
                        block
                    } else {
                        let block = (*slab).free;
                        (*slab).free = block.cast::<*mut u8>().read();
                        block
                    };
                    (*slab).used += 1;
                    **p = block;
                    place = out.next();
                }
                if (*slab).free.is_null() && (*slab).fresh == capacity(class) {
                    self.unlink(slab);
                }
            }
        }
    }

    /// Takes blocks back.
    ///
    /// # Safety
    /// They are of this class, from [`Class::take`], and nobody uses them any more.
    unsafe fn give(&mut self, class: usize, blocks: &[*mut u8]) {
        self.out -= blocks.len();
        for &block in blocks {
            // SAFETY: a block lies in a live slab at a multiple of the slab's size; the class' lock is held.
            unsafe {
                let slab = std::ptr::with_exposed_provenance_mut::<Slab>(block.addr() & !(SLAB_BYTES - 1));
                debug_assert_eq!((*slab).class as usize, class);
                let was_full = (*slab).free.is_null() && (*slab).fresh == capacity(class);
                block.cast::<*mut u8>().write((*slab).free);
                (*slab).free = block;
                (*slab).used -= 1;
                if was_full {
                    self.link(slab);
                }
                let alone = (*slab).next.is_null() && (*slab).previous.is_null();
                if (*slab).used == 0 && !alone {
                    self.unlink(slab);
                    region::give(NonNull::new_unchecked(slab).cast());
                }
            }
        }
    }
}

/// What this allocator holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// In blocks that are out, those in threads' magazines included.
    pub allocated: u64,
    /// In slabs that have a block out.
    pub active: u64,
    pub mapped: u64,
}

/// Counts; some hundred locks, each for an instant.
pub fn figures() -> Figures {
    let (mapped, active) = region::figures();
    let allocated = CENTRAL.iter().enumerate().map(|(class, c)| c.lock().out * bytes_of(class)).sum::<usize>();
    Figures { allocated: allocated as u64, active, mapped }
}

/// Gives pages that hold no block to the kernel.
pub fn purge() {
    region::purge();
}

/// One thread's free blocks of one class.
struct Magazine {
    len: usize,
    blocks: [*mut u8; MAGAZINE_MAX],
}

struct Magazines(UnsafeCell<[Magazine; CLASSES]>);

impl Drop for Magazines {
    fn drop(&mut self) {
        for (class, m) in self.0.get_mut().iter_mut().enumerate() {
            // SAFETY: what is in a magazine is nobody else's.
            unsafe { CENTRAL[class].lock().give(class, &m.blocks[..m.len]) };
            m.len = 0;
        }
    }
}

thread_local! {
    static MAGAZINES: Magazines =
        const { Magazines(UnsafeCell::new([const { Magazine { len: 0, blocks: [null_mut(); MAGAZINE_MAX] } }; CLASSES])) };
}

#[cold]
fn refill(class: usize, m: &mut Magazine) {
    let half = magazine_max(class) / 2;
    CENTRAL[class].lock().take(class, &mut m.blocks[..half]);
    m.len = half;
}

#[cold]
fn flush(class: usize, m: &mut Magazine) {
    let keep = magazine_max(class) / 2;
    // SAFETY: what is in a magazine is nobody else's.
    unsafe { CENTRAL[class].lock().give(class, &m.blocks[keep..m.len]) };
    m.len = keep;
}

const fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a block is smaller than the address space"),
    }
}

/// A block of at least `bytes`, aligned to 8. It ends the process where there is no memory.
#[inline]
pub fn take(bytes: usize) -> NonNull<u8> {
    if bytes > BLOCK_MAX {
        // SAFETY: the layout is not empty.
        let block = unsafe { alloc(layout(bytes)) };
        return NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout(bytes)));
    }
    let class = class_of(bytes);
    memory::count(bytes_of(class) as i64);
    let block = MAGAZINES.try_with(|all| {
        // SAFETY: this thread's alone, and nothing that runs while it is borrowed takes or gives a block.
        let m = unsafe { &mut (&mut *all.0.get())[class] };
        if m.len == 0 {
            refill(class, m);
        }
        m.len -= 1;
        m.blocks[m.len]
    });
    let block = block.unwrap_or_else(|_| {
        // The thread is ending, and its magazines have gone already.
        let mut one = [null_mut()];
        CENTRAL[class].lock().take(class, &mut one);
        one[0]
    });
    debug_assert!(!block.is_null());
    // SAFETY: `Class::take` fills every place it is given.
    unsafe { NonNull::new_unchecked(block) }
}

/// A block of `bytes`, a multiple of 64 and at most [`BLOCK_MAX`], that begins with a cache line.
pub fn take_lines(bytes: usize) -> NonNull<u8> {
    assert!(
        bytes.is_multiple_of(LINE) && bytes <= BLOCK_MAX,
        "a slab's blocks begin with a line where they end with one"
    );
    take(bytes)
}

/// Gives a block back.
///
/// # Safety
/// It is from [`take`] or [`resize`] with this size, and is not used again.
#[inline]
pub unsafe fn give(block: NonNull<u8>, bytes: usize) {
    if bytes > BLOCK_MAX {
        // SAFETY: the caller's word.
        return unsafe { dealloc(block.as_ptr(), layout(bytes)) };
    }
    let class = class_of(bytes);
    memory::count(-(bytes_of(class) as i64));
    let kept = MAGAZINES.try_with(|all| {
        // SAFETY: as in `take`.
        let m = unsafe { &mut (&mut *all.0.get())[class] };
        if m.len == magazine_max(class) {
            flush(class, m);
        }
        m.blocks[m.len] = block.as_ptr();
        m.len += 1;
    });
    if kept.is_err() {
        // SAFETY: the caller's word.
        unsafe { CENTRAL[class].lock().give(class, &[block.as_ptr()]) };
    }
}

/// Makes a block larger or smaller; what is in the smaller of both sizes stays.
///
/// # Safety
/// As for [`give`]; the block returned takes its place.
pub unsafe fn resize(block: NonNull<u8>, from: usize, to: usize) -> NonNull<u8> {
    if from > BLOCK_MAX && to > BLOCK_MAX {
        // SAFETY: the caller's word; the new size is not 0.
        let new = unsafe { std::alloc::realloc(block.as_ptr(), layout(from), to) };
        return NonNull::new(new).unwrap_or_else(|| handle_alloc_error(layout(to)));
    }
    if from <= BLOCK_MAX && to <= BLOCK_MAX && class_of(from) == class_of(to) {
        return block;
    }
    let new = take(to);
    // SAFETY: both are at least this long, and the new block is another.
    unsafe {
        std::ptr::copy_nonoverlapping(block.as_ptr(), new.as_ptr(), from.min(to));
        give(block, from);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::Random;

    #[test]
    fn a_class_holds_what_it_is_for_and_wastes_less_than_a_step() {
        for bytes in 1..=BLOCK_MAX {
            let class = class_of(bytes);
            assert!(class < CLASSES && bytes_of(class) >= bytes, "{bytes}");
            let step = match bytes {
                ..=FINE_MAX => 8,
                513..=MIDDLE_MAX => 16,
                _ => LINE,
            };
            assert!(bytes_of(class) - bytes < step, "{bytes}");
        }
    }

    /// Fills a block with a pattern of its own.
    fn fill(block: NonNull<u8>, bytes: usize, with: u8) {
        // SAFETY: the block has so many bytes.
        unsafe { std::ptr::write_bytes(block.as_ptr(), with, bytes) };
    }

    fn is_filled(block: NonNull<u8>, bytes: usize, with: u8) -> bool {
        // SAFETY: as above; they were written.
        unsafe { std::slice::from_raw_parts(block.as_ptr(), bytes) }.iter().all(|b| *b == with)
    }

    fn churn(seed: u64, rounds: usize) -> Vec<(NonNull<u8>, usize, u8)> {
        let mut rng = Random::new(seed);
        let mut live: Vec<(NonNull<u8>, usize, u8)> = Vec::new();
        for n in 0..rounds {
            let with = n as u8;
            match rng.below(8) {
                0..4 => {
                    let bytes = 1 + rng.below(BLOCK_MAX as u64 + 300) as usize;
                    let block = take(bytes);
                    assert_eq!(block.as_ptr() as usize % 8, 0);
                    fill(block, bytes, with);
                    live.push((block, bytes, with));
                }
                4..6 if !live.is_empty() => {
                    let i = rng.below(live.len() as u64) as usize;
                    let (block, bytes, old) = live.swap_remove(i);
                    let to = 1 + rng.below(BLOCK_MAX as u64 + 300) as usize;
                    // SAFETY: as it was taken.
                    let block = unsafe { resize(block, bytes, to) };
                    assert!(is_filled(block, bytes.min(to), old));
                    fill(block, to, with);
                    live.push((block, to, with));
                }
                _ if !live.is_empty() => {
                    let i = rng.below(live.len() as u64) as usize;
                    let (block, bytes, old) = live.swap_remove(i);
                    assert!(is_filled(block, bytes, old), "somebody else has written here");
                    // SAFETY: as it was taken.
                    unsafe { give(block, bytes) };
                }
                _ => {}
            }
        }
        live
    }

    const ROUNDS: usize = if cfg!(miri) { 400 } else { 40_000 };

    #[test]
    fn no_block_is_anybody_elses() {
        for (block, bytes, with) in churn(7, ROUNDS) {
            assert!(is_filled(block, bytes, with));
            // SAFETY: as it was taken.
            unsafe { give(block, bytes) };
        }
    }

    #[test]
    fn blocks_may_be_given_back_by_another_thread() {
        struct Blocks(Vec<(NonNull<u8>, usize, u8)>);
        // SAFETY: blocks are plain memory; one thread at a time uses them.
        unsafe impl Send for Blocks {}
        let threads: Vec<_> = (0..3).map(|n| std::thread::spawn(move || Blocks(churn(100 + n, ROUNDS / 4)))).collect();
        for t in threads {
            for (block, bytes, with) in t.join().unwrap().0 {
                assert!(is_filled(block, bytes, with));
                // SAFETY: as it was taken.
                unsafe { give(block, bytes) };
            }
        }
    }
}
