//! `--lru-test`: acts as the user of a cache. Keys are asked for with a skewed distribution (a fifth of them gets four
//! fifths of the requests); what is missed is stored. With a `maxmemory` below the data the hits show how well the
//! eviction policy does.

use super::client::{Client, write_out};
use super::scan::ask;
use crate::base::clock::monotonic_ms;
use crate::base::hash::Random;
use crate::resp::client::Value;

/// Requests sent at once.
const BATCH: usize = 250;
/// x^k with this k sends 80 % of uniform numbers into the first 20 %: ln 0.2 / ln 0.8.
const SKEW: f64 = 7.212_567_439_021_949;

/// # Errors
/// The server refuses, or the connection is gone.
pub fn run(client: &mut Client, keys: u64) -> Result<(), String> {
    if keys == 0 {
        return Err("--lru-test needs a number of keys above 0".to_string());
    }
    ask(client, &["PING"])?;
    let mut random = Random::new(crate::base::clock::monotonic_ns());
    let mut key = || {
        let uniform = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let number = (uniform.powf(SKEW) * keys as f64) as u64;
        format!("lru:{number}")
    };
    loop {
        let (mut hits, mut misses) = (0u64, 0u64);
        let started = monotonic_ms();
        while monotonic_ms().saturating_sub(started) < 1000 {
            let wanted: Vec<String> = (0..BATCH).map(|_| key()).collect();
            let connection = client.connection.as_mut().ok_or("not connected")?;
            let gets: Vec<Vec<&str>> = wanted.iter().map(|k| vec!["GET", k]).collect();
            let replies = connection.ask_all(&gets)?;
            let mut sets: Vec<Vec<&str>> = Vec::new();
            for (key, reply) in wanted.iter().zip(replies) {
                match reply {
                    Value::Null => {
                        misses += 1;
                        sets.push(vec!["SET", key, "value"]);
                    }
                    Value::Error(text) => return Err(String::from_utf8_lossy(&text).into_owned()),
                    _ => hits += 1,
                }
            }
            if let Some(Value::Error(text)) = connection.ask_all(&sets)?.into_iter().find(Value::is_error) {
                return Err(String::from_utf8_lossy(&text).into_owned());
            }
        }
        let all = (hits + misses).max(1);
        let percent = |n: u64| n as f64 / all as f64 * 100.0;
        let line = format!(
            "{all} Gets/sec | Hits: {hits} ({:.2}%) | Misses: {misses} ({:.2}%)\n",
            percent(hits),
            percent(misses)
        );
        write_out(line.as_bytes());
    }
}
