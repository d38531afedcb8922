//! The bit sets of a command row: command flags, ACL categories, key flags.
//!
//! A row writes a set as words (`"write denyoom fast"`), the words COMMAND INFO prints. The words are read while the row is
//! compiled, so a misspelt one does not build. Bit order is print order.
//!
//! Must never know: a command by name.

macro_rules! bit_set {
    ($(#[$meta:meta])* $set:ident($int:ty) { $($(#[$bit_meta:meta])* $bit:ident = $word:literal, $hidden:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
        pub struct $set($int);

        impl $set {
            bit_set!(@bits $set, 0u32; $($(#[$bit_meta])* $bit;)*);

            /// Every member in print order: the bit, its word, and whether clients never see it.
            pub const ALL: &'static [(Self, &'static str, bool)] = &[$((Self::$bit, $word, $hidden),)*];

            /// The empty set.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The bits, as stored.
            pub const fn bits(self) -> $int {
                self.0
            }

            /// The union.
            #[must_use]
            pub const fn or(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The members that are not in `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether every bit of `other` is set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any bit of `other` is set.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The member with this word (hidden ones too), in any case.
            pub const fn from_word(word: &str) -> Option<Self> {
                let mut at = 0;
                while at < Self::ALL.len() {
                    if eq_ignore_case(Self::ALL[at].1.as_bytes(), word.as_bytes()) {
                        return Some(Self::ALL[at].0);
                    }
                    at += 1;
                }
                None
            }

            /// The set named by words between single spaces; an unknown word stops the build of the row.
            pub const fn from_words(words: &str) -> Self {
                let mut rest = words;
                let mut set = Self(0);
                while !rest.is_empty() {
                    let (word, tail) = next_word(rest);
                    set = match Self::from_word(word) {
                        Some(bit) => set.or(bit),
                        None => panic!("a command row names a flag or category that does not exist"),
                    };
                    rest = tail;
                }
                set
            }

            /// The words clients may see, in print order.
            pub fn words(self) -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().filter(move |(bit, _, hidden)| !hidden && self.contains(*bit)).map(|(_, word, _)| *word)
            }
        }

        impl std::fmt::Debug for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let all = Self::ALL.iter().filter(|(bit, _, _)| self.contains(*bit)).map(|(_, word, _)| word);
                f.debug_set().entries(all).finish()
            }
        }
    };
    (@bits $set:ident, $n:expr;) => {};
    (@bits $set:ident, $n:expr; $(#[$bit_meta:meta])* $bit:ident; $($rest:tt)*) => {
        $(#[$bit_meta])*
        pub const $bit: Self = Self(1 << ($n));
        bit_set!(@bits $set, $n + 1; $($rest)*);
    };
}

bit_set! {
    /// What a command is allowed to do and where it may run.
    CommandFlags(u64) {
        /// May change the key space.
        WRITE = "write", false;
        /// Reads keys, never changes one.
        READONLY = "readonly", false;
        /// Refused when memory is over `maxmemory` and nothing can be evicted.
        DENYOOM = "denyoom", false;
        /// Comes from a loaded module.
        MODULE = "module", false;
        /// Administration.
        ADMIN = "admin", false;
        /// Publish and subscribe.
        PUBSUB = "pubsub", false;
        /// Not from scripts.
        NOSCRIPT = "noscript", false;
        /// May park the client.
        BLOCKING = "blocking", false;
        /// Runs while the data set is being loaded.
        LOADING = "loading", false;
        /// Runs on a replica whose link to its primary is down.
        STALE = "stale", false;
        /// MONITOR does not show it.
        SKIP_MONITOR = "skip_monitor", false;
        /// The command log does not keep it.
        SKIP_COMMANDLOG = "skip_commandlog", false;
        /// Allowed once per ASKING in a slot that is being imported.
        ASKING = "asking", false;
        /// Constant or logarithmic time.
        FAST = "fast", false;
        /// Runs before authentication.
        NO_AUTH = "no_auth", false;
        /// A read that may still produce effects (hidden: COMMAND does not print it).
        MAY_REPLICATE = "may_replicate", true;
        /// Zero keys is a correct call.
        NO_MANDATORY_KEYS = "no_mandatory_keys", false;
        /// Not while a replica loads a new data set and serves the old one.
        NO_ASYNC_LOADING = "no_async_loading", false;
        /// Not inside MULTI.
        NO_MULTI = "no_multi", false;
        /// The first-last-step triple of COMMAND does not tell all keys. Derived from the key specs.
        MOVABLE_KEYS = "movablekeys", false;
        /// Runs while a script has been busy for too long.
        ALLOW_BUSY = "allow_busy", false;
        /// Reads or writes keys that its arguments do not name: FLUSHALL, SCAN, SORT ... BY (hidden).
        ARBITRARY_KEYS = "arbitrary_keys", true;
    }
}

bit_set! {
    /// ACL categories (`@read`, `@string`, ...), without the `@`.
    Categories(u32) {
        /// Keys of any type.
        KEYSPACE = "keyspace", false;
        /// Derived from `readonly`.
        READ = "read", false;
        /// Derived from `write`.
        WRITE = "write", false;
        /// Sets.
        SET = "set", false;
        /// Sorted sets.
        SORTEDSET = "sortedset", false;
        /// Lists.
        LIST = "list", false;
        /// Hashes.
        HASH = "hash", false;
        /// Strings.
        STRING = "string", false;
        /// Bitmaps.
        BITMAP = "bitmap", false;
        /// HyperLogLogs.
        HYPERLOGLOG = "hyperloglog", false;
        /// Geographic indexes.
        GEO = "geo", false;
        /// Streams.
        STREAM = "stream", false;
        /// Derived from `pubsub`.
        PUBSUB = "pubsub", false;
        /// Derived from `admin`.
        ADMIN = "admin", false;
        /// Derived from `fast`.
        FAST = "fast", false;
        /// Derived: whatever is not fast.
        SLOW = "slow", false;
        /// Derived from `blocking`.
        BLOCKING = "blocking", false;
        /// Derived from `admin`, or named by the row.
        DANGEROUS = "dangerous", false;
        /// The connection itself.
        CONNECTION = "connection", false;
        /// MULTI and its family.
        TRANSACTION = "transaction", false;
        /// Scripts and functions.
        SCRIPTING = "scripting", false;
    }
}

bit_set! {
    /// What happens to the keys that a key spec finds.
    KeyFlags(u16) {
        /// Reads the value; nothing of it changes.
        RO = "RO", false;
        /// Changes a value and may depend on what it was.
        RW = "RW", false;
        /// Overwrites whatever was there.
        OW = "OW", false;
        /// Removes the key.
        RM = "RM", false;
        /// Data of the value reaches the client or another key.
        ACCESS = "access", false;
        /// Adds data without changing or removing what is there.
        INSERT = "insert", false;
        /// Changes data.
        UPDATE = "update", false;
        /// Removes data.
        DELETE = "delete", false;
        /// Is not a key, but is routed as one (a shard channel).
        NOT_KEY = "not_key", false;
        /// There may be keys the spec does not find.
        INCOMPLETE = "incomplete", false;
        /// The other flags depend on the arguments.
        VARIABLE_FLAGS = "variable_flags", false;
    }
}

const fn eq_ignore_case(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if !a[at].eq_ignore_ascii_case(&b[at]) {
            return false;
        }
        at += 1;
    }
    true
}

/// Splits at the first space; the tail starts after it.
const fn next_word(words: &str) -> (&str, &str) {
    let bytes = words.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b' ' {
        at += 1;
    }
    let (word, tail) = words.split_at(at);
    (word, if tail.is_empty() { tail } else { tail.split_at(1).1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_bits_and_print_in_table_order() {
        const SET: CommandFlags = CommandFlags::from_words("fast write denyoom may_replicate");
        assert!(SET.contains(CommandFlags::WRITE.or(CommandFlags::FAST)));
        assert!(!SET.intersects(CommandFlags::READONLY));
        assert_eq!(SET.words().collect::<Vec<_>>(), ["write", "denyoom", "fast"]);
        assert_eq!(SET.without(CommandFlags::FAST).words().count(), 2);
    }

    #[test]
    fn words_are_found_in_any_case_and_strangers_are_not() {
        assert_eq!(KeyFlags::from_word("Access"), Some(KeyFlags::ACCESS));
        assert_eq!(Categories::from_word("sortedset"), Some(Categories::SORTEDSET));
        assert_eq!(Categories::from_word("all"), None);
        assert_eq!(CommandFlags::from_words(""), CommandFlags::empty());
    }

    #[test]
    #[should_panic(expected = "does not exist")]
    fn an_unknown_word_stops_the_row() {
        let _ = CommandFlags::from_words("write quick");
    }
}
