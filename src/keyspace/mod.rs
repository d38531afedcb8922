//! The key space: databases of 16384 slots, grouped in stripes, each stripe under one lock.
//!
//! # Invariants
//! * A key's slot decides its stripe (32 neighbouring slots), and the stripe's lock guards the key in every database,
//!   with its watchers and waiters.
//! * Locks are taken in ascending order of stripes and never upgraded: whoever finds that he needs more lets go of all and
//!   begins again. So there is no deadlock. Holding all stripes is the safepoint: nobody else runs a command.
//! * Every change goes through [`Space`], which counts it, marks its watchers and remembers its events; expiry and
//!   eviction are changes like any other. So "no change without an effect" has one proof.
//! * While a snapshot is walked, a key is written down before it changes ([`snapshot`]); what a command that looks at very many keys would
//!   have found is kept for it ([`view`]).
//! * Time is handed in with the lock: all keys that one command (or one EXEC) sees, it sees at one instant.
//!
//! Knows no client and no command.

mod access;
mod changes;
mod evict;
mod expire;
mod free;
mod key;
mod scan;
mod snapshot;
mod space;
mod stripe;
mod view;
mod watch;
mod whole;

pub use access::{Access, AccessPolicy};
pub use changes::{Change, Changes, Event, EventClass, FREE_AT_ONCE_MAX, Invalidated};
pub use evict::{Candidate, EvictionPool, Pick, Policy};
pub use free::{FreeCounts, Freer, Garbage};
pub use key::{Key, KeyHash, KeyPath, STRIPES, stripe_of};
pub use scan::Cursor;
pub use snapshot::{Busy, Encode, Out, Pace, Put, SLICE_BYTES, WalkError, WalkProgress, Walker};
pub use space::Space;
pub use stripe::{Database, Keyspace, Plan, Standing, Stripe};
pub use view::{KEPT_BYTES_MAX, Kept, Questions, Seen, View};
pub use watch::WatchFlag;
pub use whole::Flushed;
