//! Where a command's keys stand: the key specs of COMMAND INFO as constants, and what follows from them.
//!
//! A spec is a place to begin and a rule to go on from there, both relative, so that `last_key: 0` means "only the one".
//! Must never know: the arguments of a call; `keys` applies the specs to them.

use super::flags::KeyFlags;

/// How to find the first argument that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this position; 0 is the command's own word.
    Index(i32),
    /// After this word (in any case), looked for from a position on, or backwards from a negative one.
    Keyword(&'static str, i32),
    /// The keys cannot be told from the arguments.
    Unknown,
}

/// How to go on from where the search began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`-th argument up to `last`.
    Range {
        /// Relative to the first key, or negative: counted from the last argument (-1).
        last: i32,
        /// Distance between keys.
        step: i32,
        /// With a negative `last`: 2 means only the first half of the remaining arguments, and so on.
        limit: i32,
    },
    /// The arguments say how many keys there are.
    Keynum {
        /// Where the number stands, relative to the beginning.
        at: i32,
        /// Where the first key stands, relative to the beginning.
        first: i32,
        /// Distance between keys.
        step: i32,
    },
    /// The keys cannot be told from the arguments.
    Unknown,
}

/// One group of keys and what the command does to them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: BeginSearch,
    /// How to go on.
    pub find: FindKeys,
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// A remark for readers; empty prints nothing.
    pub notes: &'static str,
}

const ONE_KEY: FindKeys = FindKeys::Range { last: 0, step: 1, limit: 0 };

impl KeySpec {
    /// One key at a position. `flags` are the words of [`KeyFlags`] between single spaces.
    pub const fn index(index: i32, flags: &str) -> Self {
        assert!(index > 0, "keys come after the command's own word");
        Self { begin: BeginSearch::Index(index), find: ONE_KEY, flags: KeyFlags::from_words(flags), notes: "" }
    }

    /// One key after a word that is looked for from `from` on, or backwards from a negative `from`.
    pub const fn keyword(word: &'static str, from: i32, flags: &str) -> Self {
        assert!(from != 0, "a keyword is looked for after the command's own word");
        Self { begin: BeginSearch::Keyword(word, from), find: ONE_KEY, flags: KeyFlags::from_words(flags), notes: "" }
    }

    /// Keys that no rule finds.
    pub const fn unknown(flags: &str) -> Self {
        Self { begin: BeginSearch::Unknown, find: FindKeys::Unknown, flags: KeyFlags::from_words(flags), notes: "" }
    }

    /// Goes on to `last` in steps; see [`FindKeys::Range`].
    pub const fn range(self, last: i32, step: i32, limit: i32) -> Self {
        assert!(step > 0 && limit >= 0, "a range goes forward");
        Self { find: FindKeys::Range { last, step, limit }, ..self }
    }

    /// Takes as many keys as the argument at `at` says; see [`FindKeys::Keynum`].
    pub const fn keynum(self, at: i32, first: i32, step: i32) -> Self {
        assert!(at >= 0 && first > at && step > 0, "the number stands before its keys");
        Self { find: FindKeys::Keynum { at, first, step }, ..self }
    }

    /// A remark for readers.
    pub const fn notes(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    const fn is_fixed(&self) -> bool {
        matches!(self.begin, BeginSearch::Index(_)) && matches!(self.find, FindKeys::Range { .. })
    }
}

/// The code that finds keys, or their exact flags, where key specs alone cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCode {
    /// The specs say it all.
    Specs,
    /// SET: a pure overwrite unless GET asks for the old value.
    Set,
    /// BITFIELD: a read as long as every operation is GET.
    Bitfield,
    /// SORT: STORE may stand anywhere after the key; keys named by BY and GET patterns stay unknown.
    Sort,
    /// GEORADIUS and GEORADIUSBYMEMBER: every STORE and STOREDIST counts from this position on.
    GeoRadius(usize),
    /// MIGRATE: the single key, or the list after KEYS when the single key is empty.
    Migrate,
}

/// The position of the only key, where every call has exactly one key at a fixed place; else 0.
pub(super) const fn only_key(specs: &[KeySpec]) -> u8 {
    match specs {
        [KeySpec { begin: BeginSearch::Index(at @ 1..=127), find: FindKeys::Range { last: 0, .. }, flags, .. }]
            if !flags.contains(KeyFlags::NOT_KEY) =>
        {
            *at as u8
        }
        _ => 0,
    }
}

/// Whether COMMAND's first-last-step triple leaves keys out.
pub(super) const fn are_movable(specs: &[KeySpec]) -> bool {
    let mut at = 0;
    while at < specs.len() {
        if !specs[at].is_fixed() {
            return true;
        }
        at += 1;
    }
    false
}

/// First, last and step over the specs that stand at fixed places, as COMMAND prints them: specs that follow one another
/// become one range.
pub(super) const fn triple(specs: &[KeySpec]) -> (i32, i32, i32) {
    let mut whole: Option<(i32, i32, i32)> = None;
    let mut at = 0;
    while at < specs.len() {
        if let (BeginSearch::Index(first), FindKeys::Range { last, step, limit: 0 }) = (specs[at].begin, specs[at].find)
        {
            let last = if last < 0 { last } else { first + last };
            whole = match whole {
                None => Some((first, last, step)),
                Some((whole_first, whole_last, 1)) if step == 1 && whole_last > 0 && first == whole_last + 1 => {
                    Some((whole_first, last, 1))
                }
                Some(before) => Some(before),
            };
        }
        at += 1;
    }
    match whole {
        Some(triple) => triple,
        None => (0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: KeySpec = KeySpec::index(1, "RW access delete");
    const TARGET: KeySpec = KeySpec::index(2, "RW insert");

    #[test]
    fn neighbouring_specs_become_one_triple() {
        assert_eq!(triple(&[SOURCE, TARGET]), (1, 2, 1));
        assert_eq!(triple(&[SOURCE, TARGET.range(-1, 1, 0)]), (1, -1, 1));
        assert_eq!(triple(&[KeySpec::index(1, "OW update").range(-1, 2, 0)]), (1, -1, 2));
        assert_eq!(triple(&[]), (0, 0, 0));
    }

    #[test]
    fn what_the_triple_cannot_tell_is_movable() {
        assert!(!are_movable(&[SOURCE, TARGET]));
        assert!(are_movable(&[SOURCE, KeySpec::unknown("RO access")]));
        assert!(are_movable(&[KeySpec::keyword("STREAMS", 1, "RO access").range(-1, 1, 2)]));
        assert_eq!(triple(&[SOURCE.keynum(0, 1, 1)]), (0, 0, 0));
        assert_eq!(only_key(&[TARGET]), 2);
        assert_eq!(only_key(&[TARGET.range(-1, 1, 0)]), 0);
        assert_eq!(only_key(&[SOURCE, TARGET]), 0);
        assert_eq!(triple(&[SOURCE, TARGET.keynum(0, 1, 1)]), (1, 1, 1));
    }
}
