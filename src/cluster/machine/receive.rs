//! A message has come.

use super::{Effect, Machine};
use crate::cluster::node::{Handle, LinkId, flag};
use crate::cluster::wire::{Body, Head, KINDS, Kind, Message, mark};

/// What the driver does with the connection then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Fine,
    /// It is not to be heard any more.
    Close,
}

/// DEBUG DROP-CLUSTER-PACKET-FILTER: every kind.
const EVERY_KIND: u16 = u16::MAX;

impl Machine {
    fn is_deaf_to(&self, kind: Kind) -> bool {
        self.deaf_to.is_some_and(|n| n == EVERY_KIND || usize::from(n) == kind.index())
    }

    /// Takes one message.
    pub fn message(&mut self, link: LinkId, message: Message) -> Heard {
        let kind = message.kind;
        self.figures.received[kind.index()] += 1;
        self.figures.bytes_received += message.bytes as u64;
        if self.is_deaf_to(kind) {
            return if self.closes_when_deaf { Heard::Close } else { Heard::Fine };
        }
        if matches!(kind, Kind::Publish | Kind::PublishShard) {
            self.figures.pubsub_bytes_received += message.bytes as u64;
        }
        let Some(l) = self.links.get(&link) else { return Heard::Close };
        let Some(head) = message.head else {
            // It says nothing of its sender: the connection has to have done so.
            if l.proven
                && let Body::Publish { channel, message } = message.body
            {
                self.effects.push(Effect::Publish { shard: kind == Kind::PublishShard, channel, message });
            }
            return Heard::Fine;
        };
        let sender = self.sender(link, &head);
        let now = self.now_ms;
        if let Some(handle) = sender {
            self.note_sender(link, handle, &head);
        }
        if let Some(l) = self.links.get(&link)
            && let Some(node) = l.node.and_then(|h| self.nodes.get_mut(&h))
        {
            node.data_ms = now;
        }
        match (kind, message.body) {
            (Kind::Ping | Kind::Pong | Kind::Meet, Body::Talk(gossip, extensions)) => {
                return self.heard_talk(link, sender, head, gossip, extensions);
            }
            (Kind::Fail, Body::Fail(id)) => {
                if let (Some(sender), Some(about)) = (sender, self.handle(&id))
                    && about != self.me
                    && !self.nodes[&about].is(flag::FAIL)
                {
                    tracing::info!("FAIL message received from {} about {id}", self.nodes[&sender].id);
                    self.fail(about);
                }
            }
            (Kind::Publish | Kind::PublishShard, Body::Publish { channel, message }) if sender.is_some() => {
                self.effects.push(Effect::Publish { shard: kind == Kind::PublishShard, channel, message });
            }
            (Kind::AuthRequest, _) => {
                if let Some(sender) = sender {
                    self.vote(sender, &head);
                }
            }
            (Kind::AuthAck, _) => {
                if let Some(sender) = sender {
                    self.count_vote(sender, &head);
                }
            }
            (Kind::Update, Body::Update { epoch, node, slots }) => {
                let (Some(_), Some(about)) = (sender, self.handle(&node)) else { return Heard::Fine };
                if about == self.me || self.nodes[&about].config_epoch >= epoch {
                    return Heard::Fine;
                }
                self.set_primary(about);
                if let Some(n) = self.nodes.get_mut(&about) {
                    n.config_epoch = epoch;
                }
                self.dirty = true;
                self.claim(about, epoch, &slots);
            }
            (Kind::ManualFailover, _) => {
                if let Some(sender) = sender {
                    self.manual_start(sender);
                }
            }
            _ => {}
        }
        Heard::Fine
    }

    /// Who has sent it, if it is a node we know and no longer meet.
    fn sender(&self, link: LinkId, head: &Head) -> Option<Handle> {
        let of_link = self.links.get(&link).filter(|l| !l.inbound).and_then(|l| l.node);
        let of_link =
            of_link.filter(|h| self.nodes.get(h).is_some_and(|n| !n.is(flag::HANDSHAKE) && n.id == head.sender));
        of_link
            .or_else(|| self.handle(&head.sender))
            .filter(|h| *h != self.me && self.nodes.get(h).is_some_and(|n| !n.is(flag::HANDSHAKE)))
    }

    /// What every head of a node we know tells.
    fn note_sender(&mut self, link: LinkId, handle: Handle, head: &Head) {
        if let Some(l) = self.links.get_mut(&link) {
            l.proven = true;
            if l.inbound && l.node != Some(handle) {
                l.node = Some(handle);
                if let Some(old) = self.nodes.get_mut(&handle).and_then(|n| n.inbound.replace(link)) {
                    // It has connected anew: the old connection is over, whether it has said so or not.
                    self.close(old);
                    if let Some(n) = self.nodes.get_mut(&handle) {
                        n.inbound = Some(link);
                    }
                }
            }
        }
        if head.current_epoch > self.current_epoch {
            self.current_epoch = head.current_epoch;
            self.dirty = true;
        }
        let now = self.now_ms;
        let Some(node) = self.nodes.get_mut(&handle) else { return };
        node.data_ms = now;
        let mut news = node.mark(flag::EXTENSIONS, head.marks & mark::EXTENSIONS != 0 || node.is(flag::EXTENSIONS));
        node.flags = node.flags & !(flag::LIGHT_PUBLISH | flag::LIGHT_MODULE | flag::MY_PRIMARY_FAILED)
            | head.flags & (flag::LIGHT_PUBLISH | flag::LIGHT_MODULE | flag::MY_PRIMARY_FAILED);
        news |= node.mark(flag::NO_FAILOVER, head.flags & flag::NO_FAILOVER != 0);
        if head.config_epoch > node.config_epoch {
            node.config_epoch = head.config_epoch;
            (self.moved, news) = (true, true);
        }
        node.offset = head.offset;
        self.dirty |= news;
        if head.marks & mark::PAUSED != 0
            && self.manual.until_ms != 0
            && self.manual.offset.is_none()
            && self.my_primary() == Some(handle)
        {
            self.manual.offset = Some(head.offset);
            tracing::info!("Received replication offset for paused primary manual failover: {}", head.offset);
        }
    }
}

/// The number DEBUG DROP-CLUSTER-PACKET-FILTER takes for a kind, or for all.
pub fn filter(number: i64) -> Option<Option<u16>> {
    match number {
        -1 => Some(None),
        -2 => Some(Some(EVERY_KIND)),
        n => u16::try_from(n).ok().filter(|n| usize::from(*n) < KINDS.len()).map(Some),
    }
}
