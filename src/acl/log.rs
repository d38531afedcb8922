//! The ACL log: refused calls and logins, newest first, repeated ones counted together.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// Refusals within this time of the last one like them are one entry.
const GROUPING_MS: i64 = 60_000;
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
