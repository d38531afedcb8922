use super::doublewrite::{BEFORE, buffer_name, recover};
use super::{Disk, DoublewriteDisk, FaultyDisk, GrowingFile, Local};
use crate::base::clock;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const BUFFER: &str = "a.doublewrite";
const FILE: &str = "a.1.incr.aof";

/// A file in a folder that grows on a buffer of so many blocks.
fn grow(folder: &Path, blocks: u64) -> Box<dyn GrowingFile> {
    let disk = DoublewriteDisk::new(Arc::new(Local), buffer_name("a"), blocks * 4096);
    disk.grow(&folder.join(FILE)).unwrap().0
}

/// Commits three steps, of which the file loses what it had not forced, as if the machine had failed.
fn crash(folder: &Path) {
    let mut file = grow(folder, 16);
    for step in [b"one ", b"two ", b"six "] {
        file.append(step).unwrap();
        file.commit().unwrap();
    }
    file.append(b"never acknowledged").unwrap();
    drop(file);
    cut(folder, 4);
}

fn cut(folder: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(folder.join(FILE)).unwrap().set_len(len).unwrap();
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join(FILE)).unwrap()
}

#[test]
fn what_was_committed_comes_back_and_the_buffer_goes() {
    let folder = tempfile::tempdir().unwrap();
    crash(folder.path());
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 8);
    assert_eq!(text(folder.path()), "one two six ");
    assert!(!folder.path().join(BUFFER).exists());
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 0);
}

#[test]
fn what_was_written_behind_the_last_commit_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = grow(folder.path(), 16);
    for step in ["one ", "two ", "six "] {
        file.append(step.as_bytes()).unwrap();
        file.commit().unwrap();
    }
    file.append(b"more").unwrap();
    drop(file);
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 0);
    assert_eq!(text(folder.path()), "one two six more");
}

#[test]
fn a_hole_in_the_middle_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    crash(folder.path());
    fs::write(folder.path().join(FILE), b"one two \0\0\0\0more").unwrap();
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 4);
    assert_eq!(text(folder.path()), "one two six more");
}

#[test]
fn a_sync_forces_the_file_and_leaves_no_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = grow(folder.path(), 16);
    file.append(b"one ").unwrap();
    file.commit().unwrap();
    assert!(folder.path().join(BUFFER).exists());
    file.sync().unwrap();
    assert!(!folder.path().join(BUFFER).exists());
    // Also where somebody else has removed it.
    for step in [b"two ", b"six "] {
        file.append(step).unwrap();
        file.commit().unwrap();
    }
    fs::remove_file(folder.path().join(BUFFER)).unwrap();
    file.append(b"ten ").unwrap();
    file.sync().unwrap();
    assert_eq!(text(folder.path()), "one two six ten ");
}

#[test]
fn a_log_that_is_another_or_was_changed_later_is_left_alone() {
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let change: [Change<'_>; 4] = [
        ("another content", &|folder| fs::write(folder.join(FILE), b"ONE ").unwrap()),
        ("shorter than what was forced", &|folder| cut(folder, 3)),
        ("changed later", &|folder| {
            let later = UNIX_EPOCH + Duration::from_millis(clock::wall_ms() as u64 + 60_000);
            fs::File::options().write(true).open(folder.join(FILE)).unwrap().set_modified(later).unwrap();
        }),
        ("not there", &|folder| fs::remove_file(folder.join(FILE)).unwrap()),
    ];
    for (what, change) in change {
        let folder = tempfile::tempdir().unwrap();
        crash(folder.path());
        change(folder.path());
        let before = fs::read(folder.path().join(FILE)).ok();
        assert_eq!(recover(folder.path(), BUFFER).unwrap(), 0, "{what}");
        assert_eq!(fs::read(folder.path().join(FILE)).ok(), before, "{what}");
        assert!(!folder.path().join(BUFFER).exists(), "{what}");
    }
}

#[test]
fn an_earlier_lap_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = grow(folder.path(), 3);
    let mut all = String::new();
    // The first forces the file, then three go into the buffer, the next forces the file, and the last begins a lap.
    for step in ["a", "b", "c", "d", "e", "f"] {
        file.append(step.as_bytes()).unwrap();
        file.commit().unwrap();
        all.push_str(step);
    }
    drop(file);
    cut(folder.path(), 5);
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 1);
    assert_eq!(text(folder.path()), all);
}

#[test]
fn every_torn_or_flipped_byte_of_a_buffer_costs_no_more_than_the_entries_from_there_on() {
    let folder = tempfile::tempdir().unwrap();
    crash(folder.path());
    let whole = fs::read(folder.path().join(BUFFER)).unwrap();
    let states = ["one ", "one two ", "one two six "];
    for block in 0..3 {
        for at in block * 4096..block * 4096 + 80 {
            for bad in [whole[..at].to_vec(), [&whole[..at], &[whole[at] ^ 1], &whole[at + 1..]].concat()] {
                fs::write(folder.path().join(FILE), b"one ").unwrap();
                fs::write(folder.path().join(BUFFER), bad).unwrap();
                recover(folder.path(), BUFFER).unwrap();
                let found = text(folder.path());
                assert!(
                    states[block.min(2)..].contains(&&found[..]) || found == states[block.min(2)],
                    "byte {at}: {found}"
                );
            }
        }
    }
}

#[test]
fn steps_too_large_for_it_and_a_buffer_that_cannot_be_made_force_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(BUFFER)).unwrap();
    let mut file = grow(folder.path(), 4);
    file.append(b"one ").unwrap();
    file.commit().unwrap();
    assert!(folder.path().join(BUFFER).is_dir());

    let disk = FaultyDisk::default();
    let grows = DoublewriteDisk::new(Arc::new(disk.clone()), BUFFER.into(), 1 << 20);
    let mut file = grows.grow(Path::new("d/a")).unwrap().0;
    disk.sync_folder(Path::new("d")).unwrap();
    file.append(b"one").unwrap();
    file.commit().unwrap();
    file.append(&vec![b'x'; 300 << 10]).unwrap();
    file.append(b"end").unwrap();
    file.commit().unwrap();
    assert_eq!(disk.after_crash(false)[Path::new("d/a")].len(), 6 + (300 << 10), "nothing is left to the buffer");
}

#[test]
fn what_stood_before_is_told_apart_by_no_more_than_a_block() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), vec![b'.'; 3 * BEFORE as usize]).unwrap();
    let mut file = grow(folder.path(), 16);
    for step in [b"one ", b"two "] {
        file.append(step).unwrap();
        file.commit().unwrap();
    }
    drop(file);
    cut(folder.path(), 3 * BEFORE + 4);
    assert_eq!(recover(folder.path(), BUFFER).unwrap(), 4);
    assert!(text(folder.path()).ends_with(".one two "));
}
