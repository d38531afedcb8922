//! `cluster-config-file`, as Valkey writes it.
//!
//! ```text
//! <id> <ip>:<port>@<bus port>,<hostname>,<name>=<value>,... <flags> <primary|-> <ping> <pong> <epoch> <link> <first>-<last> <slot> [<slot>->-<id>] ...
//! vars currentEpoch <n> lastVoteEpoch <n>
//! ```
//!
//! The port is that of the bus' own kind; the other one stands as `tls-port=` or `tcp-port=`.
//!
//! # Invariants
//! * Nothing is written that could be read as something else: what others say of themselves has been held against
//!   [`wire::is_plain_text`](super::wire::is_plain_text) before.
//! * The file is there whole, the old one or the new one, and on disk when [`write`] returns.

use super::machine::{Machine, NOBODY};
use super::node::{Address, Node, NodeId, flag};
use super::wire::{EPOCH_MAX, is_plain_text};
use crate::base::slot::SlotId;
use crate::storage;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A thousand nodes with all their slots one by one would be less.
const BYTES_MAX: u64 = 16 << 20;

/// Holds the file against a second process: a lock on a file of its own beside it, because the file itself is replaced.
#[derive(Debug)]
pub struct Keeper(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Keeper {
    /// # Errors
    /// Another process has it, or there can be no such file.
    pub fn take(path: &Path) -> Result<Keeper, String> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(|e| format!("{}: {e}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Keeper(file)),
            Err(TryLockError::WouldBlock) => {
                Err("it is used by another process: each node needs a file of its own".into())
            }
            Err(TryLockError::Error(e)) => Err(format!("{}: {e}", lock.display())),
        }
    }
}

/// Writes the nodes, so that they are on disk when this returns.
pub fn write(path: &Path, machine: &Machine) -> io::Result<()> {
    let text = text(machine);
    storage::replace(path, false, |out| out.write_all(text.as_bytes()))
}

/// The line of a node, as the file and CLUSTER NODES have it behind the address.
pub fn line_behind_address(machine: &Machine, node: &Node) -> String {
    let linked = node.is(flag::MYSELF) || node.link.is_some_and(|l| machine.links.get(&l).is_some_and(|l| l.connected));
    let epoch = match node.replica_of.and_then(|id| machine.node(&id)).filter(|_| node.is(flag::REPLICA)) {
        Some(primary) => primary.config_epoch,
        None => node.config_epoch,
    };
    let mut line = format!(
        " {} {} {} {} {epoch} {}",
        node.flag_words(),
        node.replica_of.as_ref().map_or("-", NodeId::as_str),
        node.ping_sent_ms,
        node.pong_ms,
        if linked { "connected" } else { "disconnected" }
    );
    for (first, last) in node.slots.ranges() {
        let _ = if first == last { write!(line, " {first}") } else { write!(line, " {first}-{last}") };
    }
    if node.is(flag::MYSELF) {
        let leaving = machine.migrating.iter().map(|(slot, id)| (slot, '>', id));
        let coming = machine.importing.iter().map(|(slot, id)| (slot, '<', id));
        let mut on_the_way: Vec<_> = leaving.chain(coming).collect();
        on_the_way.sort_by_key(|(slot, ..)| **slot);
        for (slot, way, id) in on_the_way {
            let _ = write!(line, " [{}-{way}-{id}]", slot.get());
        }
    }
    line
}

fn text(machine: &Machine) -> String {
    let mut text = String::new();
    let tls_first = machine.settings.tls_first;
    for (_, node) in machine.known() {
        let a = &node.address;
        let (port, other_name, other) =
            if tls_first { (a.tls_port, "tcp-port", a.tcp_port) } else { (a.tcp_port, "tls-port", a.tls_port) };
        let _ = write!(
            text,
            "{} {}:{port}@{},{},{other_name}={other},shard-id={}",
            node.id, a.ip, a.bus_port, a.hostname, node.shard
        );
        for (name, value) in [
            ("nodename", &a.nodename),
            ("availability-zone", &a.zone),
            ("client-ipv4", &a.client_ipv4),
            ("client-ipv6", &a.client_ipv6),
        ] {
            if !value.is_empty() {
                let _ = write!(text, ",{name}={value}");
            }
        }
        for (name, value) in [("client-port", a.client_port), ("client-tls-port", a.client_tls_port)] {
            if value != 0 {
                let _ = write!(text, ",{name}={value}");
            }
        }
        let _ = writeln!(text, "{}", line_behind_address(machine, node));
    }
    let _ = writeln!(text, "vars currentEpoch {} lastVoteEpoch {}", machine.current_epoch, machine.last_vote_epoch);
    text
}

/// What a file holds; `None` if there is none, or nothing in it.
///
/// # Errors
/// It cannot be read, or is not understood.
pub fn read(path: &Path, tls_first: bool, seed: u64, now_ms: u64) -> Result<Option<Machine>, String> {
    let Some(file) = storage::open(path).map_err(|e| e.to_string())? else { return Ok(None) };
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.trim().is_empty() { Ok(None) } else { parse(&text, tls_first, seed, now_ms).map(Some) }
}

struct Line {
    node: Node,
    slots: Vec<SlotId>,
    migrating: Vec<(SlotId, NodeId)>,
    importing: Vec<(SlotId, NodeId)>,
}

/// Reads the text of a file.
///
/// # Errors
/// What in it is not understood.
pub fn parse(text: &str, tls_first: bool, seed: u64, now_ms: u64) -> Result<Machine, String> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut current_epoch, mut last_vote_epoch) = (0, 0);
    for (n, line) in text.lines().enumerate() {
        let bad = |what: &str| format!("line {}: {what}", n + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            [] => {}
            ["vars", variables @ ..] => {
                for pair in variables.chunks(2) {
                    match pair {
                        ["currentEpoch", value] => {
                            let epoch = value.parse().ok().filter(|n| *n <= EPOCH_MAX);
                            current_epoch = epoch.ok_or_else(|| bad("currentEpoch is none"))?;
                        }
                        ["lastVoteEpoch", value] => {
                            last_vote_epoch = value.parse().map_err(|_| bad("lastVoteEpoch is no number"))?;
                        }
                        _ => {}
                    }
                }
            }
            [id, address, flags, primary, _, _, epoch, _, slots @ ..] => {
                let parsed = node(id, address, flags, primary, epoch, tls_first, now_ms).map_err(|e| bad(&e))?;
                let Some(node) = parsed else { continue };
                let mut line = Line { node, slots: Vec::new(), migrating: Vec::new(), importing: Vec::new() };
                for range in slots {
                    add(&mut line, range).ok_or_else(|| bad(&format!("'{range}' names no slots")))?;
                }
                lines.push(line);
            }
            _ => return Err(bad("it is not understood")),
        }
    }
    if lines.iter().filter(|l| l.node.is(flag::MYSELF)).count() != 1 {
        return Err("it describes no node of this server's, or more than one".into());
    }
    build(lines, current_epoch, last_vote_epoch, seed, now_ms)
}

