//! Bytes to values.

use super::source::{Fault, Got, Source};
use super::{NODE_PACKED, NODE_PLAIN, kind, legacy, stream};
use crate::base::number::{parse_f64, parse_f64_bound, parse_i64};
use crate::config::Config;
use crate::value::hash::{Before, FieldTtl, Hash, HashLimits};
use crate::value::intset::IntSet;
use crate::value::list::{End, Limits as ListLimits, List};
use crate::value::listpack::Listpack;
use crate::value::object::Object;
use crate::value::quicklist::QuickList;
use crate::value::record::{Content, INLINE_MAX, Record};
use crate::value::set::{Set, SetLimits};
use crate::value::zset::{Gather, Limits as ZsetLimits, Zset};
use std::io::Read;
use std::sync::Arc;

/// Up to which size collections are compact here: files come from servers with other limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub list: ListLimits,
    pub set: SetLimits,
    pub hash: HashLimits,
    pub zset: ZsetLimits,
}

impl Limits {
    pub fn of(config: &Config) -> Limits {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let c = &config.encoding;
        Limits {
            list: ListLimits::new(c.list_max_listpack_size.into()),
            set: SetLimits {
                intset_entries: size(c.set_max_intset_entries),
                listpack_entries: size(c.set_max_listpack_entries),
                listpack_value: size(c.set_max_listpack_value),
            },
            hash: HashLimits { entries: size(c.hash_max_listpack_entries), value: size(c.hash_max_listpack_value) },
            zset: ZsetLimits { entries: size(c.zset_max_listpack_entries), value: size(c.zset_max_listpack_value) },
        }
    }
}

/// A value that was read.
#[derive(Debug)]
pub enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    Object(Box<Object>),
}

impl Value {
    /// Takes out the fields of a hash that are past their deadline. False if none are left.
    pub fn drop_expired(&mut self, now_ms: i64) -> bool {
        let Value::Object(object) = self else { return true };
        let Object::Hash(hash) = &mut **object else { return true };
        if hash.earliest_deadline().is_some_and(|at| at <= now_ms) {
            for field in hash.expired(now_ms, usize::MAX) {
                hash.remove(&field, now_ms);
            }
        }
        !hash.is_empty()
    }

    /// The record of a key with this value. `deadline` is in ms since the epoch.
    pub fn into_record(self, name: &[u8], deadline: Option<i64>) -> Record {
        match self {
            Value::Int(n) => Record::new(name, Content::Int(n), deadline),
            Value::Bytes(v) if v.len() > INLINE_MAX => Record::new(name, Content::Big(Arc::new(v)), deadline),
            Value::Bytes(v) => Record::new(name, Content::String(&v), deadline),
            Value::Object(o) => Record::new(name, Content::Object(o), deadline),
        }
    }
}

/// Reads a value of a type.
pub(super) fn get_value<R: Read>(from: &mut Source<R>, kind: u8, limits: &Limits) -> Got<Value> {
    let object = match kind {
        kind::STRING => {
            let bytes = from.string()?;
            return Ok(parse_i64(&bytes).map_or(Value::Bytes(bytes), Value::Int));
        }
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST_ZIPLISTS | kind::LIST_QUICKLIST => {
            Object::List(list(from, kind, limits)?)
        }
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => Object::Set(set(from, kind, &limits.set)?),
        kind::HASH | kind::HASH_DEADLINES | kind::HASH_LISTPACK | kind::HASH_ZIPLIST | kind::HASH_ZIPMAP => {
            Object::Hash(hash(from, kind, &limits.hash)?)
        }
        kind::ZSET | kind::ZSET_TEXT | kind::ZSET_LISTPACK | kind::ZSET_ZIPLIST => {
            Object::Zset(zset(from, kind, limits.zset)?)
        }
        kind::STREAM | kind::STREAM_COUNTERS | kind::STREAM_ACTIVE_TIMES => Object::Stream(stream::get(from, kind)?),
        6 | 7 => return Err(from.error(Fault::Unsupported("modules' data"))),
        other => return Err(from.error(Fault::Kind(other))),
    };
    if object.is_empty() {
        return Err(from.error(Fault::Empty));
    }
    Ok(Value::Object(Box::new(object)))
}

