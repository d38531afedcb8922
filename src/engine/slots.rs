//! The gate of a cluster's slots: is what a call names served here, and all in one slot? If not, where is the client to go?
//!
//! # Invariants
//! * The gate stands twice before a command whose slot is coming or going: before the locks, where it is sent elsewhere if it may not even
//!   try, and under them, where it is seen which of its keys are here. A slot that stops being served begins an epoch of the journal, so
//!   whoever asked before that asks again under his locks.

use super::Turn;
use crate::base::number::parse_i64;
use crate::base::slot::{SlotId, slot_of};
use crate::client::{Client, WaiterFacts};
use crate::cluster::{Cluster, Owner, Seen, View};
use crate::commands::arguments::is;
use crate::commands::table::{Handler, TransactionCommand};
use crate::commands::{CommandError, Entry, Node};
use crate::config::Config;
use crate::keyspace::{Key, KeyHash};
use crate::resp::args::Args;
use crate::spec::{CommandFlags, KeyScope};
use std::sync::atomic::Ordering;

/// The slot of what calls name.
#[derive(Debug, Default)]
struct Named {
    first: Option<SlotId>,
    crossing: bool,
    keys: usize,
}

impl Named {
    /// Sees the keys and shard channels of a call.
    fn see(&mut self, entry: &Entry, args: Args<'_>) {
        each_name(entry, args, |name| {
            let slot = slot_of(name);
            self.crossing |= *self.first.get_or_insert(slot) != slot;
            self.keys += 1;
        });
    }
}

/// Keys and shard channels of a call.
fn each_name<'a>(entry: &Entry, args: Args<'a>, mut f: impl FnMut(&'a [u8])) {
    if let Some(i) = entry.single_key {
        return f(args.at(usize::from(i)));
    }
    if !entry.spec().key_specs.is_empty() {
        let list: Vec<&[u8]> = args.iter().collect();
        for (i, _) in entry.spec().found_keys(&list, KeyScope::Routed).iter() {
            f(args.at(i));
        }
    }
}

const DOWN: CommandError = CommandError::fixed("CLUSTERDOWN The cluster is down");
const DOWN_FOR_WRITES: CommandError =
    CommandError::fixed("CLUSTERDOWN The cluster is down and only accepts read commands");
const NOT_SERVED: CommandError = CommandError::fixed("CLUSTERDOWN Hash slot not served");
const CROSSING: CommandError = CommandError::fixed("CROSSSLOT Keys in request don't hash to the same slot");
const TRY_AGAIN: CommandError = CommandError::fixed("TRYAGAIN Multiple keys request during rehashing of slot");

/// Whether a call goes from its database to another. Of a slot that is on its way nobody could say whether a key is here then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Across {
    Nothing,
    Others,
    /// What it says of databases makes no sense.
    Misspelt,
}

impl Across {
    /// Of MOVE, and of COPY with DB.
    fn databases(entry: &Entry, args: Args<'_>, db: u32) -> Across {
        match entry.spec().name {
            "move" => return Across::Others,
            "copy" => {}
            _ => return Across::Nothing,
        }
        let (mut to, mut i) = (i64::from(db), 3);
        while let Some(word) = args.get(i) {
            match args.get(i + 1) {
                _ if is(word, "REPLACE") => i += 1,
                Some(number) if is(word, "DB") => match parse_i64(number) {
                    Some(n) => (to, i) = (n, i + 2),
                    None => return Across::Misspelt,
                },
                _ => return Across::Misspelt,
            }
        }
        if to == i64::from(db) { Across::Nothing } else { Across::Others }
    }
}

/// How a client is connected.
pub fn seen(client: &crate::client::Shared, config: &Config) -> Seen {
    Seen {
        tls: client.tls.load(Ordering::Relaxed),
        ipv6: client.addr.starts_with('['),
        kind: config.cluster.preferred_endpoint_type,
    }
}

fn moved(view: &View, slot: SlotId, seen: Seen) -> CommandError {
    match view.owner_place(slot) {
        Some(place) => {
            CommandError::Bytes(format!("MOVED {} {}", slot.get(), place.address.endpoint(seen)).into_bytes())
        }
        None => NOT_SERVED,
    }
}

/// What is asked of a slot.
struct Asked {
    slot: SlotId,
    crossing: bool,
    several: bool,
    only_reads: bool,
    /// A shard channel's.
    pubsub: bool,
    /// READONLY has been said.
    readonly: bool,
    /// ASKING has been said, or the command says it itself.
    asking: bool,
    /// MIGRATE: what it moves need not be here.
    moves: bool,
}

