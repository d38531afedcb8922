//! Commands that take long, on threads of their own.
//!
//! A command that is about to go through very many elements ([`weigh`](crate::commands::Site::weigh)) would hold up the other
//! connections of its worker. So it stops there; the worker hands its connection over, and gets it back with the reply.
//!
//! # Invariants
//! * A connection that is here is nowhere else: nothing is received or sent on it, and messages for it wait with its worker.
//! * It comes back to its worker, with the reply, whatever became of the command.
//! * Who gave way to locks that were kept for long is woken after they have been given back.

use super::connection::Connection;
use super::worker::{output_room, over_limit};
use crate::base::clock;
use crate::client::{Mailbox, Output};
use crate::commands::{Node, Site};
use crate::engine::{Evictor, Flow, Turn};
use crate::metrics::recorder::Recorder;
use crate::resp::args::OwnedArgs;
use crate::resp::reply::Reply;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a worker gets its connections back.
pub struct Desk {
    returned: Mutex<Vec<Returned>>,
    mailbox: Arc<Mailbox>,
}

impl Desk {
    pub fn new(mailbox: Arc<Mailbox>) -> Desk {
        Desk { returned: Mutex::default(), mailbox }
    }

    pub(super) fn take(&self) -> Vec<Returned> {
        std::mem::take(&mut *self.returned.lock())
    }
}

/// A connection on its way back. Its reply is in the client's output.
pub(super) struct Returned {
    pub connection: Box<Connection>,
    /// Its place with its worker.
    pub place: usize,
    /// [`Flow::Paused`]: the request has not run, and is to be tried again.
    pub flow: Flow,
    pub request: OwnedArgs,
}

/// A connection whose request is to be run.
pub(super) struct Job {
    pub connection: Box<Connection>,
    pub place: usize,
    pub request: OwnedArgs,
    pub desk: Arc<Desk>,
}

/// The requests that wait for one of the threads; as many as there are connections at most.
#[derive(Default)]
pub struct Aside {
    jobs: Mutex<VecDeque<Job>>,
    more: Condvar,
}

impl Aside {
    pub(super) fn put(&self, job: Job) {
        self.jobs.lock().push_back(job);
        self.more.notify_one();
    }

    fn next(&self) -> Job {
        let mut jobs = self.jobs.lock();
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => self.more.wait(&mut jobs),
            }
        }
    }

    /// One thread's work, for ever. `seed` is for eviction, which a command that needs memory may have to begin with.
    pub fn run(&self, node: &Arc<Node>, recorder: &mut Recorder, seed: u64) {
        let mut evictor = Evictor::new(seed ^ clock::wall_us() as u64);
        loop {
            let job = self.next();
            let Job { mut connection, place, request, desk } = job;
            let flow = run(node, &mut connection, &request, &mut evictor, recorder);
            desk.returned.lock().push(Returned { connection, place, flow, request });
            desk.mailbox.ring();
        }
    }
}

fn run(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: &OwnedArgs,
    evictor: &mut Evictor,
    recorder: &mut Recorder,
) -> Flow {
    let client = &mut connection.client;
    let version = node.config.version();
    let config = node.config.current();
    let mut turn = Turn::begin(node, config, version, clock::wall_ms(), Reply::default(), evictor, recorder);
    turn.site = Site::Aside;
    turn.meet(client);
    let room = output_room(&turn.config, client);
    turn.reply.stop_at = if room == usize::MAX { 0 } else { room.max(1) };
    let args = request.args();
    let mut flow = turn.run(client, node.commands.resolve(args), args, None);
    while flow == Flow::Aside {
        // It has done what needs no locks, and goes on from there.
        turn.look_again();
        flow = turn.run(client, node.commands.resolve(args), args, None);
    }
    if turn.reply.is_full() {
        over_limit(client, turn.reply.len(), turn.recorder);
    }
    if turn.site == Site::AsideForLong {
        node.keyspace.end_long();
    }
    // They were counted where the command stopped.
    (turn.space.changes.hits, turn.space.changes.misses) = (0, 0);
    let reply = turn.end();
    client.reply_peak = client.reply_peak.max(reply.len());
    if !client.dead {
        keep(&mut client.output, reply);
    }
    flow
}

/// Puts a reply behind what waits already, without copying it.
fn keep(output: &mut Output, reply: Reply) {
    if reply.shared.is_empty() {
        output.push_own(reply.buf);
    } else {
        output.push_reply(&reply, 0, reply.buf.len(), 0);
    }
}
