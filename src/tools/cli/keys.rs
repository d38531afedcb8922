//! `--bigkeys`, `--memkeys`, `--hotkeys`: a walk over all keys that remembers the largest, and the hottest.
//!
//! Keys come and go while the walk goes on: what is gone when it is measured counts as nothing.

use std::time::Duration;

use super::client::{Client, write_out};
use super::scan::{Walk, ask};
use super::words;
use crate::resp::client::Value;

/// `--interval` is slept once in so many pages.
const PAGES_PER_PAUSE: u64 = 100;

/// What is known of one type.
struct TypeTotals {
    name: String,
    size_command: Option<&'static str>,
    unit: &'static str,
    keys: u64,
    size: u64,
    biggest: u64,
    biggest_key: Vec<u8>,
}

impl TypeTotals {
    fn new(name: &str, size_command: Option<&'static str>, unit: &'static str) -> TypeTotals {
        TypeTotals { name: name.to_string(), size_command, unit, keys: 0, size: 0, biggest: 0, biggest_key: Vec::new() }
    }
}

fn known_types() -> Vec<TypeTotals> {
    vec![
        TypeTotals::new("list", Some("LLEN"), "items"),
        TypeTotals::new("hash", Some("HLEN"), "fields"),
        TypeTotals::new("stream", Some("XLEN"), "entries"),
        TypeTotals::new("string", Some("STRLEN"), "bytes"),
        TypeTotals::new("set", Some("SCARD"), "members"),
        TypeTotals::new("zset", Some("ZCARD"), "members"),
    ]
}

/// `--bigkeys`.
///
/// # Errors
/// The server refuses, or the connection is gone.
pub fn big(client: &mut Client) -> Result<(), String> {
    sizes(
        client,
        "the keys with the most elements",
        |totals, key| totals.size_command.map(|command| vec![command.as_bytes().to_vec(), key.to_vec()]),
        false,
    )
}

/// `--memkeys`.
///
/// # Errors
/// As [`big`].
pub fn memory(client: &mut Client, samples: Option<u64>) -> Result<(), String> {
    sizes(
        client,
        "the keys that take the most memory",
        |_, key| {
            let mut request = vec![b"MEMORY".to_vec(), b"USAGE".to_vec(), key.to_vec()];
            if let Some(samples) = samples {
                request.extend([b"SAMPLES".to_vec(), samples.to_string().into_bytes()]);
            }
            Some(request)
        },
        true,
    )
}