fn build(
    lines: Vec<Line>,
    current_epoch: u64,
    last_vote_epoch: u64,
    seed: u64,
    now_ms: u64,
) -> Result<Machine, String> {
    let own = lines.iter().find(|l| l.node.is(flag::MYSELF)).ok_or("it describes no node of this server's")?;
    let mut machine = Machine::new(own.node.id, own.node.shard, seed, now_ms);
    (machine.current_epoch, machine.last_vote_epoch) = (current_epoch, last_vote_epoch);
    for line in lines {
        machine.current_epoch = machine.current_epoch.max(line.node.config_epoch);
        let handle = machine.put(line.node).ok_or("two lines describe the same node")?;
        for slot in line.slots {
            if machine.owner(slot) != NOBODY {
                return Err(format!("slot {} has two owners", slot.get()));
            }
            machine.put_slot(slot, handle);
        }
        machine.migrating.extend(line.migrating);
        machine.importing.extend(line.importing);
    }
    machine.agree_on_shards();
    Ok(machine)
}

/// `None` for a node that was being met.
fn node(
    id: &str,
    address: &str,
    flags: &str,
    primary: &str,
    epoch: &str,
    tls_first: bool,
    now_ms: u64,
) -> Result<Option<Node>, String> {
    let id = NodeId::parse(id.as_bytes()).ok_or("its name is none of a node")?;
    let mut node = Node::new(id, id, 0, now_ms);
    for word in flags.split(',') {
        node.flags |= match word {
            "myself" => flag::MYSELF,
            "master" => flag::PRIMARY,
            "slave" => flag::REPLICA,
            "fail?" => flag::PFAIL,
            "fail" => flag::FAIL,
            "handshake" => return Ok(None),
            "noaddr" => flag::NO_ADDRESS,
            "nofailover" => flag::NO_FAILOVER,
            "noflags" => 0,
            other => return Err(format!("'{other}' is no flag of a node")),
        };
    }
    node.flags &= !flag::PFAIL;
    if node.is(flag::FAIL) {
        node.failed_ms = now_ms;
    }
    if primary != "-" {
        node.replica_of = Some(NodeId::parse(primary.as_bytes()).ok_or("its primary is no name of a node")?);
    }
    if node.is(flag::REPLICA) == node.is(flag::PRIMARY) || node.is(flag::REPLICA) != node.replica_of.is_some() {
        return Err("it is neither a primary nor the replica of one".into());
    }
    node.config_epoch = epoch.parse().ok().filter(|n| *n <= EPOCH_MAX).ok_or("its epoch is none")?;
    node.address = read_address(address, tls_first, &mut node.shard)?;
    Ok(Some(node))
}

