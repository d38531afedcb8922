//! `cluster-config-file`, as Valkey writes it, with one node in it.
//!
//! ```text
//! <id> <ip>:<port>@<bus port>,<hostname>,tls-port=0,shard-id=<id> myself,master - 0 0 <epoch> connected <first>-<last> <slot> ...
//! vars currentEpoch <n> lastVoteEpoch 0
//! ```

use super::{Slots, State};
use crate::base::slot::SlotId;
use crate::storage;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::Path;

/// A line for each of sixteen thousand slots would be less.
const BYTES_MAX: u64 = 1 << 20;

/// Writes the node, so that it is on disk when this returns.
pub fn write(path: &Path, state: &State) -> io::Result<()> {
    let mut text =
        format!("{} :0@0,,tls-port=0,shard-id={} myself,master - 0 0 {} connected", state.id, state.shard, state.epoch);
    for (first, last) in state.slots.ranges() {
        let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
    }
    let _ = writeln!(text, "\nvars currentEpoch {} lastVoteEpoch 0", state.current_epoch);
    storage::replace(path, false, |out| out.write_all(text.as_bytes()))
}

/// The node in a file; `None` if there is no file, or nothing in it.
///
/// # Errors
/// It cannot be read, or there is something else in it than this one node.
pub fn read(path: &Path) -> Result<Option<State>, String> {
    let Some(file) = storage::open(path).map_err(|e| e.to_string())? else { return Ok(None) };
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.trim().is_empty() { Ok(None) } else { parse(&text).map(Some) }
}

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads the text of a file.
///
/// # Errors
/// What in it is not understood.
pub fn parse(text: &str) -> Result<State, String> {
    let mut found: Option<State> = None;
    let mut current_epoch = 0;
    for (n, line) in text.lines().enumerate() {
        let bad = |what: &str| format!("line {}: {what}", n + 1);
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            [] => {}
            ["vars", variables @ ..] => {
                for pair in variables.chunks(2) {
                    if let ["currentEpoch", value] = pair {
                        current_epoch = value.parse().map_err(|_| bad("currentEpoch is no number"))?;
                    }
                }
            }
            [id, address, flags, primary, _, _, epoch, _, slots @ ..] => {
                if !flags.split(',').any(|f| f == "myself") || found.is_some() {
                    return Err(bad(
                        "it knows other nodes; this server is a cluster of one node, without a bus to others",
                    ));
                }
                if *primary != "-" || !is_id(id) {
                    return Err(bad("it describes no primary of this name"));
                }
                let shard = address.split(',').find_map(|part| part.strip_prefix("shard-id=")).unwrap_or(id);
                let mut state = State { id: (*id).into(), shard: shard.into(), ..State::default() };
                if !is_id(shard) {
                    return Err(bad("its shard-id is none"));
                }
                state.epoch = epoch.parse().map_err(|_| bad("its epoch is no number"))?;
                for range in slots {
                    add(&mut state.slots, range).ok_or_else(|| bad(&format!("'{range}' names no slots")))?;
                }
                found = Some(state);
            }
            _ => return Err(bad("it is not understood")),
        }
    }
    let state = found.ok_or("it describes no node of this server's")?;
    Ok(State { current_epoch: current_epoch.max(state.epoch), ..state })
}

fn add(slots: &mut Slots, range: &str) -> Option<()> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    SlotId::new(last)?;
    for n in first..=last {
        slots.set(SlotId::new(n)?, true);
    }
    (first <= last).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ffb4627c91a3515c08c72cff2b457b9d459598e8";

    #[test]
    fn a_file_of_valkeys_is_read() {
        let text = format!(
            "{ID} :7655@17655,,tls-port=0,shard-id={ID} myself,master - 0 0 1 connected 0-2 5\n\
             vars currentEpoch 3 lastVoteEpoch 0\n"
        );
        let state = parse(&text).unwrap();
        assert_eq!((state.epoch, state.current_epoch, state.slots.ranges()), (1, 3, vec![(0, 2), (5, 5)]));
    }

    #[test]
    fn what_is_not_one_node_is_refused() {
        let me = format!("{ID} :1@2 myself,master - 0 0 1 connected");
        let other = format!("{ID} 10.0.0.1:1@2 master - 0 0 1 connected");
        for text in [
            format!("{me}\n{other}\n"),
            format!("{me} 16384"),
            format!("{me} 5-4"),
            format!("{me} [5->-{ID}]"),
            "vars currentEpoch 1".into(),
            "hello".into(),
            me.replace(" 1 connected", " x connected"),
            me.replace("- 0", &format!("{ID} 0")),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
