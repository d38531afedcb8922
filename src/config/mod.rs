//! Configuration: a row per directive, the typed struct it fills, the files it is read from and written to.
//!
//! Invariants: a [`Config`] that exists is valid by itself (its fields are types that cannot hold a refused value);
//! every directive is written once, in `directives/<topic>.rs`, and everything else (CONFIG GET, the default file,
//! `check-config`, rewrite) is derived from that row; a change is all or nothing.
//! Must never know: sockets, clients, commands. Layers above register a hook for what has to happen on a change.
//!
//! How to read it: hold a [`ConfigHandle`], keep an `Arc<Config>` beside a version, and reload when
//! [`ConfigHandle::version`] moved.
//!
//! How to add one: a row in its topic's `topic!` block; then run the tests with `HOLDFAST_UPDATE_CONF=1`, which
//! writes `conf/holdfast.conf` and `docs/configuration.md` again.

pub mod check;
pub mod codec;
pub mod default_file;
pub mod directives;
pub mod handle;
pub mod load;
mod pattern;
pub mod reference;
pub mod rewrite;
mod row;
mod special;
pub mod types;
pub mod words;

pub use directives::{Config, directives, find, nearest, nearest_of};
pub use handle::{ConfigHandle, SetContext, SetError};
pub use load::{LoadError, Loaded, Origin, Problem, load};
pub use row::{Change, Directive, Kind, Sensitivity, Source, Standing};