pub(super) fn listpack<R: Read>(from: &mut Source<R>, what: &'static str) -> Got<Listpack> {
    let bytes = from.string()?;
    Listpack::from_vec(bytes).or_else(|_| from.damaged(what))
}

fn ziplist<R: Read>(from: &mut Source<R>, what: &'static str) -> Got<Vec<Vec<u8>>> {
    let bytes = from.string()?;
    legacy::ziplist(&bytes).or_else(|_| from.damaged(what))
}

fn list<R: Read>(from: &mut Source<R>, kind: u8, limits: &Limits) -> Got<List> {
    let limits = &limits.list;
    let mut list = List::new();
    match kind {
        kind::LIST => {
            for _ in 0..from.count()? {
                let element = from.string()?;
                list.push_one(End::Right, element.as_slice(), limits);
            }
        }
        kind::LIST_ZIPLIST => {
            let elements = ziplist(from, "List ziplist")?;
            list.push(End::Right, elements.iter().map(Vec::as_slice), limits);
        }
        kind::LIST_QUICKLIST_ZIPLISTS => {
            for _ in 0..from.count()? {
                for element in ziplist(from, "List ziplist")? {
                    list.push_one(End::Right, element.as_slice(), limits);
                }
            }
        }
        _ => {
            let mut quick = QuickList::new();
            for _ in 0..from.count()? {
                match from.len()? {
                    NODE_PACKED => quick.append_listpack(listpack(from, "List listpack")?),
                    NODE_PLAIN => {
                        let element = from.string()?;
                        if element.is_empty() {
                            // An element of its own is a long one.
                            return from.damaged("List node");
                        }
                        quick.append_plain(element.into_boxed_slice());
                    }
                    _ => return from.damaged("List node"),
                }
            }
            if !quick.is_empty() {
                list = List::from_quicklist(quick, limits);
            }
        }
    }
    Ok(list)
}

fn set<R: Read>(from: &mut Source<R>, kind: u8, limits: &SetLimits) -> Got<Set> {
    const TWICE: &str = "Set member uniqueness";
    match kind {
        kind::SET_INTSET => {
            let bytes = from.string()?;
            let ints = IntSet::from_bytes(&bytes).or_else(|_| from.damaged("Intset"))?;
            Ok(Set::from_intset(ints, limits))
        }
        kind::SET_LISTPACK => {
            Set::from_listpack(listpack(from, "Set listpack")?, limits).or_else(|_| from.damaged(TWICE))
        }
        _ => {
            let mut set: Option<Set> = None;
            let members = from.count()?;
            let expected = usize::try_from(members).unwrap_or(usize::MAX);
            for _ in 0..members {
                let member = from.string()?;
                let set = set.get_or_insert_with(|| Set::for_first(&member, expected, limits));
                if !set.add(&member, limits) {
                    return from.damaged(TWICE);
                }
            }
            Ok(set.unwrap_or_default())
        }
    }
}

