//! Dual channel, the primary's side: which copy belongs to which stream, and the place in the journal that is kept between the two.
//!
//! ```text
//! main: PSYNC -> DUALCHANNELSYNC                    set-rdb-client-id, PSYNC -> CONTINUE -(bg_transfer)-> first ACK: online
//! copy:             rdb-channel, SYNC -> wait_bgsave -> ENDOFF, copy -------------------> sent, closed by the replica
//! pair:                                  |- waits for the main channel -|- claimed -------------------------| gone
//! ```
//!
//! # Invariants
//! * A pair's cursor is of the copy's cut: the main channel goes on at exactly the byte behind it, or nowhere.
//! * What the journal keeps for a pair is bounded like what it keeps for a replica, and by the time of grace once the copy is sent.
//! * Until the copy is sent the channels live and die together; after that the copy's connection has nothing more to say.

use crate::client::{Registry, Shared};
use crate::journal::Cursor;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long a main channel may take to come after the copy was sent.
const GRACE_MS: u64 = 60_000;

#[derive(Debug)]
struct Pair {
    copy: Arc<Shared>,
    main: Option<Arc<Shared>>,
    /// Until the main channel takes it.
    cursor: Option<Cursor>,
    /// When the copy was sent whole (monotonic ms).
    sent_ms: Option<u64>,
}

/// Why a pair is over before its main channel came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It would have to be sent more than may be kept for it.
    Behind,
    /// The time of grace is over.
    Late,
}

/// All of them.
#[derive(Debug)]
pub struct Pairs {
    list: Mutex<Vec<Pair>>,
    grace_ms: AtomicU64,
}

impl Default for Pairs {
    fn default() -> Self {
        Pairs { list: Mutex::default(), grace_ms: AtomicU64::new(GRACE_MS) }
    }
}

impl Pairs {
    /// DEBUG DELAY-RDB-CLIENT-FREE-SECONDS.
    pub fn set_grace_ms(&self, ms: u64) {
        self.grace_ms.store(ms, Ordering::Relaxed);
    }

    /// A copy begins, and `cursor` is at its cut.
    pub fn begin(&self, copy: Arc<Shared>, cursor: Cursor) {
        self.list.lock().push(Pair { copy, main: None, cursor: Some(cursor), sent_ms: None });
    }

    /// Copies whose main channel has not come yet.
    pub fn waiting(&self) -> usize {
        self.list.lock().iter().filter(|p| p.cursor.is_some()).count()
    }

    /// True if this copy is one that a main channel may still name.
    pub fn is_known(&self, copy: u64) -> bool {
        self.list.lock().iter().any(|p| p.copy.id == copy && p.cursor.is_some())
    }

    /// The main channel of a copy wants to go on behind `offset`.
    pub fn claim(&self, copy: u64, offset: u64, main: &Arc<Shared>) -> Option<Cursor> {
        let mut list = self.list.lock();
        let fits = |p: &Pair| p.copy.id == copy && p.cursor.as_ref().is_some_and(|c| c.position() == offset);
        let pair = list.iter_mut().find(|p| fits(p))?;
        pair.main = Some(Arc::clone(main));
        pair.cursor.take()
    }

    /// The copy was sent whole: its connection alone may end now.
    pub fn sent(&self, copy: u64, now_ms: u64) {
        let mut list = self.list.lock();
        if let Some(p) = list.iter_mut().find(|p| p.copy.id == copy) {
            p.sent_ms = Some(now_ms);
        }
    }

    /// A connection has ended: the other one goes with it, unless that has what it needs.
    pub fn left(&self, id: u64, clients: &Registry) {
        let mut gone = Vec::new();
        self.list.lock().retain(|p| {
            if p.main.as_ref().is_some_and(|m| m.id == id) {
                gone.push(Arc::clone(&p.copy));
                return false;
            }
            if p.copy.id != id {
                return true;
            }
            match (&p.main, p.sent_ms) {
                (Some(main), None) => gone.push(Arc::clone(main)),
                (None, Some(_)) => return true,
                _ => {}
            }
            false
        });
        gone.iter().for_each(|c| clients.kill(c, false));
    }

