//! Keys by slot. A slot is a part of one stripe, and that stripe alone is walked.

use super::cluster;
use crate::base::slot::{SlotId, slot_of};
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, NodeContext, Outcome};
use crate::keyspace::stripe_of;
use crate::spec::{CommandSpec, Group};

const CLUSTER_KEYSLOT: CommandSpec = CommandSpec::sub("cluster", "keyslot", 3, Group::Cluster, "stale")
    .since("3.0.0")
    .args("key")
    .doc("Tells the slot of a key.", "O(N), N: bytes of the key");

const CLUSTER_COUNTKEYSINSLOT: CommandSpec =
    CommandSpec::sub("cluster", "countkeysinslot", 3, Group::Cluster, "stale arbitrary_keys")
        .since("3.0.0")
        .args("slot:integer")
        .doc("Counts the keys of a slot.", "O(1)");

const CLUSTER_GETKEYSINSLOT: CommandSpec =
    CommandSpec::sub("cluster", "getkeysinslot", 4, Group::Cluster, "stale arbitrary_keys")
        .since("3.0.0")
        .tips("nondeterministic_output")
        .args("slot:integer count:integer")
        .doc("Lists keys of a slot.", "O(N), N: keys asked for");

pub static KEYSLOT: Command = Command::node(CLUSTER_KEYSLOT, keyslot);
pub static COUNTKEYSINSLOT: Command = Command::node(CLUSTER_COUNTKEYSINSLOT, countkeysinslot);
pub static GETKEYSINSLOT: Command = Command::node(CLUSTER_GETKEYSINSLOT, getkeysinslot);

/// It needs no cluster: libraries ask any server.
fn keyslot(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cx.reply.integer(i64::from(slot_of(cx.args.at(2)).get()));
    Ok(())
}

fn slot_number(n: i64) -> Option<SlotId> {
    u16::try_from(n).ok().and_then(SlotId::new)
}

fn countkeysinslot(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let slot = slot_number(integer(cx.args.at(2))?).ok_or(CommandError::fixed("ERR Invalid slot"))?;
    let (stripe, db) = (stripe_of(slot), cx.client.db);
    let mut n = 0;
    cx.with_stripe(stripe, |space, _| {
        space.stripe(stripe).database(db).table.for_each(|record| n += i64::from(slot_of(record.name()) == slot));
    });
    cx.reply.integer(n);
    Ok(())
}

fn getkeysinslot(cx: &mut NodeContext<'_, '_>) -> Outcome {
    cluster(cx)?;
    let (slot, most) = (integer(cx.args.at(2))?, integer(cx.args.at(3))?);
    let (Some(slot), Ok(most)) = (slot_number(slot), usize::try_from(most)) else {
        return Err(CommandError::fixed("ERR Invalid slot or number of keys"));
    };
    let (stripe, db) = (stripe_of(slot), cx.client.db);
    let array = cx.reply.deferred();
    let mut n = 0;
    cx.with_stripe(stripe, |space, reply| {
        space.stripe(stripe).database(db).table.for_each(|record| {
            if n < most && slot_of(record.name()) == slot {
                reply.bulk(record.name());
                n += 1;
            }
        });
    });
    cx.reply.finish_array(array, n);
    Ok(())
}
