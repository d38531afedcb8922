//! The gate of a cluster's slots: is what a call names served here, and all in one slot?

use super::Turn;
use crate::base::slot::{SlotId, slot_of};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::commands::table::{Handler, TransactionCommand};
use crate::commands::{CommandError, Entry};
use crate::resp::args::Args;
use crate::spec::{CommandFlags, KeyScope};

/// The slot of what calls name.
#[derive(Debug, Default)]
struct Named {
    first: Option<SlotId>,
    crossing: bool,
}

impl Named {
    /// Sees the keys and shard channels of a call.
    fn see(&mut self, entry: &Entry, args: Args<'_>) {
        let mut one = |name: &[u8]| {
            let slot = slot_of(name);
            self.crossing |= *self.first.get_or_insert(slot) != slot;
        };
        if let Some(i) = entry.single_key {
            return one(args.at(usize::from(i)));
        }
        if !entry.spec().key_specs.is_empty() {
            let list: Vec<&[u8]> = args.iter().collect();
            for (i, _) in entry.spec().found_keys(&list, KeyScope::Routed).iter() {
                one(args.at(i));
            }
        }
    }
}

impl Turn<'_> {
    /// What a node of a cluster refuses.
    #[cold]
    pub(super) fn check_slots(
        &self,
        cluster: &Cluster,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let mut named = Named::default();
        let mut only_reads = true;
        if let Handler::Transaction(TransactionCommand::Exec) = entry.command.handler {
            for q in &client.transaction.queue {
                if let Some(queued) = self.node.commands.by_id(q.command) {
                    named.see(queued, q.args.args());
                    only_reads &= !queued.is(CommandFlags::WRITE.or(CommandFlags::MAY_REPLICATE));
                }
            }
        } else {
            named.see(entry, args);
            only_reads = entry.is(CommandFlags::READONLY);
        }
        let Some(slot) = named.first else { return Ok(()) };
        if !cluster.serves(slot) {
            return Err(CommandError::fixed("CLUSTERDOWN Hash slot not served"));
        }
        if named.crossing {
            return Err(CommandError::fixed("CROSSSLOT Keys in request don't hash to the same slot"));
        }
        let c = &self.config.cluster;
        if cluster.is_whole() || !c.require_full_coverage {
            return Ok(());
        }
        if entry.is(CommandFlags::PUBSUB) {
            return if c.allow_pubsubshard_when_down { Ok(()) } else { Err(DOWN) };
        }
        match (c.allow_reads_when_down, only_reads) {
            (false, _) => Err(DOWN),
            (true, true) => Ok(()),
            (true, false) => Err(CommandError::fixed("CLUSTERDOWN The cluster is down and only accepts read commands")),
        }
    }

    /// What a script of a cluster's node may not call. `within` is the slot of what it has named so far; `anywhere`: its keys may be in
    /// different slots.
    pub(super) fn check_script_slots(
        &self,
        within: &mut Option<SlotId>,
        anywhere: bool,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let Some(cluster) = &self.node.cluster else { return Ok(()) };
        let mut named = Named { first: if anywhere { None } else { *within }, crossing: false };
        named.see(entry, args);
        if named.first.is_some_and(|slot| !cluster.serves(slot)) {
            return Err(CommandError::fixed("ERR Attempted to access a non local key in a cluster node"));
        }
        if named.crossing && !anywhere {
            return Err(CommandError::fixed("ERR Attempted to access keys that don't hash to the same slot"));
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

const DOWN: CommandError = CommandError::fixed("CLUSTERDOWN The cluster is down");
