//! Values to bytes.

use super::{NODE_PACKED, NODE_PLAIN, kind, lzf, stream};
use crate::base::number::{IntText, parse_i64};
use crate::value::hash::HashRef;
use crate::value::list::List;
use crate::value::object::Object;
use crate::value::quicklist::NodeRef;
use crate::value::record::{ContentRef, Record};
use crate::value::set::SetRef;
use crate::value::table::{MemberPath, Table};

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

/// Strings up to this length are not worth packing.
const PACK_FROM: usize = 21;

pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8], pack: bool) {
    if bytes.len() <= INT_TEXT_MAX
        && let Some(n) = parse_i64(bytes)
    {
        return put_int(out, n);
    }
    if pack {
        return put_packed(out, bytes);
    }
    put_blob(out, bytes);
}

/// A string, packed if that makes it shorter.
fn put_packed(out: &mut Vec<u8>, bytes: &[u8]) {
    if !try_packed(out, bytes) {
        put_blob(out, bytes);
    }
}

/// The packed form of a string; false if there is none that is shorter.
pub(super) fn try_packed(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let packed = if bytes.len() >= PACK_FROM { lzf::pack(bytes) } else { None };
    let Some(packed) = packed else { return false };
    out.push(0xC3);
    put_len(out, packed.len() as u64);
    put_len(out, bytes.len() as u64);
    out.extend_from_slice(&packed);
    true
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

/// The type of a key's value; a format without deadlines of fields has no type for them.
pub(super) fn kind_of(record: &Record, field_deadlines: bool) -> u8 {
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
                HashRef::Table(t) if t.deadlines() > 0 && field_deadlines => kind::HASH_DEADLINES,
                HashRef::Table(_) => kind::HASH,
            },
            Object::Zset(zset) if zset.as_listpack().is_some() => kind::ZSET_LISTPACK,
            Object::Zset(_) => kind::ZSET,
            Object::Stream(_) => kind::STREAM_ACTIVE_TIMES,
        },
        _ => kind::STRING,
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Strings are packed where that makes them shorter.
    pub pack: bool,
    pub field_deadlines: bool,
}

/// The value of a key, of the type [`kind_of`] names.
pub(super) fn put_value(out: &mut Vec<u8>, record: &Record, style: Style) {
    match record.content() {
        ContentRef::Inline(v) => put_string(out, v, style.pack),
        ContentRef::Big(v) => put_string(out, v, style.pack),
        ContentRef::Int(n) => put_int(out, n),
        // Keys hold neither; should one, it is an empty string in the file rather than a file that ends here.
        ContentRef::None | ContentRef::Score(_) => put_blob(out, b""),
        ContentRef::Object(object) => {
            let whole = put_object(out, object, 0, usize::MAX, style);
            debug_assert_eq!(whole, None);
        }
    }
}

/// Elements of a table that are looked at before the bytes are counted again.
const ELEMENTS: usize = 64;

/// The value of a collection from `at` on (0: with its number of elements), until `bytes` or more are in `out`. Returns where to go on,
/// `None` at the end; the collection must not change in between.
pub(super) fn put_object(out: &mut Vec<u8>, object: &Object, at: u64, bytes: usize, style: Style) -> Option<u64> {
    let blob = |out: &mut Vec<u8>, b: &[u8]| if style.pack { put_packed(out, b) } else { put_blob(out, b) };
    match object {
        Object::List(List::Listpack(pack)) => {
            put_len(out, 1);
            put_len(out, NODE_PACKED);
            blob(out, pack.as_bytes());
        }
        Object::List(List::Quick(quick)) => {
            if at == 0 {
                put_len(out, quick.node_count() as u64);
            }
            for (n, node) in quick.nodes().enumerate().skip(at as usize) {
                let (container, node) = match node {
                    NodeRef::Packed(pack) => (NODE_PACKED, pack.as_bytes()),
                    NodeRef::Plain(bytes) => (NODE_PLAIN, bytes),
                };
                put_len(out, container);
                blob(out, node);
                if out.len() >= bytes && n + 1 < quick.node_count() {
                    return Some(n as u64 + 1);
                }
            }
        }
        Object::Set(set) => match set.as_ref() {
            SetRef::Ints(ints) => blob(out, ints.as_bytes()),
            SetRef::Pack(pack) => blob(out, pack.as_bytes()),
            SetRef::Table(table) => {
                if at == 0 {
                    put_len(out, table.len() as u64);
                }
                return put_table(out, table, at, bytes, |out, member| put_string(out, member.name(), style.pack));
            }
        },
        Object::Hash(hash) => match hash.as_ref() {
            HashRef::Pack(pack) => blob(out, pack.as_bytes()),
            HashRef::Table(table) => {
                let deadlines = table.deadlines() > 0 && style.field_deadlines;
                if at == 0 {
                    put_len(out, table.len() as u64);
                }
                return put_table(out, table, at, bytes, |out, field| {
                    put_string(out, field.name(), style.pack);
                    match field.content() {
                        ContentRef::Int(n) => put_int(out, n),
                        ContentRef::Inline(v) => put_string(out, v, style.pack),
                        ContentRef::Big(v) => put_string(out, v, style.pack),
                        ContentRef::None | ContentRef::Score(_) | ContentRef::Object(_) => put_blob(out, b""),
                    }
                    if deadlines {
                        out.extend_from_slice(&field.deadline().unwrap_or(-1).to_le_bytes());
                    }
                });
            }
        },
        Object::Stream(stream) => stream::put(out, stream),
        Object::Zset(zset) => match zset.as_listpack() {
            Some(pack) => blob(out, pack.as_bytes()),
            None => {
                if at == 0 {
                    put_len(out, zset.len() as u64);
                }
                // The last first: who loads it inserts at the front then, the cheapest place of a skiplist.
                let mut end = zset.len().saturating_sub(at as usize);
                while end > 0 {
                    let begin = end.saturating_sub(ELEMENTS);
                    zset.each(begin..end, true, |member, score| {
                        member.with_bytes(|m| put_string(out, m, style.pack));
                        out.extend_from_slice(&score.to_le_bytes());
                    });
                    end = begin;
                    if out.len() >= bytes && end > 0 {
                        return Some((zset.len() - end) as u64);
                    }
                }
            }
        },
    }
    None
}

fn put_table(
    out: &mut Vec<u8>,
    table: &Table<MemberPath>,
    at: u64,
    bytes: usize,
    mut put: impl FnMut(&mut Vec<u8>, &Record),
) -> Option<u64> {
    if bytes == usize::MAX && at == 0 {
        table.for_each(|record| put(out, record));
        return None;
    }
    let mut at = at;
    loop {
        // A place to go on from is never 0.
        at = table.scan(at, ELEMENTS, |record| put(out, record))?;
        if out.len() >= bytes {
            return Some(at);
        }
    }
}
