//! What a handler is given.

use super::error::{CommandError, Outcome};
use super::generic::Prepared;
use super::node::Node;
use super::table::Entry;
use crate::client::{BlockRequest, Client, TimeoutReply};
use crate::config::Config;
use crate::keyspace::{Access, Key, KeyHash, Plan, Space};
use crate::metrics::recorder::Recorder;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use std::sync::Arc;

/// Runs under the locks of the keys it names.
pub type DataFn = fn(&mut DataContext<'_, '_>) -> Outcome;
/// Runs without locks.
pub type NodeFn = fn(&mut NodeContext<'_, '_>) -> Outcome;

/// For commands on keys.
pub struct DataContext<'a, 'k> {
    pub args: Args<'a>,
    /// The locked part of the key space.
    pub space: &'a mut Space<'k>,
    pub reply: &'a mut Reply,
    /// Encodings' thresholds and limits, as they stood when the turn began.
    pub config: &'a Config,
    pub db: u32,
    pub entry: &'static Entry,
    /// The user may read every key, also those that the arguments do not name.
    pub reads_any_key: bool,
    /// The log or the primary has it done: it was accepted once, under limits that may have been others.
    pub obeys: bool,
    /// The hash of the single key, if it was computed ahead.
    pub hash: Option<KeyHash>,
    /// False in EXEC and scripts: a blocking command answers at once.
    pub may_block: bool,
    /// Set by a blocking handler that found nothing; it writes no reply then.
    pub block: Option<BlockRequest>,
    /// Where it runs: what goes through very many elements asks.
    pub site: Site,
    /// What it has done when it ran last, aside.
    pub prepared: &'a mut Option<Prepared<'k>>,
}

/// Where a command runs, and so whom it would hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Site {
    /// As a part of a transaction or a script, or once more, as it ran elsewhere: it takes as long as it takes.
    #[default]
    Nested,
    /// On a worker, whose other connections would wait.
    Worker,
    /// Aside. Who runs here may give his locks back, if he has changed nothing; he may say once more that he is to be run aside, and is, with
    /// what he has prepared.
    Aside,
    /// Aside, and others have been told that its locks are kept for long.
    AsideForLong,
    /// Once more, for a client that waits, under the locks of the command that changed one of its keys. Those of its other keys may be anybody's:
    /// it [passes over](DataContext::passes_over) these keys, which have nothing for it, or it would not wait.
    Served,
}

/// Elements that a command goes through without a thought: about a millisecond.
const ELEMENTS_AT_ONCE: usize = 4096;

impl Site {
    /// The command is about to go through `elements`, and has looked all its keys up, but changed nothing yet. Asked by each that may go
    /// through very many; what costs much more than reading an element counts several times.
    ///
    /// # Errors
    /// [`CommandError::Aside`]: it stops here, and is run again where it holds up nobody.
    #[inline]
    pub fn weigh(self, elements: usize) -> Result<(), CommandError> {
        if elements > ELEMENTS_AT_ONCE && self == Site::Worker { Err(CommandError::Aside) } else { Ok(()) }
    }
}

/// Keys of one command that are asked for at once: about as many misses as a core has under way.
const KEYS_AHEAD: usize = 12;

