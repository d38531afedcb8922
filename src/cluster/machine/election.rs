//! A replica takes its primary's place: by the votes of most primaries, by order, or by force.

use super::{Effect, Machine};
use crate::cluster::node::{Handle, flag};
use crate::cluster::wire::{Body, Head, Kind, mark};

/// Before a replica asks for votes: the FAIL of its primary has to reach those who vote.
const DELAY_MS: u64 = 500;
/// For each replica that has more of the data, and each failed primary whose replicas vote first.
const RANK_DELAY_MS: u64 = 1000;
/// Votes are waited for so many node timeouts, but not less than this.
const VOTES_TIMEOUTS: u64 = 2;
const VOTES_MS_MIN: u64 = 2000;
/// Between two lines of the log that say the same.
const EXCUSE_MS: u64 = 10_000;

/// What CLUSTER FAILOVER asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// The primary stops, we catch up, and then there is a vote.
    Default,
    /// The primary is not asked.
    Force,
    /// Nobody is.
    Takeover,
    /// The primary itself has asked, as it ends.
    Asked,
}

impl Machine {
    fn excuse(&mut self, why: &'static str) {
        let now = self.now_ms;
        let e = &mut self.election;
        if e.excuse != why || now.saturating_sub(e.excused_ms) > EXCUSE_MS {
            (e.excuse, e.excused_ms) = (why, now);
            tracing::warn!("Currently unable to failover: {why}");
        }
    }

    /// Replicas of the same primary that have more of its data.
    fn rank(&self) -> u64 {
        let Some(primary) = self.my_primary() else { return 0 };
        let id = self.nodes[&primary].id;
        let (me, offset) = (self.me, self.offset());
        let own = self.myself().id;
        let ahead = |n: &crate::cluster::node::Node| {
            !n.is(flag::NO_FAILOVER) && (n.offset > offset || (n.offset == offset && n.id < own))
        };
        self.replicas_of(id).filter(|(h, n)| *h != me && ahead(n)).count() as u64
    }

    /// Failed primaries that come before this node's: the elections of several shards do not take each other's votes.
    fn primary_rank(&self) -> u64 {
        let own = self.myself().shard;
        self.nodes.values().filter(|n| n.votes() && n.is(flag::FAIL) && n.shard < own).count() as u64
    }

    /// Nobody comes before this node, and nobody who might is still to find out: all replicas of the primary say that it has failed.
    fn is_best_ranked(&self) -> bool {
        let Some(primary) = self.my_primary() else { return false };
        let (me, id) = (self.me, self.nodes[&primary].id);
        self.rank() == 0
            && self.primary_rank() == 0
            && self.replicas_of(id).all(|(h, n)| h == me || n.is(flag::MY_PRIMARY_FAILED))
    }

    /// Those who vote hear that the primary has failed before they are asked: whoever has found it out may have told this node first.
    fn tell_of_failure(&mut self) {
        let failed = self.my_primary().map(|h| &self.nodes[&h]).filter(|p| p.is(flag::FAIL)).map(|p| p.id);
        if let Some(id) = failed {
            self.broadcast(Kind::Fail, &Body::Fail(id), 0);
        }
    }

