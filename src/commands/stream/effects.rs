//! What a change of a group is told to replicas as.

use super::DataContext;
use crate::base::number::IntText;
use crate::keyspace::{EventClass, Key};
use crate::value::stream::{ConsumerId, Group, Pending, StreamId};

/// A delivery, with what the group's last id was after it.
pub(super) struct Delivery {
    consumer: Vec<u8>,
    id: StreamId,
    delivered_ms: i64,
    deliveries: u64,
    last_id: StreamId,
}

impl Delivery {
    pub fn new(group: &Group, id: StreamId, pending: &Pending, last_id: StreamId) -> Delivery {
        Delivery {
            consumer: group.consumer(pending.consumer).name().to_vec(),
            id,
            delivered_ms: pending.delivered_ms,
            deliveries: pending.deliveries,
            last_id,
        }
    }
}

/// What a command did to a group, gathered while the stream is borrowed.
#[derive(Default)]
pub(super) struct GroupChanges {
    /// The consumer was not there before.
    pub created: Option<Vec<u8>>,
    pub deliveries: Vec<Delivery>,
    /// The group's place, where deliveries do not say it all.
    pub place: Option<(StreamId, Option<u64>)>,
    /// Whether deliveries are wanted: nobody may be listening.
    pub listening: bool,
}

impl GroupChanges {
    pub fn new(listening: bool) -> GroupChanges {
        GroupChanges { listening, ..GroupChanges::default() }
    }

    /// The consumer of this name, made if it is not there; it has been seen now.
    pub fn consumer(&mut self, group: &mut Group, name: &[u8], now_ms: i64) -> ConsumerId {
        let id = match group.add_consumer(name, now_ms) {
            Ok(id) => {
                self.created = Some(name.to_vec());
                id
            }
            Err(_) => group.find(name).expect("a name that is taken is somebody's"),
        };
        group.consumer_mut(id).seen_ms = now_ms;
        id
    }

    /// Notes that an entry is now pending so.
    pub fn delivered(&mut self, group: &Group, id: StreamId, pending: &Pending, last_id: StreamId) {
        if self.listening {
            self.deliveries.push(Delivery::new(group, id, pending, last_id));
        }
    }

    /// Tells the effects, in place of the command's own arguments, and the event of a new consumer. A consumer that is made without
    /// getting anything is told as well: whoever follows has it too.
    pub fn tell(self, cx: &mut DataContext<'_, '_>, key: Key<'_>, group: &[u8]) {
        cx.space.no_effect();
        if let Some(name) = &self.created {
            cx.space.changes.dirty += 1;
            cx.space.event(EventClass::STREAM, "xgroup-createconsumer", key);
            if !self.deliveries.iter().any(|d| d.consumer == *name) {
                cx.space.replace_effect(cx.db, &[b"XGROUP", b"CREATECONSUMER", key.name, group, name]);
            }
        }
        for d in &self.deliveries {
            cx.space.replace_effect(
                cx.db,
                &[
                    b"XCLAIM",
                    key.name,
                    group,
                    &d.consumer,
                    b"0",
                    d.id.text().as_bytes(),
                    b"TIME",
                    IntText::new(d.delivered_ms).as_bytes(),
                    b"RETRYCOUNT",
                    IntText::unsigned(d.deliveries).as_bytes(),
                    b"FORCE",
                    b"JUSTID",
                    b"LASTID",
                    d.last_id.text().as_bytes(),
                ],
            );
        }
        if let Some((last_id, read)) = self.place {
            let read = read.map_or(IntText::new(-1), IntText::unsigned);
            cx.space.replace_effect(
                cx.db,
                &[b"XGROUP", b"SETID", key.name, group, last_id.text().as_bytes(), b"ENTRIESREAD", read.as_bytes()],
            );
        }
    }
}
