//! Values to bytes.

use super::{NODE_PACKED, NODE_PLAIN, kind, stream};
use crate::base::number::{IntText, parse_i64};
use crate::value::hash::HashRef;
use crate::value::list::List;
use crate::value::object::Object;
use crate::value::quicklist::NodeRef;
use crate::value::record::{ContentRef, Record};
use crate::value::set::SetRef;

/// No text of an integer that is written as one is longer: `-2147483648`.
const INT_TEXT_MAX: usize = 11;

pub(super) fn put_len(out: &mut Vec<u8>, n: u64) {
    if n < 1 << 6 {
        out.push(n as u8);
    } else if n < 1 << 14 {
        out.extend_from_slice(&(0x4000 | n as u16).to_be_bytes());
    } else if let Ok(n) = u32::try_from(n) {
        out.push(0x80);
        out.extend_from_slice(&n.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&n.to_be_bytes());
    }
}

pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= INT_TEXT_MAX
        && let Some(n) = parse_i64(bytes)
    {
        return put_int(out, n);
    }
    put_blob(out, bytes);
}

pub(super) fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// An integer as a string: in its bytes if it has at most 32 bits, else its text.
pub(super) fn put_int(out: &mut Vec<u8>, n: i64) {
    if let Ok(n) = i8::try_from(n) {
        out.push(0xC0);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i16::try_from(n) {
        out.push(0xC1);
        out.extend_from_slice(&n.to_le_bytes());
    } else if let Ok(n) = i32::try_from(n) {
        out.push(0xC2);
        out.extend_from_slice(&n.to_le_bytes());
    } else {
        put_blob(out, IntText::new(n).as_bytes());
    }
}

/// The type of a key's value.
pub(super) fn kind_of(record: &Record) -> u8 {
    match record.content() {
        ContentRef::Object(object) => match object {
            Object::List(_) => kind::LIST_QUICKLIST,
            Object::Set(set) => match set.as_ref() {
                SetRef::Ints(_) => kind::SET_INTSET,
                SetRef::Pack(_) => kind::SET_LISTPACK,
                SetRef::Table(_) => kind::SET,
            },
            Object::Hash(hash) => match hash.as_ref() {
                HashRef::Pack(_) => kind::HASH_LISTPACK,
                HashRef::Table(t) if t.deadlines() > 0 => kind::HASH_DEADLINES,
                HashRef::Table(_) => kind::HASH,
            },
            Object::Zset(zset) if zset.as_listpack().is_some() => kind::ZSET_LISTPACK,
            Object::Zset(_) => kind::ZSET,
            Object::Stream(_) => kind::STREAM_ACTIVE_TIMES,
        },
        _ => kind::STRING,
    }
}

/// The value of a key, of the type [`kind_of`] names.
pub(super) fn put_value(out: &mut Vec<u8>, record: &Record) {
    match record.content() {
        ContentRef::Inline(v) => put_string(out, v),
        ContentRef::Big(v) => put_string(out, v),
        ContentRef::Int(n) => put_int(out, n),
        // Keys hold neither; should one, it is an empty string in the file rather than a file that ends here.
        ContentRef::None | ContentRef::Score(_) => put_blob(out, b""),
        ContentRef::Object(object) => put_object(out, object),
    }
}

fn put_object(out: &mut Vec<u8>, object: &Object) {
    match object {
        Object::List(List::Listpack(pack)) => {
            put_len(out, 1);
            put_len(out, NODE_PACKED);
            put_blob(out, pack.as_bytes());
        }
        Object::List(List::Quick(quick)) => {
            put_len(out, quick.node_count() as u64);
            for node in quick.nodes() {
                let (container, bytes) = match node {
                    NodeRef::Packed(pack) => (NODE_PACKED, pack.as_bytes()),
                    NodeRef::Plain(bytes) => (NODE_PLAIN, bytes),
                };
                put_len(out, container);
                put_blob(out, bytes);
            }
        }
        Object::Set(set) => match set.as_ref() {
            SetRef::Ints(ints) => put_blob(out, ints.as_bytes()),
            SetRef::Pack(pack) => put_blob(out, pack.as_bytes()),
            SetRef::Table(table) => {
                put_len(out, table.len() as u64);
                table.for_each(|member| put_string(out, member.name()));
            }
        },
        Object::Hash(hash) => match hash.as_ref() {
            HashRef::Pack(pack) => put_blob(out, pack.as_bytes()),
            HashRef::Table(table) => {
                let deadlines = table.deadlines() > 0;
                put_len(out, table.len() as u64);
                hash.for_each_with_deadline(|field, value, deadline| {
                    field.with_bytes(|f| put_string(out, f));
                    value.with_bytes(|v| put_string(out, v));
                    if deadlines {
                        out.extend_from_slice(&deadline.unwrap_or(-1).to_le_bytes());
                    }
                });
            }
        },
        Object::Stream(stream) => stream::put(out, stream),
        Object::Zset(zset) => match zset.as_listpack() {
            Some(pack) => put_blob(out, pack.as_bytes()),
            None => {
                put_len(out, zset.len() as u64);
                // The last first: who loads it inserts at the front then, the cheapest place of a skiplist.
                zset.each(0..zset.len(), true, |member, score| {
                    member.with_bytes(|m| put_string(out, m));
                    out.extend_from_slice(&score.to_le_bytes());
                });
            }
        },
    }
}
