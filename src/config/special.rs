//! Codecs of the directives that take several words with rules of their own.
//!
//! Invariants: as in `codec`; error texts are the ones Valkey's clients see.

use super::codec::{Codec, integer, memory};
use super::row::{Kind, Source};
use super::types::{
    BindAddress, KeyspaceEvents, OutputLimit, OutputLimits, Percentiles, Rename, SavePoint, ShutdownOptions,
};

/// More addresses than this are not bound: as many as Valkey keeps.
const BIND_ADDRESSES_MAX: usize = 16;

fn utf8(word: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(word).map_err(|_| "argument must be valid UTF-8".into())
}

/// A word list that is empty: no words, or one empty word.
fn is_empty(words: &[Vec<u8>]) -> bool {
    words.iter().all(Vec::is_empty) && words.len() <= 1
}

fn joined(words: impl IntoIterator<Item = String>) -> Vec<u8> {
    words.into_iter().collect::<Vec<_>>().join(" ").into_bytes()
}

/// `bind`: addresses, a `-` before one that may be unavailable.
pub struct Bind;

impl Codec<Vec<BindAddress>> for Bind {
    fn parse(&self, words: &[Vec<u8>], _: &Vec<BindAddress>, _: Source) -> Result<Vec<BindAddress>, String> {
        if is_empty(words) {
            return Ok(Vec::new());
        }
        if words.len() > BIND_ADDRESSES_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        let mut addresses = Vec::with_capacity(words.len());
        for word in words.iter().filter(|word| !word.is_empty()) {
            let text = utf8(word)?;
            let (address, optional) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
            addresses.push(BindAddress { address: address.to_string(), optional });
        }
        Ok(addresses)
    }
    fn print(&self, value: &Vec<BindAddress>) -> Vec<u8> {
        joined(value.iter().map(|one| format!("{}{}", if one.optional { "-" } else { "" }, one.address)))
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "addresses, each with - before it if it may be unavailable" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `save`: pairs of seconds and changes; empty takes all of them away.
pub struct Save;

impl Codec<Vec<SavePoint>> for Save {
    fn parse(&self, words: &[Vec<u8>], current: &Vec<SavePoint>, source: Source) -> Result<Vec<SavePoint>, String> {
        if is_empty(words) {
            return Ok(Vec::new());
        }
        let wrong = || "Invalid save parameters".to_string();
        let mut points = match source {
            // The first line takes the place of the default, further ones add to it.
            Source::Load if *current == super::directives::Config::defaults().persistence.save => Vec::new(),
            Source::Load => current.clone(),
            Source::Runtime => Vec::new(),
        };
        if !words.len().is_multiple_of(2) {
            return Err(wrong());
        }
        for pair in words.chunks_exact(2) {
            let [seconds, changes] = pair else { return Err(wrong()) };
            let after_secs = integer(seconds).filter(|secs| *secs >= 1).and_then(|secs| u64::try_from(secs).ok());
            let changes = integer(changes).filter(|count| *count >= 0).and_then(|count| u32::try_from(count).ok());
            let (Some(after_secs), Some(changes)) = (after_secs, changes) else { return Err(wrong()) };
            points.push(SavePoint { after_secs, changes });
        }
        Ok(points)
    }
    fn print(&self, value: &Vec<SavePoint>) -> Vec<u8> {
        joined(value.iter().map(|point| format!("{} {}", point.after_secs, point.changes)))
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "pairs of seconds and changes, or \"\" for none" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `client-output-buffer-limit`: class, hard limit, soft limit, seconds; classes that are not named keep theirs.
pub struct OutputBuffers;

impl Codec<OutputLimits> for OutputBuffers {
    fn parse(&self, words: &[Vec<u8>], current: &OutputLimits, _: Source) -> Result<OutputLimits, String> {
        let mut limits = *current;
        if is_empty(words) {
            return Ok(limits);
        }
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for group in words.chunks_exact(4) {
            let [class, hard, soft, seconds] = group else { continue };
            let slot = match class.to_ascii_lowercase().as_slice() {
                b"normal" => &mut limits.normal,
                b"replica" | b"slave" => &mut limits.replica,
                b"pubsub" => &mut limits.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            let seconds = integer(seconds).and_then(|seconds| u32::try_from(seconds).ok());
            let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) = (memory(hard), memory(soft), seconds) else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
            };
            *slot = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
        }
        Ok(limits)
    }
    fn print(&self, value: &OutputLimits) -> Vec<u8> {
        // CONFIG GET keeps the old word for replicas; tools compare this text.
        joined(
            [("normal", value.normal), ("slave", value.replica), ("pubsub", value.pubsub)].map(|(class, limit)| {
                format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
            }),
        )
    }
    fn lines(&self, value: &OutputLimits) -> Vec<Vec<Vec<u8>>> {
        [("normal", value.normal), ("replica", value.replica), ("pubsub", value.pubsub)]
            .map(|(class, limit)| {
                vec![
                    class.as_bytes().to_vec(),
                    limit.hard_bytes.to_string().into_bytes(),
                    limit.soft_bytes.to_string().into_bytes(),
                    limit.soft_seconds.to_string().into_bytes(),
                ]
            })
            .to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "class (normal | replica | pubsub), hard limit, soft limit, seconds" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `oom-score-adj-values`: primary, replica, background children.
pub struct OomValues;

impl Codec<[i32; 3]> for OomValues {
    fn parse(&self, words: &[Vec<u8>], _: &[i32; 3], _: Source) -> Result<[i32; 3], String> {
        let [primary, replica, child] = words else { return Err("wrong number of arguments".into()) };
        let number = |word: &[u8]| {
            let value = integer(word).filter(|value| (-2000..=2000).contains(value));
            value
                .and_then(|value| i32::try_from(value).ok())
                .ok_or_else(|| "Invalid oom-score-adj-values, elements must be between -2000 and 2000.".to_string())
        };
        Ok([number(primary)?, number(replica)?, number(child)?])
    }
    fn print(&self, value: &[i32; 3]) -> Vec<u8> {
        joined(value.map(|number| number.to_string()))
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "three integers, -2000 to 2000" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `notify-keyspace-events`: letters of classes.
pub struct Events;

impl Codec<KeyspaceEvents> for Events {
    fn parse(&self, words: &[Vec<u8>], _: &KeyspaceEvents, _: Source) -> Result<KeyspaceEvents, String> {
        let mut bits = 0;
        for &letter in words.iter().flatten() {
            bits |= match KeyspaceEvents::LETTERS.iter().find(|(own, _)| *own == letter) {
                Some((_, bit)) => *bit,
                None if letter == b'A' => KeyspaceEvents::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
        }
        Ok(KeyspaceEvents(bits))
    }
    fn print(&self, value: &KeyspaceEvents) -> Vec<u8> {
        let mut text = Vec::new();
        let all = value.0 & KeyspaceEvents::ALL == KeyspaceEvents::ALL;
        if all {
            text.push(b'A');
        }
        let shown = KeyspaceEvents::LETTERS.iter().filter(|(_, bit)| !(all && KeyspaceEvents::ALL & bit != 0));
        text.extend(shown.filter(|(_, bit)| value.contains(*bit)).map(|(letter, _)| *letter));
        text
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "letters out of Ag$lshzxeKEtmdn" }
    }
}

/// `latency-tracking-info-percentiles`: numbers from 0 to 100.
pub struct Percents;

impl Codec<Percentiles> for Percents {
    fn parse(&self, words: &[Vec<u8>], _: &Percentiles, _: Source) -> Result<Percentiles, String> {
        if is_empty(words) {
            return Ok(Percentiles::default());
        }
        let number = |word: &Vec<u8>| {
            let value = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
            let value = value.filter(|value| !value.is_nan());
            let value = value.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if !(0.0..=100.0).contains(&value) {
                return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_string());
            }
            // Kept as precisely as it is printed, so that a saved value is the same value.
            Ok(format!("{value:.6}").parse().unwrap_or(value))
        };
        Ok(Percentiles(words.iter().map(number).collect::<Result<_, String>>()?))
    }
    fn print(&self, value: &Percentiles) -> Vec<u8> {
        joined(value.0.iter().map(|percent| {
            let text = format!("{percent:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        }))
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "numbers from 0 to 100, or \"\" for none" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `shutdown-on-sigint`, `shutdown-on-sigterm`.
pub struct Shutdown;

impl Codec<ShutdownOptions> for Shutdown {
    fn parse(&self, words: &[Vec<u8>], _: &ShutdownOptions, _: Source) -> Result<ShutdownOptions, String> {
        let mut options = ShutdownOptions::default();
        let wrong = || {
            "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover".to_string()
        };
        if is_empty(words) {
            return Err(wrong());
        }
        for word in words {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => options.save = true,
                b"nosave" => options.nosave = true,
                b"now" => options.now = true,
                b"force" => options.force = true,
                b"safe" => options.safe = true,
                b"failover" => options.failover = true,
                _ => return Err(wrong()),
            }
        }
        if options.save && options.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(options)
    }
    fn print(&self, value: &ShutdownOptions) -> Vec<u8> {
        let words = [
            (value.save, "save"),
            (value.nosave, "nosave"),
            (value.now, "now"),
            (value.force, "force"),
            (value.safe, "safe"),
            (value.failover, "failover"),
        ];
        let chosen: Vec<String> = words.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).into()).collect();
        if chosen.is_empty() { b"default".to_vec() } else { joined(chosen) }
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "default, or words out of save nosave now force safe failover" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `replicaof`: host and port, or `no one`.
pub struct Primary;

impl Codec<Option<(String, u16)>> for Primary {
    fn parse(&self, words: &[Vec<u8>], _: &Option<(String, u16)>, _: Source) -> Result<Option<(String, u16)>, String> {
        if is_empty(words) {
            return Ok(None);
        }
        let [host, port] = words else { return Err("wrong number of arguments".into()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(None);
        }
        let port = integer(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid primary port")?;
        Ok(Some((utf8(host)?.to_string(), port)))
    }
    fn print(&self, value: &Option<(String, u16)>) -> Vec<u8> {
        value.as_ref().map_or_else(Vec::new, |(host, port)| format!("{host} {port}").into_bytes())
    }
    fn lines(&self, value: &Option<(String, u16)>) -> Vec<Vec<Vec<u8>>> {
        let line = |(host, port): &(String, u16)| vec![host.as_bytes().to_vec(), port.to_string().into_bytes()];
        value.iter().map(line).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "host and port" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `rename-command`: a command and its new name; each line adds one.
pub struct Renames;

/// More renamed commands than this are not kept: there are fewer commands.
const RENAMES_MAX: usize = 1024;

impl Codec<Vec<Rename>> for Renames {
    fn parse(&self, words: &[Vec<u8>], current: &Vec<Rename>, _: Source) -> Result<Vec<Rename>, String> {
        let [from, to] = words else { return Err("wrong number of arguments".into()) };
        if current.len() >= RENAMES_MAX {
            return Err("too many renamed commands".into());
        }
        let rename = Rename { from: utf8(from)?.to_string(), to: utf8(to)?.to_string() };
        Ok(current.iter().cloned().chain([rename]).collect())
    }
    fn print(&self, value: &Vec<Rename>) -> Vec<u8> {
        joined(value.iter().map(|rename| format!("{} {}", rename.from, rename.to)))
    }
    fn lines(&self, value: &Vec<Rename>) -> Vec<Vec<Vec<u8>>> {
        value.iter().map(|rename| vec![rename.from.as_bytes().to_vec(), rename.to.as_bytes().to_vec()]).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "command and new name, \"\" to take it away; may repeat" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// A directive that may repeat, each line kept as text (`user`, `loadmodule`).
pub struct Lines;

impl Codec<Vec<String>> for Lines {
    fn parse(&self, words: &[Vec<u8>], current: &Vec<String>, _: Source) -> Result<Vec<String>, String> {
        let line = words.iter().map(|word| utf8(word)).collect::<Result<Vec<_>, _>>()?.join(" ");
        Ok(current.iter().cloned().chain([line]).collect())
    }
    fn print(&self, value: &Vec<String>) -> Vec<u8> {
        joined(value.iter().cloned())
    }
    fn lines(&self, value: &Vec<String>) -> Vec<Vec<Vec<u8>>> {
        value.iter().map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()).collect()).collect()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "words; may repeat" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// The words of a `user` line: the name, then its rules.
pub type UserLine = Vec<Vec<u8>>;

/// `user`: a user and its rules; each line adds one.
pub struct Users;

impl Codec<Vec<UserLine>> for Users {
    fn parse(&self, words: &[Vec<u8>], current: &Vec<UserLine>, _: Source) -> Result<Vec<UserLine>, String> {
        let Some(name) = words.first() else { return Err("wrong number of arguments".into()) };
        if current.iter().any(|line| line.first() == Some(name)) {
            return Err(format!(
                "Error in user declaration '{}': Duplicate user found. A user can only be defined once in config files",
                String::from_utf8_lossy(name)
            ));
        }
        Ok(current.iter().cloned().chain([words.to_vec()]).collect())
    }
    fn print(&self, value: &Vec<UserLine>) -> Vec<u8> {
        value.iter().map(|line| line.join(&b' ')).collect::<Vec<_>>().join(&b' ')
    }
    fn lines(&self, value: &Vec<UserLine>) -> Vec<Vec<Vec<u8>>> {
        value.clone()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "a name and rules; may repeat" }
    }
    fn multi(&self) -> bool {
        true
    }
}

/// `tls-protocols`: versions of TLS; empty is every approved one.
pub struct TlsProtocols;

impl Codec<String> for TlsProtocols {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: Source) -> Result<String, String> {
        let text = utf8(words.first().map_or(&[], Vec::as_slice))?;
        for version in text.split_ascii_whitespace() {
            match version.to_ascii_lowercase().as_str() {
                "tlsv1.2" | "tlsv1.3" => {}
                "sslv3" | "tlsv1" | "tlsv1.0" | "tlsv1.1" => {
                    return Err(format!("'{version}' is not an approved protocol: use TLSv1.2 and TLSv1.3"));
                }
                _ => return Err(format!("'{version}' is not a protocol: use TLSv1.2 and TLSv1.3")),
            }
        }
        Ok(text.to_string())
    }
    fn print(&self, value: &String) -> Vec<u8> {
        value.as_bytes().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "versions out of TLSv1.2 TLSv1.3, or \"\" for both" }
    }
}

/// `tls-ciphers` (TLS 1.2) or `tls-ciphersuites` (TLS 1.3): names with `:` between them; empty is every approved one.
pub struct TlsNames {
    /// The approved names.
    pub approved: &'static [&'static str],
    /// OpenSSL's words for groups and exclusions are let through: what is left of them is approved anyway.
    pub openssl_list: bool,
}

/// What OpenSSL's cipher lists say about groups; each of them selects among what is approved.
const OPENSSL_GROUPS: &[&str] = &["DEFAULT", "HIGH", "ALL", "FIPS", "ECDHE", "AESGCM", "AES", "ECDSA", "RSA"];

impl Codec<String> for TlsNames {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: Source) -> Result<String, String> {
        let text = utf8(words.first().map_or(&[], Vec::as_slice))?;
        for name in text.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
            let approved = self.approved.iter().any(|own| own.eq_ignore_ascii_case(name));
            let exclusion = self.openssl_list && name.starts_with(['!', '-', '@']);
            let group = self.openssl_list
                && name.split('+').all(|part| OPENSSL_GROUPS.iter().any(|own| own.eq_ignore_ascii_case(part)));
            if !(approved || exclusion || group) {
                return Err(format!("'{name}' is not an approved cipher suite: use {}", self.approved.join(":")));
            }
        }
        Ok(text.to_string())
    }
    fn print(&self, value: &String) -> Vec<u8> {
        value.as_bytes().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "names with : between them, or \"\" for every approved one" }
    }
}
