//! DEBUG on one key: where and how its value is kept.

use crate::commands::string::access;
use crate::commands::{CommandError, NodeContext, Outcome};
use crate::config::Config;
use crate::keyspace::Access;
use crate::value::hash::HashRef;
use crate::value::list::List;
use crate::value::object::Object;
use crate::value::quicklist::NodeRef;
use crate::value::record::{ContentRef, Record};
use crate::value::set::SetRef;
use std::fmt::Write as _;

/// Looks at a key's record without using it.
pub(super) fn look<R>(
    cx: &mut NodeContext<'_, '_>,
    name: &[u8],
    f: impl FnOnce(&Record, Access) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    cx.with_key(name, |space, key, _| {
        let access = space.access;
        // As it is: one past its deadline that has not gone yet is told of, too.
        match space.stripe(key.hash.stripe).database(key.db).table.get_at(key.hash.path, key.name) {
            Some(record) => f(&record, access),
            None => Err(CommandError::NoSuchKey),
        }
    })
}

/// DEBUG OBJECT.
pub fn object(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // Any other word is as good as none, as ever.
    let fast = cx.args.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"fast"));
    let (config, name) = (std::sync::Arc::clone(cx.config), cx.args.at(2));
    let text = look(cx, name, |record, access| Ok(describe(record, access, &config, fast)))?;
    cx.reply.status(&text);
    Ok(())
}

fn describe(record: &Record, access: Access, config: &Config, fast: bool) -> String {
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{}",
        record.name().as_ptr(),
        record.object().map_or_else(|| access::encoding(record), Object::encoding)
    );
    // Writing to a String cannot fail.
    if !fast {
        let _ = write!(text, " serializedlength:{}", serialized_bytes(record));
    }
    let word = record.access();
    let _ = write!(text, " lru:{word} lru_seconds_idle:{}", access.idle_seconds(word));
    if let Some(Object::List(List::Quick(quick))) = record.object() {
        let nodes = quick.node_count();
        let _ = write!(
            text,
            " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{}",
            quick.len() as f64 / nodes.max(1) as f64,
            config.encoding.list_max_listpack_size,
            u8::from(config.encoding.list_compress_depth > 0)
        );
        if !fast {
            let _ = write!(text, " ql_uncompressed_size:{}", quick.nodes().map(|n| node_bytes(&n)).sum::<usize>());
        }
    }
    text
}

fn node_bytes(node: &NodeRef<'_>) -> usize {
    match node {
        NodeRef::Packed(pack) => pack.total_bytes(),
        NodeRef::Plain(bytes) => bytes.len(),
    }
}

/// Bytes of a length as RDB files write it.
fn length_bytes(n: usize) -> usize {
    match n {
        0..64 => 1,
        64..16_384 => 2,
        _ if u32::try_from(n).is_ok() => 5,
        _ => 9,
    }
}

fn string_bytes(n: usize) -> usize {
    length_bytes(n) + n
}

/// Bytes of text that is a small integer, if `text` is one; RDB files write those as numbers.
fn text_bytes(text: &[u8]) -> usize {
    match crate::base::number::parse_i64(text) {
        Some(-128..=127) => 2,
        Some(-32_768..=32_767) => 3,
        Some(n) if i32::try_from(n).is_ok() => 5,
        _ => string_bytes(text.len()),
    }
}