fn introduction(what: &str) {
    write_out(format!("\n# Walking over all keys to find {what}.\n# Add -i 0.1 to rest 0.1 seconds after every {PAGES_PER_PAUSE} SCANs.\n\n").as_bytes());
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(&words::quoted(key)).into_owned()
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

fn sizes(
    client: &mut Client,
    what: &str,
    request: impl Fn(&TypeTotals, &[u8]) -> Option<Vec<Vec<u8>>>,
    in_bytes: bool,
) -> Result<(), String> {
    let total = database_size(client)?;
    introduction(what);
    let mut types = known_types();
    let (mut sampled, mut name_bytes) = (0u64, 0u64);
    let mut walk = Walk::new();
    let mut pages = 0;
    while let Some(keys) = walk.next_page(client)? {
        let names = types_of(client, &keys)?;
        let share = percent(sampled, total).min(100.0);
        let mut asked = Vec::new();
        let mut requests = Vec::new();
        for (key, name) in keys.iter().zip(&names) {
            // Gone since SCAN saw it.
            if name == "none" || name.is_empty() {
                continue;
            }
            let index = types.iter().position(|t| t.name == *name).unwrap_or_else(|| {
                types.push(TypeTotals::new(name, None, "?"));
                types.len() - 1
            });
            sampled += 1;
            name_bytes += key.len() as u64;
            let Some(totals) = types.get_mut(index) else { continue };
            totals.keys += 1;
            if let Some(r) = request(totals, key) {
                requests.push(r);
                asked.push((index, key));
            }
        }
        let connection = client.connection.as_mut().ok_or("not connected")?;
        let replies = connection.ask_all(&requests)?;
        for ((index, key), reply) in asked.into_iter().zip(replies) {
            if let (true, Value::Error(text)) = (in_bytes, &reply) {
                return Err(String::from_utf8_lossy(text).into_owned());
            }
            let size = reply.integer().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            let Some(totals) = types.get_mut(index) else { continue };
            totals.size = totals.size.saturating_add(size);
            if size > totals.biggest {
                totals.biggest = size;
                totals.biggest_key.clone_from(key);
                let unit = if in_bytes { "bytes" } else { totals.unit };
                let line = format!(
                    "[{:05.2}%] Biggest {:<6} found so far '{}' with {size} {unit}\n",
                    share,
                    totals.name,
                    shown(key)
                );
                write_out(line.as_bytes());
            }
        }
        pause(client, &mut pages);
    }
    write_out(summary(&types, sampled, name_bytes, in_bytes).as_bytes());
    Ok(())
}

fn summary(types: &[TypeTotals], sampled: u64, name_bytes: u64, in_bytes: bool) -> String {
    let average = |sum: u64, n: u64| if n == 0 { 0.0 } else { sum as f64 / n as f64 };
    let unit = |t: &TypeTotals| if in_bytes { "bytes" } else { t.unit };
    let mut out = format!(
        "\n-------- Summary --------\n\nSampled {sampled} keys in the keyspace!\nTotal key length in bytes is {name_bytes} (avg len {:.2})\n\n",
        average(name_bytes, sampled)
    );
    for t in types.iter().filter(|t| t.biggest > 0) {
        out.push_str(&format!(
            "Biggest {:>6} found '{}' has {} {}\n",
            t.name,
            shown(&t.biggest_key),
            t.biggest,
            unit(t)
        ));
    }
    out.push('\n');
    for t in types {
        out.push_str(&format!(
            "{} {}s with {} {} ({:05.2}% of keys, avg size {:.2})\n",
            t.keys,
            t.name,
            t.size,
            unit(t),
            percent(t.keys, sampled),
            average(t.size, t.keys)
        ));
    }
    out
}

/// `--hotkeys`.
///
/// # Errors
/// No LFU policy, so that nothing is counted; or as [`big`].
pub fn hot(client: &mut Client, count: usize) -> Result<(), String> {
    let total = database_size(client)?;
    introduction("the keys used most often");
    let mut hottest: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut sampled = 0u64;
    let mut walk = Walk::new();
    let mut pages = 0;
    while let Some(keys) = walk.next_page(client)? {
        let requests: Vec<_> = keys.iter().map(|k| vec![b"OBJECT".to_vec(), b"FREQ".to_vec(), k.clone()]).collect();
        let connection = client.connection.as_mut().ok_or("not connected")?;
        let replies = connection.ask_all(&requests)?;
        let share = percent(sampled, total).min(100.0);
        for (key, reply) in keys.into_iter().zip(replies) {
            sampled += 1;
            let frequency = match reply {
                Value::Integer(n) => n,
                Value::Error(text) => return Err(String::from_utf8_lossy(&text).into_owned()),
                _ => continue,
            };
            let full = hottest.len() == count;
            if frequency == 0 || (full && hottest.last().is_some_and(|(least, _)| frequency <= *least)) {
                continue;
            }
            let at = hottest.partition_point(|(f, _)| *f >= frequency);
            let line = format!("[{:05.2}%] Hot key '{}' found so far with counter {frequency}\n", share, shown(&key));
            write_out(line.as_bytes());
            hottest.insert(at, (frequency, key));
            hottest.truncate(count);
        }
        pause(client, &mut pages);
    }
    let mut out = format!("\n-------- Summary --------\n\nSampled {sampled} keys in the keyspace!\n");
    for (frequency, key) in &hottest {
        out.push_str(&format!("hot key found with counter: {frequency}\tkeyname: {}\n", shown(key)));
    }
    write_out(out.as_bytes());
    Ok(())
}

fn database_size(client: &mut Client) -> Result<u64, String> {
    let size = ask(client, &["DBSIZE"])?;
    Ok(size.integer().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

fn types_of(client: &mut Client, keys: &[Vec<u8>]) -> Result<Vec<String>, String> {
    let requests: Vec<_> = keys.iter().map(|k| vec![b"TYPE".to_vec(), k.clone()]).collect();
    let replies = client.connection.as_mut().ok_or("not connected")?.ask_all(&requests)?;
    let name = |reply: Value| match reply {
        Value::Error(text) => Err(String::from_utf8_lossy(&text).into_owned()),
        other => Ok(String::from_utf8_lossy(other.text().unwrap_or_default()).into_owned()),
    };
    replies.into_iter().map(name).collect()
}

fn pause(client: &Client, pages: &mut u64) {
    *pages += 1;
    let interval: Duration = client.options.interval;
    if !interval.is_zero() && pages.is_multiple_of(PAGES_PER_PAUSE) {
        std::thread::sleep(interval);
    }
}
