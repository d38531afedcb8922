//! WATCH: a flag a client shares with every key it watches. A change to the key, under its stripe's lock, raises the flag.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised when a watched key has changed.
#[derive(Debug, Default)]
pub struct WatchFlag(AtomicBool);

impl WatchFlag {
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One client's interest in one key.
#[derive(Debug)]
struct Watch {
    flag: Arc<WatchFlag>,
    /// The key was past its deadline when the watch began and has not gone yet: that it goes is no change, that it comes is one.
    stale: bool,
}

/// The watchers of one stripe's keys.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_key: HashMap<(u32, Box<[u8]>), Vec<Watch>>,
}

impl Watchers {
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub fn add(&mut self, db: u32, name: &[u8], flag: &Arc<WatchFlag>, stale: bool) {
        let watch = Watch { flag: Arc::clone(flag), stale };
        self.by_key.entry((db, name.into())).or_default().push(watch);
    }

    pub fn remove(&mut self, db: u32, name: &[u8], flag: &Arc<WatchFlag>) {
        let key = (db, name.into());
        if let Some(list) = self.by_key.get_mut(&key) {
            list.retain(|w| !Arc::ptr_eq(&w.flag, flag));
            if list.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// The key has changed; `there` says whether it is there now.
    pub fn raise(&mut self, db: u32, name: &[u8], there: bool) {
        for w in self.by_key.get_mut(&(db, name.into())).into_iter().flatten() {
            if w.stale && !there {
                w.stale = false;
            } else {
                w.flag.raise();
            }
        }
    }

    /// A whole database changes: `change` says of each watched key whether it was there, not past its deadline, before, and whether it
    /// will be afterwards.
    pub fn raise_where(&mut self, mut change: impl FnMut(u32, &[u8]) -> (bool, bool)) {
        for ((db, name), list) in &mut self.by_key {
            let (before, after) = change(*db, name);
            for w in list {
                if before || after {
                    w.flag.raise();
                }
                w.stale = false;
            }
        }
    }
}
