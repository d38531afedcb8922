//! Channels, patterns and shard channels, and who is subscribed to them.
//!
//! # Invariants
//! * A name is kept only while somebody is subscribed to it.
//! * A message is handed to the workers under the lock: all receivers of a channel see its messages in one order, and none is
//!   on the way to a subscription that was not there when it was sent.
//! * The lock is a leaf: under it only mailboxes are locked. Publishing from within a transaction, with stripes held, is safe.

use crate::base::glob;
use crate::client::{Client, Message, Published, Registry, Shared, Subscription, SubscriptionKind};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Subscribers of a name by client: the oldest connection hears first.
type Subscribers = BTreeMap<u64, Arc<Subscription>>;
type Names = HashMap<Vec<u8>, Subscribers>;

#[derive(Debug, Default)]
struct State {
    channels: Names,
    patterns: Names,
    shard: Names,
}

impl State {
    fn of(&self, kind: SubscriptionKind) -> &Names {
        match kind {
            SubscriptionKind::Channel => &self.channels,
            SubscriptionKind::Pattern => &self.patterns,
            SubscriptionKind::Shard => &self.shard,
        }
    }

    fn of_mut(&mut self, kind: SubscriptionKind) -> &mut Names {
        match kind {
            SubscriptionKind::Channel => &mut self.channels,
            SubscriptionKind::Pattern => &mut self.patterns,
            SubscriptionKind::Shard => &mut self.shard,
        }
    }
}

/// All subscriptions of the server.
#[derive(Debug, Default)]
pub struct Broker {
    state: RwLock<State>,
    /// Channels and patterns that are subscribed to: while there are none, events are not even built.
    heard: AtomicUsize,
}

impl Broker {
    /// True if somebody is subscribed to a channel or pattern.
    #[inline]
    pub fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire) > 0
    }

    /// Subscribes a client; false if it was already.
    pub fn subscribe(&self, client: &mut Client, kind: SubscriptionKind, name: &[u8]) -> bool {
        if client.subscriptions.of(kind).contains_key(name) {
            return false;
        }
        let subscription = Arc::new(Subscription::new(Arc::clone(&client.shared)));
        client.subscriptions.add(kind, name, Arc::clone(&subscription));
        client.subscriptions.tell(&client.shared);
        let mut state = self.state.write();
        state.of_mut(kind).entry(name.to_vec()).or_default().insert(client.id, subscription);
        self.count(&state);
        true
    }

    /// Ends a subscription; false if there was none.
    pub fn unsubscribe(&self, client: &mut Client, kind: SubscriptionKind, name: &[u8]) -> bool {
        let Some(subscription) = client.subscriptions.remove(kind, name) else { return false };
        subscription.end();
        client.subscriptions.tell(&client.shared);
        let mut state = self.state.write();
        if let Some(subscribers) = state.of_mut(kind).get_mut(name) {
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                state.of_mut(kind).remove(name);
            }
        }
        self.count(&state);
        true
    }

    /// Ends all subscriptions of a client that leaves or starts anew.
    pub fn forget(&self, client: &mut Client) {
        if client.subscriptions.is_empty() {
            return;
        }
        for kind in [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard] {
            let names: Vec<Vec<u8>> = client.subscriptions.of(kind).keys().cloned().collect();
            for name in names {
                self.unsubscribe(client, kind, &name);
            }
        }
    }

    fn count(&self, state: &State) {
        self.heard.store(state.channels.len() + state.patterns.len(), Ordering::Release);
    }

    /// Sends a message to the subscribers of a channel and of the patterns it matches. Returns how many copies were sent.
    pub fn publish(&self, clients: &Registry, channel: &[u8], message: &[u8]) -> usize {
        if !self.is_heard() {
            return 0;
        }
        let state = self.state.read();
        let mut sent = 0;
        if let Some(subscribers) = state.channels.get(channel) {
            sent += send(clients, subscribers, &[b"message", channel, message]);
        }
        for (pattern, subscribers) in &state.patterns {
            if glob::matches(pattern, channel) {
                sent += send(clients, subscribers, &[b"pmessage", pattern, channel, message]);
            }
        }
        sent
    }

    /// The same for a shard channel, which no pattern matches.
    pub fn publish_shard(&self, clients: &Registry, channel: &[u8], message: &[u8]) -> usize {
        let state = self.state.read();
        state.shard.get(channel).map_or(0, |s| send(clients, s, &[b"smessage", channel, message]))
    }

    /// Names that are subscribed to and match a pattern, sorted.
    pub fn names(&self, kind: SubscriptionKind, pattern: Option<&[u8]>) -> Vec<Vec<u8>> {
        let state = self.state.read();
        let all = state.of(kind).keys().filter(|n| pattern.is_none_or(|p| glob::matches(p, n)));
        let mut names: Vec<Vec<u8>> = all.cloned().collect();
        names.sort_unstable();
        names
    }

    /// Who is subscribed to a name of this kind for which `f` says yes.
    pub fn subscribers_where(&self, kind: SubscriptionKind, f: impl Fn(&[u8]) -> bool) -> Vec<Arc<Shared>> {
        let state = self.state.read();
        let named = state.of(kind).iter().filter(|(name, _)| f(name));
        named.flat_map(|(_, subscribers)| subscribers.values().map(|s| Arc::clone(&s.client))).collect()
    }

    /// How many names of a kind are subscribed to.
    pub fn len(&self, kind: SubscriptionKind) -> usize {
        self.state.read().of(kind).len()
    }

    /// True if nobody is subscribed to a name of this kind.
    pub fn is_empty(&self, kind: SubscriptionKind) -> bool {
        self.len(kind) == 0
    }

    /// Subscribers of one name.
    pub fn subscribers(&self, kind: SubscriptionKind, name: &[u8]) -> usize {
        self.state.read().of(kind).get(name).map_or(0, BTreeMap::len)
    }
}

fn send(clients: &Registry, subscribers: &Subscribers, parts: &[&[u8]]) -> usize {
    let message = Arc::new(Published::new(parts));
    let each = |s: &Arc<Subscription>| Message::Published { to: Arc::clone(s), message: Arc::clone(&message) };
    clients.send_each(subscribers.values().map(|s| (&*s.client, each(s))));
    subscribers.len()
}
