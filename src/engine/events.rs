//! Key space events: what happened to keys, published to whoever is subscribed.
//!
//! Events are gathered under the locks and published after them, in the order of the changes of one command. While nobody is
//! subscribed to anything, or `notify-keyspace-events` names no channel, they are not even built.

use crate::commands::Node;
use crate::config::Config;
use crate::config::types::KeyspaceEvents as Configured;
use crate::keyspace::{Event, EventClass};

/// Classes by the bits of the directive.
const CLASSES: [(u32, EventClass); 12] = [
    (Configured::GENERIC, EventClass::GENERIC),
    (Configured::STRING, EventClass::STRING),
    (Configured::LIST, EventClass::LIST),
    (Configured::SET, EventClass::SET),
    (Configured::HASH, EventClass::HASH),
    (Configured::ZSET, EventClass::ZSET),
    (Configured::EXPIRED, EventClass::EXPIRED),
    (Configured::EVICTED, EventClass::EVICTED),
    (Configured::STREAM, EventClass::STREAM),
    (Configured::KEY_MISS, EventClass::KEY_MISS),
    (Configured::MODULE, EventClass::MODULE),
    (Configured::NEW, EventClass::NEW),
];

/// The classes of events somebody may hear now.
#[inline]
pub(super) fn wanted(node: &Node, config: &Config) -> EventClass {
    let bits = config.general.notify_keyspace_events.0;
    if bits == 0 || !node.pubsub.is_heard() {
        return EventClass::default();
    }
    classes(bits)
}

#[cold]
fn classes(bits: u32) -> EventClass {
    if bits & (Configured::KEYSPACE | Configured::KEYEVENT) == 0 {
        return EventClass::default();
    }
    EventClass(CLASSES.iter().filter(|(bit, _)| bits & bit != 0).fold(0, |all, (_, class)| all | class.0))
}

/// Publishes events in order and forgets them. No stripe is locked.
pub(super) fn publish(node: &Node, config: &Config, events: &mut Vec<Event>) {
    let bits = config.general.notify_keyspace_events.0;
    for event in events.drain(..) {
        if bits & Configured::KEYSPACE != 0 {
            let channel = [format!("__keyspace@{}__:", event.db).as_bytes(), &event.key].concat();
            node.pubsub.publish(&node.clients, &channel, event.name.as_bytes());
        }
        if bits & Configured::KEYEVENT != 0 {
            let channel = format!("__keyevent@{}__:{}", event.db, event.name);
            node.pubsub.publish(&node.clients, channel.as_bytes(), &event.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_channel_no_class_is_wanted() {
        assert_eq!(classes(Configured::ALL), EventClass::default());
        let with = classes(Configured::ALL | Configured::KEYEVENT);
        assert!(with.intersects(EventClass::GENERIC) && with.intersects(EventClass::MODULE));
        assert!(!with.intersects(EventClass::NEW) && !with.intersects(EventClass::KEY_MISS));
        assert_eq!(classes(Configured::KEYSPACE | Configured::NEW), EventClass::NEW);
    }
}
