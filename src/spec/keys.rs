//! Finding the keys of a call: key specs applied to arguments.
//!
//! A result is at most four ranges of positions, so nothing is allocated. Every position handed out is inside the arguments
//! it was computed from. Two questions are asked of it: which keys would COMMAND GETKEYS print ([`CommandSpec::extract_keys`],
//! with its errors), and which keys must be checked, locked or routed ([`CommandSpec::found_keys`], which never fails: a call
//! whose arguments make no sense is refused by its handler, and until then the keys that were found are the ones to guard).
//!
//! Must never know: what a key holds, slots, users.

use super::CommandSpec;
use super::flags::{CommandFlags, KeyFlags};
use super::key_spec::{BeginSearch, FindKeys, KeyCode, KeySpec};

/// Why COMMAND GETKEYS has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// No call of the command has keys.
    NoKeys,
    /// Too few or too many arguments.
    Arity,
    /// The keys cannot be found: a count that is no number, a keyword that is missing.
    Arguments,
}

impl KeyError {
    /// The text clients see, without the error code.
    pub const fn message(self) -> &'static str {
        match self {
            KeyError::NoKeys => "The command has no key arguments",
            KeyError::Arity => "Invalid number of arguments specified for command",
            KeyError::Arguments => "Invalid arguments specified for command",
        }
    }
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for KeyError {}

/// Which arguments count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Keys only: permissions, locks, COMMAND GETKEYS.
    Keys,
    /// Shard channels as well: what decides the slot.
    Routed,
}

/// `count` positions from `first` on, `step` apart, that share their flags. Four of them fit in a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct KeyRange {
    /// The first position.
    pub first: u32,
    /// Distance between positions.
    pub step: u16,
    /// How many positions.
    pub count: u32,
    /// What the call does to the keys there.
    pub flags: KeyFlags,
}

/// The keys of one call, in the order of the command's key specs.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyRanges {
    ranges: [KeyRange; Self::SPECS_MAX],
    used: u8,
}

impl KeyRange {
    /// Position and flags of each key.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (usize, KeyFlags)> + Clone {
        // Positions are below an argument count that fits in 32 bits, so nothing here can wrap.
        (0..self.count).map(move |n| ((self.first + n * u32::from(self.step)) as usize, self.flags))
    }

    /// One key at a position of the arguments.
    fn one(at: usize, flags: KeyFlags) -> Option<Self> {
        Some(Self { first: u32::try_from(at).ok()?, step: 1, count: 1, flags })
    }
}

impl KeyRanges {
    /// Key specs a command may have; GEORADIUS has three.
    pub const SPECS_MAX: usize = 4;

