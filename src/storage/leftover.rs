//! Temporary files that a process left that was killed: each may be as large as the data, and nobody else would ever delete them.
//!
//! # Invariants
//! * Whoever writes a temporary file holds its lock ([`hold`]), which the kernel ends with the process, however that ends. A process id would not
//!   say it: containers share folders and not ids.
//! * Servers of other make hold no locks: what was written to a moment ago stays until another start.
//! * Where a file system knows no locks nothing is deleted.

use crate::base::clock;
use std::fs::{self, File};
use std::path::Path;

/// A server of other make that writes a file does so more often, and a file that is whole has its name sooner.
const QUIET_MS: i64 = 60_000;

/// Keeps others from taking a file that is being written for one that was left. Where there are no locks nobody deletes any.
pub(super) fn hold(file: &File) {
    let _ = file.try_lock();
}

/// Deletes what was left in a folder under names that `is_temporary` knows. Returns the names.
pub fn clear(folder: &Path, is_temporary: impl Fn(&str) -> bool) -> Vec<String> {
    let mut deleted = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return deleted };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // No link is followed, no pipe opened: what one leads to is somebody's.
        if !is_temporary(&name) || !entry.file_type().is_ok_and(|t| t.is_file()) || !is_quiet(&entry) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() && fs::remove_file(entry.path()).is_ok() {
            deleted.push(name);
        }
    }
    deleted
}

fn is_quiet(entry: &fs::DirEntry) -> bool {
    let written = entry.metadata().and_then(|m| m.modified());
    let since = written.ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.is_some_and(|t| clock::wall_ms().saturating_sub(t.as_millis() as i64) > QUIET_MS)
}

/// True of names under which snapshots are written, and copies of a primary received: `temp-` and numbers, the word `sync` among them perhaps.
pub fn is_of_snapshots(name: &str) -> bool {
    let numbers = name.strip_prefix("temp-").and_then(|n| n.strip_suffix(".rdb"));
    let numbers = numbers.map(|n| n.strip_prefix("sync-").unwrap_or(n));
    numbers.is_some_and(|n| n.split('.').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn what_nobody_writes_any_more_is_deleted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, minutes: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            let at = clock::wall_ms() as u64 - minutes * 60_000 - 1000;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(at)).unwrap();
            file
        };
        for name in ["temp-17.rdb", "temp-1700000000.17.rdb", "temp-sync-1700000000123.17.rdb"] {
            make(name, 1);
        }
        for name in ["dump.rdb", "temp-.rdb", "temp-mine.rdb", "temp-17.rdb.old", "temp-sync-.rdb", "temp-1..2.rdb"] {
            make(name, 100);
        }
        make("temp-18.rdb", 0);
        let written = make("temp-19.rdb", 100);
        hold(&written);
        fs::create_dir(folder.path().join("temp-20.rdb")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("dump.rdb"), folder.path().join("temp-21.rdb")).unwrap();
        let mut deleted = clear(folder.path(), is_of_snapshots);
        deleted.sort();
        assert_eq!(deleted, ["temp-17.rdb", "temp-1700000000.17.rdb", "temp-sync-1700000000123.17.rdb"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 10);
        drop(written);
        assert_eq!(clear(folder.path(), is_of_snapshots), ["temp-19.rdb"]);
    }
}
