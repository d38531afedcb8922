//! Who has failed, and whether the cluster is up.
//!
//! A node that does not answer us is suspected (PFAIL). Once most of the primaries that serve slots say so, it has failed (FAIL), and everybody
//! is told.

use super::Machine;
use crate::base::slot::SLOTS;
use crate::cluster::node::{Handle, NodeId, flag};
use crate::cluster::wire::{Body, Kind};

/// A report counts for so many node timeouts.
const REPORT_TIMEOUTS: u64 = 2;
/// A primary that has failed and is back waits so many node timeouts for a replica to take its place.
const UNDO_TIMEOUTS: u64 = 2;
/// A node that was cut off with the fewer primaries is up again after the timeout, but not before and not later than this.
const REJOIN_MS: std::ops::RangeInclusive<u64> = 500..=5000;

impl Machine {
    fn is_fresh(&self, at_ms: u64) -> bool {
        self.now_ms.saturating_sub(at_ms) <= self.settings.node_timeout_ms * REPORT_TIMEOUTS
    }

    /// Notes that a primary says that a node does not answer.
    pub(super) fn report(&mut self, about: Handle, by: NodeId) {
        let now = self.now_ms;
        let Some(node) = self.nodes.get_mut(&about) else { return };
        match node.reports.iter_mut().find(|(who, _)| *who == by) {
            Some((_, at)) => *at = now,
            None => {
                node.reports.push((by, now));
                tracing::info!("Node {by} reported node {} as not reachable.", node.id);
            }
        }
    }

    pub(super) fn withdraw_report(&mut self, about: Handle, by: NodeId) {
        let Some(node) = self.nodes.get_mut(&about) else { return };
        let before = node.reports.len();
        node.reports.retain(|(who, _)| *who != by);
        if node.reports.len() != before {
            tracing::info!("Node {by} reported node {} is back online.", node.id);
        }
    }

    /// Primaries that say that a node does not answer.
    pub fn reports(&self, about: Handle) -> usize {
        self.nodes.get(&about).map_or(0, |n| n.reports.iter().filter(|(_, at)| self.is_fresh(*at)).count())
    }

    /// If most primaries suspect a node that we suspect too, it has failed.
    pub(super) fn judge(&mut self, about: Handle) {
        let Some(node) = self.nodes.get(&about) else { return };
        if !node.is(flag::PFAIL) || node.is(flag::FAIL) {
            return;
        }
        let needed = self.quorum();
        let votes = self.reports(about) + usize::from(self.myself().votes());
        if votes < needed {
            return;
        }
        tracing::info!("Marking node {} as failing (quorum reached).", node.id);
        let id = node.id;
        self.fail(about);
        self.broadcast(Kind::Fail, &Body::Fail(id), 0);
    }

    pub(super) fn fail(&mut self, about: Handle) {
        let now = self.now_ms;
        let Some(node) = self.nodes.get_mut(&about) else { return };
        node.mark(flag::PFAIL, false);
        node.mark(flag::FAIL, true);
        node.failed_ms = now;
        (self.dirty, self.stale, self.moved) = (true, true, true);
    }

    /// A node answers that had failed: is it trusted again?
    pub(super) fn pardon(&mut self, about: Handle) {
        let now = self.now_ms;
        let wait = self.settings.node_timeout_ms * UNDO_TIMEOUTS;
        let Some(node) = self.nodes.get_mut(&about) else { return };
        if !node.is(flag::FAIL) {
            return;
        }
        let why = if !node.votes() {
            "is reachable again"
        } else if now.saturating_sub(node.failed_ms) > wait {
            "is reachable again and nobody is serving its slots after some time"
        } else {
            return;
        };
        tracing::info!("Clear FAIL state for node {}: it {why}.", node.id);
        node.mark(flag::FAIL, false);
        (self.dirty, self.stale, self.moved) = (true, true, true);
    }

    /// Looks whether the cluster is up.
    pub(super) fn look_at_state(&mut self) {
        self.stale = false;
        let now = self.now_ms;
        let leads = self.myself().is_primary();
        if leads && !self.is_up && now < self.silent_until_ms {
            // What it knows is from before it stopped: others may know better.
            self.stale = true;
            return;
        }
        let (mut up, mut why) = (true, "");
        if self.settings.require_full_coverage {
            let served = |h: &Handle| self.nodes.get(h).is_some_and(|n| !n.is(flag::FAIL));
            let served_slots: usize = self.nodes.iter().filter(|(h, _)| served(h)).map(|(_, n)| n.count).sum();
            if served_slots != SLOTS {
                (up, why) = (
                    false,
                    "At least one hash slot is not served by any available node. Please check the \
                     'cluster-require-full-coverage' configuration.",
                );
            }
        }
        let voters = || self.nodes.values().filter(|n| n.votes());
        self.size = voters().count();
        let reachable = voters().filter(|n| !n.is(flag::FAIL | flag::PFAIL)).count();
        if reachable < self.quorum() {
            up = false;
            if self.size > 0 {
                self.minority_ms = now;
                why = "I am part of a minority partition.";
            }
        }
        if !up && !why.is_empty() && std::mem::replace(&mut self.down_why, why) != why {
            tracing::warn!("Cluster is currently down: {why}");
        }
        if up == self.is_up {
            return;
        }
        if up && leads {
            let wait = self.settings.node_timeout_ms.clamp(*REJOIN_MS.start(), *REJOIN_MS.end());
            if self.minority_ms != 0 && now.saturating_sub(self.minority_ms) < wait {
                self.stale = true;
                return;
            }
        }
        if up {
            tracing::info!("Cluster state changed: ok");
        } else {
            tracing::warn!("Cluster state changed: fail");
        }
        if up {
            self.down_why = "";
        }
        self.is_up = up;
        self.moved = true;
    }
}
