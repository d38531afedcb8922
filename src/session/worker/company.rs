//! Under `appendfsync always`: when a worker asks for the sync that its clients wait for, and when it looks at its sockets again.
//!
//! A sync costs a tenth of a millisecond whether one change waits for it or sixty, and so do the threads that are woken for it. Clients that only
//! write come back together: all those whom one sync lets go have sent their next change some hundred microseconds later. A worker all whose
//! clients do so is *in step*. It lets them come back before it looks at its sockets, runs what they bring in one turn, asks for the sync when as
//! many have come as were let go, and leaves the sockets alone while it runs. Whoever is not in step asks at once.
//!
//! # Invariants
//! * What is owed is asked for: at the latest [`PATIENCE`] looks of [`LOOK`] after the last change, and before anything else if there is other work.
//! * Nobody's request waits for the disk: in step, a request that needs no sync is answered after [`STILL_MAX`] or [`COMING_MAX`], and ends being in
//!   step for [`READERLESS_MS`].

use crate::persist::aof::{self, Aof};
use std::time::Duration;

/// So many have to be let go by one sync, or wait for it: with fewer there is nothing to gather.
const FEW: usize = 4;
/// Nobody must have been answered at once for so long.
const READERLESS_MS: u64 = 10;
/// The longest that the sockets are left alone while a sync runs.
const STILL_MAX: Duration = Duration::from_micros(200);
/// How long a client takes to come back when its turn has come, and the longest that the sockets are left alone for those who do.
const COMING: Duration = Duration::from_micros(20);
const COMING_MAX: Duration = Duration::from_millis(1);
/// Between two looks at who has come, and so many looks in a row have to find nobody new before nobody else is waited for.
const LOOK: Duration = Duration::from_micros(50);
const PATIENCE: u32 = 3;

/// What a worker does next, if it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It waits for its sockets.
    Wait,
    /// It looks at them, without waiting.
    Look,
    /// It leaves them alone for so long, or until it is rung.
    StandStill(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// When somebody was answered at once, without waiting for a sync.
    answered_ms: u64,
    /// How many replies syncs have let go since the last look at this.
    let_go: usize,
    /// The writers there were when one last did so: those let go and those whose changes were too late for it.
    expected: usize,
    /// How many had come at the last look, and the looks since somebody new had.
    came: usize,
    looks: u32,
}

impl Company {
    /// Somebody is answered who need not wait for the disk.
    pub(super) fn answered(&mut self, now_ms: u64) {
        self.answered_ms = now_ms;
    }

    /// Somebody's change is on disk.
    pub(super) fn let_go(&mut self) {
        self.let_go += 1;
    }

    /// Between two turns. `held`: replies that wait for the disk. `busy`: the next turn has work already. `news`: the last one had events of sockets.
    pub(super) fn next(&mut self, aof: &Aof, now_ms: fn() -> u64, held: usize, busy: bool, news: bool) -> Next {
        let let_go = std::mem::take(&mut self.let_go);
        if let_go > 0 {
            (self.expected, self.came, self.looks) = (let_go + held, 0, 0);
        }
        let in_step = !busy
            && aof.is_always()
            && held.max(self.expected) >= FEW
            && now_ms().saturating_sub(self.answered_ms) > READERLESS_MS;
        if !in_step {
            self.tell_at_once(aof);
            return if busy { Next::Look } else { Next::Wait };
        }
        aof::ask_later(true);
        if aof::is_owing() {
            return self.gather(aof, held, news);
        }
        if held >= FEW && aof.is_syncing() {
            return Next::StandStill(STILL_MAX);
        }
        if let_go >= FEW {
            return Next::StandStill((COMING * let_go as u32).min(COMING_MAX));
        }
        Next::Wait
    }

    /// What is owed is told now, and what comes when it comes: there is other work, or this turn goes on for long.
    pub(super) fn tell_at_once(&self, aof: &Aof) {
        if aof::is_owing() {
            aof.call_for_owed();
        }
        aof::ask_later(false);
    }

