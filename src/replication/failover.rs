//! FAILOVER: the role of primary is handed to a replica without losing a write.
//!
//! ```text
//! none -> waiting: writes are paused until a replica has everything   -> handing over: we follow it, and tell it to lead -> none
//!             |                                                              |
//!             +-- ABORT, or time is up without FORCE --> none                +-- it refuses, ABORT --> we lead again, none
//! ```

use super::{Host, Replication};
use crate::base::clock;
use crate::client::{ReplicaPhase, Shared};
use crate::keyspace::Plan;
use std::sync::Arc;

/// Whom, and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Any replica that has everything, if it is `None`.
    pub target: Option<(String, u16)>,
    pub timeout_ms: Option<u64>,
    /// When time is up the target takes over with what it has.
    pub force: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    None,
    Waiting {
        wish: Wish,
        until_ms: Option<u64>,
    },
    HandingOver,
}

/// Where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failover(Stage);

/// A replica as the decision sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub address: String,
    pub port: u16,
    pub acked: u64,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    HandOver {
        address: String,
        port: u16,
    },
    /// Give it up: the reason.
    Abort(&'static str),
}

impl Failover {
    pub fn is_going_on(&self) -> bool {
        self.0 != Stage::None
    }

    /// As INFO prints it.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Stage::None => "no-failover",
            Stage::Waiting { .. } => "waiting-for-sync",
            Stage::HandingOver => "failover-in-progress",
        }
    }

    /// Begins to wait; writes are paused already.
    pub fn begin(&mut self, now_ms: u64, wish: Wish) {
        let until_ms = wish.timeout_ms.map(|t| now_ms.saturating_add(t));
        self.0 = Stage::Waiting { wish, until_ms };
    }

    pub fn end(&mut self) {
        self.0 = Stage::None;
    }

    /// What to do, with the journal at `end`.
    pub fn step(&mut self, now_ms: u64, end: u64, candidates: &[Candidate]) -> Step {
        let Stage::Waiting { wish, until_ms } = &self.0 else { return Step::Wait };
        let is_target = |c: &&Candidate| wish.target.as_ref().is_none_or(|(a, p)| *a == c.address && *p == c.port);
        let late = until_ms.is_some_and(|u| now_ms >= u);
        let ready = candidates.iter().filter(is_target).find(|c| c.acked >= end);
        if ready.is_none() && late && wish.force {
            tracing::warn!("Failover target did not catch up: time out exceeded, failing over.");
        }
        let (address, port) = match (ready, &wish.target) {
            (Some(c), _) => (c.address.clone(), c.port),
            (None, Some((address, port))) if late && wish.force => (address.clone(), *port),
            _ if late => return Step::Abort("the replica did not catch up before the timeout"),
            _ if candidates.is_empty() => return Step::Abort("no replica is connected any more"),
            _ => return Step::Wait,
        };
        self.0 = Stage::HandingOver;
        Step::HandOver { address, port }
    }
}

/// Where a replica is reached, as INFO shows it.
pub fn address_of(replica: &Shared) -> (String, u16) {
    let facts = replica.facts.lock();
    let own = replica.addr.rsplit_once(':').map_or(replica.addr.as_str(), |(host, _)| host);
    let address = if facts.address.is_empty() { own.trim_matches(['[', ']']) } else { &facts.address };
    (address.to_owned(), facts.port)
}

/// Online replicas.
pub fn candidates(replication: &Replication) -> Vec<Candidate> {
    let all = replication.replicas.all();
    all.iter()
        .filter(|r| r.facts.lock().phase == ReplicaPhase::Online)
        .map(|r| {
            let (address, port) = address_of(r);
            let acked = r.facts.lock().acked;
            Candidate { address, port, acked }
        })
        .collect()
}

/// Takes the next step, if there is one.
pub(super) fn round(host: &Arc<dyn Host>, now_ms: u64) {
    let this = host.replication();
    let step = {
        let mut failover = this.failover.lock();
        if !failover.is_going_on() {
            return;
        }
        if failover.0 == Stage::HandingOver {
            // That it has succeeded is told by the link, which knows first.
            if this.follower.following().is_some_and(|f| f.refused) {
                drop(failover);
                abort(&**host, "Failover target rejected psync request");
            }
            return;
        }
        failover.step(now_ms, host.keyspace().journal().end(), &candidates(this))
    };
    match step {
        Step::Wait => {}
        Step::Abort(why) => abort(&**host, why),
        Step::HandOver { address, port } => {
            tracing::info!("Failing over to {address}:{port}");
            let space = host.keyspace().lock(&Plan::All, host.access(clock::wall_ms()));
            let failed = Replication::follow(host, &space, &address, port, true).is_err();
            drop(space);
            host.config().adjust(|c| c.replication.replicaof = Some((address, port)));
            if failed {
                abort(&**host, "there can be no thread for the link");
            }
        }
    }
}

/// The target leads, and has accepted this server as its replica. Called before the link shows as connected, so that nobody who sees
/// that it is sees a failover that is still going on.
pub(super) fn succeeded(host: &dyn Host) {
    let mut failover = host.replication().failover.lock();
    if failover.0 != Stage::HandingOver {
        return;
    }
    failover.end();
    drop(failover);
    super::unblock(host);
    host.pause_writes(false);
    tracing::info!("Failover succeeded: this server is a replica now");
}

/// Gives it up: this server leads, and writes go on.
pub fn abort(host: &dyn Host, why: &str) {
    let this = host.replication();
    tracing::warn!("Failover aborted: {why}");
    let leads = this.follower.following().is_none();
    this.failover.lock().end();
    if !leads {
        let space = host.keyspace().lock(&Plan::All, host.access(clock::wall_ms()));
        if let Err(e) = Replication::lead(host, &space) {
            tracing::error!("This server stays a replica: {e}");
        }
        drop(space);
        host.config().adjust(|c| c.replication.replicaof = None);
    }
    host.pause_writes(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(port: u16, acked: u64) -> Candidate {
        Candidate { address: "h".into(), port, acked }
    }

    #[test]
    fn whoever_has_everything_takes_over_and_nobody_else() {
        let mut f = Failover::default();
        f.begin(0, Wish::default());
        assert_eq!(f.step(1, 100, &[replica(1, 99), replica(2, 50)]), Step::Wait);
        assert_eq!(f.step(2, 100, &[replica(1, 99), replica(2, 100)]), Step::HandOver { address: "h".into(), port: 2 });
        assert_eq!(f.name(), "failover-in-progress");
    }

    #[test]
    fn a_target_is_waited_for_and_taken_late_only_by_force() {
        let wish = |force| Wish { target: Some(("h".into(), 1)), timeout_ms: Some(10), force };
        for force in [false, true] {
            let mut f = Failover::default();
            f.begin(0, wish(force));
            let all = [replica(1, 99), replica(2, 100)];
            assert_eq!(f.step(9, 100, &all), Step::Wait);
            match f.step(10, 100, &all) {
                Step::HandOver { port: 1, .. } => assert!(force),
                Step::Abort(_) => assert!(!force),
                other => panic!("{other:?}"),
            }
        }
    }
}
