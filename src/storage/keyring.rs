//! The keys that data keys are wrapped under, and whether new files are sealed.
//!
//! A text of keys has one key of 64 hexadecimal digits a line; `#` begins a remark. New files are sealed under the first. The others open
//! what was sealed before: a key is changed by putting the new one in front, and the old one can go when no file names it any more.

use crate::crypto::{SealingKey, hex, sha256};
use parking_lot::RwLock;
use std::io::{self, Read};
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

/// Keys that are looked through for a file; more are a mistake.
const KEYS_MAX: usize = 64;
/// A text of keys is no longer.
const TEXT_MAX: u64 = 64 << 10;

/// What is done with files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sealing {
    /// New files are plain; sealed ones are opened if there is a key.
    #[default]
    Off,
    /// New files are sealed; plain ones are still loaded.
    Migrate,
    /// New files are sealed; plain ones are refused, since anybody could have put them there.
    On,
}

/// Which key, without telling the key: the first 8 bytes of a digest over it.
pub type KeyId = [u8; 8];

/// See the module.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<(KeyId, SealingKey)>,
    sealing: Sealing,
}

impl Keyring {
    /// The keys of a text.
    ///
    /// # Errors
    /// What is wrong with it, by line; never what the line says.
    pub fn parse(text: &str, sealing: Sealing) -> Result<Keyring, String> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = digits(line).ok_or_else(|| format!("line {} is no key of 64 hexadecimal digits", n + 1))?;
            if keys.len() == KEYS_MAX {
                return Err(format!("there are more than {KEYS_MAX} keys"));
            }
            let sealing_key = SealingKey::new(&key).map_err(|e| e.to_string())?;
            keys.push((id_of(&key), sealing_key));
        }
        if keys.is_empty() {
            return Err("there is no key (make one with `openssl rand -hex 32`)".into());
        }
        Ok(Keyring { keys, sealing })
    }

    /// The keys of a source: `file:PATH`, `env:NAME`, or `command:PROGRAM ARGUMENTS`, which prints them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(source: &str, sealing: Sealing) -> Result<Keyring, String> {
        let text = match source.split_once(':') {
            Some(("file", path)) => read_text(path).map_err(|e| format!("{path} cannot be read: {e}"))?,
            Some(("env", name)) => {
                let text = std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?;
                Zeroizing::new(text)
            }
            Some(("command", line)) => output_of(line)?,
            _ => return Err("it has to be file:PATH, env:NAME or command:PROGRAM ARGUMENTS".into()),
        };
        Keyring::parse(&text, sealing)
    }

    pub fn sealing(&self) -> Sealing {
        self.sealing
    }

    /// True if new files are sealed.
    pub fn seals(&self) -> bool {
        self.sealing != Sealing::Off && !self.keys.is_empty()
    }

    /// The key new files are sealed under.
    pub(super) fn first(&self) -> Option<&(KeyId, SealingKey)> {
        self.keys.first()
    }

    pub(super) fn key(&self, id: &KeyId) -> Option<&SealingKey> {
        self.keys.iter().find(|k| k.0 == *id).map(|k| &k.1)
    }

    /// True if a file that has this key, or none, is not what a new one would be.
    pub fn would_seal(&self, key: Option<&KeyId>) -> bool {
        self.seals() && self.keys.first().map(|k| &k.0) != key
    }

    /// True if what is sealed under this key can be opened.
    pub fn has(&self, id: &KeyId) -> bool {
        self.key(id).is_some()
    }

    /// The ids of all keys, the first first.
    pub fn ids(&self) -> String {
        let ids: Vec<String> = self.keys.iter().map(|k| hex(&k.0)).collect();
        if ids.is_empty() { "none".into() } else { ids.join(", ") }
    }
}

fn id_of(key: &[u8; 32]) -> KeyId {
    let mut text = Zeroizing::new(b"holdfast key id:".to_vec());
    text.extend_from_slice(key);
    let digest = sha256(&text);
    let mut id = KeyId::default();
    id.copy_from_slice(&digest[..8]);
    id
}

fn digits(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (n, pair) in text.chunks_exact(2).enumerate() {
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        key[n] = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Seconds a command may take to print the keys.
const COMMAND_SECONDS: u64 = 30;

/// What a command prints. There is no shell: words are parted by blanks.
fn output_of(line: &str) -> Result<Zeroizing<String>, String> {
    use std::process::{Command, Stdio};
    let mut words = line.split_whitespace();
    let program = words.next().ok_or("the command has no program")?;
    let failed = |e: io::Error| format!("the command {program} failed: {e}");
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("the command {program} cannot be started: {e}"))?;
    let out = child.stdout.take();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::Builder::new().name("key-command".into()).spawn(move || {
        let _ = sender.send(out.map_or(Ok(Zeroizing::default()), read_all));
    });
    reader.map_err(failed)?;
    let Ok(text) = receiver.recv_timeout(std::time::Duration::from_secs(COMMAND_SECONDS)) else {
        let _ = child.kill().and_then(|()| child.wait());
        return Err(format!("the command {program} took more than {COMMAND_SECONDS} seconds"));
    };
    // Its output has ended, or is too long: it has nothing left to say.
    let text = text.map_err(failed).inspect_err(|_| drop(child.kill()))?;
    match child.wait().map_err(failed)? {
        status if status.success() => Ok(text),
        status => Err(format!("the command {program} ended with {status}")),
    }
}

fn read_text(path: &str) -> io::Result<Zeroizing<String>> {
    read_all(super::open_secret(std::path::Path::new(path))?)
}

fn read_all(from: impl Read) -> io::Result<Zeroizing<String>> {
    // Room for it all at once: keys leave no copies behind as it grows.
    let mut text = Zeroizing::new(String::with_capacity(TEXT_MAX as usize + 1));
    from.take(TEXT_MAX).read_to_string(&mut text)?;
    Ok(text)
}

static RING: LazyLock<RwLock<Arc<Keyring>>> = LazyLock::new(RwLock::default);

/// The keys of this process from now on.
pub fn install(ring: Keyring) {
    *RING.write() = Arc::new(ring);
}

/// The keys of this process; none before [`install`].
pub fn keyring() -> Arc<Keyring> {
    Arc::clone(&RING.read())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_keys_is_read_whole_or_refused_by_line() {
        let (a, b) = ("11".repeat(32), "aF".repeat(32));
        let ring = Keyring::parse(&format!("# new\n{a}\n\n  {b}\r\n"), Sealing::On).unwrap();
        assert_eq!(ring.keys.len(), 2);
        assert!(ring.seals());
        assert!(!ring.ids().contains(&a[..16]), "an id tells nothing of its key");
        for (text, why) in [
            ("# nothing\n".to_string(), "no key"),
            (format!("{a}\n{}", &b[1..]), "line 2"),
            (format!("{}x", &a[1..]), "line 1"),
        ] {
            let e = Keyring::parse(&text, Sealing::On).unwrap_err();
            assert!(e.contains(why), "{e}");
        }
        assert!(Keyring::read("elsewhere", Sealing::On).unwrap_err().contains("file:PATH"));
    }
}