    pub(super) fn tick_election(&mut self) {
        let now = self.now_ms;
        let manual = self.manual.until_ms != 0 && self.manual.can_start;
        let Some(primary) = self.my_primary() else { return };
        let p = &self.nodes[&primary];
        if (!p.is(flag::FAIL) && !manual) || p.count == 0 {
            return;
        }
        if self.settings.no_failover && !manual {
            return;
        }
        let timeout = self.settings.node_timeout_ms;
        let age = now.saturating_sub(self.fresh_ms).saturating_sub(timeout);
        let validity = self.settings.replica_validity_factor;
        let oldest = self.settings.repl_ping_period_ms.saturating_add(timeout.saturating_mul(validity));
        if !manual && validity != 0 && (self.fresh_ms == 0 || age > oldest) {
            self.excuse("Disconnected from primary for longer than allowed. Please check the 'cluster-replica-validity-factor' configuration option.");
            return;
        }
        let votes_ms = (timeout * VOTES_TIMEOUTS).max(VOTES_MS_MIN);
        let since = now.saturating_sub(self.election.at_ms);
        if self.election.at_ms == 0 || (now > self.election.at_ms && since > votes_ms * 2) {
            self.plan_election(manual);
            return;
        }
        if !self.election.requested && !manual && now < self.election.at_ms && self.is_best_ranked() {
            tracing::info!("Myself become the best ranked replica, initiate the election immediately.");
            self.election.at_ms = now;
            self.tell_of_failure();
        } else if !self.election.requested && !manual {
            let rank = self.rank();
            if rank > self.election.rank {
                let more = (rank - self.election.rank) * RANK_DELAY_MS;
                self.election.at_ms += more;
                self.election.rank = rank;
                tracing::info!("Replica rank updated to #{rank}, added {more} milliseconds of delay.");
            }
        }
        if now < self.election.at_ms {
            self.excuse("Waiting the delay before I can start a new failover.");
            return;
        }
        if since > votes_ms {
            self.excuse("Failover attempt expired.");
            return;
        }
        if !self.election.requested {
            self.request_votes(manual);
        }
        if self.election.requested && self.election.votes >= self.quorum() {
            tracing::info!("Failover election won: I'm the new primary.");
            let epoch = self.election.epoch;
            if self.myself().config_epoch < epoch {
                self.myself_mut().config_epoch = epoch;
                tracing::info!("configEpoch set to {epoch} after successful failover");
            }
            self.replace_primary();
        } else {
            self.excuse("Waiting for votes, but majority still not reached.");
        }
    }

    fn plan_election(&mut self, manual: bool) {
        let base = DELAY_MS.min(self.settings.node_timeout_ms / 30);
        let (rank, others) = if manual { (0, 0) } else { (self.rank(), self.primary_rank()) };
        let delay = if manual {
            0
        } else if self.is_best_ranked() {
            tracing::info!("This is the best ranked replica and can initiate the election immediately.");
            self.tell_of_failure();
            0
        } else {
            let rank_ms = RANK_DELAY_MS.min(self.settings.node_timeout_ms / 15);
            base + self.random.below(base + 1) + rank * rank_ms + others * rank_ms
        };
        let e = &mut self.election;
        (e.at_ms, e.requested, e.votes, e.rank) = (self.now_ms + delay, false, 0, rank);
        tracing::info!(
            "Start of election delayed for {delay} milliseconds (rank #{rank}, primary rank #{others}, offset {}).",
            self.offset()
        );
        // So that the other replicas know how far we are, and rank themselves.
        self.broadcast_pong(true);
    }

    fn request_votes(&mut self, manual: bool) {
        self.current_epoch += 1;
        self.dirty = true;
        let epoch = self.current_epoch;
        (self.election.epoch, self.election.requested, self.election.votes) = (epoch, true, 0);
        tracing::info!(
            "Starting a failover election for epoch {epoch}, node config epoch is {}",
            self.myself().config_epoch
        );
        let marks = if manual { mark::FORCE_ACK } else { 0 };
        self.broadcast(Kind::AuthRequest, &Body::Nothing, marks);
    }

    pub(super) fn count_vote(&mut self, from: Handle, head: &Head) {
        if self.election.requested && self.nodes[&from].votes() && head.current_epoch >= self.election.epoch {
            self.election.votes += 1;
            // The next round of the clock would be late for nothing.
            if self.myself().is(flag::REPLICA) {
                self.tick_election();
            }
        }
    }

    /// A replica asks for our vote.
    pub(super) fn vote(&mut self, replica: Handle, head: &Head) {
        if !self.myself().votes() {
            return;
        }
        let node = &self.nodes[&replica];
        let id = node.id;
        let deny = |why: &str| tracing::warn!("Failover auth denied to {id}: {why}");
        if head.current_epoch < self.current_epoch {
            return deny(&format!("reqEpoch ({}) < curEpoch({})", head.current_epoch, self.current_epoch));
        }
        if self.last_vote_epoch == self.current_epoch {
            return deny(&format!("already voted for epoch {}", self.current_epoch));
        }
        let primary = node.replica_of.and_then(|p| self.handle(&p));
        let Some(primary) = primary.filter(|_| !node.is_primary()) else {
            return deny("it is a primary node, or its primary is unknown");
        };
        if !self.nodes[&primary].is(flag::FAIL) && head.marks & mark::FORCE_ACK == 0 {
            return deny("its primary is up");
        }
        for slot in head.slots.iter() {
            let owner = self.owner(slot);
            if let Some(o) = self.nodes.get(&owner)
                && o.config_epoch > head.config_epoch
            {
                return deny(&format!(
                    "slot {} epoch ({}) > reqConfigEpoch ({})",
                    slot.get(),
                    o.config_epoch,
                    head.config_epoch
                ));
            }
        }
        let Some(link) = self.nodes[&replica].link else { return };
        self.last_vote_epoch = self.current_epoch;
        self.dirty = true;
        tracing::info!("Failover auth granted to {id} for epoch {}", self.current_epoch);
        self.send_head(link, Kind::AuthAck);
    }

