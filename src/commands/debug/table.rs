//! DEBUG on hash tables. A table here is many segments that split alone, so there is no second table and never a rehash under way.

use super::key;
use crate::commands::arguments::integer;
use crate::commands::{CommandError, NodeContext, Outcome};
use crate::value::hash::HashRef;
use crate::value::object::Object;
use crate::value::set::SetRef;
use crate::value::table::{PathOf, Table};
use std::fmt::Write as _;

/// What is told of a table.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    capacity: usize,
    len: usize,
    segments: usize,
    bytes: usize,
}

impl Figures {
    fn of<P: PathOf>(table: &Table<P>) -> Figures {
        Figures {
            capacity: table.capacity(),
            len: table.len(),
            segments: table.segments(),
            bytes: table.memory_bytes(false),
        }
    }

    fn add(&mut self, other: Figures) {
        self.capacity += other.capacity;
        self.len += other.len;
        self.segments += other.segments;
        self.bytes += other.bytes;
    }

    fn text(&self, full: bool) -> String {
        if self.len == 0 {
            return String::new();
        }
        let mut text = format!(
            "Hash table 0 stats (main hash table):\n table size: {}\n number of entries: {}\n rehashing index: -1\n",
            self.capacity, self.len
        );
        if full {
            let load = self.len as f64 / self.capacity.max(1) as f64;
            let _ = write!(text, " segments: {}\n bytes: {}\n load: {load:.3}\n", self.segments, self.bytes);
        }
        text
    }
}

fn full(cx: &NodeContext<'_, '_>) -> bool {
    cx.args.get(3).is_some_and(|a| a.eq_ignore_ascii_case(b"full"))
}

/// DEBUG HTSTATS.
pub fn htstats(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let db = u32::try_from(integer(cx.args.at(2))?).ok().filter(|db| *db < cx.space.databases());
    let db = db.ok_or(CommandError::fixed("ERR Out of range database"))?;
    let mut sum = Figures::default();
    for stripe in 0..crate::keyspace::STRIPES {
        let stripe = stripe as u16;
        cx.with_stripe(stripe, |space, _| sum.add(Figures::of(&space.stripe(stripe).database(db).table)));
    }
    // Deadlines stand in the keys' own records.
    let text = format!("[Dictionary HT]\n{}[Expires HT]\n", sum.text(full(cx)));
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// DEBUG HTSTATS-KEY.
pub fn htstats_key(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = cx.args.at(2);
    let figures = key::look(cx, name, |record, _| {
        let figures = match record.object() {
            Some(Object::Set(set)) => match set.as_ref() {
                SetRef::Table(t) => Some(Figures::of(t)),
                _ => None,
            },
            Some(Object::Hash(hash)) => match hash.as_ref() {
                HashRef::Table(t) => Some(Figures::of(t)),
                HashRef::Pack(_) => None,
            },
            Some(Object::Zset(zset)) => zset.table().map(Figures::of),
            _ => None,
        };
        figures.ok_or(CommandError::fixed(
            "ERR The value stored at the specified key is not represented using an hash table",
        ))
    })?;
    let text = figures.text(full(cx));
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}
