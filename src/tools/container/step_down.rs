//! `holdfast container step-down`: before a pod is stopped, hands its primary's place to the replica that has most, and tells
//! the other replicas. Runs beside the server, in its container, as the hook before it is stopped.
//!
//! A replica, or a primary without a replica that is up, has nothing to hand over, and that is no failure.

use super::ask::{Access, open, role_of};
use super::pods::{Peer, Role};
use crate::base::clock;
use crate::resp::client::Value;
use crate::tools::cli;
use crate::tools::cli::connection::Connection;
use std::ffi::OsString;
use std::time::Duration;

/// How long the replica may need for what it lacks; writes wait meanwhile.
const HAND_OVER_MS: u64 = 20_000;
/// The new primary's word that it is one comes a little later.
const SETTLE_MS: u64 = 5_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Hands over; what was done, in a line.
///
/// # Errors
/// The server does not answer, or the failover did not come about.
pub fn run(access: &Access) -> Result<String, String> {
    let Ok((mut client, _)) = cli::prepare("holdfast container step-down", Vec::<OsString>::new()) else {
        return Err("the server's address is not known".into());
    };
    if !client.connect() {
        return Err("the server does not answer".into());
    }
    let Some(connection) = &mut client.connection else { return Err("the server does not answer".into()) };
    let Role::Primary = role_of(connection)? else { return Ok("a replica has nothing to hand over".into()) };
    let replicas = replicas(&info(connection)?);
    let Some(best) = replicas.iter().max_by_key(|r| r.1).map(|r| r.0.clone()) else {
        return Ok("no replica is up: nothing is handed over".into());
    };
    let port = best.port.to_string();
    let timeout = HAND_OVER_MS.to_string();
    if let Value::Error(e) = connection.ask(&["FAILOVER", "TO", &best.host, &port, "TIMEOUT", &timeout])? {
        return Err(format!("FAILOVER TO {} {port}: {}", best.host, String::from_utf8_lossy(&e)));
    }
    let end = clock::monotonic_ms() + HAND_OVER_MS + SETTLE_MS;
    while role_of(connection)? == Role::Primary {
        if clock::monotonic_ms() > end {
            return Err(format!("{}:{port} did not take over in time; this server stays the primary", best.host));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let mut told = 0;
    for (other, _) in replicas.iter().filter(|r| r.0 != best) {
        let asked = open(other, access).and_then(|mut c| c.ask(&["REPLICAOF", &best.host, &port]));
        match asked {
            Ok(Value::Status(_)) => told += 1,
            Ok(reply) => {
                let why = reply.text().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                eprintln!("holdfast: {}:{} does not follow: {why}", other.host, other.port);
            }
            // It follows us, who follow the new primary: it hears all the same, once we are back.
            Err(e) => eprintln!("holdfast: {}:{} cannot be told: {e}", other.host, other.port),
        }
    }
    Ok(format!("{}:{port} is the primary now; {told} other replicas follow it", best.host))
}

fn info(connection: &mut Connection) -> Result<String, String> {
    let reply = connection.ask(&["INFO", "replication"])?;
    Ok(reply.text().map(String::from_utf8_lossy).unwrap_or_default().into_owned())
}

/// The replicas that are up, with how far each is.
fn replicas(info: &str) -> Vec<(Peer, u64)> {
    let rows = info.lines().filter_map(|l| l.strip_prefix("slave")?.split_once(':'));
    let of_row = |row: &str| {
        let field = |name: &str| row.split(',').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        let (host, port) = (field("ip")?.to_owned(), field("port")?.parse().ok()?);
        let is_up = field("state") == Some("online");
        is_up.then_some((Peer { host, port }, field("offset")?.parse().ok()?))
    };
    rows.filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())).filter_map(|(_, row)| of_row(row.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_are_up_are_read_from_info() {
        let text = "role:master\r\nconnected_slaves:3\r\nslave0:ip=a,port=1,state=online,offset=7,lag=0\r\n\
                    slave1:ip=b,port=2,state=wait_bgsave,offset=0,lag=0\r\nslave2:ip=c,port=3,state=online,offset=9,lag=1,type=x\r\n\
                    slave_read_only:1\r\n";
        let peer = |host: &str, port| Peer { host: host.into(), port };
        assert_eq!(replicas(text), [(peer("a", 1), 7), (peer("c", 3), 9)]);
    }
}
