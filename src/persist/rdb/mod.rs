//! RDB: the key space, or one value, as bytes that this family of servers exchanges.
//!
//! ```text
//! file:     "VALKEY" "080" | aux ... | library ... | database ... | FF | CRC64 of all before (8 bytes, little endian; 0: none)
//! aux:      FA key value                               both strings
//! library:  F5 text                                      a string: the code of FUNCTION LOAD
//! database: FE number | FB keys deadlines | entry ...  all lengths
//! entry:    [FC deadline i64 ms] [F8 idle seconds | F9 counter u8] type u8, key, value
//! payload:  type u8, value | version u16 | CRC64 of all before            (DUMP)
//!
//! length:   00llllll | 01llllll llllllll | 80 u32 | 81 u64                big endian
//! string:   length, bytes | C0 i8 | C1 i16 | C2 i32 | C3 packed length, length, LZF       little endian
//! ```
//! Values are written from their own compact bytes: a listpack or an intset is a string in the file.
//!
//! # Invariants
//! Reading trusts nothing: every length is checked against what is there before memory is taken for it, every compact block
//! is checked whole, and no key comes out empty. What is written here loads in Valkey 9 and the other way round, with one
//! exception that ends in a clear error: modules' data.

pub mod check;
mod file;
mod legacy;
mod load;
mod lzf;
mod parallel;
mod payload;
mod read;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use file::{Format, Summed, Written, write};
pub use load::{LoadOptions, Loaded, Loading, Seen, begins, load, load_prefix, look_at};
pub use payload::{PayloadError, dump_functions, dump_value, restore_functions, restore_value, skip_checksum};
pub use read::{Limits, Value};
pub use source::{Fault, RdbError};

/// The version this writes.
pub const VERSION: u16 = 80;
/// The version that Valkey 8 and Redis 7.2 read: the same but for its name and the deadlines of fields.
pub const VERSION_BEFORE: u16 = 11;
/// Versions from here to the one below [`VERSION`] belong to others, who gave the same numbers other meanings.
const FOREIGN_FROM: u16 = 12;

/// Whether files and payloads of a version are read; `relaxed` tries those of the future and of others too.
fn is_readable(version: u16, relaxed: bool) -> bool {
    version > 0 && (relaxed || version < FOREIGN_FROM || version == VERSION)
}

/// Whether a version's numbers are those of others.
fn is_foreign(version: u16) -> bool {
    (FOREIGN_FROM..VERSION).contains(&version)
}

/// Types of values.
mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const ZSET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as doubles.
    pub const ZSET: u8 = 5;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST_ZIPLISTS: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST: u8 = 18;
    /// With what was deleted and added.
    pub const STREAM_COUNTERS: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// With the time a consumer last got something.
    pub const STREAM_ACTIVE_TIMES: u8 = 21;
    /// With a deadline for every field.
    pub const HASH_DEADLINES: u8 = 22;
}

/// What a byte means where a type may stand.
mod opcode {
    pub const SLOT_INFO: u8 = 0xF4;
    pub const FUNCTION: u8 = 0xF5;
    pub const FUNCTION_OLD: u8 = 0xF6;
    pub const MODULE_AUX: u8 = 0xF7;
    pub const IDLE: u8 = 0xF8;
    pub const FREQUENCY: u8 = 0xF9;
    pub const AUX: u8 = 0xFA;
    pub const RESIZE: u8 = 0xFB;
    pub const DEADLINE_MS: u8 = 0xFC;
    pub const DEADLINE_S: u8 = 0xFD;
    pub const SELECT: u8 = 0xFE;
    pub const END: u8 = 0xFF;
}

/// A quicklist's node: an element of its own, or a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;
