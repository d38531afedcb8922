//! `--stat`: a line of figures of the server, again and again.

use std::time::Duration;

use super::client::{Client, write_out};
use super::scan::ask;

/// The headings are repeated after so many lines.
const LINES_PER_HEADING: u64 = 20;

/// # Errors
/// The server refuses INFO, or the connection is gone.
pub fn run(client: &mut Client) -> Result<(), String> {
    let interval = match client.options.interval {
        Duration::ZERO => Duration::from_secs(1),
        given => given,
    };
    let mut requests_before: Option<i64> = None;
    for line in 0u64.. {
        let reply = ask(client, &["INFO"])?;
        let info = String::from_utf8_lossy(reply.text().unwrap_or_default()).into_owned();
        if line % LINES_PER_HEADING == 0 {
            write_out(
                b"------- data ------ --------------------- load -------------------- - child -\n\
                keys       mem      clients blocked requests            connections          \n",
            );
        }
        let requests = number(&info, "total_commands_processed");
        let delta = requests_before.map_or(0, |before| requests - before);
        requests_before = Some(requests);
        let child = match (number(&info, "rdb_bgsave_in_progress"), number(&info, "aof_rewrite_in_progress")) {
            (0, 0) => "",
            (_, 0) => "SAVE",
            (0, _) => "AOF",
            _ => "SAVE+AOF",
        };
        let text = format!(
            "{:<10} {:<8} {:<7} {:<7} {:<19} {:<12} {child}\n",
            keys(&info),
            human(number(&info, "used_memory")),
            number(&info, "connected_clients"),
            number(&info, "blocked_clients"),
            format!("{requests} (+{delta})"),
            number(&info, "total_connections_received"),
        );
        write_out(text.as_bytes());
        std::thread::sleep(interval);
    }
    Ok(())
}

fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))
}

fn number(info: &str, name: &str) -> i64 {
    field(info, name).and_then(|v| v.trim().parse().ok()).unwrap_or(0)
}

/// The keys of all databases together: `db0:keys=2,expires=0,...`.
fn keys(info: &str) -> i64 {
    let of_line = |line: &str| -> Option<i64> {
        let (database, rest) = line.strip_prefix("db")?.split_once(":keys=")?;
        database.parse::<u32>().ok()?;
        rest.split(',').next()?.parse().ok()
    };
    info.lines().filter_map(of_line).sum()
}

/// Bytes with a unit.
fn human(bytes: i64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B", "K", "M", "G", "T"] {
        if amount < 1024.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{amount:.2}{unit}") };
        }
        amount /= 1024.0;
    }
    format!("{amount:.2}P")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_info() {
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1M\r\n# Keyspace\r\ndb0:keys=2,expires=0\r\ndb9:keys=3,expires=1\r\n";
        assert_eq!((number(info, "used_memory"), keys(info), number(info, "nothing")), (1_048_576, 5, 0));
        assert_eq!((human(512), human(1_048_576), human(1536)), ("512B".into(), "1.00M".into(), "1.50K".into()));
    }
}