    /// Takes the primary's slots and place.
    fn replace_primary(&mut self) {
        let Some(old) = self.my_primary() else { return };
        let me = self.me;
        let slots: Vec<_> = self.nodes[&old].slots.iter().collect();
        self.lead(false);
        for slot in slots {
            self.give(slot, me);
        }
        self.election = Default::default();
        self.end_manual();
        self.look_at_state();
        self.broadcast_pong(false);
    }

    /// CLUSTER FAILOVER.
    ///
    /// # Errors
    /// The text of the reply.
    pub fn failover(&mut self, how: Failover) -> Result<(), String> {
        if self.myself().is_primary() {
            return Err("You should send CLUSTER FAILOVER to a replica".into());
        }
        let Some(primary) = self.my_primary() else {
            return Err("I'm a replica but my master is unknown to me".into());
        };
        let p = &self.nodes[&primary];
        if how == Failover::Default && (p.is(flag::FAIL) || p.link.is_none()) {
            return Err("Master is down or failed, please use CLUSTER FAILOVER FORCE".into());
        }
        self.end_manual();
        if how == Failover::Takeover {
            tracing::info!("Taking over the primary (user request).");
            self.take_epoch();
            self.replace_primary();
            return Ok(());
        }
        self.manual.until_ms = self.now_ms + self.settings.manual_failover_timeout_ms;
        if matches!(how, Failover::Force | Failover::Asked) {
            let from = if how == Failover::Asked { "primary" } else { "user" };
            tracing::info!("Forced failover {from} request accepted.");
            self.manual.can_start = true;
            self.begin_election_anew();
        } else {
            tracing::info!("Manual failover user request accepted.");
            if let Some(link) = self.nodes[&primary].link {
                self.send_head(link, Kind::ManualFailover);
            }
        }
        Ok(())
    }

    /// An order comes before what was under way.
    fn begin_election_anew(&mut self) {
        if self.election.at_ms != 0 {
            tracing::warn!(
                "Failover election in progress for epoch {}, but a manual failover was asked for. Resetting the election.",
                self.election.epoch
            );
        }
        (self.election.at_ms, self.election.requested) = (0, false);
    }

    /// A replica of ours wants to take over: writers wait, so that it can catch up.
    pub(super) fn manual_start(&mut self, replica: Handle) {
        let own = self.myself().id;
        let node = &self.nodes[&replica];
        if !self.myself().is_primary() || !node.is(flag::REPLICA) || node.replica_of != Some(own) {
            return;
        }
        let (id, link) = (node.id, node.link);
        let timeout = self.settings.manual_failover_timeout_ms;
        self.end_manual();
        self.manual.until_ms = self.now_ms + timeout;
        self.manual.replica = Some(id);
        tracing::info!("Manual failover requested by replica {id}.");
        self.effects.push(Effect::Pause);
        // Its offset is in the next ping, which the paused head marks.
        self.handover_link = link;
    }

    /// Writers are held back from now on: where we have stopped is what the replica waits for.
    pub fn paused(&mut self) {
        if self.manual.until_ms != 0
            && let Some(link) = self.handover_link.take()
        {
            self.talk(link, Kind::Ping);
        }
    }

    pub(super) fn end_manual(&mut self) {
        if self.manual.until_ms != 0 && self.manual.replica.is_some() {
            self.effects.push(Effect::Resume);
        }
        self.manual = Default::default();
    }

    pub(super) fn tick_manual(&mut self) {
        if self.manual.until_ms == 0 {
            return;
        }
        if self.now_ms > self.manual.until_ms {
            tracing::warn!("Manual failover timed out.");
            self.end_manual();
            return;
        }
        if self.myself().is(flag::REPLICA)
            && !self.manual.can_start
            && self.manual.offset.is_some_and(|o| o == self.data.offset)
        {
            tracing::info!("All primary replication stream processed, manual failover can start.");
            self.manual.can_start = true;
            self.begin_election_anew();
        }
    }
}
