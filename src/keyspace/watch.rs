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

type DatabaseAndKey = (u32, Box<[u8]>);

/// The watchers of one stripe's keys.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_key: HashMap<DatabaseAndKey, Vec<Arc<WatchFlag>>>,
}

impl Watchers {
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub fn add(&mut self, db: u32, name: &[u8], flag: &Arc<WatchFlag>) {
        self.by_key.entry((db, name.into())).or_default().push(Arc::clone(flag));
    }

    pub fn remove(&mut self, db: u32, name: &[u8], flag: &Arc<WatchFlag>) {
        let key = (db, name.into());
        if let Some(list) = self.by_key.get_mut(&key) {
            list.retain(|f| !Arc::ptr_eq(f, flag));
            if list.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    pub fn raise(&self, db: u32, name: &[u8]) {
        if let Some(list) = self.by_key.get(&(db, name.into())) {
            list.iter().for_each(|f| f.raise());
        }
    }

    /// Raises the flags of the keys that `changed` names.
    pub fn raise_where(&self, mut changed: impl FnMut(u32, &[u8]) -> bool) {
        for ((db, name), list) in &self.by_key {
            if changed(*db, name) {
                list.iter().for_each(|f| f.raise());
            }
        }
    }
}
