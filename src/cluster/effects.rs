//! What the machine has decided happens outside: roles in replication, keys that go, pauses, messages of channels.

use super::machine::Effect;
use super::{Cluster, Owner, Slots, View};
use crate::base::slot::{SlotId, slot_of};
use crate::client::{Message, SubscriptionKind};
use crate::config::Config;
use crate::keyspace::{EventClass, Key, STRIPES, Space, stripe_of};
use crate::pubsub::Broker;
use crate::replication::{self, Replication};
use crate::resp::reply::{Reply, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the cluster needs of the server it is a part of, beside what replication does.
pub trait Host: replication::Host {
    fn cluster(&self) -> Option<&Cluster>;
    fn pubsub(&self) -> &Broker;
    /// Under no lock: what deleting keys leaves to be done.
    fn clean_up(&self, space: &mut Space<'_>);
    /// What a client whose command waits for a key of a slot is told if it may not wait here any more: the text of an error.
    fn redirect(&self, view: &View, config: &Config, waiter: &crate::client::WaiterFacts) -> Option<Vec<u8>>;
}

impl Cluster {
    /// The data have been loaded: keys in slots that nobody serves are this node's, those in another's slot came halfway.
    pub fn loaded(&self, host: &dyn Host, space: &mut Space<'_>) {
        if self.look(|m| !m.myself().is_primary() || m.myself().count == crate::base::slot::SLOTS) {
            return;
        }
        let slots = slots_with_keys(space);
        self.order(host, |m| m.adopt(&slots));
    }

    /// Does what needs all stripes, which are held.
    pub fn perform(&self, host: &Arc<dyn Host>, space: &mut Space<'_>) {
        let effects = self.order(&**host, |m| m.take_effects());
        let mut others = Vec::new();
        for effect in effects {
            match effect {
                Effect::Follow { ip, tcp_port, tls_port } => follow(host, space, &ip, tcp_port, tls_port),
                Effect::Lead => {
                    let replication: &dyn replication::Host = &**host;
                    if let Err(e) = Replication::lead(replication, space) {
                        tracing::error!("This node cannot be a primary: {e}");
                    }
                }
                Effect::Drop(slots) => {
                    let n = drop_keys(space, slots.iter(), true);
                    if n > 0 {
                        tracing::info!("Deleting keys in dirty slots that are another node's now: {n} keys");
                    }
                    space.keyspace().journal().append(&mut space.changes.effects);
                }
                other => others.push(other),
            }
        }
        for effect in others {
            self.perform_plain(host, effect);
        }
    }

    /// Does what needs no lock.
    pub(super) fn perform_plain(&self, host: &Arc<dyn Host>, effect: Effect) {
        match effect {
            Effect::Publish { shard: false, channel, message } => {
                host.pubsub().publish(host.clients(), &channel, &message);
            }
            Effect::Publish { shard: true, channel, message } => {
                host.pubsub().publish_shard(host.clients(), &channel, &message);
            }
            Effect::Pause => {
                host.replication().holds_pings.store(true, Ordering::Release);
                host.pause_writes(true);
            }
            Effect::Resume => {
                host.replication().holds_pings.store(false, Ordering::Release);
                host.pause_writes(false);
            }
            Effect::Follow { .. } | Effect::Lead | Effect::Drop(_) => {}
        }
    }

    /// Tells those who wait here for what is elsewhere now, if anything has gone since the last time.
    pub(super) fn tell_losses(&self, host: &Arc<dyn Host>) {
        if !self.lost.swap(false, Ordering::AcqRel) {
            return;
        }
        let view = self.view();
        let config = host.config().current();
        for waiter in host.waiting().all() {
            let Some(text) = host.redirect(&view, &config, &waiter) else { continue };
            if host.waiting().take_one(host.keyspace(), waiter.client.id, waiter.token).is_some() {
                let mut reply = Reply::new(Version::Resp2);
                reply.error(&text);
                let message = Message::Served { client: waiter.client.id, token: waiter.token, reply };
                host.clients().send(&waiter.client, message);
            }
        }
        let gone = |name: &[u8]| matches!(view.owner(slot_of(name)), Owner::Other | Owner::Nobody);
        for name in host.pubsub().names(SubscriptionKind::Shard, None).into_iter().filter(|n| gone(n)) {
            for client in host.pubsub().subscribers_where(SubscriptionKind::Shard, |n| n == name) {
                let message = Message::LostShardChannel { client: client.id, name: name.clone() };
                host.clients().send(&client, message);
            }
        }
    }
}

fn follow(host: &Arc<dyn Host>, space: &mut Space<'_>, ip: &str, tcp_port: u16, tls_port: u16) {
    let config = host.config().current();
    let port = if config.tls.replication { tls_port } else { tcp_port };
    let following = host.replication().follower.following();
    if following.is_some_and(|f| f.host == ip && f.port == port) {
        return;
    }
    if ip.is_empty() || port == 0 {
        let kind = if config.tls.replication { "TLS" } else { "plaintext" };
        tracing::warn!("The primary of this node has no {kind} port that is known: there is no link to it");
    }
    let upper: Arc<dyn replication::Host> = Arc::clone(host) as Arc<dyn replication::Host>;
    if let Err(e) = Replication::follow(&upper, space, ip, port, false) {
        tracing::error!("There can be no link to the primary: {e}");
    }
}

/// Slots that have keys, one stripe after the other.
pub fn slots_with_keys(space: &mut Space<'_>) -> Slots {
    let mut found = Slots::default();
    for stripe in 0..STRIPES as u16 {
        space.lock_stripe(stripe);
        for db in 0..space.databases() {
            let table = &space.stripe(stripe).database(db).table;
            table.for_each(|record| found.set(slot_of(record.name()), true));
        }
        space.unlock();
    }
    found
}

/// Deletes the keys of slots; all stripes are held. `told`: each as an effect of its own.
pub fn drop_keys(space: &mut Space<'_>, slots: impl Iterator<Item = SlotId>, told: bool) -> u64 {
    let mut by_stripe: BTreeMap<u16, Vec<SlotId>> = BTreeMap::new();
    for slot in slots {
        by_stripe.entry(stripe_of(slot)).or_default().push(slot);
    }
    let mut dropped = 0;
    for (stripe, slots) in by_stripe {
        for db in 0..space.databases() {
            let mut names: Vec<Vec<u8>> = Vec::new();
            space.stripe(stripe).database(db).table.for_each(|record| {
                if slots.contains(&slot_of(record.name())) {
                    names.push(record.name().to_vec());
                }
            });
            for name in names {
                let key = Key::new(db, &name);
                if space.delete(key) {
                    space.changed(key, EventClass::GENERIC, "del");
                    dropped += 1;
                    if told {
                        space.replace_effect(db, &[b"DEL", &name]);
                    }
                }
            }
        }
    }
    dropped
}
