//! The scripts the server knows by their digest.
//!
//! What EVAL brings is kept while it is among the last [`EVALS_MAX`] used; what SCRIPT LOAD brings stays until SCRIPT FLUSH.

use super::source::Header;
use crate::crypto;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Scripts that came with EVAL and are kept; the number is Valkey's.
pub const EVALS_MAX: usize = 500;

/// SHA-1 of a script's text.
pub type Digest = [u8; 20];

/// A digest is its own hash: whoever wants many that fall together pays millions of digests for each.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHasher(u64);

pub type DigestHash = std::hash::BuildHasherDefault<DigestHasher>;

impl std::hash::Hasher for DigestHasher {
    /// The length that is written first says nothing, and is written over.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A script: its text and what its first line says.
#[derive(Debug)]
pub struct Script {
    pub digest: Digest,
    pub source: Vec<u8>,
    pub header: Header,
    /// What it may reach, once somebody has asked.
    pub reach: OnceLock<Locks>,
}

/// The locks a script needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locks {
    /// All: it may reach any key.
    All,
    /// Those of the keys that its call declares, and of these, which it names itself; `bounded` if it ends soon by itself.
    Some { named: Vec<Vec<u8>>, bounded: bool },
}

#[derive(Debug)]
struct Kept {
    script: Arc<Script>,
    loaded: bool,
    used: u64,
}

#[derive(Debug, Default)]
struct Inner {
    scripts: HashMap<Digest, Kept, DigestHash>,
    clock: u64,
    evals: usize,
    bytes: usize,
}

/// All scripts by digest.
#[derive(Debug, Default)]
pub struct Cache {
    inner: Mutex<Inner>,
    /// Grows when scripts go, so that VMs drop what they compiled.
    epoch: AtomicU64,
}

/// What each byte is worth as a hexadecimal digit; 0xff if it is none.
static DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut n = 0;
    while n < 16 {
        digits[b"0123456789abcdef"[n] as usize] = n as u8;
        digits[b"0123456789ABCDEF"[n] as usize] = n as u8;
        n += 1;
    }
    digits
};

/// Bytes an entry takes beside its text.
const ENTRY: usize = size_of::<Kept>() + size_of::<Script>() + size_of::<Digest>();

impl Cache {
    /// The digest of a text.
    pub fn digest(source: &[u8]) -> Digest {
        crypto::sha1(source)
    }

    /// A digest from its 40 hexadecimal digits.
    pub fn parse(text: &[u8]) -> Option<Digest> {
        let mut out = [0; 20];
        if text.len() != 40 {
            return None;
        }
        let mut all = 0;
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let (high, low) = (DIGITS[pair[0] as usize], DIGITS[pair[1] as usize]);
            *byte = high << 4 | low & 0xf;
            all |= high | low;
        }
        (all < 0x10).then_some(out)
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A script, which is in use now.
    pub fn get(&self, digest: &Digest) -> Option<Arc<Script>> {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        let kept = inner.scripts.get_mut(digest)?;
        kept.used = now;
        Some(Arc::clone(&kept.script))
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.inner.lock().scripts.contains_key(digest)
    }

    /// Keeps a script. Returns how many others had to go for it.
    pub fn add(&self, script: Arc<Script>, loaded: bool) -> usize {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let used = inner.clock;
        if let Some(kept) = inner.scripts.get_mut(&script.digest) {
            kept.used = used;
            if loaded && !kept.loaded {
                kept.loaded = true;
                inner.evals -= 1;
            }
            return 0;
        }
        let mut gone = 0;
        if !loaded {
            while inner.evals >= EVALS_MAX {
                let oldest = inner.scripts.iter().filter(|(_, k)| !k.loaded).min_by_key(|(_, k)| k.used);
                let Some(digest) = oldest.map(|(d, _)| *d) else { break };
                if let Some(old) = inner.scripts.remove(&digest) {
                    inner.bytes -= old.script.source.len() + ENTRY;
                }
                inner.evals -= 1;
                gone += 1;
            }
            inner.evals += 1;
        }
        inner.bytes += script.source.len() + ENTRY;
        inner.scripts.insert(script.digest, Kept { script, loaded, used });
        gone
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let old = std::mem::take(&mut *self.inner.lock());
        self.epoch.fetch_add(1, Ordering::AcqRel);
        drop(old);
    }

    pub fn len(&self) -> usize {
        self.inner.lock().scripts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the texts and their entries.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(n: usize) -> Arc<Script> {
        let source = format!("return {n}").into_bytes();
        Arc::new(Script { digest: Cache::digest(&source), source, header: Header::default(), reach: OnceLock::new() })
    }

    #[test]
    fn the_least_recently_used_script_of_eval_goes_and_loaded_ones_stay() {
        let cache = Cache::default();
        cache.add(script(0), true);
        for n in 1..=EVALS_MAX {
            assert_eq!(cache.add(script(n), false), 0);
        }
        assert!(cache.get(&script(1).digest).is_some());
        assert_eq!(cache.add(script(9999), false), 1);
        assert!(cache.contains(&script(0).digest) && cache.contains(&script(1).digest));
        assert!(!cache.contains(&script(2).digest));
        assert_eq!(cache.len(), EVALS_MAX + 1);
        cache.add(script(1), true);
        assert_eq!(cache.add(script(10_000), false), 0, "one was promoted and counts no more");
        cache.flush();
        assert_eq!((cache.len(), cache.bytes(), cache.epoch()), (0, 0, 1));
    }

    #[test]
    fn digests_are_read_in_any_case() {
        let d = Cache::digest(b"return 1");
        assert_eq!(Cache::parse(b"E0E1F9fabfc9d4800c877a703b823ac0578ff8db"), Some(d));
        assert_eq!(Cache::parse(b"e0e1"), None);
        assert_eq!(Cache::parse(&[b'x'; 40]), None);
    }
}
