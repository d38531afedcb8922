//! Error replies counted by their first word, as INFO errorstats shows them.
//!
//! Scripts can answer any word they like, so kinds are bounded: beyond [`KINDS_MAX`] a new word from a script counts as
//! `ERRORSTATS_OVERFLOW`, while the server's own words go on being told apart up to a second bound.

use parking_lot::RwLock;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds from which on a script's new words share one row; the number is Valkey's.
pub const KINDS_MAX: usize = 128;
/// The server's own words are a few dozen; this only bounds the map should one of them ever carry a client's bytes.
const KINDS_OWN_MAX: usize = 512;
/// A first word of more bytes counts as `ERR`.
const WORD_BYTES_MAX: usize = 30;
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// Who worded an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The server.
    Own,
    /// A script, in its own words.
    Script,
}

/// Counts by kind. Any thread may record; a kind that is known costs a read lock and an addition.
#[derive(Debug, Default)]
pub struct ErrorStats {
    kinds: RwLock<BTreeMap<Box<str>, AtomicU64>>,
}

/// The kind of an error text (without the leading `-`): its first word, made safe for a `name:count` row.
fn kind(error: &[u8]) -> Cow<'_, str> {
    let Some(end) =
        error.iter().take(WORD_BYTES_MAX + 1).position(|b| matches!(b, b' ' | b'\r' | b'\n')).filter(|end| *end > 0)
    else {
        return Cow::Borrowed("ERR");
    };
    let word = error.get(..end).unwrap_or_default();
    match std::str::from_utf8(word) {
        Ok(word) if !word.contains(['#', ':', '\r', '\n']) => Cow::Borrowed(word),
        _ => Cow::Owned(String::from_utf8_lossy(word).replace(['#', ':', '\r', '\n'], "_")),
    }
}

impl ErrorStats {
    /// No errors yet.
    pub const fn new() -> Self {
        ErrorStats { kinds: RwLock::new(BTreeMap::new()) }
    }

    /// Counts an error reply; `error` is its text without the leading `-`.
    pub fn record(&self, error: &[u8], origin: Origin) {
        let kind = kind(error);
        if let Some(count) = self.kinds.read().get(kind.as_ref()) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut kinds = self.kinds.write();
        let bound = if origin == Origin::Script { KINDS_MAX } else { KINDS_OWN_MAX };
        let known = kinds.contains_key(kind.as_ref());
        let row = if known || kinds.len() < bound { kind.as_ref() } else { OVERFLOW };
        match kinds.get(row) {
            Some(count) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                kinds.insert(row.into(), AtomicU64::new(1));
            }
        }
    }

    /// Gives each kind and its count, in order of the bytes of the kind.
    pub fn each(&self, mut out: impl FnMut(&str, u64)) {
        self.kinds.read().iter().for_each(|(kind, count)| out(kind, count.load(Ordering::Relaxed)));
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.kinds.write().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(stats: &ErrorStats) -> Vec<(String, u64)> {
        let mut rows = Vec::new();
        stats.each(|kind, count| rows.push((kind.to_owned(), count)));
        rows
    }

    #[test]
    fn kinds_are_first_words_made_safe_for_a_row() {
        for (error, expect) in [
            (&b"ERR syntax error"[..], "ERR"),
            (b"WRONGTYPE Operation", "WRONGTYPE"),
            (b"A:B=C#x foo", "A_B=C_x"),
            (b"nospace", "ERR"),
            (b" leading", "ERR"),
            (b"CODE\r\n-ERR faked", "CODE"),
            (b"", "ERR"),
            (b"KKKKKKKKKKKKKKKKKKKKKKKKKKKKKK 30", "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKK"),
            (b"KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK 31", "ERR"),
            (b"\xff\xfe x", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(kind(error), expect);
        }
    }

    #[test]
    fn a_script_cannot_make_kinds_without_end() {
        let stats = ErrorStats::new();
        for i in 1..=1_100 {
            stats.record(format!("{i} my error").as_bytes(), Origin::Script);
        }
        stats.record(b"ERR syntax error", Origin::Own);
        stats.record(b"1 my error", Origin::Script);
        let rows = rows(&stats);
        let count = |kind: &str| rows.iter().find(|r| r.0 == kind).map(|r| r.1);
        assert_eq!(count(OVERFLOW), Some(972));
        assert_eq!(count("ERR"), Some(1));
        assert_eq!(count("1"), Some(2));
        assert_eq!(rows.len(), KINDS_MAX + 2);
    }

    #[test]
    fn the_servers_own_kinds_are_bounded_too() {
        let stats = ErrorStats::new();
        (0..5_000).for_each(|i| stats.record(format!("K{i} x").as_bytes(), Origin::Own));
        assert!(rows(&stats).len() <= KINDS_OWN_MAX + 1);
        stats.reset();
        assert!(rows(&stats).is_empty());
    }
}
