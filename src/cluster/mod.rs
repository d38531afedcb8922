//! A cluster of one node: which slots are served, under which name. There is no bus, and so there are no other nodes.
//!
//! # Invariants
//! * What is served is on disk before it is: a change of slots or epochs that cannot be saved is none.
//! * A file that knows other nodes is refused: this server would serve what is theirs.

mod file;

use crate::base::slot::{SLOTS, SlotId};
use crate::crypto;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Who this node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// 40 hexadecimal digits each.
    pub id: String,
    pub shard: String,
    pub epoch: u64,
    pub current_epoch: u64,
    /// A bit for each slot.
    slots: Slots,
}

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slots(Box<[u64; SLOTS / 64]>);

impl Default for Slots {
    fn default() -> Slots {
        Slots(Box::new([0; SLOTS / 64]))
    }
}

impl Slots {
    fn has(&self, slot: SlotId) -> bool {
        self.0[usize::from(slot.get()) / 64] >> (slot.get() % 64) & 1 == 1
    }

    fn set(&mut self, slot: SlotId, has: bool) {
        let (word, bit) = (&mut self.0[usize::from(slot.get()) / 64], 1 << (slot.get() % 64));
        if has { *word |= bit } else { *word &= !bit }
    }

    /// First and last of each run.
    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut found: Vec<(u16, u16)> = Vec::new();
        for n in (0..SLOTS as u16).filter(|n| SlotId::new(*n).is_some_and(|s| self.has(s))) {
            match found.last_mut() {
                Some((_, last)) if *last + 1 == n => *last = n,
                _ => found.push((n, n)),
            }
        }
        found
    }
}

/// What becomes of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
}

/// This server as a node.
#[derive(Debug)]
pub struct Cluster {
    state: Mutex<State>,
    /// The slots once more, for those who ask at every command.
    served: Box<[AtomicU64; SLOTS / 64]>,
    count: AtomicUsize,
    file: PathBuf,
}

fn new_id() -> Result<String, String> {
    crypto::random_hex(40).map_err(|e| e.to_string())
}

impl Cluster {
    /// The node that `file` describes, or a new one, which is written there.
    ///
    /// # Errors
    /// The file cannot be read or written, or describes something else than one node.
    pub fn open(file: PathBuf) -> Result<Cluster, String> {
        let named = |e: &dyn std::fmt::Display| format!("cluster-config-file {}: {e}", file.display());
        let found = file::read(&file).map_err(|e| named(&e))?;
        let is_new = found.is_none();
        let state = match found {
            Some(state) => state,
            None => State { id: new_id()?, shard: new_id()?, ..State::default() },
        };
        let cluster = Cluster {
            served: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
            count: AtomicUsize::new(0),
            state: Mutex::new(State::default()),
            file: file.clone(),
        };
        if is_new {
            file::write(&file, &state).map_err(|e| named(&e))?;
        }
        cluster.show(&state);
        *cluster.state.lock() = state;
        Ok(cluster)
    }

    fn show(&self, state: &State) {
        for (shown, word) in self.served.iter().zip(state.slots.0.iter()) {
            shown.store(*word, Ordering::Relaxed);
        }
        let count: u32 = state.slots.0.iter().map(|w| w.count_ones()).sum();
        self.count.store(count as usize, Ordering::Relaxed);
    }

