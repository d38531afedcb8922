//! The folder a backup grows in, until it has its name: `.partial-NAME-PID`, locked as long as its process lives.
//!
//! # Invariants
//! * The kernel ends the lock with the process, however that ends: what can be locked is nobody's, and is deleted by the next backup into the
//!   same place. A process id would not say it: containers share folders and not ids.
//! * No part stands unlocked while it is somebody's: it is made, and what others left is looked at, under the lock of the folder of backups.
//! * Where a file system knows no locks nothing is deleted; what is there is named.

use super::at;
use crate::storage::{self, Claim};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const PREFIX: &str = ".partial-";
/// Backups of one second, of which there are as many as servers that are backed up into one place by the clock.
const OF_ONE_SECOND_MAX: u32 = 10_000;

/// See the module.
pub struct Part {
    path: PathBuf,
    _claim: Claim,
}

impl Part {
    /// Makes the part of a backup that is to have this name, and deletes the parts of those that were killed.
    ///
    /// # Errors
    /// Those of the disk, for this part; one of another's that cannot be deleted is named.
    pub fn begin(folder: &Path, name: &str, out: &mut dyn Write) -> Result<Part, String> {
        let one_at_a_time = File::open(folder).map_err(at("opening", folder))?;
        // Where there are no locks, nothing is deleted below.
        let locked = one_at_a_time.lock().is_ok();
        clear(folder, locked, out)?;
        let path = folder.join(format!("{PREFIX}{name}-{}", std::process::id()));
        fs::create_dir(&path).map_err(at("making", &path))?;
        let claim = storage::claim(&path).map_err(at("locking", &path))?;
        Ok(Part { path, _claim: claim })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, or, where others of the same second have that, one behind it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn name(&self, folder: &Path, name: &str) -> Result<PathBuf, String> {
        let mut path = folder.join(name);
        let mut n = 1;
        loop {
            match fs::rename(&self.path, &path) {
                Ok(()) => return Ok(path),
                Err(e) if is_taken(&e) && n < OF_ONE_SECOND_MAX => {
                    n += 1;
                    path = folder.join(format!("{name}-{n}"));
                }
                Err(e) => return Err(at("naming", &path)(e)),
            }
        }
    }
}

fn is_taken(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

fn clear(folder: &Path, locked: bool, out: &mut dyn Write) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(at("reading", folder))? {
        let entry = entry.map_err(at("reading", folder))?;
        let is_part = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // No link is followed: what it leads to is somebody's.
        if !is_part || !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let path = entry.path();
        let _ = match storage::claim(&path) {
            Ok(claim) if locked && claim.is_sure() => match fs::remove_dir_all(&path) {
                Ok(()) => writeln!(out, "{}: deleted, being what a backup left that did not end.", path.display()),
                Err(e) => writeln!(
                    out,
                    "{}: a backup left it that did not end, and it cannot be deleted: {e}",
                    path.display()
                ),
            },
            Ok(_) => writeln!(
                out,
                "{}: a backup that still runs or did not end; as nothing can be locked there it stays: delete it if no backup runs.",
                path.display()
            ),
            // Another's, that runs.
            Err(_) => Ok(()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_backup_left_is_deleted_and_named_and_what_a_running_one_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".partial-2026-01-01T00-00-00Z-17");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("dump.rdb"), "half").unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::write(folder.path().join(".partial-file"), "").unwrap();
        std::os::unix::fs::symlink(folder.path().join("other"), folder.path().join(".partial-link")).unwrap();
        let begin = |name: &str| {
            let mut said = Vec::new();
            let part = Part::begin(folder.path(), name, &mut said).unwrap();
            (part, String::from_utf8(said).unwrap())
        };
        let (running, said) = begin("first");
        assert!(!left.exists() && running.path().is_dir());
        assert!(said.contains(".partial-2026-01-01T00-00-00Z-17: deleted") && said.lines().count() == 1, "{said}");
        let (second, said) = begin("second");
        assert!(running.path().is_dir() && second.path().is_dir() && said.is_empty(), "{said}");
        for name in ["other", ".partial-file", ".partial-link"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        // An end without a word: the lock goes, the folder stays.
        let killed = running.path().to_owned();
        drop(running);
        let (_third, said) = begin("third");
        assert!(!killed.exists() && second.path().is_dir() && said.contains(".partial-first-"), "{said}");
    }

    #[test]
    fn backups_that_end_under_one_name_all_have_one() {
        let folder = tempfile::tempdir().unwrap();
        let ended = |n: u32| {
            let part = Part::begin(folder.path(), &format!("part{n}"), &mut Vec::new()).unwrap();
            fs::write(part.path().join("dump.rdb"), n.to_string()).unwrap();
            part.name(folder.path(), "2026-01-01T00-00-00Z").unwrap()
        };
        for n in 1..=3 {
            let path = ended(n);
            assert!(path.to_string_lossy().ends_with(["00Z", "00Z-2", "00Z-3"][n as usize - 1]), "{}", path.display());
            assert_eq!(fs::read_to_string(path.join("dump.rdb")).unwrap(), n.to_string());
        }
    }

    #[test]
    fn where_nothing_can_be_locked_what_is_left_is_named_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".partial-x-1");
        fs::create_dir(&left).unwrap();
        let mut said = Vec::new();
        clear(folder.path(), false, &mut said).unwrap();
        assert!(left.is_dir());
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(".partial-x-1: a backup that still runs or did not end"), "{said}");
    }
}
