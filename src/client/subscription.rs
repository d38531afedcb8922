//! What a client is subscribed to, and messages on their way to it.
//!
//! # Invariants
//! * A subscription that has ended delivers nothing any more, whatever is still on the way: once its end is confirmed, a RESP2
//!   client takes the next bytes for the reply of its next command.
//! * A message is encoded by whoever delivers it, for the version its client speaks at that moment, once per version.

use super::memory::NAME_BYTES;
use super::registry::Shared;
use crate::resp::reply::{Reply, Version};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The three name spaces of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubscriptionKind {
    Channel,
    Pattern,
    Shard,
}

/// One client's subscription to one name.
#[derive(Debug)]
pub struct Subscription {
    pub client: Arc<Shared>,
    ended: AtomicBool,
}

impl Subscription {
    pub fn new(client: Arc<Shared>) -> Subscription {
        Subscription { client, ended: AtomicBool::new(false) }
    }

    /// Nothing is delivered from here on.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// Subscriptions of one client, by name.
pub type Names = BTreeMap<Vec<u8>, Arc<Subscription>>;

/// All subscriptions of one client.
#[derive(Debug, Default)]
pub struct Subscriptions {
    pub channels: Names,
    pub patterns: Names,
    pub shard: Names,
    /// Bytes of all names, with what goes with each.
    bytes: usize,
}

impl Subscriptions {
    #[inline]
    pub fn name_bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, kind: SubscriptionKind, name: &[u8], subscription: Arc<Subscription>) {
        if self.of(kind).insert(name.to_vec(), subscription).is_none() {
            self.bytes += 2 * name.len() + NAME_BYTES;
        }
    }

    pub fn remove(&mut self, kind: SubscriptionKind, name: &[u8]) -> Option<Arc<Subscription>> {
        let gone = self.of(kind).remove(name)?;
        self.bytes -= 2 * name.len() + NAME_BYTES;
        Some(gone)
    }

    pub fn of(&mut self, kind: SubscriptionKind) -> &mut Names {
        match kind {
            SubscriptionKind::Channel => &mut self.channels,
            SubscriptionKind::Pattern => &mut self.patterns,
            SubscriptionKind::Shard => &mut self.shard,
        }
    }

    /// What a confirmation counts: channels and patterns together, shard channels by themselves.
    pub fn counted(&self, kind: SubscriptionKind) -> usize {
        match kind {
            SubscriptionKind::Shard => self.shard.len(),
            _ => self.channels.len() + self.patterns.len(),
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard.is_empty()
    }

    /// Tells the others how many there are.
    pub fn tell(&self, shared: &Shared) {
        shared.subscriptions.store(self.channels.len() as u32, Ordering::Relaxed);
        shared.pattern_subscriptions.store(self.patterns.len() as u32, Ordering::Relaxed);
        shared.shard_subscriptions.store(self.shard.len() as u32, Ordering::Relaxed);
    }
}

/// A message as its receivers get it: `parts` are the elements of the push, its kind first.
#[derive(Debug)]
pub struct Published {
    parts: Vec<Vec<u8>>,
    resp2: OnceLock<Arc<Vec<u8>>>,
    resp3: OnceLock<Arc<Vec<u8>>>,
}

impl Published {
    pub fn new(parts: &[&[u8]]) -> Published {
        Published { parts: parts.iter().map(|p| p.to_vec()).collect(), resp2: OnceLock::new(), resp3: OnceLock::new() }
    }

    /// The bytes for a connection of this version.
    pub fn bytes(&self, version: Version) -> &Arc<Vec<u8>> {
        let cell = match version {
            Version::Resp2 => &self.resp2,
            Version::Resp3 => &self.resp3,
        };
        cell.get_or_init(|| {
            let mut reply = Reply::new(version);
            reply.push(self.parts.len());
            for part in &self.parts {
                reply.bulk(part);
            }
            Arc::new(reply.buf)
        })
    }
}