    /// Changes wait to be asked for.
    fn gather(&mut self, aof: &Aof, held: usize, news: bool) -> Next {
        if aof.is_syncing() {
            // Another worker's: ours are for the next.
            return Next::StandStill(STILL_MAX);
        }
        if held < self.expected && self.looks < PATIENCE {
            if news {
                // More may have come while these were run.
                return Next::Look;
            }
            self.looks = if held == self.came { self.looks + 1 } else { 0 };
            self.came = held;
            return Next::StandStill(LOOK);
        }
        aof.call_for_all();
        aof::ask_later(true);
        Next::StandStill(STILL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::aof::testing;

    const NOW: u64 = 1000;

    /// A turn that has ended, and what comes next.
    fn next(c: &mut Company, aof: &Aof, let_go: usize, held: usize, news: bool) -> Next {
        (0..let_go).for_each(|_| c.let_go());
        c.next(aof, || NOW, held, false, news)
    }

    #[test]
    fn those_let_go_come_back_and_are_asked_for_together() {
        let (mut c, aof) = (Company::default(), testing::always());
        assert_eq!(next(&mut c, &aof, 8, 0, true), Next::StandStill(COMING * 8));
        testing::change(&aof);
        assert!(aof::is_owing() && !testing::was_called(&aof));
        assert_eq!(next(&mut c, &aof, 0, 5, true), Next::Look, "more may have come meanwhile");
        assert_eq!(next(&mut c, &aof, 0, 5, false), Next::StandStill(LOOK));
        assert!(!testing::was_called(&aof));
        assert_eq!(next(&mut c, &aof, 0, 8, true), Next::StandStill(STILL_MAX), "all are there");
        assert!(testing::was_called(&aof) && aof.is_syncing() && !aof::is_owing());
    }

    #[test]
    fn nobody_waits_long_for_who_does_not_come() {
        let (mut c, aof) = (Company::default(), testing::always());
        next(&mut c, &aof, 8, 0, true);
        testing::change(&aof);
        let looks = (0..100).take_while(|_| next(&mut c, &aof, 0, 5, false) == Next::StandStill(LOOK)).count();
        assert!(testing::was_called(&aof) && looks <= PATIENCE as usize + 1, "{looks}");
    }

    #[test]
    fn what_is_owed_is_told_before_other_work() {
        let (mut c, aof) = (Company::default(), testing::always());
        next(&mut c, &aof, 8, 0, true);
        testing::change(&aof);
        assert_eq!(c.next(&aof, || NOW, 5, true, false), Next::Look);
        assert!(testing::was_called(&aof) && !aof::is_owing());
        testing::change(&aof);
        assert!(testing::was_called(&aof), "who is not in step tells at once");
        next(&mut c, &aof, 8, 0, true);
        testing::change(&aof);
        c.tell_at_once(&aof);
        assert!(testing::was_called(&aof) && !aof::is_owing(), "nor does a script that runs for long keep it");
    }

    #[test]
    fn who_reads_ends_being_in_step() {
        let (mut c, aof) = (Company::default(), testing::always());
        next(&mut c, &aof, 8, 0, true);
        testing::change(&aof);
        c.answered(NOW - READERLESS_MS);
        assert_eq!(next(&mut c, &aof, 0, 5, false), Next::Wait);
        assert!(testing::was_called(&aof));
    }

    #[test]
    fn few_ask_at_once() {
        let (mut c, aof) = (Company::default(), testing::always());
        assert_eq!(next(&mut c, &aof, FEW - 1, 0, true), Next::Wait);
        testing::change(&aof);
        assert!(testing::was_called(&aof) && !aof::is_owing());
    }

    #[test]
    fn while_a_sync_runs_the_sockets_are_left_alone() {
        let (mut c, aof) = (Company::default(), testing::always());
        next(&mut c, &aof, 8, 0, true);
        testing::change(&aof);
        assert_eq!(next(&mut c, &aof, 0, 8, true), Next::StandStill(STILL_MAX));
        assert_eq!(next(&mut c, &aof, 0, 8, false), Next::StandStill(STILL_MAX));
        testing::change(&aof);
        assert_eq!(next(&mut c, &aof, 0, 9, true), Next::StandStill(STILL_MAX), "the next sync's");
        assert!(aof::is_owing());
    }
}