    /// Position and flags of each key.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (usize, KeyFlags)> + Clone + '_ {
        self.ranges().iter().flat_map(|range| range.iter())
    }

    /// The ranges themselves, for callers that treat a run of keys alike.
    pub fn ranges(&self) -> &[KeyRange] {
        self.ranges.get(..usize::from(self.used)).unwrap_or_default()
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.ranges().iter().map(|range| range.count as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn extend(&mut self, range: Option<KeyRange>) {
        if let Some(range) = range {
            self.push(range);
        }
    }

    /// Adds a range; one more than [`Self::SPECS_MAX`] cannot come from a row that compiles and is left out.
    fn push(&mut self, range: KeyRange) {
        if let Some(free) = self.ranges.get_mut(usize::from(self.used)) {
            *free = range;
            self.used += 1;
        }
    }
}

/// A spec that does not fit the arguments.
struct DoesNotFit;

impl CommandSpec {
    /// The keys of a call as COMMAND GETKEYS gives them. `args[0]` is the command's own word; for a subcommand `args[1]` is
    /// its own.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn extract_keys<A: AsRef<[u8]>>(&self, args: &[A]) -> Result<KeyRanges, KeyError> {
        if self.key_specs.iter().all(|spec| spec.flags.contains(KeyFlags::NOT_KEY)) {
            return Err(KeyError::NoKeys);
        }
        if !self.accepts(args.len()) {
            return Err(KeyError::Arity);
        }
        let (found, fits) = self.search_keys(args, KeyScope::Keys);
        if self.flags.contains(CommandFlags::NO_MANDATORY_KEYS) {
            return Ok(if fits { found } else { KeyRanges::default() });
        }
        if fits && !found.is_empty() { Ok(found) } else { Err(KeyError::Arguments) }
    }

    /// The keys of a call as far as its arguments name any; specs that do not fit are passed over.
    #[inline]
    pub fn found_keys<A: AsRef<[u8]>>(&self, args: &[A], scope: KeyScope) -> KeyRanges {
        // Most calls are of a command with a single plain spec: no loop, no second copy of the result.
        if let ([spec], KeyCode::Specs) = (self.key_specs, self.key_code) {
            let mut found = KeyRanges::default();
            if scope == KeyScope::Routed || !spec.flags.contains(KeyFlags::NOT_KEY) {
                found.extend(resolve(spec, args).ok().flatten());
            }
            return found;
        }
        self.search_keys(args, scope).0
    }

    /// What was found, and whether every spec fitted.
    fn search_keys<A: AsRef<[u8]>>(&self, args: &[A], scope: KeyScope) -> (KeyRanges, bool) {
        match self.key_code {
            KeyCode::Specs => self.search_specs(args, scope),
            KeyCode::Set => with_flags(self.search_specs(args, scope), set_flags(args)),
            KeyCode::Bitfield => with_flags(self.search_specs(args, scope), bitfield_flags(args)),
            KeyCode::Sort => self.search_first_and_target(args, sort_target(args)),
            KeyCode::GeoRadius(options_at) => self.search_first_and_target(args, geo_target(args, options_at)),
            KeyCode::Migrate => self.search_migrate(args),
        }
    }

    fn search_specs<A: AsRef<[u8]>>(&self, args: &[A], scope: KeyScope) -> (KeyRanges, bool) {
        let mut found = KeyRanges::default();
        let mut fits = true;
        for spec in self.key_specs {
            if scope == KeyScope::Keys && spec.flags.contains(KeyFlags::NOT_KEY) {
                continue;
            }
            match resolve(spec, args) {
                Ok(Some(range)) => found.push(range),
                Ok(None) => {}
                Err(DoesNotFit) => fits = false,
            }
        }
        (found, fits)
    }

    /// The key of the first spec, and a target that the options name, with the flags of the last spec.
    fn search_first_and_target<A: AsRef<[u8]>>(&self, args: &[A], target: Option<usize>) -> (KeyRanges, bool) {
        let mut found = KeyRanges::default();
        let Some(Ok(Some(source))) = self.key_specs.first().map(|spec| resolve(spec, args)) else {
            return (found, false);
        };
        found.push(source);
        if let (Some(at), Some(spec)) = (target, self.key_specs.last()) {
            found.extend(KeyRange::one(at, spec.flags.without(KeyFlags::VARIABLE_FLAGS)));
        }
        (found, true)
    }

    /// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH a | AUTH2 u p] [KEYS key ...]`.
    fn search_migrate<A: AsRef<[u8]>>(&self, args: &[A]) -> (KeyRanges, bool) {
        const KEY_AT: usize = 3;
        const OPTIONS_AT: usize = 6;
        let mut found = KeyRanges::default();
        let Some(key) = args.get(KEY_AT) else {
            return (found, false);
        };
        let flags = self.key_specs.first().map_or(KeyFlags::empty(), |spec| spec.flags);
        let mut at = OPTIONS_AT;
        while let Some(word) = args.get(at) {
            let word = word.as_ref();
            if word.eq_ignore_ascii_case(b"KEYS") {
                let count = args.len().saturating_sub(at + 1);
                if count > 0 && key.as_ref().is_empty() {
                    found.extend(
                        KeyRange::one(at + 1, flags)
                            .map(|range| KeyRange { count: u32::try_from(count).unwrap_or(1), ..range }),
                    );
                    return (found, true);
                }
                // A key and a list at once is an error of the call; the key is still guarded until it is answered.
                found.extend(KeyRange::one(KEY_AT, flags));
                return (found, count == 0);
            }
            at += 1 + if word.eq_ignore_ascii_case(b"AUTH") {
                1
            } else if word.eq_ignore_ascii_case(b"AUTH2") {
                2
            } else {
                0
            };
        }
        found.extend(KeyRange::one(KEY_AT, flags));
        (found, true)
    }
}

