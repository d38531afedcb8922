//! Statistics that one thread writes and any thread reads.
//!
//! A [`Registry`] has one block of cells per writing thread, each on cache lines of its own. A [`Writer`] is the only one
//! to write its block, so adding is a load and a store without a locked instruction; readers sum the blocks with relaxed
//! loads and may miss the last few events, never more. A reset cannot clear cells that another thread is adding to: it
//! raises the registry's epoch; readers skip blocks of an older epoch, and each writer clears its block before it next
//! writes. Writers come as threads do, up to [`WRITERS_MAX`]; none ever goes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Two for each of as many workers as there may be, and some for other threads.
pub const WRITERS_MAX: usize = 2 * 256 + 32;

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
    /// The first `used` are there, or about to be.
    slots: Box<[OnceLock<Arc<Slot<T>>>]>,
    used: AtomicUsize,
    make: Box<dyn Fn() -> T + Send + Sync>,
}

impl<T: Cells> Registry<T> {
    /// Makes `writers` blocks and the one writer of each, in order.
    pub fn new(writers: usize, make: impl Fn() -> T + Send + Sync + 'static) -> (Arc<Self>, Vec<Writer<T>>) {
        let slots = (0..WRITERS_MAX.max(writers)).map(|_| OnceLock::new()).collect();
        let registry =
            Arc::new(Registry { epoch: AtomicU64::new(0), slots, used: AtomicUsize::new(0), make: Box::new(make) });
        let writers = (0..writers).filter_map(|_| registry.add()).collect();
        (registry, writers)
    }

    /// One more block, and its writer. `None` if there are as many as there may be.
    pub fn add(self: &Arc<Self>) -> Option<Writer<T>> {
        let place = self.slots.get(self.used.fetch_add(1, Ordering::Relaxed))?;
        let slot = Arc::new(Slot { epoch: AtomicU64::new(self.epoch.load(Ordering::Acquire)), cells: (self.make)() });
        let _ = place.set(Arc::clone(&slot));
        Some(Writer { registry: Arc::clone(self), slot })
    }

    /// The blocks that count since the last reset.
    pub fn blocks(&self) -> impl Iterator<Item = &T> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let there = self.slots.iter().filter_map(OnceLock::get);
        there.filter(move |slot| slot.epoch.load(Ordering::Acquire) == epoch).map(|slot| &slot.cells)
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
    slot: Arc<Slot<T>>,
}

impl<T: Cells> Writer<T> {
    /// The block, cleared first if there was a reset since the last call.
    #[inline]
    pub fn cells(&mut self) -> &T {
        let epoch = self.registry.epoch.load(Ordering::Relaxed);
        let slot = &*self.slot;
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
    fn a_writer_that_comes_later_counts_with_the_others() {
        let (registry, mut writers) = Registry::new(1, Count::new);
        writers[0].cells().add(3);
        registry.reset();
        writers.extend(registry.add());
        writers[1].cells().add(4);
        writers[0].cells().add(1);
        assert_eq!(registry.sum(Count::get), 5);
        let more = std::iter::from_fn(|| registry.add()).count();
        assert_eq!(more, WRITERS_MAX - 2);
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
