//! What the server presents and believes right now, for INFO: certificates in memory, and whether the files still say the same.

use super::certificate::Identity;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Size and time of a file, by which a change is noticed. `None`: it is not there.
pub type Stamp = Option<(u64, SystemTime)>;

/// The certificates in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub server: Option<Identity>,
    /// The authority that expires first.
    pub ca: Option<Identity>,
    /// What is presented to other servers.
    pub client: Option<Identity>,
    /// ms since the epoch.
    pub loaded_ms: i64,
    /// The files they came from, as they were then.
    pub files: Vec<(PathBuf, Stamp)>,
    /// Why the last attempt to load other ones failed; empty if it did not.
    pub last_error: String,
    pub reloads: u64,
    pub failed_reloads: u64,
}

/// Size and time of a file; of a folder, those of what is in it taken together.
pub fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_dir() {
        return Some((meta.len(), meta.modified().ok()?));
    }
    let (mut size, mut newest) = (0, meta.modified().ok()?);
    for entry in std::fs::read_dir(path).ok()?.flatten() {
        if let Some((len, time)) = entry.metadata().ok().and_then(|m| Some((m.len(), m.modified().ok()?))) {
            size += len + 1;
            newest = newest.max(time);
        }
    }
    Some((size, newest))
}

impl Facts {
    /// `same` if the files are as they were when they were loaded, `changed` if not; `none` without any.
    pub fn on_disk(&self) -> &'static str {
        if self.files.is_empty() {
            "none"
        } else if self.files.iter().all(|(path, then)| stamp(path) == *then) {
            "same"
        } else {
            "changed"
        }
    }
}
