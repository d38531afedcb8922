//! Access control: who may sign in, and which commands, keys, channels and databases each user may touch.
//!
//! # How it is built
//! A [`User`] has a password list and selectors; a [`Selector`] is compiled from rules into a bitmap over command numbers,
//! patterns for keys and channels, and a list of databases. Users are immutable: a change makes a new one and moves
//! [`Acl::epoch`]. Connections hold an `Arc` to theirs and look at the epoch once a turn, so that a command of a user who may
//! do everything costs one predictable branch, and nobody ever takes a lock to be checked.
//!
//! # Invariants
//! * A call is allowed if and only if one selector alone allows its command, every key, every channel and every database it
//!   touches. Selectors never add up.
//! * What is described ([`User::describe`]) makes the same user again when it is read, whatever bytes are in it: rules with
//!   blanks, line ends or NUL are refused when they come in.
//! * A change of several rules, of several users, or of a whole file is made as a whole or not at all.
//! * Clear passwords are not kept, and no text made here contains one.
//!
//! Must never know: connections, the wire, the handlers of commands. Commands come in as a [`Catalog`].

pub mod catalog;
pub mod check;
pub mod file;
pub mod log;
pub mod password;
pub mod rule;
pub mod selector;
mod store;
pub mod throttle;
pub mod user;

pub use catalog::Catalog;
pub use check::{Call, Denied};
pub use log::{AclLog, Context, Reason};
pub use password::{HashKind, PasswordHash};
pub use rule::{Policy, RuleError};
pub use selector::Selector;
pub use store::{Acl, Deleted, SetUserError};
pub use throttle::Throttle;
pub use user::User;
