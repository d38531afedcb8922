//! The one upward call: requests of clients that have no connection, run by the engine.
//!
//! An append-only file that is replayed and a replica that applies its primary's stream sit below the engine; both hand it what they
//! have read through [`Execute`]. Such requests pass no gate (no ACL, no limit of memory, no pause) and are answered to nobody. They are
//! effects of the past: no deadline has come for them, and what has to go they say themselves.

use super::state::Client;
use crate::journal::Kind;
use crate::resp::args::Args;

/// The bytes of a primary's step, which go into the journal under the locks of what it changes.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    pub bytes: &'a [u8],
    pub kind: Kind,
    /// The database that is selected behind it.
    pub selected: u32,
    /// The journal's epoch when this server began to follow that primary.
    pub epoch: u64,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub args: Args<'a>,
    /// With the last request of a step that a replica forwards: all bytes of the step.
    pub forward: Option<Forward<'a>>,
}

/// A request was answered with an error; it has changed nothing, and those behind it have not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the requests.
    pub at: usize,
    /// The text of the reply, its code first.
    pub text: Vec<u8>,
}

/// Runs requests of internal clients.
pub trait Execute: Send {
    /// Runs `requests` in order as `client`, whose [`Source`](super::Source) says where they come from. Transactions may reach from one call to the next.
    ///
    /// # Errors
    /// The first request that was answered with an error; of a transaction that is its EXEC.
    fn execute(&mut self, client: &mut Client, requests: &[Request<'_>]) -> Result<(), Failure>;
}