/// Applies one spec. `Ok(None)`: the spec says that its keys cannot be told.
fn resolve<A: AsRef<[u8]>>(spec: &KeySpec, args: &[A]) -> Result<Option<KeyRange>, DoesNotFit> {
    let argc = i64::from(u32::try_from(args.len()).map_err(|_| DoesNotFit)?);
    let begin = match spec.begin {
        BeginSearch::Index(index) => i64::from(index),
        BeginSearch::Keyword(word, from) => i64::try_from(find_word(word, from, args)?).map_err(|_| DoesNotFit)? + 1,
        BeginSearch::Unknown => return Ok(None),
    };
    let (first, last, step) = match spec.find {
        FindKeys::Range { last, step, limit } => {
            let last = if last >= 0 {
                begin + i64::from(last)
            } else if limit <= 1 {
                argc + i64::from(last)
            } else {
                begin + (argc - begin) / i64::from(limit) + i64::from(last)
            };
            (begin, last, step)
        }
        FindKeys::Keynum { at, first, step } => {
            let at = usize::try_from(begin + i64::from(at)).map_err(|_| DoesNotFit)?;
            let count = args.get(at).and_then(|text| parse_count(text.as_ref())).ok_or(DoesNotFit)?;
            // No keys at all is for `no_mandatory_keys` to allow; here it is a range that ends before it begins.
            let first = begin + i64::from(first);
            (first, first + (i64::from(count) - 1) * i64::from(step), step)
        }
        FindKeys::Unknown => return Ok(None),
    };
    if first < 1 || last < first || last >= argc {
        return Err(DoesNotFit);
    }
    let step = u16::try_from(step).map_err(|_| DoesNotFit)?.max(1);
    let first = u32::try_from(first).map_err(|_| DoesNotFit)?;
    let last = u32::try_from(last).map_err(|_| DoesNotFit)?;
    Ok(Some(KeyRange { first, step, count: (last - first) / u32::from(step) + 1, flags: spec.flags }))
}

/// The position of a word, looked for forward from `from`, or backward from the `-from`-th last argument.
fn find_word<A: AsRef<[u8]>>(word: &str, from: i32, args: &[A]) -> Result<usize, DoesNotFit> {
    let distance = usize::try_from(from.unsigned_abs()).map_err(|_| DoesNotFit)?;
    let matches = |at: &usize| args.get(*at).is_some_and(|arg| arg.as_ref().eq_ignore_ascii_case(word.as_bytes()));
    let at = if from > 0 {
        (distance..args.len()).find(matches)
    } else {
        let end = (args.len() + 1).saturating_sub(distance);
        (1..end).rev().find(matches)
    };
    at.ok_or(DoesNotFit)
}

/// A count of keys in plain decimal: no sign, no leading zero, as the handlers read it.
fn parse_count(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 || (text.len() > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    text.iter().try_fold(0u32, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u32::from(digit)) }
    })
}

fn with_flags((mut found, fits): (KeyRanges, bool), flags: KeyFlags) -> (KeyRanges, bool) {
    for range in found.ranges.iter_mut().take(usize::from(found.used)) {
        range.flags = flags;
    }
    (found, fits)
}

/// SET reads the old value for the client only under GET.
fn set_flags<A: AsRef<[u8]>>(args: &[A]) -> KeyFlags {
    let reads = args.iter().skip(3).any(|arg| arg.as_ref().eq_ignore_ascii_case(b"GET"));
    if reads { KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE) } else { KeyFlags::OW.or(KeyFlags::UPDATE) }
}

/// BITFIELD only reads while every operation is `GET encoding offset` or sets the overflow rule.
fn bitfield_flags<A: AsRef<[u8]>>(args: &[A]) -> KeyFlags {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let operands = if word.as_ref().eq_ignore_ascii_case(b"GET") {
            2
        } else if word.as_ref().eq_ignore_ascii_case(b"OVERFLOW") {
            1
        } else {
            usize::MAX
        };
        if operands >= args.len() - at {
            return KeyFlags::RW.or(KeyFlags::ACCESS).or(KeyFlags::UPDATE);
        }
        at += 1 + operands;
    }
    KeyFlags::RO.or(KeyFlags::ACCESS)
}

