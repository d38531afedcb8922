//! The ACL log: refused calls and logins, newest first, repeated ones counted together.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// Refusals within this time of the last one like them are one entry.
const GROUPING_MS: i64 = 60_000;
/// Bytes of an object or a name that are kept: a key may have 512 MB, and who may not use it could have this log hold many.
const TEXT_BYTES_MAX: usize = 4096;
/// Entries that are looked at for one like the new one.
const COMPARED_MAX: usize = 10;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Auth,
    Command,
    Key,
    Channel,
    Database,
    /// A client certificate that names no usable user.
    Certificate,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Command => "command",
            Self::Key => "key",
            Self::Channel => "channel",
            Self::Database => "database",
            Self::Certificate => "tls-cert",
        }
    }
}

/// Where it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Toplevel,
    Multi,
    Script,
}

impl Context {
    pub fn word(self) -> &'static str {
        match self {
            Self::Toplevel => "toplevel",
            Self::Multi => "multi",
            Self::Script => "lua",
        }
    }
}

/// One refusal, or several alike.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub count: u64,
    pub reason: Reason,
    pub context: Context,
    pub object: Vec<u8>,
    pub user: Vec<u8>,
    /// The client's line, as of the last one.
    pub client: String,
    pub created_ms: i64,
    pub updated_ms: i64,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// The log. Bounded by `acllog-max-len`.
#[derive(Debug, Default)]
pub struct AclLog(Mutex<State>);

impl AclLog {
    /// Notes a refusal.
    #[expect(clippy::too_many_arguments, reason = "the facts of one event")]
    pub fn record(
        &self,
        reason: Reason,
        context: Context,
        object: &[u8],
        user: &[u8],
        client: String,
        now_ms: i64,
        len_max: usize,
    ) {
        let [object, user] = [object, user].map(|text| &text[..text.len().min(TEXT_BYTES_MAX)]);
        let state = &mut *self.0.lock();
        let alike = |e: &Entry| {
            e.reason == reason
                && e.context == context
                && e.object == object
                && e.user == user
                && now_ms - e.updated_ms <= GROUPING_MS
        };
        if let Some(at) = state.entries.iter().take(COMPARED_MAX).position(alike)
            && let Some(mut entry) = state.entries.remove(at)
        {
            entry.count += 1;
            entry.client = client;
            entry.updated_ms = now_ms;
            state.entries.push_front(entry);
            return;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.entries.push_front(Entry {
            id,
            count: 1,
            reason,
            context,
            object: object.to_vec(),
            user: user.to_vec(),
            client,
            created_ms: now_ms,
            updated_ms: now_ms,
        });
        // A shorter bound takes effect with the next refusal, not before: what is there is evidence.
        state.entries.truncate(len_max);
    }

    /// The newest `n` entries.
    pub fn newest(&self, n: usize) -> Vec<Entry> {
        self.0.lock().entries.iter().take(n).cloned().collect()
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.0.lock().entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_objects_of_any_length_take_a_bounded_room() {
        let log = AclLog::default();
        for n in 0..20u8 {
            let object = [vec![n], vec![b'x'; 1 << 20]].concat();
            log.record(Reason::Key, Context::Toplevel, &object, &object, String::new(), 0, 8);
        }
        let kept = log.newest(100);
        assert_eq!(kept.len(), 8);
        assert!(kept.iter().all(|e| e.object.len() == TEXT_BYTES_MAX && e.user.len() == TEXT_BYTES_MAX));
        assert_eq!(kept[0].object[0], 19, "the newest first, and cut ones are not all alike");
    }
}