    /// Changes the state once the new one is on disk.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> Result<T, String>) -> Result<T, String> {
        let mut state = self.state.lock();
        let mut new = state.clone();
        let result = change(&mut new)?;
        if new != *state {
            file::write(&self.file, &new).map_err(|e| format!("{}: {e}", self.file.display()))?;
            self.show(&new);
            *state = new;
        }
        Ok(result)
    }

    pub fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// True if this node serves a slot.
    #[inline]
    pub fn serves(&self, slot: SlotId) -> bool {
        self.served[usize::from(slot.get()) / 64].load(Ordering::Relaxed) >> (slot.get() % 64) & 1 == 1
    }

    /// Slots this node serves.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// True if every slot is served.
    pub fn is_whole(&self) -> bool {
        self.count() == SLOTS
    }

    /// First and last of each run of slots.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        self.state.lock().slots.ranges()
    }

    /// Adds or removes slots, all or none.
    ///
    /// # Errors
    /// A slot is served already, or is not, or is named twice; or the file cannot be written.
    pub fn change(&self, slots: &[SlotId], change: Change) -> Result<(), String> {
        self.update(|state| {
            let before = state.slots.clone();
            for slot in slots {
                match (change, before.has(*slot)) {
                    (Change::Add, true) => return Err(format!("Slot {} is already busy", slot.get())),
                    (Change::Remove, false) => return Err(format!("Slot {} is already unassigned", slot.get())),
                    _ => {}
                }
                let add = change == Change::Add;
                if state.slots.has(*slot) == add {
                    return Err(format!("Slot {} specified multiple times", slot.get()));
                }
                state.slots.set(*slot, add);
            }
            Ok(())
        })
    }

    /// Serves no slot any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear(&self) -> Result<(), String> {
        self.update(|state| {
            state.slots = Slots::default();
            Ok(())
        })
    }

    /// Gives a new node its epoch.
    ///
    /// # Errors
    /// It has one, or the file cannot be written.
    pub fn set_epoch(&self, epoch: u64) -> Result<(), String> {
        self.update(|state| {
            if state.epoch != 0 {
                return Err("Node config epoch is already non-zero".into());
            }
            state.epoch = epoch;
            state.current_epoch = state.current_epoch.max(epoch);
            Ok(())
        })
    }

    /// Takes an epoch of its own, if it has none or somebody may have a later one. Tells whether it did, and which it has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn bump_epoch(&self) -> Result<(bool, u64), String> {
        self.update(|state| {
            if state.epoch != 0 && state.epoch == state.current_epoch {
                return Ok((false, state.epoch));
            }
            state.current_epoch += 1;
            state.epoch = state.current_epoch;
            Ok((true, state.epoch))
        })
    }

    /// Begins again without slots, in a shard of its own; `hard`: under another name, from the first epoch on.
    ///
    /// # Errors
    /// There is no name, or the file cannot be written.
    pub fn reset(&self, hard: bool) -> Result<(), String> {
        let (id, shard) = (new_id()?, new_id()?);
        self.update(|state| {
            state.slots = Slots::default();
            state.shard = shard;
            if hard {
                (state.id, state.epoch, state.current_epoch) = (id, 0, 0);
            }
            Ok(())
        })
    }

    /// Writes the file once more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self) -> Result<(), String> {
        file::write(&self.file, &self.state.lock()).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(numbers: &[u16]) -> Vec<SlotId> {
        numbers.iter().filter_map(|n| SlotId::new(*n)).collect()
    }

    #[test]
    fn slots_change_all_or_none_and_stand_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nodes.conf");
        let c = Cluster::open(file.clone()).unwrap();
        let id = c.state().id;
        c.change(&slots(&[1, 2, 3, 9]), Change::Add).unwrap();
        assert_eq!(c.change(&slots(&[5, 3]), Change::Add).unwrap_err(), "Slot 3 is already busy");
        assert_eq!(c.change(&slots(&[5, 5]), Change::Add).unwrap_err(), "Slot 5 specified multiple times");
        assert_eq!(c.change(&slots(&[5]), Change::Remove).unwrap_err(), "Slot 5 is already unassigned");
        c.set_epoch(7).unwrap();
        let again = Cluster::open(file).unwrap();
        assert_eq!(again.state(), c.state());
        assert_eq!((again.state().id, again.ranges(), again.count()), (id, vec![(1, 3), (9, 9)], 4));
        assert!(again.serves(SlotId::new(9).unwrap()) && !again.serves(SlotId::new(5).unwrap()));
        again.reset(true).unwrap();
        assert_eq!((again.count(), again.state().epoch), (0, 0));
        assert_ne!(again.state().id, c.state().id);
    }
}