impl<'a> DataContext<'a, '_> {
    /// Argument `i` as a key of the command's database.
    #[inline(always)]
    pub fn key(&self, i: usize) -> Key<'a> {
        let name = self.args.at(i);
        match self.hash {
            Some(hash) if self.entry.single_key == Some(i as u8) => Key { name, hash, db: self.db },
            _ => Key::new(self.db, name),
        }
    }

    /// Calls `f` with the keys at these places, in this order, and their places. The cache is asked for several of them ahead.
    pub fn each_key(&mut self, mut places: impl Iterator<Item = usize>, mut f: impl FnMut(&mut Self, usize, Key<'a>)) {
        let Some(first) = places.next() else { return };
        let first = (first, self.key(first));
        let Some(second) = places.next() else { return f(self, first.0, first.1) };
        let mut keys = Vec::with_capacity(KEYS_AHEAD);
        keys.extend([first, (second, self.key(second))]);
        loop {
            let room = KEYS_AHEAD - keys.len();
            keys.extend(places.by_ref().take(room).map(|i| (i, self.key(i))));
            if keys.is_empty() {
                return;
            }
            self.space.prefetch(keys.iter().map(|(_, key)| *key));
            for (i, key) in keys.drain(..) {
                f(self, i, key);
            }
        }
    }

    /// The locks are kept for long: who gives way goes.
    pub fn begin_long(&mut self) {
        self.space.begin_long();
        self.site = Site::AsideForLong;
    }

    /// Whether a command that waits for several keys has nothing to look for at this one, and is not to touch it.
    #[inline]
    pub fn passes_over(&self, key: Key<'_>) -> bool {
        self.site == Site::Served && !self.space.holds(key.hash)
    }

    /// To a client that waits for several keys one that holds another type is as one that is not there, whether it was looked at or
    /// passed over.
    #[inline]
    pub fn unless_served<T: Default>(&self, found: Result<T, CommandError>) -> Result<T, CommandError> {
        match found {
            Err(CommandError::WrongType) if self.site == Site::Served => Ok(T::default()),
            found => found,
        }
    }

    /// Milliseconds since the epoch, the same for the whole command.
    #[inline(always)]
    pub fn now_ms(&self) -> i64 {
        self.space.now_ms()
    }

    /// The command's name as error texts write it.
    pub fn command_name(&self) -> &'static str {
        &self.entry.name
    }

    /// Waits for a change of one of `keys` and then runs again. Where the command may not wait it answers as if its time were up.
    pub fn block_on(&mut self, keys: &[&[u8]], timeout_ms: u64, timeout_reply: TimeoutReply) {
        if self.may_block {
            let keys = keys.iter().map(|k| k.to_vec()).collect();
            self.block = Some(BlockRequest { keys, timeout_ms, timeout_reply, needs_key: false, args: None });
            return;
        }
        match timeout_reply {
            TimeoutReply::NullArray => self.reply.null_array(),
            TimeoutReply::Null => self.reply.null(),
            TimeoutReply::Integer(n) => self.reply.integer(n),
            // No command on keys waits for replicas.
            TimeoutReply::Replicas { .. } | TimeoutReply::Disks { .. } | TimeoutReply::Run { .. } => {
                self.reply.integer(0)
            }
        }
    }
}

/// For commands on the connection, the server, or the key space as a whole.
pub struct NodeContext<'a, 'k> {
    pub args: Args<'a>,
    pub node: &'a Arc<Node>,
    pub client: &'a mut Client,
    pub reply: &'a mut Reply,
    pub config: &'a Arc<Config>,
    /// No lock is held, but inside EXEC with a `Span` command in it: then all are.
    pub space: &'a mut Space<'k>,
    pub entry: &'static Entry,
    /// Inside EXEC or a script.
    pub nested: bool,
    /// This thread's side of the statistics.
    pub recorder: &'a mut Recorder,
    /// Set by a handler that waits; it writes no reply then.
    pub block: Option<BlockRequest>,
    /// Where it runs: what goes through very many keys asks.
    pub site: Site,
}

impl<'a> NodeContext<'a, '_> {
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.space.now_ms()
    }

    pub fn access(&self) -> Access {
        self.space.access
    }

    /// Runs `f` with the lock of one stripe held.
    pub fn with_stripe<R>(&mut self, stripe: u16, f: impl FnOnce(&mut Space<'_>, &mut Reply) -> R) -> R {
        if self.space.is_whole() {
            return f(self.space, self.reply);
        }
        self.space.lock(&Plan::One(stripe));
        let r = f(self.space, self.reply);
        // What was deleted on the way (keys past their deadline) goes into the journal before the lock goes.
        self.node.journal.append(&mut self.space.changes.effects);
        self.space.unlock();
        r
    }

    /// Runs `f` with the lock of a key of the client's database held.
    pub fn with_key<R>(&mut self, name: &[u8], f: impl FnOnce(&mut Space<'_>, Key<'_>, &mut Reply) -> R) -> R {
        let key = Key::new(self.client.db, name);
        self.with_stripe(key.hash.stripe, |space, reply| f(space, key, reply))
    }

    /// A subcommand's HELP: its lines as status replies, framed as clients print them.
    pub fn help(&mut self, lines: &[&str]) -> Outcome {
        let name = String::from_utf8_lossy(self.args.at(0)).to_uppercase();
        self.reply.array(lines.len() + 3);
        self.reply.status(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
        for l in lines {
            self.reply.status(l);
        }
        self.reply.status("HELP");
        self.reply.status("    Print this help.");
        Ok(())
    }

    /// The error of a subcommand with odd arguments.
    pub fn syntax_hint(&self) -> CommandError {
        let sub = String::from_utf8_lossy(self.args.get(1).unwrap_or_default()).into_owned();
        let name = String::from_utf8_lossy(self.args.at(0)).to_uppercase();
        CommandError::err(format_args!("unknown subcommand or wrong number of arguments for '{sub}'. Try {name} HELP."))
    }
}