    /// Ends what must not wait any longer. `bytes_max` may have been changed. Returns whose copies those were; their connections are to be ended.
    pub fn round(&self, now_ms: u64, bytes_max: u64) -> Vec<(Arc<Shared>, Over)> {
        let grace = self.grace_ms.load(Ordering::Relaxed);
        let mut over = Vec::new();
        self.list.lock().retain(|p| {
            let Some(cursor) = &p.cursor else { return true };
            cursor.set_bound(bytes_max);
            let why = match p.sent_ms {
                _ if cursor.is_lost() => Over::Behind,
                Some(sent) if now_ms.saturating_sub(sent) > grace => Over::Late,
                _ => return true,
            };
            over.push((Arc::clone(&p.copy), why));
            false
        });
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    fn client(id: u64) -> Arc<Shared> {
        Arc::new(Shared::new(id, 0, String::new(), String::new(), -1, 0))
    }

    fn begun(bytes_max: u64) -> (Pairs, Registry, Arc<Journal>, Arc<Shared>) {
        let (pairs, journal, copy) = (Pairs::default(), Arc::new(Journal::default()), client(1));
        pairs.begin(Arc::clone(&copy), journal.cursor_here(bytes_max));
        (pairs, Registry::default(), journal, copy)
    }

    #[test]
    fn a_main_channel_goes_on_at_the_cut_and_nowhere_else() {
        let (pairs, _, journal, _) = begun(0);
        let end = journal.end();
        assert!(pairs.is_known(1) && !pairs.is_known(2));
        assert!(pairs.claim(2, end, &client(3)).is_none() && pairs.claim(1, end + 1, &client(3)).is_none());
        assert!(pairs.claim(1, end, &client(3)).is_some());
        assert!(pairs.claim(1, end, &client(4)).is_none(), "one stream to one copy");
        assert_eq!(pairs.waiting(), 0);
    }

    #[test]
    fn the_channels_die_together_until_the_copy_is_sent() {
        let killed = |c: &Shared| c.killed.load(Ordering::Relaxed);
        let (pairs, clients, journal, _) = begun(0);
        let main = client(3);
        pairs.claim(1, journal.end(), &main).unwrap();
        pairs.left(1, &clients);
        assert!(killed(&main), "half a copy is no copy");
        let (pairs, clients, journal, copy) = begun(0);
        pairs.claim(1, journal.end(), &main).unwrap();
        pairs.left(3, &clients);
        assert!(killed(&copy), "nobody would go on from it");
        let (pairs, clients, journal, _) = begun(0);
        let main = client(4);
        pairs.sent(1, 5);
        pairs.left(1, &clients);
        assert_eq!(pairs.waiting(), 1, "the replica may load before its main channel comes");
        assert!(pairs.claim(1, journal.end(), &main).is_some() && !killed(&main));
        let (pairs, clients, ..) = begun(0);
        pairs.left(1, &clients);
        assert_eq!(pairs.waiting(), 0);
    }

    #[test]
    fn nothing_is_kept_beyond_the_time_of_grace_or_the_bound() {
        let (pairs, ..) = begun(0);
        assert!(pairs.round(1 << 40, 0).is_empty(), "while the copy is sent the walk looks after it");
        pairs.sent(1, 1000);
        assert!(pairs.round(1000 + GRACE_MS, 0).is_empty());
        assert!(matches!(pairs.round(1001 + GRACE_MS, 0)[..], [(_, Over::Late)]));
        let (pairs, _, journal, _) = begun(10);
        journal.append_talk(&[b"PUBLISH", b"more than ten", b"bytes"]);
        journal.keep_backlog(Some(1));
        assert!(matches!(pairs.round(0, 10)[..], [(_, Over::Behind)]));
        assert_eq!(pairs.waiting(), 0);
    }
}