/// Bytes of the value as RDB files write it without compression.
fn serialized_bytes(record: &Record) -> usize {
    let Some(object) = record.object() else {
        return match record.content() {
            ContentRef::Inline(b) => text_bytes(b),
            ContentRef::Big(b) => text_bytes(b),
            ContentRef::Int(n) => text_bytes(crate::base::number::IntText::new(n).as_bytes()),
            _ => 0,
        };
    };
    let mut sum = length_bytes(object.len());
    match object {
        Object::List(List::Listpack(pack)) => sum = 2 + string_bytes(pack.total_bytes()),
        Object::List(List::Quick(quick)) => {
            sum = length_bytes(quick.node_count())
                + quick.nodes().map(|n| 1 + string_bytes(node_bytes(&n))).sum::<usize>();
        }
        Object::Set(set) => match set.as_ref() {
            SetRef::Ints(ints) => sum = string_bytes(ints.total_bytes()),
            SetRef::Pack(pack) => sum = string_bytes(pack.total_bytes()),
            SetRef::Table(_) => set.for_each(|m| sum += m.with_bytes(text_bytes)),
        },
        Object::Hash(hash) => match hash.as_ref() {
            HashRef::Pack(pack) => sum = string_bytes(pack.total_bytes()),
            HashRef::Table(_) => hash.for_each_with_deadline(|field, value, deadline| {
                sum += field.with_bytes(text_bytes) + value.with_bytes(text_bytes);
                sum += if deadline.is_some() { 8 } else { 0 };
            }),
        },
        Object::Stream(_) => sum = crate::persist::rdb::dump_value(record).len() - 11,
        Object::Zset(zset) => match zset.as_listpack() {
            Some(pack) => sum = string_bytes(pack.total_bytes()),
            None => zset.each(0..zset.len(), false, |m, _| sum += m.with_bytes(text_bytes) + 8),
        },
    }
    sum
}

/// DEBUG SDSLEN.
pub fn sdslen(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = cx.args.at(2);
    let text = look(cx, name, |record, _| {
        if !record.is_string() || matches!(record.content(), ContentRef::Int(_)) {
            return Err(CommandError::fixed("ERR Not an sds encoded string."));
        }
        let value = access::len(record)?;
        // Key and value share a block; a long value has one of its own.
        let block = crate::base::size_class::size_class(record.block_bytes());
        let (avail, own) = match record.content() {
            ContentRef::Big(v) => (v.capacity() - v.len(), record.memory_bytes() - record.block_bytes()),
            _ => (block - record.block_bytes(), 0),
        };
        Ok(format!(
            "key_sds_len:{} key_sds_avail:0 obj_alloc:{block} val_sds_len:{value} val_sds_avail:{avail} val_alloc:{own}",
            name.len()
        ))
    })?;
    cx.reply.status(&text);
    Ok(())
}

/// DEBUG LISTPACK.
pub fn listpack(cx: &mut NodeContext<'_, '_>) -> Outcome {
    let name = cx.args.at(2);
    let (bytes, entries) = look(cx, name, |record, _| {
        let pack = match record.object() {
            Some(Object::List(List::Listpack(pack))) => Some(pack),
            Some(Object::Set(set)) => match set.as_ref() {
                SetRef::Pack(pack) => Some(pack),
                _ => None,
            },
            Some(Object::Hash(hash)) => match hash.as_ref() {
                HashRef::Pack(pack) => Some(pack),
                HashRef::Table(_) => None,
            },
            Some(Object::Zset(zset)) => zset.as_listpack(),
            _ => None,
        };
        pack.map(|p| (p.total_bytes(), p.len())).ok_or(CommandError::fixed("ERR Not a listpack encoded object."))
    })?;
    tracing::warn!("DEBUG LISTPACK {}: {bytes} bytes, {entries} entries", String::from_utf8_lossy(name));
    cx.reply.status("Listpack structure written to the log");
    Ok(())
}

/// DEBUG QUICKLIST.
pub fn quicklist(cx: &mut NodeContext<'_, '_>) -> Outcome {
    /// Nodes that are written out; the rest is counted.
    const SHOWN_MAX: usize = 1000;
    let (name, full) = (cx.args.at(2), cx.args.get(3).is_some_and(|a| a != b"0"));
    let lines = look(cx, name, |record, _| {
        let Some(Object::List(List::Quick(quick))) = record.object() else {
            return Err(CommandError::fixed("ERR Not a quicklist encoded object."));
        };
        let mut lines = vec![format!("{} elements in {} nodes", quick.len(), quick.node_count())];
        for node in quick.nodes().take(SHOWN_MAX) {
            let (kind, entries) = match &node {
                NodeRef::Packed(pack) => ("packed", pack.len()),
                NodeRef::Plain(_) => ("plain", 1),
            };
            let entries = if full { format!(", {entries} elements") } else { String::new() };
            lines.push(format!("{kind} node of {} bytes{entries}", node_bytes(&node)));
        }
        Ok(lines)
    })?;
    for line in lines {
        tracing::warn!("DEBUG QUICKLIST {}: {line}", String::from_utf8_lossy(name));
    }
    cx.reply.status("Quicklist structure written to the log");
    Ok(())
}