fn hash<R: Read>(from: &mut Source<R>, kind: u8, limits: &HashLimits) -> Got<Hash> {
    const TWICE: &str = "Hash field uniqueness";
    const ODD: &str = "Hash field and value pairs";
    let mut hash = Hash::default();
    // No field has expired at this time: those that have are kept and go as any others do, with their effects.
    let never = i64::MIN;
    let mut put = |from: &Source<R>, field: &[u8], value: &[u8], ttl| match hash.set(field, value, ttl, never, limits) {
        Before::Nothing => Ok(()),
        Before::Live | Before::Expired => from.damaged(TWICE),
    };
    match kind {
        kind::HASH_LISTPACK => {
            return Hash::from_listpack(listpack(from, "Hash listpack")?, limits).or_else(|_| from.damaged(TWICE));
        }
        kind::HASH_ZIPLIST | kind::HASH_ZIPMAP => {
            let elements = if kind == kind::HASH_ZIPLIST {
                ziplist(from, "Hash ziplist")?
            } else {
                let bytes = from.string()?;
                if bytes.len() <= 2 {
                    // Nothing wrote one without fields.
                    return from.damaged("Zipmap");
                }
                legacy::zipmap(&bytes).or_else(|_| from.damaged("Zipmap"))?
            };
            for pair in elements.chunks(2) {
                let [field, value] = pair else { return from.damaged(ODD) };
                put(from, field, value, FieldTtl::Clear)?;
            }
        }
        kind::HASH_DEADLINES => {
            let fields = from.count()?;
            // Whoever wrote this kept a table.
            let mut table = Hash::default();
            table.expect(usize::MAX, 0, limits);
            for _ in 0..fields {
                let (field, value) = (from.string()?, from.string()?);
                let ttl = match i64::from_le_bytes(from.array()?) {
                    -1 => FieldTtl::Clear,
                    ms if ms < -1 => return from.damaged("Hash field deadline"),
                    ms => FieldTtl::At(ms),
                };
                if table.set(&field, &value, ttl, never, limits) != Before::Nothing {
                    return from.damaged(TWICE);
                }
            }
            return Ok(table);
        }
        _ => {
            for _ in 0..from.count()? {
                let (field, value) = (from.string()?, from.string()?);
                put(from, &field, &value, FieldTtl::Clear)?;
            }
        }
    }
    Ok(hash)
}

fn score_text(text: &[u8]) -> Option<f64> {
    parse_f64(text).or_else(|| parse_f64_bound(text)).filter(|s| !text.is_empty() && !s.is_nan())
}

fn zset<R: Read>(from: &mut Source<R>, kind: u8, limits: ZsetLimits) -> Got<Zset> {
    const TWICE: &str = "Zset member uniqueness";
    const ZSET_PACK: &str = "Zset listpack";
    const SCORE: &str = "Zset score";
    let mut gather = Gather::new();
    let mut put = |from: &Source<R>, member: &[u8], score: Option<f64>| match score.filter(|s| !s.is_nan()) {
        None => from.damaged(SCORE),
        Some(score) if gather.add_new(member, score) => Ok(()),
        Some(_) => from.damaged(TWICE),
    };
    match kind {
        kind::ZSET_LISTPACK => {
            let pack = listpack(from, ZSET_PACK)?;
            let zset = Zset::from_listpack(pack).or_else(|_| from.damaged(ZSET_PACK))?;
            let mut longest = 0;
            zset.each(0..zset.len(), false, |member, _| longest = longest.max(member.text_len()));
            if zset.len() <= limits.entries && longest <= limits.value {
                return Ok(zset);
            }
            zset.each(0..zset.len(), false, |member, score| {
                member.with_bytes(|m| gather.add_new(m, score));
            });
        }
        kind::ZSET_ZIPLIST => {
            for pair in ziplist(from, "Zset ziplist")?.chunks(2) {
                let [member, score] = pair else { return from.damaged("Zset member and score pairs") };
                put(from, member, score_text(score))?;
            }
        }
        kind::ZSET => {
            for _ in 0..from.count()? {
                let member = from.string()?;
                let score = f64::from_le_bytes(from.array()?);
                put(from, &member, Some(score))?;
            }
        }
        _ => {
            for _ in 0..from.count()? {
                let member = from.string()?;
                let score = match from.u8()? {
                    253 => None,
                    254 => Some(f64::INFINITY),
                    255 => Some(f64::NEG_INFINITY),
                    n => score_text(&from.bytes(n.into())?),
                };
                put(from, &member, score)?;
            }
        }
    }
    Ok(gather.finish(limits))
}
