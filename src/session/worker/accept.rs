//! Who comes in: callers at the doors are taken by the worker that is woken, and served by the one with the fewest connections.
//!
//! # Invariants
//! * A connection that stays with the worker that took it costs no other thread anything; that is the rule while connections are short
//!   or there is one worker. Those that last are spread evenly, because the worker that has more than another hands over.
//! * Descriptors or memory that are short are waited for; no error at a door stops the server.

use super::Worker;
use crate::metrics::counters::Counter;
use crate::net::doors::Caller;
use mio::Token;

impl Worker {
    /// Lets callers in at a door. One that comes alone is taken with one call; where a worker is told of more in its very next turn it
    /// takes twice as many, so that a crowd does not wait for as many turns.
    pub(super) fn open_door(&mut self, door: Token, now_mono: u64) {
        let many_max = self.config.network.max_new_connections_per_cycle as usize;
        for _ in 0..self.callers.min(many_max) {
            match self.doors.next(door) {
                Ok(Some(caller)) => self.let_in(caller, now_mono),
                Ok(None) => break,
                Err(e) => {
                    tracing::warn!("Accepting client connection: {e}");
                    self.doors.rest(self.watcher);
                    self.rests = true;
                    break;
                }
            }
        }
        self.callers = (self.callers * 2).min(many_max).max(1);
    }

    fn let_in(&mut self, caller: Caller, now_mono: u64) {
        let clients = &self.node.clients;
        if !clients.admit(self.config.network.maxclients) {
            self.recorder.counters.add(Counter::RejectedConnections, 1);
            return caller.refuse(b"-ERR max number of clients reached\r\n");
        }
        match self.doors.let_in(caller) {
            // Workers beyond `io-threads`, from when it was larger, keep what they have and get nothing new.
            Ok(Some(arrival)) => {
                let own = clients.settle(arrival, self.id, self.config.general.io_threads as usize);
                if let Some(arrival) = own {
                    self.attach(arrival, now_mono);
                }
            }
            Ok(None) => clients.release(),
            Err(e) => {
                tracing::warn!("A TLS session could not begin: {e}");
                clients.release();
            }
        }
    }
}
