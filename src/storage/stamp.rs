//! A text that anybody can read and nobody can change: its last line proves the lines before it, under a key of the ring.
//!
//! ```text
//! # sealed KEY-ID NONCE-AND-TAG      in hexadecimal digits; bound to: magic, key id, the name of the file, the text before it
//! ```
//! Other servers take it for a comment.

use super::keyring::{KeyId, Keyring, Sealing};
use crate::crypto::{from_hex, hex};
use std::fs;
use std::io;
use std::path::Path;

const MAGIC: &[u8] = b"HFSTAMP\0\x01";
const MARK: &str = "# sealed ";

fn bound(id: &KeyId, name: &str, text: &str) -> Vec<u8> {
    let mut bound = MAGIC.to_vec();
    bound.extend_from_slice(id);
    bound.extend_from_slice(&(name.len() as u64).to_le_bytes());
    bound.extend_from_slice(name.as_bytes());
    bound.extend_from_slice(text.as_bytes());
    bound
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The text of the file at `path` with its last line, under the ring's first key.
///
/// # Errors
/// There is no key, or the module fails.
pub fn stamp(ring: &Keyring, path: &Path, text: &str) -> io::Result<String> {
    let Some((id, key)) = ring.first() else { return Err(io::Error::other("there is no key to seal with")) };
    let mut proof = Vec::new();
    key.seal(&bound(id, &name_of(path), text), &[], &mut proof)?;
    Ok(format!("{text}{MARK}{} {}\n", hex(id), hex(&proof)))
}

/// The text before the last line if that is a stamp, its key, and its proof.
fn parts(text: &str) -> Option<(&str, KeyId, Vec<u8>)> {
    let begin = text.strip_suffix('\n')?.rfind('\n').map_or(0, |at| at + 1);
    let (id, proof) = text[begin..].strip_prefix(MARK)?.trim_end().split_once(' ')?;
    Some((&text[..begin], from_hex(id)?.try_into().ok()?, from_hex(proof)?))
}

/// Reads a file; true if its stamp was there and right.
///
/// # Errors
/// Those of the disk; it was changed, its key is not there, or it has no stamp and has to have one.
pub fn read_stamped(ring: &Keyring, path: &Path) -> io::Result<(String, bool)> {
    let text = fs::read_to_string(path)?;
    let Some((before, id, mut proof)) = parts(&text) else {
        if ring.sealing() == Sealing::On {
            return Err(io::Error::other(
                "it is not sealed, and encryption-at-rest is yes; if it is yours, start with encryption-at-rest migrate once, then \
                 rewrite with BGREWRITEAOF",
            ));
        }
        return Ok((text, false));
    };
    let Some(key) = ring.key(&id) else {
        return Err(io::Error::other(format!(
            "it is sealed under the key {}, which is not among those of encryption-key-source ({})",
            hex(&id),
            ring.ids()
        )));
    };
    if key.open(&bound(&id, &name_of(path), before), &mut proof).is_none() {
        let text = format!("it is not what was sealed under the key {}: it was changed", hex(&id));
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((text, true))
}

/// The key of a file's stamp; `None` if it has none, or is not there.
///
/// # Errors
/// Those of the disk.
pub fn stamp_key_of(path: &Path) -> io::Result<Option<KeyId>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parts(&text).map(|(_, id, _)| id)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_text_is_read_unchanged_and_in_its_place_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.manifest");
        let ring = |sealing| Keyring::parse(&"11".repeat(32), sealing).unwrap();
        let text = "file a seq 1 type b\nfile b seq 1 type i\n";
        let stamped = stamp(&ring(Sealing::On), &path, text).unwrap();
        assert!(stamped.starts_with(text) && stamped.lines().count() == 3);
        fs::write(&path, &stamped).unwrap();
        for sealing in [Sealing::On, Sealing::Migrate, Sealing::Off] {
            assert_eq!(read_stamped(&ring(sealing), &path).unwrap(), (stamped.clone(), true));
        }
        let other = Keyring::parse(&"22".repeat(32), Sealing::Off).unwrap();
        let e = read_stamped(&other, &path).unwrap_err().to_string();
        assert!(e.contains("not among"), "{e}");
        for at in 0..stamped.len() {
            let mut bad = stamped.clone().into_bytes();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let read = read_stamped(&ring(Sealing::On), &path);
            // The last line's end and the case of its digits say nothing.
            assert!(read.is_err() || at + 1 == stamped.len(), "byte {at}");
        }
        fs::write(&path, text).unwrap();
        assert!(read_stamped(&ring(Sealing::On), &path).is_err());
        assert_eq!(read_stamped(&ring(Sealing::Migrate), &path).unwrap(), (text.into(), false));
        let elsewhere = folder.path().join("b.manifest");
        fs::write(&elsewhere, &stamped).unwrap();
        assert!(read_stamped(&ring(Sealing::Off), &elsewhere).is_err(), "in the place of another");
    }
}
