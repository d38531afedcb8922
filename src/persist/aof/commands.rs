//! A snapshot as commands: the base of a log that is to be read by others than servers (`aof-use-rdb-preamble no`).
//!
//! The forkless producer writes a snapshot here as everywhere; what it wrote is then read key by key, and each key becomes the commands
//! that make it. So clients are held up no more than by any snapshot, and the price, a file that is written twice, is the disk's.
//!
//! # Invariants
//! * One value at a time is in memory, and of its commands [`BODY_MAX`] bytes and one element.
//! * Run in order on an empty server the commands give the keys, values and deadlines of the snapshot. What no command can say is lost, as
//!   with every server of this family: how long ago a key was used, when a consumer was last seen, and what is pending of entries that are
//!   no longer in their stream.

use crate::base::number::{FloatText, IntText, put_line};
use crate::keyspace::Access;
use crate::persist::rdb::{self, LoadOptions, RdbError, Seen, Value};
use crate::value::hash::Hash;
use crate::value::object::Object;
use crate::value::stream::{Direction, Stream, StreamId};
use std::io::{self, Read, Write};

/// Elements of one command: whoever replays it, or reads it, has it in memory.
const ELEMENTS_MAX: usize = 64;
/// Bytes of elements of one command, and one element more.
const BODY_MAX: usize = 1 << 20;

/// Where commands go, counted.
pub struct Commands<'w> {
    out: &'w mut dyn Write,
    bytes: u64,
    db: Option<u32>,
}

/// Turns the snapshot in `from` into commands. `second`: a note of the time that stands before them. Returns the bytes that were written.
///
/// # Errors
/// What is wrong with the snapshot, which is our own: a fault of the disk. Those of `out`, and `stop`.
pub fn of_snapshot(
    from: impl Read,
    out: &mut dyn Write,
    options: &LoadOptions,
    access: Access,
    databases: u32,
    second: Option<i64>,
    stop: &dyn Fn() -> bool,
) -> Result<u64, RdbError> {
    let failed = |e: io::Error| RdbError { offset: 0, fault: rdb::Fault::Io(e) };
    let mut commands = Commands { out, bytes: 0, db: None };
    if let Some(second) = second {
        commands.put(format!("#TS:{second}\r\n").as_bytes()).map_err(failed)?;
    }
    let seen = rdb::look_at(from, options, access, databases, &mut |seen| {
        if stop() {
            return Err(io::Error::other("nobody wants it any more"));
        }
        commands.key(&seen)
    })?;
    for library in &seen.libraries {
        commands.command(&[b"FUNCTION", b"LOAD", library]).map_err(failed)?;
    }
    Ok(commands.bytes)
}