impl Turn<'_> {
    /// True if the slot of a call's only key is served here and settled: one word, read once.
    #[inline(always)]
    pub(super) fn is_plain(&self, cluster: &Cluster, entry: &Entry, args: Args<'_>, hash: Option<KeyHash>) -> bool {
        match (entry.single_key, hash) {
            (Some(_), Some(hash)) => cluster.is_plain(hash.slot()),
            (Some(i), None) => cluster.is_plain(slot_of(args.at(usize::from(i)))),
            (None, _) => {
                entry.spec().key_specs.is_empty()
                    && !matches!(entry.command.handler, Handler::Transaction(TransactionCommand::Exec))
            }
        }
    }

    /// What a node of a cluster refuses. `locked`: the locks of the call's keys are held.
    #[cold]
    pub(super) fn check_slots(
        &mut self,
        cluster: &Cluster,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
        locked: bool,
    ) -> Result<(), CommandError> {
        let mut named = Named::default();
        let mut only_reads = true;
        let mut pubsub = entry.is(CommandFlags::PUBSUB);
        let is_exec = matches!(entry.command.handler, Handler::Transaction(TransactionCommand::Exec));
        if is_exec {
            pubsub = true;
            for q in &client.transaction.queue {
                if let Some(queued) = self.node.commands.by_id(q.command) {
                    named.see(queued, q.args.args());
                    pubsub &= queued.is(CommandFlags::PUBSUB);
                    only_reads &= !self.writes(queued, q.args.args());
                }
            }
        } else {
            named.see(entry, args);
            only_reads = !self.writes(entry, args);
        }
        let Some(slot) = named.first else { return Ok(()) };
        let asked = Asked {
            slot,
            crossing: named.crossing,
            several: named.keys > 1,
            only_reads,
            pubsub,
            readonly: client.shared.readonly.load(Ordering::Relaxed),
            asking: self.asking || entry.is(CommandFlags::ASKING),
            moves: entry.spec().name == "migrate",
        };
        let view = cluster.view();
        let seen = seen(&client.shared, &self.config);
        let across = Across::databases(entry, args, client.db);
        if across == Across::Others && !asked.crossing && !view.is_settled(slot) {
            return Err(TRY_AGAIN);
        }
        self.check_asked(&view, seen, &asked)?;
        if across == Across::Misspelt {
            // It will say so itself.
            return Ok(());
        }
        if view.is_settled(slot) || asked.pubsub || asked.moves {
            return Ok(());
        }
        if !locked && !client.in_multi() && self.locks_its_keys(entry) {
            // Which of its keys are here is seen under their locks.
            self.gates.epoch = u64::MAX;
            return Ok(());
        }
        if client.in_multi() && !is_exec {
            return self.check_halves(&view, seen, &asked, (0, 0));
        }
        let mut there = (0, 0);
        if is_exec {
            if !locked {
                self.gates.epoch = u64::MAX;
                return Ok(());
            }
            let calls: Vec<_> = client.transaction.queue.iter().map(|q| (q.command, q.args.clone())).collect();
            let mut db = client.db;
            for (command, args) in calls {
                let Some(queued) = self.node.commands.by_id(command) else { continue };
                if Across::databases(queued, args.args(), db) == Across::Others {
                    return Err(TRY_AGAIN);
                }
                if queued.spec().name == "select" {
                    // One that is refused leaves the database as it is.
                    let other = parse_i64(args.args().at(1)).and_then(|n| u32::try_from(n).ok());
                    db = other.filter(|db| *db < self.space.databases()).unwrap_or(db);
                }
                self.count_there(db, queued, args.args(), true, &mut there);
            }
        } else {
            self.count_there(client.db, entry, args, locked, &mut there);
        }
        self.check_halves(&view, seen, &asked, there)
    }

    fn writes(&self, entry: &'static Entry, args: Args<'_>) -> bool {
        if matches!(entry.command.handler, Handler::Script(_)) {
            return !entry.is(CommandFlags::READONLY) && !self.only_reads(entry, args);
        }
        entry.is(CommandFlags::WRITE.or(CommandFlags::MAY_REPLICATE)) || !entry.is(CommandFlags::READONLY)
    }

    fn locks_its_keys(&self, entry: &Entry) -> bool {
        matches!(entry.command.handler, Handler::Data(_) | Handler::Whole(_) | Handler::Script(_))
    }

    /// Keys of a call that are here, and those that are not.
    fn count_there(&mut self, db: u32, entry: &Entry, args: Args<'_>, locked: bool, there: &mut (usize, usize)) {
        let mut names = Vec::new();
        each_name(entry, args, |name| names.push(name));
        for name in names {
            let key = Key::new(db, name);
            let held = locked && (self.space.is_whole() || self.space.holds(key.hash));
            if !held && locked {
                continue;
            }
            if !held && !self.space.lock_stripe_unless_busy(key.hash.stripe) {
                continue;
            }
            let now = self.space.now_ms();
            let record = self.space.stripe(key.hash.stripe).database(db).table.get_at(key.hash.path, name);
            if record.is_some_and(|r| r.deadline().is_none_or(|d| d > now)) {
                there.0 += 1
            } else {
                there.1 += 1
            }
            if !held {
                self.space.unlock();
            }
        }
    }

    /// Whether this node is the one to ask.
    fn check_asked(&self, view: &View, seen: Seen, asked: &Asked) -> Result<(), CommandError> {
        let owner = view.owner(asked.slot);
        if owner == Owner::Nobody {
            return Err(NOT_SERVED);
        }
        if asked.crossing {
            return Err(CROSSING);
        }
        let c = &self.config.cluster;
        if !view.is_up {
            if asked.pubsub {
                if !c.allow_pubsubshard_when_down {
                    return Err(DOWN);
                }
            } else if !c.allow_reads_when_down {
                return Err(DOWN);
            } else if !asked.only_reads {
                return Err(DOWN_FOR_WRITES);
            }
        }
        match owner {
            Owner::Me => Ok(()),
            // A replica serves reads of its primary's slots to those who ask for that, and shard channels to all.
            Owner::MyPrimary if (asked.readonly && asked.only_reads) || asked.pubsub => Ok(()),
            _ if view.is_importing(asked.slot) && (asked.asking || asked.moves) => Ok(()),
            _ => Err(moved(view, asked.slot, seen)),
        }
    }

    /// A slot is coming or going: are the keys here? `there` counts those that are, and those that are not.
    fn check_halves(&self, view: &View, seen: Seen, asked: &Asked, there: (usize, usize)) -> Result<(), CommandError> {
        let (here, missing) = there;
        if missing == 0 {
            return Ok(());
        }
        if let Some(target) = view.target(asked.slot).filter(|_| view.is_ours(asked.slot)) {
            if here > 0 {
                return Err(TRY_AGAIN);
            }
            let to = target.address.endpoint(seen);
            return Err(CommandError::Bytes(format!("ASK {} {to}", asked.slot.get()).into_bytes()));
        }
        // Coming: of several keys all have to be here.
        if view.is_importing(asked.slot) && !view.is_ours(asked.slot) && asked.several {
            return Err(TRY_AGAIN);
        }
        Ok(())
    }

    /// What a script of a cluster's node may not call. `within` is the slot of what it has named so far, the first of which was admitted
    /// with the script; `anywhere`: its keys may be in different slots.
    pub(super) fn check_script_slots(
        &self,
        within: &mut Option<SlotId>,
        anywhere: bool,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let Some(cluster) = &self.node.cluster else { return Ok(()) };
        let mut named = Named { first: if anywhere { None } else { *within }, ..Named::default() };
        named.see(entry, args);
        let served = |slot: SlotId| {
            Some(slot) == *within || cluster.is_plain(slot) || {
                let view = cluster.view();
                match view.owner(slot) {
                    Owner::Me => true,
                    Owner::MyPrimary => !self.writes(entry, args),
                    _ => false,
                }
            }
        };
        if named.first.is_some_and(|slot| !served(slot)) {
            return Err(CommandError::fixed("ERR Script attempted to access a non local key in a cluster node"));
        }
        if named.crossing && !anywhere {
            return Err(CommandError::fixed("ERR Script attempted to access keys that do not hash to the same slot"));
        }
        *within = named.first.or(*within);
        Ok(())
    }

    /// The slot of the keys a script's call declares, if this server is a node of a cluster.
    pub(super) fn declared_slot(&self, entry: &Entry, args: Args<'_>) -> Option<SlotId> {
        self.node.cluster.as_ref()?;
        let mut named = Named::default();
        named.see(entry, args);
        named.first
    }
}

/// What a client that waits for keys is told if they are another node's now, or nobody's.
pub(super) fn redirect_waiter(node: &Node, view: &View, config: &Config, waiter: &WaiterFacts) -> Option<Vec<u8>> {
    let slot = slot_of(waiter.keys.first()?);
    let reads = node.commands.by_id(waiter.command).is_some_and(|e| !e.is(CommandFlags::WRITE));
    if !(view.is_up || config.cluster.allow_reads_when_down && reads) {
        return Some(DOWN.text().into_owned());
    }
    match view.owner(slot) {
        Owner::Me => None,
        Owner::MyPrimary if reads && waiter.client.readonly.load(Ordering::Relaxed) => None,
        _ if view.is_importing(slot) => None,
        Owner::Nobody => Some(NOT_SERVED.text().into_owned()),
        _ => Some(moved(view, slot, seen(&waiter.client, config)).text().into_owned()),
    }
}
