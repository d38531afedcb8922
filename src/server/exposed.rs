//! Files of keys and secrets that others may read: named in the log, with the remedy. They are used all the same, since where a platform mounts
//! them with modes of its own a refusal would keep the server down.

use crate::config::Config;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bits of others than the owner.
const OTHERS: u32 = 0o077;

/// Warns of each file of `config` that holds a key, and of these files of secrets. Paths are from `dir`.
pub fn warn(config: &Config, dir: &Path, secrets: &[PathBuf]) {
    let (t, persistence) = (&config.tls, &config.persistence);
    let keys = [&t.key_file, &t.client_key_file, &config.audit.key_file].into_iter().flatten().cloned();
    let sealing = persistence.encryption_key_source.strip_prefix("file:").map(PathBuf::from);
    let mut paths: Vec<PathBuf> = keys.chain(sealing).chain(secrets.iter().cloned()).map(|p| dir.join(p)).collect();
    paths.sort();
    paths.dedup();
    paths.iter().filter_map(|path| warning(path)).for_each(|text| tracing::warn!("{text}"));
}

/// What is to be said of a file; whether it is there and can be read who uses it says.
fn warning(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.permissions().mode();
    (mode & OTHERS != 0).then(|| {
        let path = path.display();
        format!("{path} holds a key or a secret and is open to others (mode {:04o}): chmod 600 {path}", mode & 0o7777)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_open_is_named_with_the_remedy_and_one_of_the_owner_alone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert_eq!(warning(&path), None);
        std::fs::write(&path, "x").unwrap();
        for (mode, open) in
            [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o622, true), (0o700, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let said = warning(&path);
            assert_eq!(said.is_some(), open, "{mode:o}");
            if let Some(said) = said {
                assert!(said.contains(&format!("(mode {mode:04o}): chmod 600 {}", path.display())), "{said}");
            }
        }
        // A folder is no key.
        assert_eq!(warning(folder.path()), None);
    }
}