fn read_address(text: &str, tls_first: bool, shard: &mut NodeId) -> Result<Address, String> {
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    let wrong = || format!("'{place}' is no address");
    let (place_ip, ports) = place.rsplit_once(':').ok_or_else(wrong)?;
    let (port, bus) = ports.split_once('@').unwrap_or((ports, "0"));
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (port, bus_port) = (number(port)?, number(bus)?);
    let mut a = Address { ip: place_ip.to_owned(), bus_port, ..Address::default() };
    *(if tls_first { &mut a.tls_port } else { &mut a.tcp_port }) = port;
    for (n, part) in parts.enumerate() {
        match part.split_once('=') {
            None if n == 0 => a.hostname = part.to_owned(),
            Some(("shard-id", id)) => *shard = NodeId::parse(id.as_bytes()).ok_or("its shard-id is none")?,
            Some(("nodename", name)) => a.nodename = name.to_owned(),
            Some(("availability-zone", zone)) => a.zone = zone.to_owned(),
            Some(("client-ipv4", ip)) => a.client_ipv4 = ip.to_owned(),
            Some(("client-ipv6", ip)) => a.client_ipv6 = ip.to_owned(),
            Some(("tls-port", port)) if !tls_first => a.tls_port = number(port)?,
            Some(("tcp-port", port)) if tls_first => a.tcp_port = number(port)?,
            Some(("client-port", port)) => a.client_port = number(port)?,
            Some(("client-tls-port", port)) => a.client_tls_port = number(port)?,
            Some(_) => {}
            None => return Err(format!("'{part}' behind its address is not understood")),
        }
    }
    for text in [&a.ip, &a.hostname, &a.nodename, &a.zone, &a.client_ipv4, &a.client_ipv6] {
        if !is_plain_text(text.as_bytes()) {
            return Err(format!("'{}' has characters that are not allowed", text.escape_default()));
        }
    }
    Ok(a)
}

fn add(line: &mut Line, range: &str) -> Option<()> {
    if let Some(inner) = range.strip_prefix('[').and_then(|r| r.strip_suffix(']')) {
        let (slot, rest) = inner.split_once('-')?;
        let slot = SlotId::new(slot.parse().ok()?)?;
        if let Some(id) = rest.strip_prefix(">-") {
            line.migrating.push((slot, NodeId::parse(id.as_bytes())?));
        } else {
            line.importing.push((slot, NodeId::parse(rest.strip_prefix("<-")?.as_bytes())?));
        }
        return line.node.is(flag::MYSELF).then_some(());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    SlotId::new(last)?;
    for n in first..=last {
        line.slots.push(SlotId::new(n)?);
    }
    (first <= last).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ffb4627c91a3515c08c72cff2b457b9d459598e8";
    const OTHER: &str = "aab4627c91a3515c08c72cff2b457b9d459598e8";

    fn read_text(text: &str) -> Result<Machine, String> {
        parse(text, false, 1, 1_000)
    }

    #[test]
    fn a_file_of_valkeys_is_read_and_written_again() {
        let file = format!(
            "{ID} 127.0.0.1:7655@17655,,tls-port=0,shard-id={ID},nodename=R0 myself,master - 0 0 4 connected 0-2 5 [5->-{OTHER}] [7-<-{OTHER}]\n\
             {OTHER} 10.0.0.1:1@2,h.example,tls-port=9,shard-id={OTHER} slave,fail {ID} 0 0 4 disconnected\n\
             vars currentEpoch 6 lastVoteEpoch 5\n"
        );
        let machine = read_text(&file).unwrap();
        assert_eq!((machine.current_epoch, machine.last_vote_epoch), (6, 5));
        let own = machine.myself();
        assert_eq!((own.config_epoch, own.slots.ranges()), (4, vec![(0, 2), (5, 5)]));
        let other = machine.node(&NodeId::parse(OTHER.as_bytes()).unwrap()).unwrap();
        assert_eq!((other.address.hostname.as_str(), other.address.tls_port), ("h.example", 9));
        let again = read_text(&text(&machine)).unwrap();
        assert_eq!(text(&again), text(&machine));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let me = format!("{ID} 1.1.1.1:1@2 myself,master - 0 0 1 connected");
        for text in [
            format!("{me}\n{me}\n"),
            format!("{me} 16384"),
            format!("{me} 5-4"),
            format!("{me} [5->{OTHER}]"),
            format!("{me} 1\n{OTHER} 1.1.1.1:1@2 master - 0 0 1 connected 1"),
            "vars currentEpoch 1".into(),
            "hello".into(),
            me.replace(" 1 connected", " x connected"),
            me.replace("- 0", &format!("{ID} 0")),
            me.replace("@2", "@2,ho#st"),
            me.replace("myself,", ""),
        ] {
            assert!(read_text(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_second_process_cannot_take_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.conf");
        let first = Keeper::take(&path).unwrap();
        assert!(Keeper::take(&path).unwrap_err().contains("another process"));
        drop(first);
        assert!(Keeper::take(&path).is_ok());
    }
}
