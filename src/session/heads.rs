//! Heads of requests that came before, by which those like them are known at once.
//!
//! Clients repeat themselves: `*3\r\n$3\r\nSET\r\n$16\r\n`, the next key and the next value. A head is a request's bytes up to its key. One that
//! begins with the same bytes has the same count of arguments, the same command and a key as long, and none of it is read again.
//!
//! Invariant: what is read here is what [`parse`](crate::resp::parser::parse) reads. A head is learnt from what that has read, and kept only
//! if no limit asks for what stands in it; whatever is not plain behind it is left to that.

use crate::commands::{CommandTable, Entry};
use crate::resp::parser::{Span, short_argument};

/// Bytes of the longest head that is kept; as many have to be there of a request that is held against one.
const HEAD_MAX: usize = 32;
/// Heads that are kept, each at the place its command and its key's length give it.
const HEADS: usize = 8;
/// Arguments, and bytes of a key, that any client may send.
const COUNT_MAX: usize = 9;
const KEY_MAX: usize = 99;

#[derive(Clone, Copy)]
struct Head {
    bytes: [u8; HEAD_MAX],
    /// All ones where `bytes` counts.
    mask: [u8; HEAD_MAX],
    count: usize,
    name: Span,
    key: Span,
    entry: Option<&'static Entry>,
}

/// The heads a worker has seen last, and the commands all can be of.
pub struct Heads {
    pub table: &'static CommandTable,
    heads: [Head; HEADS],
}

/// Where a head belongs: by the end of the command's name and the length of the key, which stand in its second eight bytes.
#[inline(always)]
fn place(bytes: &[u8; HEAD_MAX]) -> usize {
    let word = u64::from_le_bytes(*bytes[8..].first_chunk().expect("32 bytes"));
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HEADS.trailing_zeros())) as usize
}

impl Heads {
    pub fn new(table: &'static CommandTable) -> Heads {
        let nothing = Span { start: 0, len: 0 };
        let head =
            Head { bytes: [0; HEAD_MAX], mask: [0; HEAD_MAX], count: 0, name: nothing, key: nothing, entry: None };
        Heads { table, heads: [head; HEADS] }
    }

    /// Reads a request from the front of `buf`, if it is all there and begins as one did: its command and its length in bytes. The spans of its
    /// arguments are appended, the key's second; nothing is if it is `None`.
    #[inline(always)]
    pub fn read(&self, buf: &[u8], spans: &mut Vec<Span>) -> Option<(&'static Entry, usize)> {
        let front = buf.first_chunk::<HEAD_MAX>()?;
        let head = &self.heads[place(front)];
        let differs = (0..HEAD_MAX).fold(0, |d, i| d | (front[i] ^ head.bytes[i]) & head.mask[i]);
        let entry = head.entry?;
        let mut end = head.key.start + head.key.len;
        if differs != 0 || buf.get(end..)?.first_chunk::<2>() != Some(b"\r\n") {
            return None;
        }
        end += 2;
        let first = spans.len();
        spans.extend_from_slice(&[head.name, head.key]);
        for _ in 2..head.count {
            let Some(span) = short_argument(buf, end) else {
                spans.truncate(first);
                return None;
            };
            spans.push(span);
            end = span.start + span.len + 2;
        }
        Some((entry, end))
    }

    /// Keeps the head of a request that has been read: `spans` are its arguments, the second its key.
    #[inline]
    pub fn learn(&mut self, request: &[u8], spans: &[Span], entry: &'static Entry) {
        let (Some(front), &[name, key, ..]) = (request.first_chunk::<HEAD_MAX>(), spans) else { return };
        // What was typed inline has no head.
        if key.start > HEAD_MAX || name.start == 0 || spans.len() > COUNT_MAX || key.len > KEY_MAX {
            return;
        }
        let mut mask = [0; HEAD_MAX];
        mask[..key.start].fill(0xff);
        self.heads[place(front)] = Head { bytes: *front, mask, count: spans.len(), name, key, entry: Some(entry) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::FAMILIES;
    use crate::resp::args::OwnedArgs;
    use crate::resp::parser::{Limits, Parsed, Partial, parse};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new(FAMILIES, &[]).expect("no renames"));

    fn request(words: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        OwnedArgs::new(words.iter().map(Vec::as_slice)).args().write_request(&mut out);
        out
    }

    fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let name = prop::sample::select(vec!["GET", "SET", "set", "HSET", "INCR", "LPUSH"]);
        let key = prop::collection::vec(any::<u8>(), 0..24);
        let more = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..3);
        (name, key, more).prop_map(|(n, k, m)| [vec![n.as_bytes().to_vec(), k], m].concat())
    }

    proptest! {
        #[test]
        fn what_is_read_by_a_head_is_what_the_parser_reads(
            requests in prop::collection::vec(words(), 1..40), cut in any::<prop::sample::Index>(),
            noise in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let limits = Limits { bulk_len_max: 512 << 20, authenticated: true };
            let mut bytes: Vec<u8> = requests.iter().flat_map(|r| request(r)).collect();
            bytes.truncate(bytes.len() - cut.index(bytes.len()) / 4);
            if let Some((at, byte)) = noise {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let (mut heads, mut at) = (Heads::new(&TABLE), 0);
            loop {
                let (mut known, mut partial, mut spans) = (Vec::new(), Partial::default(), Vec::new());
                let by_head = heads.read(&bytes[at..], &mut known);
                let parsed = parse(&bytes[at..], &mut partial, &mut spans, limits);
                if let Some((entry, len)) = by_head {
                    prop_assert_eq!(&parsed, &Ok(Parsed::Request { bytes: len }));
                    prop_assert_eq!(&known, &spans);
                    prop_assert_eq!(TABLE.find(spans[0].of(&bytes[at..])).map(|e| e.id), Some(entry.id));
                } else {
                    prop_assert!(known.is_empty());
                }
                let Ok(Parsed::Request { bytes: len }) = parsed else { break };
                if spans.is_empty() {
                    break;
                }
                if let Some(entry) = TABLE.find(spans[0].of(&bytes[at..])) {
                    heads.learn(&bytes[at..], &spans, entry);
                }
                at += len;
            }
        }
    }

    #[test]
    fn a_second_request_is_known_by_the_first() {
        let of = |key: &str| request(&[b"GET".to_vec(), key.as_bytes().to_vec()]);
        let (first, mut spans) = ([of("key:000000000001"), of("key:000000000002")].concat(), Vec::new());
        let mut heads = Heads::new(&TABLE);
        assert!(heads.read(&first, &mut spans).is_none());
        let limits = Limits { bulk_len_max: 100, authenticated: false };
        assert!(matches!(
            parse(&first, &mut Partial::default(), &mut spans, limits),
            Ok(Parsed::Request { bytes: 36 })
        ));
        heads.learn(&first, &spans, TABLE.find(b"get").unwrap());
        spans.clear();
        assert_eq!(heads.read(&first[36..], &mut spans).map(|(e, n)| (e.name.as_str(), n)), Some(("get", 36)));
        assert_eq!(spans[1].of(&first[36..]), b"key:000000000002");
    }
}