/// SORT's last `STORE target`; the words after BY, GET and LIMIT are their operands, whatever they read like.
fn sort_target<A: AsRef<[u8]>>(args: &[A]) -> Option<usize> {
    let mut target = None;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let word = word.as_ref();
        if word.eq_ignore_ascii_case(b"STORE") && at + 1 < args.len() {
            target = Some(at + 1);
            at += 1;
        } else if word.eq_ignore_ascii_case(b"LIMIT") {
            at += 3;
        } else if word.eq_ignore_ascii_case(b"BY") || word.eq_ignore_ascii_case(b"GET") {
            at += 2;
        } else {
            at += 1;
        }
    }
    target
}

/// GEORADIUS's last `STORE target` or `STOREDIST target`: the one the command obeys.
fn geo_target<A: AsRef<[u8]>>(args: &[A], options_at: usize) -> Option<usize> {
    let mut target = None;
    let mut at = options_at;
    while let Some(word) = args.get(at) {
        let word = word.as_ref();
        let stores = word.eq_ignore_ascii_case(b"STORE") || word.eq_ignore_ascii_case(b"STOREDIST");
        if stores && at + 1 < args.len() {
            target = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    target
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;
    use proptest::prelude::*;

    const GET: CommandSpec =
        CommandSpec::new("get", 2, Group::String, "readonly fast").keys(&[KeySpec::index(1, "RO access")]);
    const MSET: CommandSpec =
        CommandSpec::new("mset", -3, Group::String, "write").keys(&[KeySpec::index(1, "OW update").range(-1, 2, 0)]);
    const BLPOP: CommandSpec =
        CommandSpec::new("blpop", -3, Group::List, "write blocking")
            .keys(&[KeySpec::index(1, "RW access delete").range(-2, 1, 0)]);
    const RENAME: CommandSpec = CommandSpec::new("rename", 3, Group::Generic, "write")
        .keys(&[KeySpec::index(1, "RW access delete"), KeySpec::index(2, "OW update")]);
    const ZUNIONSTORE: CommandSpec = CommandSpec::new("zunionstore", -4, Group::SortedSet, "write")
        .keys(&[KeySpec::index(1, "OW update"), KeySpec::index(2, "RO access").keynum(0, 1, 1)]);
    const MSETEX: CommandSpec =
        CommandSpec::new("msetex", -4, Group::String, "write").keys(&[KeySpec::index(1, "OW update").keynum(0, 1, 2)]);
    const EVAL: CommandSpec = CommandSpec::new("eval", -3, Group::Scripting, "no_mandatory_keys")
        .keys(&[KeySpec::index(2, "RW access update").keynum(0, 1, 1)]);
    const XREAD: CommandSpec =
        CommandSpec::new("xread", -4, Group::Stream, "readonly")
            .keys(&[KeySpec::keyword("STREAMS", 1, "RO access").range(-1, 1, 2)]);
    const SPUBLISH: CommandSpec =
        CommandSpec::new("spublish", 3, Group::PubSub, "pubsub").keys(&[KeySpec::index(1, "not_key")]);
    const PFMERGE: CommandSpec = CommandSpec::new("pfmerge", -2, Group::HyperLogLog, "write")
        .keys(&[KeySpec::index(1, "RW access insert"), KeySpec::index(2, "RO access").range(-1, 1, 0)]);
    const SET: CommandSpec = CommandSpec::new("set", -3, Group::String, "write")
        .keys(&[KeySpec::index(1, "RW access update variable_flags")])
        .key_code(KeyCode::Set);
    const BITFIELD: CommandSpec = CommandSpec::new("bitfield", -2, Group::Bitmap, "write")
        .keys(&[KeySpec::index(1, "RW access update variable_flags")])
        .key_code(KeyCode::Bitfield);
    const SORT: CommandSpec = CommandSpec::new("sort", -2, Group::Generic, "write")
        .keys(&[KeySpec::index(1, "RO access"), KeySpec::unknown("RO access"), KeySpec::unknown("OW update")])
        .key_code(KeyCode::Sort);
    const GEORADIUS: CommandSpec = CommandSpec::new("georadius", -6, Group::Geo, "write")
        .keys(&[
            KeySpec::index(1, "RO access"),
            KeySpec::keyword("STORE", 6, "OW update variable_flags"),
            KeySpec::keyword("STOREDIST", 6, "OW update variable_flags"),
        ])
        .key_code(KeyCode::GeoRadius(5));
    const MIGRATE: CommandSpec = CommandSpec::new("migrate", -6, Group::Generic, "write")
        .keys(&[
            KeySpec::index(3, "RW access delete"),
            KeySpec::keyword("KEYS", -2, "RW access delete incomplete").range(-1, 1, 0),
        ])
        .key_code(KeyCode::Migrate);
    const ALL: [CommandSpec; 14] =
        [GET, MSET, BLPOP, RENAME, ZUNIONSTORE, MSETEX, EVAL, XREAD, SPUBLISH, PFMERGE, SET, BITFIELD, SORT, MIGRATE];

    /// `""` stands for an empty argument. The answer reads `key:flag,flag key:flag`, or the error.
    fn getkeys(spec: &CommandSpec, line: &str) -> String {
        let args: Vec<&[u8]> =
            line.split(' ').map(|arg| if arg == "\"\"" { &b""[..] } else { arg.as_bytes() }).collect();
        match spec.extract_keys(&args) {
            Err(error) => error.to_string(),
            Ok(found) => found
                .iter()
                .map(|(at, flags)| {
                    let flags: Vec<_> = flags.words().collect();
                    format!("{}:{}", String::from_utf8_lossy(args[at]), flags.join(","))
                })
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    const BAD: &str = "Invalid arguments specified for command";
    const COUNT: &str = "Invalid number of arguments specified for command";

    #[test]
    fn fixed_places_are_found() {
        assert_eq!(getkeys(&GET, "GET a"), "a:RO,access");
        assert_eq!(getkeys(&GET, "GET"), COUNT);
        assert_eq!(getkeys(&MSET, "MSET a 1 b 2"), "a:OW,update b:OW,update");
        assert_eq!(getkeys(&MSET, "MSET a 1 b"), "a:OW,update b:OW,update");
        assert_eq!(getkeys(&BLPOP, "BLPOP a b 0"), "a:RW,access,delete b:RW,access,delete");
        assert_eq!(getkeys(&RENAME, "RENAME a b"), "a:RW,access,delete b:OW,update");
    }

    #[test]
    fn counted_keys_are_found_and_counts_are_checked() {
        assert_eq!(getkeys(&ZUNIONSTORE, "ZUNIONSTORE d 2 a b"), "d:OW,update a:RO,access b:RO,access");
        for count in ["0", "0x1", "3", "-1", "x", "01", "+2", "99999999999", "4294967297", "18446744073709551617"] {
            assert_eq!(getkeys(&ZUNIONSTORE, &format!("ZUNIONSTORE d {count} a b")), BAD, "{count}");
        }
        assert_eq!(getkeys(&MSETEX, "MSETEX 2 a 1 b 2"), "a:OW,update b:OW,update");
        assert_eq!(getkeys(&EVAL, "EVAL s 0 arg"), "");
        assert_eq!(getkeys(&EVAL, "EVAL s 7 arg"), "");
    }

    #[test]
    fn keywords_are_found_in_any_case() {
        assert_eq!(getkeys(&XREAD, "XREAD COUNT 1 streams a b 0 0"), "a:RO,access b:RO,access");
        assert_eq!(getkeys(&XREAD, "XREAD STREAMS a b 0"), "a:RO,access");
        assert_eq!(getkeys(&XREAD, "XREAD a b STREAMS"), BAD);
        assert_eq!(getkeys(&XREAD, "XREAD a b c"), BAD);
    }

    #[test]
    fn a_shard_channel_routes_but_is_no_key() {
        let args = [&b"SPUBLISH"[..], b"channel", b"m"];
        assert_eq!(getkeys(&SPUBLISH, "SPUBLISH channel m"), "The command has no key arguments");
        assert!(SPUBLISH.found_keys(&args, KeyScope::Keys).is_empty());
        assert_eq!(SPUBLISH.found_keys(&args, KeyScope::Routed).iter().next().map(|(at, _)| at), Some(1));
    }

    #[test]
    fn keys_that_are_there_are_guarded_even_when_others_are_missing() {
        assert_eq!(getkeys(&PFMERGE, "PFMERGE d"), BAD);
        assert_eq!(PFMERGE.found_keys(&[&b"PFMERGE"[..], b"d"], KeyScope::Keys).len(), 1);
        let list_and_key = [&b"MIGRATE"[..], b"h", b"1", b"k", b"0", b"1", b"KEYS", b"a"];
        assert_eq!(MIGRATE.found_keys(&list_and_key, KeyScope::Keys).len(), 1);
    }

    #[test]
    fn set_and_bitfield_flags_follow_the_options() {
        assert_eq!(getkeys(&SET, "SET a b NX EX 5"), "a:OW,update");
        assert_eq!(getkeys(&SET, "SET get GET"), "get:OW,update");
        assert_eq!(getkeys(&SET, "SET a b EX 5 get"), "a:RW,access,update");
        assert_eq!(getkeys(&BITFIELD, "BITFIELD a"), "a:RO,access");
        assert_eq!(getkeys(&BITFIELD, "BITFIELD a OVERFLOW SAT GET u8 0"), "a:RO,access");
        assert_eq!(getkeys(&BITFIELD, "BITFIELD a GET u8 0 SET u8 0 1"), "a:RW,access,update");
        assert_eq!(getkeys(&BITFIELD, "BITFIELD a GET u8"), "a:RW,access,update");
    }

    #[test]
    fn the_target_that_the_command_obeys_is_found() {
        assert_eq!(getkeys(&SORT, "SORT a BY STORE GET STORE STORE d"), "a:RO,access d:OW,update");
        assert_eq!(getkeys(&SORT, "SORT a STORE d STORE e"), "a:RO,access e:OW,update");
        assert_eq!(getkeys(&SORT, "SORT a STORE"), "a:RO,access");
        assert_eq!(getkeys(&GEORADIUS, "GEORADIUS a 0 0 1 m STORE d STOREDIST e"), "a:RO,access e:OW,update");
        assert_eq!(getkeys(&GEORADIUS, "GEORADIUS a 0 0 1 m"), "a:RO,access");
    }

    #[test]
    fn migrate_moves_one_key_or_a_list() {
        let (one, list) = ("a:RW,access,delete", "a:RW,access,delete b:RW,access,delete");
        assert_eq!(getkeys(&MIGRATE, "MIGRATE h 1 a 0 1 COPY"), one);
        assert_eq!(getkeys(&MIGRATE, "MIGRATE h 1 \"\" 0 1 KEYS a b"), list);
        assert_eq!(getkeys(&MIGRATE, "MIGRATE h 1 \"\" 0 1 AUTH2 KEYS KEYS KEYS a b"), list);
        assert_eq!(getkeys(&MIGRATE, "MIGRATE h 1 c 0 1 KEYS a b"), BAD);
    }

    proptest! {
        #[test]
        fn positions_are_inside_the_arguments_whatever_they_are(
            args in prop::collection::vec(
                prop_oneof![
                    Just("STREAMS".to_owned()), Just("store".to_owned()), Just("KEYS".to_owned()), Just("GET".to_owned()),
                    Just("AUTH2".to_owned()), Just("LIMIT".to_owned()), Just("OVERFLOW".to_owned()), Just(String::new()),
                    Just("4294967295".to_owned()), (0u32..9).prop_map(|n| n.to_string()), "[ -~]{0,3}",
                ],
                0..12,
            )
        ) {
            for spec in ALL.iter().chain([&GEORADIUS]) {
                for scope in [KeyScope::Keys, KeyScope::Routed] {
                    let found = spec.found_keys(&args, scope);
                    prop_assert!(found.iter().all(|(at, _)| at > 0 && at < args.len()));
                    prop_assert_eq!(found.iter().count(), found.len());
                }
                let _ = spec.extract_keys(&args);
            }
        }
    }
}
