//! A sealed file opens as it was written, and as nothing else.

use super::keyring::{Keyring, Sealing};
use super::seal::{DataFile, Label, RECORD_MAX, cut};
use super::{Disk, FaultyDisk, Local, SealedDisk, replace_sealed};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn ring(text: &str) -> Keyring {
    Keyring::parse(text, Sealing::On).unwrap()
}

fn one() -> Keyring {
    ring(&"11".repeat(32))
}

fn read(ring: &Keyring, path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = DataFile::open(ring, path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok((text, file.is_torn()))
}

fn increment(folder: &Path, n: u64) -> PathBuf {
    folder.join(format!("a.aof.{n}.incr.aof"))
}

fn written(folder: &Path, n: u64, texts: &[&[u8]]) -> PathBuf {
    let path = increment(folder, n);
    let disk = SealedDisk::new(Arc::new(Local), Arc::new(one()));
    let (mut file, len) = disk.grow(&path).unwrap();
    assert_eq!(len, 0);
    texts.iter().for_each(|t| file.append(t).unwrap());
    file.sync().unwrap();
    path
}

#[test]
fn a_snapshot_opens_only_whole_unchanged_and_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.rdb");
    let text = b"a secret of some length";
    replace_sealed(&one(), &path, Label::Snapshot, |out| out.write_all(text)).unwrap();
    assert_eq!(read(&one(), &path).unwrap().0, text);
    let whole = fs::read(&path).unwrap();
    assert!(!whole.windows(6).any(|w| w == b"secret"));
    // The new key in front, the old one below it.
    assert_eq!(read(&ring(&format!("{}\n{}", "22".repeat(32), "11".repeat(32))), &path).unwrap().0, text);
    let e = read(&ring(&"22".repeat(32)), &path).unwrap_err().to_string();
    assert!(e.contains("sealed under the key") && e.contains("not among"), "{e}");
    for n in 0..whole.len() {
        fs::write(&path, &whole[..n]).unwrap();
        assert!(read(&one(), &path).is_err(), "cut to {n}");
        let mut changed = whole.clone();
        changed[n] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        assert!(read(&one(), &path).is_err(), "byte {n}");
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(read(&one(), &path).is_err(), "something behind its end");
}

#[test]
fn a_plain_file_is_refused_unless_files_are_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.rdb");
    fs::write(&path, b"plain").unwrap();
    assert!(read(&one(), &path).unwrap_err().to_string().contains("not sealed"));
    let migrate = Keyring::parse(&"11".repeat(32), Sealing::Migrate).unwrap();
    assert_eq!(read(&migrate, &path).unwrap().0, b"plain");
    assert_eq!(read(&Keyring::default(), &path).unwrap().0, b"plain");
}

#[test]
fn an_increment_ends_behind_its_last_whole_record_and_is_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let big = vec![7; RECORD_MAX + 10];
    let path = written(folder.path(), 1, &[b"one", b"two", &big]);
    let text = [&b"onetwo"[..], &big].concat();
    assert_eq!(read(&one(), &path).unwrap(), (text.clone(), false));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (left, torn) = read(&one(), &path).unwrap();
    assert!(torn);
    assert_eq!(left, text[..6 + RECORD_MAX]);
    for len in [6 + RECORD_MAX, 9, 6, 5, 3, 0] {
        cut(&one(), &path, len as u64).unwrap();
        assert_eq!(read(&one(), &path).unwrap(), (text[..len].to_vec(), false), "cut to {len}");
    }
}

#[test]
fn records_and_files_in_the_place_of_others_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (written(folder.path(), 1, &[b"aaa", b"bbb"]), written(folder.path(), 2, &[b"ccc", b"ddd"]));
    let (one_file, other) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::copy(&b, &a).unwrap();
    assert!(read(&one(), &a).is_err(), "a file in the place of another");
    let record = (one_file.len() - 76) / 2;
    let (head, rest) = one_file.split_at(76);
    let (first, second) = rest.split_at(record);
    for (what, text) in [
        ("turned round", [head, second, first].concat()),
        ("twice", [head, first, first].concat()),
        ("taken out", [head, second].concat()),
        ("of another file", [head, first, &other[76 + record..]].concat()),
    ] {
        fs::write(&a, text).unwrap();
        assert!(read(&one(), &a).is_err(), "{what}");
    }
}

#[test]
fn what_a_failed_write_left_is_cut_off_and_the_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = increment(folder.path(), 3);
    let faulty = FaultyDisk::default();
    let disk = SealedDisk::new(Arc::new(faulty.clone()), Arc::new(one()));
    let (mut file, _) = disk.grow(&path).unwrap();
    file.append(b"good").unwrap();
    faulty.stop_after(Some(0));
    assert!(file.append(b"lost").is_err());
    faulty.stop_after(None);
    assert!(file.cut(2).is_err(), "inside of what was written");
    file.cut(4).unwrap();
    file.append(b"more").unwrap();
    file.sync().unwrap();
    disk.sync_folder(folder.path()).unwrap();
    let kept = faulty.after_crash(false).remove(&path).unwrap();
    fs::write(&path, kept).unwrap();
    assert_eq!(read(&one(), &path).unwrap(), (b"goodmore".to_vec(), false));
}
