//! What a command leaves behind: effects into the journal, waiters served, values freed.

use super::Turn;
use crate::journal::State;
use crate::keyspace::{Garbage, Plan};
use crate::persist::JobKind;
use crate::resp::args::Args;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a save of what FLUSHALL has left is waited for: a disk that takes longer is not made faster by it.
const SAVE_WAIT: Duration = Duration::from_secs(1);

impl Turn<'_> {
    /// Commits what the handler of `args` did, under its locks.
    #[inline]
    pub(super) fn commit(&mut self, db: u32, args: Args<'_>) {
        let changes = &mut self.space.changes;
        if changes.is_own() && self.told == 0 && self.forward.is_none() && !self.space.replays {
            // What most writers leave: their own arguments, which go as they came.
            if !self.space.journaled {
                self.dirty += std::mem::take(&mut changes.dirty);
                return;
            }
            if let Some(sent) = args.as_sent() {
                self.dirty += std::mem::take(&mut changes.dirty);
                self.offset = self.node.journal.append_request(db, sent);
                return;
            }
        }
        self.gather(db, args);
        if !self.space.changes.ready.is_empty() {
            self.serve_waiters();
        }
        self.append();
    }

    /// Gives the effects of a step to the journal; the locks of what they changed are held.
    #[inline]
    pub(super) fn append(&mut self) {
        if let Some(step) = self.forward.take() {
            // What a primary sent is what the stream says, not what its commands would say again here.
            self.space.changes.effects.clear();
            self.offset = self.node.journal.append_raw(step.bytes, step.kind, step.selected, step.epoch);
        } else if self.space.replays {
            // Effects of a log are in the log.
            self.space.changes.effects.clear();
        } else if !self.space.changes.effects.is_empty() {
            self.offset = self.node.journal.append(&mut self.space.changes.effects);
        }
    }

    /// Turns one handler's changes into effects and counts them, leaving the rest for the end of the step.
    #[inline]
    pub(super) fn gather(&mut self, db: u32, args: Args<'_>) {
        let changes = &mut self.space.changes;
        if changes.dirty > 0 {
            self.dirty += changes.dirty;
            if self.space.journaled && !changes.replaced {
                changes.effects.push_args(db, args);
            }
            changes.dirty = 0;
        }
        if !changes.databases.is_empty() {
            changes.ready.extend(self.node.waiting.keys_of(&changes.databases));
            changes.databases.clear();
        }
        changes.replaced = false;
        if changes.invalidated.len() > self.told {
            self.invalidate();
        }
    }

    /// Everything was flushed: what is left, hardly anything, is on disk before that is answered, as `save` promises of so many changes.
    /// Others are not held up; where something else runs it follows by itself.
    #[cold]
    fn save_what_is_left(&mut self) {
        let saver = &self.node.saver;
        if self.node.loading.is_running() || self.node.journal.state() == State::Following {
            // Told by a file or a primary: nobody waits for it, and the rest may be still to come.
            return saver.schedule();
        }
        saver.wait_for(JobKind::Save, SAVE_WAIT);
        saver.changes.fetch_add(std::mem::take(&mut self.dirty), Ordering::Relaxed);
        let begun = self.space.lock_unless_busy(&Plan::All) && {
            let begun = saver.begin(self.node, &mut self.space).is_ok();
            self.space.unlock();
            begun
        };
        if begun {
            saver.wait_for(JobKind::Save, SAVE_WAIT);
        } else {
            saver.schedule();
        }
    }

    /// What needs no lock: events are published, big values go.
    #[cold]
    pub(super) fn after_unlock(&mut self) {
        let changes = &mut self.space.changes;
        super::events::publish(self.node, &self.config, &mut changes.events);
        changes.ready.clear();
        changes.effects.clear();
        self.end_invalidation();
        let changes = &mut self.space.changes;
        let unlinked = std::mem::take(&mut changes.unlinked);
        if !unlinked.is_empty() {
            self.node.freer.free(Garbage::Records(unlinked));
        }
        let flushed_all = std::mem::take(&mut changes.flushed_all);
        if let Some((mut flushed, wait)) = changes.flushed.take() {
            if wait {
                while flushed.drop_slice() {}
            } else {
                self.node.freer.free(Garbage::Flushed(flushed));
            }
        }
        if flushed_all {
            // A snapshot of what is gone is not wanted any more. One of what is left is, if any are: a start must not bring back what was
            // flushed.
            self.node.saver.give_up(JobKind::Save);
            // Replicas that are being sent it come back for the little there is now.
            self.node.saver.give_up(JobKind::Sync);
            if !self.config.persistence.save.is_empty() {
                self.save_what_is_left();
            }
        }
    }
}
