//! What a backup says of itself: `manifest.json` beside its files.
//!
//! A backup is a folder that is laid out like a data folder, so that a server could start in it. It is made under another name and gets its
//! own when all of it is on disk: one that has a manifest is whole.

use crate::base::calendar::utc_text;
use crate::crypto::{Sha256, hex};
use crate::storage;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

pub const NAME: &str = "manifest.json";
/// Files of one backup: a base, increments and a manifest; more are a mistake.
const FILES_MAX: usize = 100_000;
/// A manifest is no longer.
const BYTES_MAX: u64 = 32 << 20;
const FORMAT: u64 = 1;

/// A file of a backup, by its name within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: PathBuf,
    pub bytes: u64,
    pub sha256: String,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Seconds since the epoch: when the backup began.
    pub made: i64,
    /// Where it came from, and which version that was.
    pub server: String,
    pub version: String,
    pub keys: u64,
    pub sealed: bool,
    pub files: Vec<Entry>,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    /// Writes it into the backup's folder.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|f| json!({"name": f.name.to_string_lossy(), "bytes": f.bytes, "sha256": f.sha256}))
            .collect();
        let text = format!(
            "{:#}\n",
            json!({
                "format": FORMAT, "made": self.made, "made_utc": utc_text(self.made), "server": self.server,
                "version": self.version, "keys": self.keys, "sealed": self.sealed, "files": files,
            })
        );
        storage::replace(&folder.join(NAME), false, |out| out.write_all(text.as_bytes()))
    }

    /// The manifest of a backup; `None` if the folder is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(folder: &Path) -> Result<Option<Manifest>, String> {
        let path = folder.join(NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(format!("reading {}: {e}", path.display())),
        };
        let mut text = String::new();
        let read = file.take(BYTES_MAX).read_to_string(&mut text);
        read.map_err(|e| format!("reading {}: {e}", path.display()))?;
        parse(&text).map(Some).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Compares every file with what the manifest says of it.
    ///
    /// # Errors
    /// The first that is not as it was.
    pub fn verify(&self, folder: &Path) -> Result<(), String> {
        for f in &self.files {
            let path = folder.join(&f.name);
            let (bytes, sum) = sum_of(&path).map_err(|e| format!("reading {}: {e}", path.display()))?;
            if bytes != f.bytes || sum != f.sha256 {
                return Err(format!("{} is not what was backed up: its size or SHA-256 differs", path.display()));
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Manifest, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let text_of = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |v: &Value, name: &str| v.get(name).and_then(Value::as_u64);
    if number(&value, "format") != Some(FORMAT) {
        return Err(format!("it is no manifest of format {FORMAT}"));
    }
    let missing = |what: &str| format!("it lacks {what}");
    let list = value.get("files").and_then(Value::as_array).ok_or_else(|| missing("files"))?;
    if list.len() > FILES_MAX {
        return Err(format!("it names more than {FILES_MAX} files"));
    }
    let mut files = Vec::new();
    for f in list {
        let name = PathBuf::from(text_of(f, "name").ok_or_else(|| missing("a name"))?);
        if name.as_os_str().is_empty() || !name.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(format!("it names a file elsewhere: {}", name.display()));
        }
        files.push(Entry {
            name,
            bytes: number(f, "bytes").ok_or_else(|| missing("bytes"))?,
            sha256: text_of(f, "sha256").ok_or_else(|| missing("sha256"))?,
        });
    }
    Ok(Manifest {
        made: value.get("made").and_then(Value::as_i64).ok_or_else(|| missing("made"))?,
        server: text_of(&value, "server").unwrap_or_default(),
        version: text_of(&value, "version").unwrap_or_default(),
        keys: number(&value, "keys").unwrap_or_default(),
        sealed: value.get("sealed").and_then(Value::as_bool).unwrap_or_default(),
        files,
    })
}

/// The size and the SHA-256 of a file as it is on disk.
///
/// # Errors
/// Those of the disk.
pub fn sum_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut sum, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 128 << 10]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hex(&sum.finish()))),
            n => {
                sum.update(&chunk[..n]);
                bytes += n as u64;
            }
        }
    }
}

/// The backups in a folder, the oldest first. What has no manifest that can be read is none of ours.
///
/// # Errors
/// Those of the disk.
pub fn list(folder: &Path) -> io::Result<Vec<(PathBuf, Manifest)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
        if !hidden
            && path.is_dir()
            && let Ok(Some(manifest)) = Manifest::read(&path)
        {
            found.push((path, manifest));
        }
    }
    found.sort_by_key(|(_, m)| m.made);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_finds_what_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.rdb");
        fs::write(&path, b"some bytes").unwrap();
        let (bytes, sha256) = sum_of(&path).unwrap();
        assert_eq!(bytes, 10);
        let entry = Entry { name: "dump.rdb".into(), bytes, sha256 };
        let manifest = Manifest { made: 1_795_241_725, keys: 3, files: vec![entry], ..Manifest::default() };
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap().unwrap(), manifest);
        manifest.verify(folder.path()).unwrap();
        fs::write(&path, b"same bytes").unwrap();
        assert!(manifest.verify(folder.path()).is_err());
        assert!(Manifest::read(&path).unwrap().is_none());
    }

    #[test]
    fn a_manifest_names_nothing_outside_its_folder() {
        for name in ["../dump.rdb", "/etc/passwd", ""] {
            let text = json!({"format": 1, "made": 1, "files": [{"name": name, "bytes": 1, "sha256": ""}]}).to_string();
            assert!(parse(&text).is_err(), "{name}");
        }
    }
}
