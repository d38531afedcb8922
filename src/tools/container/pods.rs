//! Who is the primary among the pods of a StatefulSet: a pure function of what the others say and of what was written down.
//!
//! Pods share their variables and differ in their number. The primary's place moves when it is stopped (`step_down`), so a
//! pod that starts asks the others first: one that is primary is followed; else whomever a replica follows, which may be
//! the very pod that starts again; else the pod that was primary last, by the file the chart mounts; else pod 0.
//!
//! There is no election here: a primary that dies is waited for. Sentinels or a cluster do elect.

/// A server as its address says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub host: String,
    pub port: u16,
}

impl Peer {
    /// `host:port`, or a host alone.
    ///
    /// # Errors
    /// The port is no number.
    pub fn parse(text: &str, port: u16) -> Result<Peer, String> {
        match text.rsplit_once(':') {
            Some((host, number)) if !host.is_empty() && !host.ends_with(':') => {
                let port = number.parse().map_err(|_| format!("'{text}' is not HOST:PORT"))?;
                Ok(Peer { host: host.trim_matches(['[', ']']).to_owned(), port })
            }
            _ => Ok(Peer { host: text.to_owned(), port }),
        }
    }

    /// Whether both name the same server: a name alone and the same with its domain do.
    fn is(&self, other: &Peer) -> bool {
        let first = |host: &str| host.split('.').next().map(str::to_owned);
        let names = |host: &str| host.parse::<std::net::IpAddr>().is_err();
        let both_names = names(&self.host) && names(&other.host);
        self.port == other.port && (self.host == other.host || (both_names && first(&self.host) == first(&other.host)))
    }
}

/// What a server answers to ROLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica(Peer),
}

/// The number of a pod, by its name.
pub fn number(pod: &str) -> Option<usize> {
    pod.rsplit_once('-').and_then(|(_, n)| n.parse().ok())
}

/// The number of the primary. `says` is what each of `peers` answers, by its number; who starts has not asked itself.
pub fn primary(me: usize, peers: &[Peer], says: &[Option<Role>], recorded: Option<usize>) -> usize {
    let claims = |n: usize| matches!(says.get(n), Some(Some(Role::Primary)));
    // After a failover that was cut short two may claim it: the one written down is right.
    if let Some(n) = recorded.filter(|n| claims(*n)).or_else(|| (0..peers.len()).find(|n| claims(*n))) {
        return n;
    }
    let followed = says.iter().flatten().find_map(|role| match role {
        Role::Replica(primary) => peers.iter().position(|p| p.is(primary)),
        Role::Primary => None,
    });
    // A replica that follows a replica is on its way somewhere: what is written down counts before that.
    let is_replica = |n: usize| n != me && matches!(says.get(n), Some(Some(Role::Replica(_))));
    followed.filter(|n| !is_replica(*n)).or(recorded).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Vec<Peer> {
        (0..3).map(|n| Peer { host: format!("h-{n}.h-headless"), port: 6379 }).collect()
    }

    fn replica_of(n: usize) -> Option<Role> {
        Some(Role::Replica(Peer { host: format!("h-{n}.h-headless.ns.svc"), port: 6379 }))
    }

    #[test]
    fn a_living_primary_counts_first_then_whom_replicas_follow_then_what_is_written_down() {
        const P: Option<Role> = Some(Role::Primary);
        for (what, me, says, recorded, want) in [
            ("the first start of all", 1, [None, None, None], None, 0),
            ("a start beside a primary", 0, [None, P, replica_of(1)], None, 1),
            ("what is written down is older than what lives", 0, [None, P, None], Some(0), 1),
            ("all were stopped", 0, [None, None, None], Some(2), 2),
            ("the primary starts again", 1, [replica_of(1), None, replica_of(1)], Some(0), 1),
            ("a replica starts while the primary is away", 0, [None, None, replica_of(1)], None, 1),
            ("two claim it, one is written down", 2, [P, P, None], Some(1), 1),
            ("two claim it", 2, [P, P, None], None, 0),
            ("replicas in a circle", 2, [replica_of(1), replica_of(0), None], Some(2), 2),
        ] {
            assert_eq!(primary(me, &peers(), &says, recorded), want, "{what}");
        }
    }

    #[test]
    fn a_peer_is_a_host_with_or_without_a_port() {
        let peer = |text| Peer::parse(text, 6379).map(|p| (p.host, p.port));
        assert_eq!(peer("a.b"), Ok(("a.b".into(), 6379)));
        assert_eq!(peer("a.b:7"), Ok(("a.b".into(), 7)));
        assert_eq!(peer("[::1]:7"), Ok(("::1".into(), 7)));
        assert!(peer("a:b").is_err());
        assert_eq!((number("h-12"), number("h"), number("h-x")), (Some(12), None, None));
        let is = |a: &str, b: &str| Peer::parse(a, 1).unwrap().is(&Peer::parse(b, 1).unwrap());
        assert!(
            is("h-0", "h-0.h-headless") && !is("h-0", "h-1") && !is("10.0.0.1", "10.0.0.2") && !is("h-0:2", "h-0:3")
        );
    }
}
