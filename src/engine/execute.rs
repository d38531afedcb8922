//! [`Execute`] over a turn: how a log that is replayed and a primary's stream come in.

use super::{Evictor, Turn};
use crate::base::clock;
use crate::client::{Client, Execute, Failure, Request, Source};
use crate::commands::Node;
use crate::metrics::recorder::Recorder;
use crate::resp::reply::Reply;
use std::sync::Arc;

/// A thread's means to run requests of an internal client.
pub struct Executor {
    node: Arc<Node>,
    evictor: Evictor,
    recorder: Recorder,
    reply: Reply,
}

impl Executor {
    pub fn new(node: Arc<Node>, recorder: Recorder) -> Executor {
        Executor { node, evictor: Evictor::new(clock::wall_us() as u64), recorder, reply: Reply::default() }
    }
}

impl Executor {
    /// Gives the thread's side of the statistics back.
    pub fn into_recorder(self) -> Recorder {
        self.recorder
    }
}

impl Execute for Executor {
    fn execute(&mut self, client: &mut Client, requests: &[Request<'_>]) -> Result<(), Failure> {
        let config = self.node.config.current();
        let version = self.node.config.version();
        let reply = std::mem::take(&mut self.reply);
        let now = clock::wall_ms();
        let mut turn = Turn::begin(&self.node, config, version, now, reply, &mut self.evictor, &mut self.recorder);
        turn.space.replays = true;
        turn.keeps_error = true;
        let mut outcome = Ok(());
        if client.source == Source::Primary
            && requests.iter().any(|r| r.forward.is_some_and(|f| f.epoch != turn.gates.epoch))
        {
            self.reply = turn.end();
            return Err(Failure { at: 0, text: b"ERR another primary is followed now".to_vec() });
        }
        for (at, request) in requests.iter().enumerate() {
            turn.forward = request.forward;
            let entry = turn.node.commands.resolve(request.args);
            turn.run(client, entry, request.args, None);
            // Nobody reads the replies.
            turn.reply.clear();
            // A step that took no lock has changed nothing that a lock guards.
            turn.append();
            if let Some(text) = turn.error.take() {
                outcome = Err(Failure { at, text });
                break;
            }
        }
        client.commands = 0;
        self.reply = turn.end();
        outcome
    }
}
