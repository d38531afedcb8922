//! What clients cost in memory, and who goes when they cost too much together (`maxmemory-clients`).
//!
//! A client's worker tells what it holds whenever that has changed; the registry keeps the sum. When the sum passes the limit, the
//! largest clients are closed until the rest fit. A replica's connection is not counted: its output is bounded by a limit of its own.

use super::registry::{Registry, Shared};
use super::state::Client;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A client's state without any buffer.
const FIXED_BYTES: usize = size_of::<Client>() + size_of::<Shared>();
/// A watched key or a subscription beside its name: its nodes in the client's list and in the server's.
pub const NAME_BYTES: usize = 112;
/// The limit is not taken below this: a server without any client is of no use.
const LIMIT_MIN: u64 = 128 * 1024;

/// What the beginning of a request is given at once: about what a socket hands over with it.
const QUERY_BYTES: usize = 16 << 10;
/// A buffer up to this size stays with a client that is not idle.
const QUERY_RESIZE_BYTES: usize = 32 << 10;
/// What an argument is given whose length has been announced: a promise alone costs no more.
const PROMISED_BYTES_MAX: usize = 1 << 20;
/// A client that has sent nothing for so long gives its buffer back.
const QUERY_IDLE_MS: u64 = 2000;

impl Client {
    /// Makes room in the query buffer for the rest of a request, before its beginning is put there.
    pub fn make_query_room(&mut self) {
        let room = self.promised().map_or(QUERY_BYTES, |n| n.min(PROMISED_BYTES_MAX));
        if self.query.capacity() < room {
            self.query.reserve_exact(room - self.query.len());
        }
    }

    /// Bytes of the request that is under way, if it has announced a large argument and may be believed.
    fn promised(&self) -> Option<usize> {
        self.partial.wanted().filter(|n| self.authenticated && *n > QUERY_RESIZE_BYTES)
    }

    /// Gives back what the query buffer has not been needed for lately.
    pub fn trim_query(&mut self, idle_ms: u64) {
        let len = self.query.len();
        let peak = std::mem::replace(&mut self.query_peak, len).max(len);
        let capacity = self.query.capacity();
        if idle_ms > QUERY_IDLE_MS {
            self.query.shrink_to_fit();
        } else if capacity > QUERY_RESIZE_BYTES && capacity / 2 > peak.max(self.promised().unwrap_or(0)) {
            self.query.shrink_to(peak.max(QUERY_BYTES));
        }
    }

    /// Bytes this client holds.
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        let buffers = self.query.capacity() + self.output.memory_bytes();
        let names = self.transaction.watched_bytes + self.subscriptions.name_bytes();
        let tracking = self.tracking.as_ref().map_or(0, |t| t.memory_bytes());
        (FIXED_BYTES + buffers + self.transaction.queued_bytes + names + tracking) as u64
    }

    /// Tells others what this client holds, if that has changed.
    #[inline]
    pub fn tell_memory(&self, registry: &Registry) {
        let now = self.memory_bytes();
        if now != self.shared.memory.load(Relaxed) {
            self.tell_figures(registry);
        }
    }

    /// Tells all figures of this client's buffers.
    #[cold]
    pub fn tell_figures(&self, registry: &Registry) {
        let (s, now) = (&self.shared, self.memory_bytes());
        if !s.replica.load(Relaxed) {
            registry.count_memory(s.memory.swap(now, Relaxed), now);
        }
        s.query_bytes.store((self.query.len() - self.partial.parsed().min(self.query.len())) as u64, Relaxed);
        s.query_capacity.store(self.query.capacity() as u64, Relaxed);
        s.args_bytes.store(self.partial.parsed().min(self.query.len()) as u64, Relaxed);
        s.multi_bytes.store(self.transaction.queued_bytes as u64, Relaxed);
        s.output_bytes.store(self.output.len() as u64, Relaxed);
        s.output_chunks.store(self.output.chunks() as u64, Relaxed);
    }
}

impl Registry {
    /// Closes the largest clients until the rest take no more than `limit`. Returns those that have to go.
    pub fn evict(&self, limit: u64) -> Vec<Arc<Shared>> {
        let limit = limit.max(LIMIT_MIN);
        if self.memory_bytes() <= limit {
            return Vec::new();
        }
        // The sum above still has those in it that are being closed.
        let mut all = self.all();
        all.retain(|c| !c.replica.load(Relaxed));
        let mut sum: u64 = all.iter().map(|c| c.memory.load(Relaxed)).sum();
        all.retain(|c| !c.no_evict.load(Relaxed));
        all.sort_by_key(|c| std::cmp::Reverse(c.memory.load(Relaxed)));
        let mut gone = Vec::new();
        for c in all {
            if sum <= limit {
                break;
            }
            sum = sum.saturating_sub(c.memory.load(Relaxed));
            self.kill(&c, false);
            gone.push(c);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_buffer_has_room_for_what_is_coming_and_is_given_back_when_nothing_comes() {
        let acl = crate::acl::Acl::new(crate::acl::Catalog::new(Vec::new()));
        let shared = Arc::new(Shared::new(1, 0, String::new(), String::new(), 0, 0));
        let mut c = Client::internal(shared, &acl, crate::client::Source::Connection);
        c.make_query_room();
        assert_eq!(c.query.capacity(), QUERY_BYTES);
        c.query = Vec::with_capacity(400_000);
        c.query_peak = 400_000;
        c.trim_query(0);
        assert!(c.query.capacity() >= 400_000, "it was just used");
        c.trim_query(0);
        assert_eq!(c.query.capacity(), QUERY_BYTES);
        c.query.extend_from_slice(b"*3");
        c.trim_query(QUERY_IDLE_MS + 1);
        assert_eq!(c.query.capacity(), 2);
    }

    #[test]
    fn the_largest_go_first_and_only_as_many_as_needed() {
        let r = Registry::default();
        for (id, kib) in [(1, 100), (2, 300), (3, 200), (4, 400)] {
            let c = Arc::new(Shared::new(id, 0, String::new(), String::new(), 0, 0));
            c.memory.store(kib << 10, Relaxed);
            c.no_evict.store(id == 4, Relaxed);
            r.count_memory(0, kib << 10);
            r.add(c);
        }
        assert!(r.evict(1000 << 10).is_empty());
        let ids = |gone: Vec<Arc<Shared>>| gone.iter().map(|c| c.id).collect::<Vec<_>>();
        assert_eq!(ids(r.evict(550 << 10)), [2, 3]);
        assert!(r.evict(550 << 10).is_empty(), "those that are being closed are not counted twice");
        assert_eq!(ids(r.evict(1)), [1]);
    }
}
