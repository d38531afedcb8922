//! Joins nodes into a cluster, which the image for clusters has a script for: the creator waits until all of them answer, shares
//! out the slots, introduces them to one another, and gives each primary its replicas. Nodes that have a cluster already are
//! left alone, so that a creator may start again.
//!
//! Runs on a thread beside the creator's own server, one of the nodes.

use super::ask::{Access, open};
use super::pods::Peer;
use crate::resp::client::Value;
use std::net::ToSocketAddrs;
use std::time::Duration;

const SLOTS: usize = 16384;
/// Fewer primaries cannot agree that one of them is lost.
const PRIMARIES_MIN: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks before the creator gives up: half an hour for the nodes to start, two minutes for them to get to know one another.
const STARTS_MAX: usize = 3600;
const MEETS_MAX: usize = 240;

/// Who joins whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub nodes: Vec<Peer>,
    /// Of each primary.
    pub replicas: usize,
    pub access: Access,
}

/// What each node becomes, in the order of the nodes: primaries come first.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// First and last slot.
    Primary(usize, usize),
    /// Of the node with this number.
    Replica(usize),
}

fn layout(nodes: usize, replicas: usize) -> Result<Vec<Part>, String> {
    let primaries = nodes / (replicas + 1);
    if primaries < PRIMARIES_MIN {
        return Err(format!(
            "a cluster needs {PRIMARIES_MIN} primaries: with {replicas} replicas each that is {} nodes, and {nodes} are named",
            PRIMARIES_MIN * (replicas + 1)
        ));
    }
    let first = |n: usize| n * SLOTS / primaries;
    let part = |n: usize| {
        if n < primaries { Part::Primary(first(n), first(n + 1) - 1) } else { Part::Replica(n % primaries) }
    };
    Ok((0..nodes).map(part).collect())
}

impl Plan {
    /// Whether so many nodes can be a cluster.
    ///
    /// # Errors
    /// There are too few.
    pub fn check(&self) -> Result<(), String> {
        layout(self.nodes.len(), self.replicas).map(drop)
    }

    /// Does it; says what came of it.
    pub fn run(&self) {
        match self.join() {
            Ok(done) => tracing::info!("VALKEY_CLUSTER_CREATOR: {done}"),
            Err(e) => tracing::warn!("VALKEY_CLUSTER_CREATOR: the cluster is not made: {e}"),
        }
    }

    fn join(&self) -> Result<String, String> {
        let parts = layout(self.nodes.len(), self.replicas)?;
        until(STARTS_MAX, || self.nodes.iter().try_for_each(|n| self.ask(n, &["CLUSTER", "INFO"]).map(drop)))?;
        for node in &self.nodes {
            let (known, assigned) = self.standing(node)?;
            if known != 1 || assigned != 0 {
                return Ok(format!("{}:{} has a cluster already; nothing is changed", node.host, node.port));
            }
        }
        for (n, (node, part)) in self.nodes.iter().zip(&parts).enumerate() {
            if let Part::Primary(first, last) = part {
                self.ask(node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            }
            self.ask(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()])?;
        }
        let Some((creator, others)) = self.nodes.split_first() else { return Err("no nodes are named".into()) };
        for node in others {
            self.ask(creator, &["CLUSTER", "MEET", &address(node)?, &node.port.to_string()])?;
        }
        let all = self.nodes.len();
        until(MEETS_MAX, || {
            self.nodes.iter().try_for_each(|node| match self.standing(node)? {
                (known, _) if known == all => Ok(()),
                (known, _) => Err(format!("{}:{} knows {known} of {all} nodes", node.host, node.port)),
            })
        })?;
        for (node, part) in self.nodes.iter().zip(&parts) {
            if let Part::Replica(of) = part {
                let primary = self.nodes.get(*of).ok_or("no such node")?;
                let id = self.ask(primary, &["CLUSTER", "MYID"])?;
                until(MEETS_MAX, || self.ask(node, &["CLUSTER", "REPLICATE", &id]).map(drop))?;
            }
        }
        until(MEETS_MAX, || {
            self.nodes.iter().try_for_each(|node| {
                match field(&self.ask(node, &["CLUSTER", "INFO"])?, "cluster_state") {
                    Some("ok") => Ok(()),
                    _ => Err(format!("{}:{} is not content with the cluster", node.host, node.port)),
                }
            })
        })?;
        let primaries = parts.iter().filter(|p| matches!(p, Part::Primary(..))).count();
        Ok(format!("{all} nodes are a cluster of {primaries} primaries"))
    }

    /// How many nodes this one knows, itself among them, and how many slots are assigned.
    fn standing(&self, node: &Peer) -> Result<(usize, usize), String> {
        let info = self.ask(node, &["CLUSTER", "INFO"])?;
        let number = |name| field(&info, name).and_then(|v| v.parse().ok()).unwrap_or(0);
        Ok((number("cluster_known_nodes"), number("cluster_slots_assigned")))
    }

    fn ask(&self, node: &Peer, words: &[&str]) -> Result<String, String> {
        let said = |e: String| format!("{}:{}: {e}", node.host, node.port);
        match open(node, &self.access).and_then(|mut c| c.ask(words)).map_err(said)? {
            Value::Error(e) => Err(said(String::from_utf8_lossy(&e).into_owned())),
            reply => Ok(reply.text().map(String::from_utf8_lossy).unwrap_or_default().into_owned()),
        }
    }
}

/// Tries until it succeeds; the last error when that is not to be.
fn until(tries: usize, mut f: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    for _ in 1..tries {
        if f().is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    f()
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
}

/// The bus knows addresses, no names.
fn address(node: &Peer) -> Result<String, String> {
    let mut addresses: Vec<_> = (node.host.as_str(), node.port)
        .to_socket_addrs()
        .map_err(|e| format!("{}: {e}", node.host))?
        .map(|a| a.ip())
        .collect();
    addresses.sort_by_key(std::net::IpAddr::is_ipv6);
    addresses.first().map(ToString::to_string).ok_or_else(|| format!("{} has no address", node.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_out_without_gap_and_replicas_in_turn() {
        let parts = layout(7, 1).unwrap();
        assert_eq!(parts[..3], [Part::Primary(0, 5460), Part::Primary(5461, 10921), Part::Primary(10922, 16383)]);
        assert_eq!(parts[3..], [Part::Replica(0), Part::Replica(1), Part::Replica(2), Part::Replica(0)]);
        assert!(layout(5, 1).unwrap_err().contains("that is 6 nodes, and 5 are named"));
        assert!(layout(3, 0).is_ok());
    }
}
