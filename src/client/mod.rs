//! Clients: what a connection is in, what others may see of it, and the way to reach the worker that owns it.
//!
//! A [`Client`] belongs to one worker and is touched by it alone. What CLIENT LIST and CLIENT KILL of other workers need is in its
//! [`Shared`] half. Whoever wants something of another worker's client writes to that worker's [`Mailbox`].

mod blocked;
mod copy;
mod execute;
mod login;
mod mailbox;
mod memory;
mod monitor;
mod output;
mod registry;
mod replica;
mod state;
mod subscription;
mod tracking;
mod transaction;
mod waitlist;

pub use blocked::{BlockRequest, Blocked, TimeoutReply};
pub use copy::{CopyEnd, CopyReader, CopyWriter, PIPE_BYTES, Taken, copy_pipe};
pub use execute::{Execute, Failure, Forward, Request};
pub use login::{Answer, Login};
pub use mailbox::{Mailbox, Message, SyncStart};
pub use memory::NAME_BYTES;
pub use monitor::Monitors;
pub use output::Output;
pub use registry::{Registry, Shared, SharedText, WORKERS_MAX};
pub use replica::{CopyFilter, ReplicaFacts, ReplicaPhase};
pub use state::{Client, ReplyMode, Source};
pub use subscription::{Published, Subscription, SubscriptionKind, Subscriptions};
pub use tracking::{ClientTracking, Notice, PrefixError, Tracking, TrackingMode};
pub use transaction::{Queued, Transaction};
pub use waitlist::{WaitList, Waiter, WaiterFacts, WaitingCall};
