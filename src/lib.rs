//! Holdfast: a FIPS-mode in-memory key-value server, compatible with Valkey and Redis.
//!
//! # Bird's eye
//! Clients speak RESP over TLS. A few worker threads each own their connections; whichever worker reads a command runs it to
//! its end, under the lock of the stripe its key is in. Nothing is handed to another thread on the way, but for commands that go
//! through very many elements, which would hold up the worker's other connections (`session/aside.rs`); nothing forks. All
//! cryptography is that of one validated module, and no socket is bound before the start-up gate has passed.
//!
//! # The way of a command, from bytes to reply
//! 1. A worker that is woken (`session/worker/accept.rs`) lets the caller in at a door (`net/doors.rs`), wraps the socket
//!    (`net/stream.rs`, `net/tls/session.rs`), and keeps the connection or gives it to the worker with the fewest.
//! 2. `session/worker.rs` waits, receives from all ready connections and decrypts in place; `session/batch.rs` lets
//!    `resp/parser.rs` cut what is there into requests: spans of the buffer, no copies. One that begins as another did is known by that
//!    (`session/heads.rs`).
//! 3. `commands/table.rs` finds each request's row and handler; the key's hash is made once (`keyspace/key.rs`), and the
//!    buckets and records of a window of requests are prefetched (`value/table.rs`).
//! 4. `session/worker/execute.rs` hands them in order to `engine/mod.rs`: `engine/admit.rs` (the first gate that refuses is the reply), then the stripes
//!    its keys are in are locked (`keyspace/space.rs`), then the handler, `commands/<family>/<topic>.rs`, edits through
//!    the locked `Space` and writes its reply (`resp/reply.rs`). A command of one key, of a client nothing special is to be known of, goes
//!    the same way with fewer questions: `engine/plain.rs`.
//! 5. `engine/commit.rs`, still under the locks, gives what has changed to the journal, watchers, waiters and events.
//! 6. `session/connection.rs` sends all replies of the turn with one call per connection; what the socket does not take
//!    waits, looked after by `session/worker/output.rs`, in `client/output.rs`, within its limit.
//!
//! # Where things are
//! | to change | look at |
//! |---|---|
//! | a command | `commands/<family>/<topic>.rs`: the row and the handler side by side |
//! | a directive | `config/directives/<topic>.rs` |
//! | a rule for who may run what, when | `engine/admit.rs` |
//! | a FIPS requirement | `fips/gate.rs` |
//! | how a type is kept | `value/` |
//! | which locks a script takes | `engine/locks.rs`, by what `script/reach.rs` reads in its text |
//! | what runs beside the workers because it takes long | `session/aside.rs`; handlers say so by `Site::weigh` in `commands/context.rs` |
//! | what a long command sees of keys that it looks up one stripe at a time | `keyspace/view.rs`, as `commands/generic/sort/apart.rs` does |
//! | what happens at start, and regularly | `server/boot.rs`, `server/cron.rs` |
//!
//! # Invariants
//! * Only `crypto` touches the module, only `base::clock` reads the time, only `config` reads the configuration file.
//! * A listener needs a permit, and only the gate gives one: no socket before `FIPS VALIDATION: PASSED`.
//! * Stripes are locked in ascending order, all at once, and no lock is ever upgraded: no deadlock.
//! * No change of the key space without an effect, and `engine/commit.rs` is the only place that appends them.
//! * A handler sees arguments, locked keys and a reply: no socket, no clock, no lock.
//! * Nothing a client's bytes can reach panics, and every buffer they can fill has a bound.
//!
//! # Layers
//! A folder imports only folders of a lower number; `tests/repo` reads the `use crate::` lines and fails on an edge
//! that points up. The `mod` lines below stand in that order.

// [0]
pub mod base;
// [1]
pub mod crypto;
pub mod metrics;
pub mod resp;
pub mod spec;
pub mod value;
// [2]
pub mod journal;
pub mod storage;
// [3]
pub mod config;
// [4]
pub mod acl;
pub mod audit;
pub mod keyspace;
pub mod net;
// [5]
pub mod client;
pub mod fips;
pub mod script;
// [6]
pub mod observe;
pub mod persist;
pub mod pubsub;
// [7]
pub mod replication;
// [8]
pub mod cluster;
// [9]
pub mod commands;
// [10]
pub mod engine;
// [11]
pub mod session;
// [12]
pub mod server;
pub mod tools;

/// As in the binary, so that what the tests measure of memory is what the server would.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: base::memory::Counting = base::memory::Counting;
