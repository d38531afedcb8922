//! Statistics that one thread writes and any thread reads.
//!
//! A [`Registry`] has one block of cells per writing thread, each on cache lines of its own. A [`Writer`] is the only one
//! to write its block, so adding is a load and a store without a locked instruction; readers sum the blocks with relaxed
//! loads and may miss the last few events, never more. A reset cannot clear cells that another thread is adding to: it
//! raises the registry's epoch; readers skip blocks of an older epoch, and each writer clears its block before it next
//! writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Zero.
    pub const fn new() -> Self {
        Count(AtomicU64::new(0))
    }
    /// Adds; only the block's own writer may call it, or additions get lost.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
    /// The value now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    /// Back to zero; only for the block's own writer.
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A block of cells that can be set back to zero.
pub trait Cells {
    /// Sets every cell to zero.
    fn clear(&self);
}

/// Two cache lines, because the processor fetches them in pairs.
#[repr(align(128))]
struct Slot<T> {
    epoch: AtomicU64,
    cells: T,
}

/// The blocks of all writing threads.
pub struct Registry<T> {
    epoch: AtomicU64,
    slots: Box<[Slot<T>]>,
}

impl<T: Cells> Registry<T> {
    /// Makes `writers` blocks and the one writer of each, in order.
    pub fn new(writers: usize, mut make: impl FnMut() -> T) -> (Arc<Self>, Vec<Writer<T>>) {
        let slots = (0..writers).map(|_| Slot { epoch: AtomicU64::new(0), cells: make() }).collect();
        let registry = Arc::new(Registry { epoch: AtomicU64::new(0), slots });
        let writers = (0..writers).map(|index| Writer { registry: Arc::clone(&registry), index }).collect();
        (registry, writers)
    }

    /// The blocks that count since the last reset.
    pub fn blocks(&self) -> impl Iterator<Item = &T> {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.slots.iter().filter(move |slot| slot.epoch.load(Ordering::Acquire) == epoch).map(|slot| &slot.cells)
    }

    /// Sum of one cell over the blocks.
    pub fn sum(&self, cell: impl Fn(&T) -> u64) -> u64 {
        self.blocks().map(cell).fold(0, u64::wrapping_add)
    }

    /// Everything counts from zero again, at once for readers.
    pub fn reset(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// The right to write one block. Not `Clone`, and it takes `&mut self`: one writer per block.
pub struct Writer<T> {
    registry: Arc<Registry<T>>,
    index: usize,
}

impl<T: Cells> Writer<T> {
    /// The block, cleared first if there was a reset since the last call.
    #[inline]
    pub fn cells(&mut self) -> &T {
        let epoch = self.registry.epoch.load(Ordering::Relaxed);
        let slot = &self.registry.slots[self.index];
        if slot.epoch.load(Ordering::Relaxed) != epoch {
            slot.cells.clear();
            slot.epoch.store(epoch, Ordering::Release);
        }
        &slot.cells
    }

    /// The registry this block belongs to.
    pub fn registry(&self) -> &Arc<Registry<T>> {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Cells for Count {
        fn clear(&self) {
            Count::clear(self);
        }
    }

    #[test]
    fn a_reset_is_seen_at_once_and_keeps_what_comes_after() {
        let (registry, mut writers) = Registry::new(2, Count::new);
        writers[0].cells().add(3);
        writers[1].cells().add(4);
        assert_eq!(registry.sum(Count::get), 7);
        registry.reset();
        assert_eq!(registry.sum(Count::get), 0);
        writers[1].cells().add(5);
        assert_eq!(registry.sum(Count::get), 5);
    }

    #[test]
    fn threads_lose_no_event() {
        let (registry, writers) = Registry::new(4, Count::new);
        std::thread::scope(|scope| {
            for mut writer in writers {
                scope.spawn(move || (0..10_000).for_each(|_| writer.cells().add(1)));
            }
        });
        assert_eq!(registry.sum(Count::get), 40_000);
    }
}