fn put_bulk(out: &mut Vec<u8>, word: &[u8]) {
    put_line(out, b'$', word.len() as i64);
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// A command that takes any number of elements, and is therefore several.
struct Many<'k> {
    head: [&'k [u8]; 2],
    body: Vec<u8>,
    words: usize,
    elements: usize,
    result: io::Result<()>,
}

impl<'k> Many<'k> {
    fn new(name: &'k [u8], key: &'k [u8]) -> Many<'k> {
        Many { head: [name, key], body: Vec::new(), words: 0, elements: 0, result: Ok(()) }
    }

    fn word(&mut self, word: &[u8]) {
        put_bulk(&mut self.body, word);
        self.words += 1;
    }

    /// An element is whole.
    fn end_element(&mut self, out: &mut Commands<'_>) {
        self.elements += 1;
        if self.elements >= ELEMENTS_MAX || self.body.len() >= BODY_MAX {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Commands<'_>) {
        if self.words > 0 && self.result.is_ok() {
            let mut start = Vec::new();
            put_line(&mut start, b'*', (self.head.len() + self.words) as i64);
            self.head.iter().for_each(|w| put_bulk(&mut start, w));
            self.result = out.put(&start).and_then(|()| out.put(&self.body));
        }
        self.body.clear();
        (self.words, self.elements) = (0, 0);
    }

    fn finish(mut self, out: &mut Commands<'_>) -> io::Result<()> {
        self.flush(out);
        self.result
    }
}

impl Commands<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_line(&mut bytes, b'*', words.len() as i64);
        words.iter().for_each(|w| put_bulk(&mut bytes, w));
        self.put(&bytes)
    }

    /// Makes a key.
    fn key(&mut self, seen: &Seen) -> io::Result<()> {
        if self.db != Some(seen.db) {
            self.db = Some(seen.db);
            self.command(&[b"SELECT", IntText::unsigned(seen.db.into()).as_bytes()])?;
        }
        let name = &seen.name[..];
        match &seen.value {
            Value::Int(n) => self.command(&[b"SET", name, IntText::new(*n).as_bytes()])?,
            Value::Bytes(bytes) => self.command(&[b"SET", name, bytes])?,
            Value::Object(object) => self.object(name, object)?,
        }
        match seen.deadline {
            Some(ms) => self.command(&[b"PEXPIREAT", name, IntText::new(ms).as_bytes()]),
            None => Ok(()),
        }
    }

    fn object(&mut self, name: &[u8], object: &Object) -> io::Result<()> {
        match object {
            Object::List(list) => {
                let mut many = Many::new(b"RPUSH", name);
                for element in list.iter() {
                    element.with_bytes(|b| many.word(b));
                    many.end_element(self);
                }
                many.finish(self)
            }
            Object::Set(set) => {
                let mut many = Many::new(b"SADD", name);
                set.for_each(|member| {
                    member.with_bytes(|b| many.word(b));
                    many.end_element(self);
                });
                many.finish(self)
            }
            Object::Zset(zset) => {
                let mut many = Many::new(b"ZADD", name);
                zset.each(0..zset.len(), false, |member, score| {
                    many.word(FloatText::of_digits(score).as_bytes());
                    member.with_bytes(|b| many.word(b));
                    many.end_element(self);
                });
                many.finish(self)
            }
            Object::Hash(hash) => self.hash(name, hash),
            Object::Stream(stream) => self.stream(name, stream),
        }
    }

    /// The fields that stay, and then those with a deadline, one by one.
    fn hash(&mut self, name: &[u8], hash: &Hash) -> io::Result<()> {
        let mut many = Many::new(b"HSET", name);
        let mut going = Vec::new();
        hash.for_each_with_deadline(|field, value, deadline| match deadline {
            Some(ms) => going.push((field.with_bytes(<[u8]>::to_vec), value.with_bytes(<[u8]>::to_vec), ms)),
            None => {
                field.with_bytes(|b| many.word(b));
                value.with_bytes(|b| many.word(b));
                many.end_element(self);
            }
        });
        many.finish(self)?;
        for (field, value, ms) in going {
            let ms = IntText::new(ms);
            self.command(&[b"HSETEX", name, b"PXAT", ms.as_bytes(), b"FIELDS", b"1", &field, &value])?;
        }
        Ok(())
    }

    fn stream(&mut self, name: &[u8], stream: &Stream) -> io::Result<()> {
        for entry in stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward) {
            let mut words: Vec<Vec<u8>> = Vec::new();
            for (field, value) in entry.pairs() {
                field.with_bytes(|b| words.push(b.to_vec()));
                value.with_bytes(|b| words.push(b.to_vec()));
            }
            let id = entry.id.text();
            let mut command: Vec<&[u8]> = vec![b"XADD", name, id.as_bytes()];
            command.extend(words.iter().map(|w| &w[..]));
            self.command(&command)?;
        }
        if stream.is_empty() {
            // An entry that does not stay makes the stream.
            let id = stream.last_id.max(StreamId { ms: 0, seq: 1 });
            self.command(&[b"XADD", name, b"MAXLEN", b"0", id.text().as_bytes(), b"x", b"y"])?;
        }
        self.command(&[
            b"XSETID",
            name,
            stream.last_id.text().as_bytes(),
            b"ENTRIESADDED",
            IntText::unsigned(stream.entries_added).as_bytes(),
            b"MAXDELETEDID",
            stream.max_deleted_id.text().as_bytes(),
        ])?;
        for (group_name, group) in stream.groups() {
            let read = group.entries_read.map_or(IntText::new(-1), IntText::unsigned);
            self.command(&[
                b"XGROUP",
                b"CREATE",
                name,
                group_name,
                group.last_id.text().as_bytes(),
                b"ENTRIESREAD",
                read.as_bytes(),
            ])?;
            for consumer in group.consumers() {
                self.command(&[b"XGROUP", b"CREATECONSUMER", name, group_name, consumer.name()])?;
            }
            for (id, pending) in group.pending() {
                self.command(&[
                    b"XCLAIM",
                    name,
                    group_name,
                    group.consumer(pending.consumer).name(),
                    b"0",
                    id.text().as_bytes(),
                    b"TIME",
                    IntText::new(pending.delivered_ms).as_bytes(),
                    b"RETRYCOUNT",
                    IntText::unsigned(pending.deliveries).as_bytes(),
                    b"FORCE",
                    b"JUSTID",
                ])?;
            }
        }
        Ok(())
    }
}
