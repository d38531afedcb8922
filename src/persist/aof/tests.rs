//! The log on a disk that stops at every step: what is found afterwards always loads to what was acknowledged, or to what had begun.

use super::load::{self, Options, Target};
use super::log::{Health, Log, manifest_name};
use super::manifest::Manifest;
use crate::persist::rdb::{Loaded, RdbError};
use crate::resp::args::Args;
use crate::storage::doublewrite::{self, buffer_name};
use crate::storage::{self, Disk, DoublewriteDisk, FaultyDisk, Keyring, SealedDisk, Sealing};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// A data set: the numbers that were pushed, in order. Its "snapshot" is a file that begins like one.
#[derive(Default)]
struct Numbers {
    all: Vec<u32>,
    open: Option<Vec<u32>>,
}

impl Target for Numbers {
    fn snapshot(&mut self, from: &mut dyn Read) -> Result<(Loaded, u64), RdbError> {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("a file in memory");
        self.all = text[6..].split_whitespace().map(|n| n.parse().expect("a number")).collect();
        Ok((Loaded::default(), text.len() as u64))
    }

    fn run(&mut self, requests: &[Args<'_>]) -> Result<(), (usize, Vec<u8>)> {
        for r in requests {
            match r.at(0) {
                b"MULTI" => self.open = Some(Vec::new()),
                b"EXEC" => self.all.extend(self.open.take().unwrap_or_default()),
                _ => {
                    let n = std::str::from_utf8(r.at(1)).expect("text").parse().expect("a number");
                    self.open.as_mut().unwrap_or(&mut self.all).push(n);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.open = None;
    }
}

fn push(n: u32) -> Vec<u8> {
    let text = n.to_string();
    format!("*2\r\n$4\r\nPUSH\r\n${}\r\n{text}\r\n", text.len()).into_bytes()
}

fn pair(n: u32) -> Vec<u8> {
    [b"*1\r\n$5\r\nMULTI\r\n".to_vec(), push(n), push(n + 1), b"*1\r\n$4\r\nEXEC\r\n".to_vec()].concat()
}

/// Writes a base of `numbers` under a temporary name, as a rewrite does.
fn base(disk: &FaultyDisk, numbers: &[u32]) -> std::io::Result<(std::path::PathBuf, u64)> {
    let path = Path::new("d/temp-base").to_path_buf();
    let (mut file, len) = disk.grow(&path)?;
    if len > 0 {
        file.cut(0)?;
    }
    let text: String = std::iter::once("VALKEY".to_string()).chain(numbers.iter().map(|n| format!(" {n}"))).collect();
    file.append(text.as_bytes())?;
    file.sync()?;
    Ok((path, text.len() as u64))
}

/// A scripted run: writes, syncs, rewrites. Returns what was acknowledged and what had been written.
fn run(disk: &FaultyDisk, grows: Arc<dyn Disk>) -> (Vec<u32>, Vec<u32>) {
    let mut log = Log::new(grows, Path::new("d"), "a", Manifest::default(), 0, false);
    let (mut acknowledged, mut written): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut script = || -> std::io::Result<()> {
        let first = log.begin_increment()?;
        let (path, bytes) = base(disk, &[])?;
        log.put_base(&path, true, first, bytes)?;
        for round in 0..3u32 {
            for n in (0..6).map(|n| round * 10 + n * 2) {
                written.extend([n, n + 1]);
                log.append(&pair(n))?;
                if n % 4 == 0 {
                    log.commit()?;
                    acknowledged.clone_from(&written);
                }
            }
            let cut = written.clone();
            let first = log.begin_increment()?;
            acknowledged.clone_from(&written);
            written.push(1000 + round);
            log.append(&push(1000 + round))?;
            let (path, bytes) = base(disk, &cut)?;
            log.put_base(&path, true, first, bytes)?;
            acknowledged.clone_from(&written);
        }
        Ok(())
    };
    // What it is that failed does not matter: nothing more is acknowledged.
    let _ = script();
    (acknowledged, written)
}

/// Loads what a machine finds after the crash.
fn recover(disk: &FaultyDisk, lucky: bool) -> Vec<u32> {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in disk.after_crash(lucky) {
        let name = path.file_name().unwrap();
        std::fs::File::create(folder.path().join(name)).unwrap().write_all(&content).unwrap();
    }
    doublewrite::recover(folder.path(), &buffer_name("a")).expect("a folder that can be read");
    let Ok(text) = std::fs::read_to_string(folder.path().join(manifest_name("a"))) else { return Vec::new() };
    let manifest = Manifest::parse(&text).expect("a manifest is whole or not there");
    let mut numbers = Numbers::default();
    let options = Options { truncated: true, until: None, repair: true };
    load::load(folder.path(), &manifest, options, &mut numbers).expect("what the manifest names loads");
    numbers.all
}

fn stop_everywhere(grows: impl Fn(&FaultyDisk) -> Arc<dyn Disk>) {
    let whole = FaultyDisk::default();
    let (all, _) = run(&whole, grows(&whole));
    assert_eq!(recover(&whole, false), all);
    for stop in 0..whole.operations() {
        let disk = FaultyDisk::default();
        disk.stop_after(Some(stop));
        let (acknowledged, written) = run(&disk, grows(&disk));
        for lucky in [false, true] {
            let found = recover(&disk, lucky);
            assert!(found.starts_with(&acknowledged), "step {stop}: {acknowledged:?} was promised, {found:?} is there");
            assert!(written.starts_with(&found), "step {stop}: {found:?} is no state of {written:?}");
        }
    }
}

#[test]
fn a_disk_that_stops_at_any_step_leaves_an_acknowledged_prefix() {
    stop_everywhere(|disk| Arc::new(disk.clone()));
}

/// A buffer of three blocks, so that laps begin again and again.
fn twice(disk: &FaultyDisk) -> DoublewriteDisk {
    DoublewriteDisk::new(Arc::new(disk.clone()), buffer_name("a"), 3 * 4096)
}

#[test]
fn a_disk_that_stops_at_any_step_leaves_an_acknowledged_prefix_also_where_commits_are_written_twice() {
    stop_everywhere(|disk| Arc::new(twice(disk)));
}

#[test]
fn a_disk_that_stops_at_any_step_of_a_sealed_log_leaves_an_acknowledged_prefix() {
    let key = "5a".repeat(32);
    // For loading; files of other tests stay plain.
    storage::install(Keyring::parse(&key, Sealing::Off).unwrap());
    let ring = Arc::new(Keyring::parse(&key, Sealing::On).unwrap());
    stop_everywhere(|disk| Arc::new(SealedDisk::new(Arc::new(disk.clone()), Arc::clone(&ring))));
    stop_everywhere(|disk| Arc::new(SealedDisk::new(Arc::new(twice(disk)), Arc::clone(&ring))));
}

/// A disk that fails once, at any step, and works again: what goes on as the writer does loses nothing and repeats nothing.
#[test]
fn a_disk_that_fails_once_at_any_step_leaves_what_was_acknowledged_whatever_follows() {
    fail_everywhere(|disk| Arc::new(disk.clone()));
}

#[test]
fn a_disk_that_fails_once_at_any_step_leaves_what_was_acknowledged_also_where_commits_are_written_twice() {
    fail_everywhere(|disk| Arc::new(twice(disk)));
}

fn fail_everywhere(grows: impl Fn(&FaultyDisk) -> Arc<dyn Disk>) {
    let steps = {
        let disk = FaultyDisk::default();
        go_on(&disk, grows(&disk));
        disk.operations()
    };
    for at in 0..steps {
        let disk = FaultyDisk::default();
        disk.fail_at(at);
        let (acknowledged, written) = go_on(&disk, grows(&disk));
        for lucky in [false, true] {
            let found = recover(&disk, lucky);
            assert!(found.starts_with(&acknowledged), "step {at}: {acknowledged:?} was promised, {found:?} is there");
            assert!(written.starts_with(&found), "step {at}: {found:?} is no state of {written:?}");
        }
    }
}

/// Writes, syncs and rewrites, and goes on after errors as the writer does.
fn go_on(disk: &FaultyDisk, grows: Arc<dyn Disk>) -> (Vec<u32>, Vec<u32>) {
    let mut log = Log::new(grows, Path::new("d"), "a", Manifest::default(), 0, false);
    let (mut acknowledged, mut written): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    // A rewrite, with another try if it fails, and something written before and after its base.
    let rewrite = |log: &mut Log, written: &mut Vec<u32>| {
        for _ in 0..4 {
            let cut = written.clone();
            let Ok(first) = log.begin_increment() else { continue };
            let n = 100 + written.len() as u32;
            if log.append(&push(n)).is_err() && log.append(&push(n)).is_err() {
                continue;
            }
            written.push(n);
            if base(disk, &cut).and_then(|(path, bytes)| log.put_base(&path, true, first, bytes)).is_ok() {
                return;
            }
        }
    };
    rewrite(&mut log, &mut written);
    for round in 0..3 {
        for n in 0..3 {
            let n = round * 10 + n * 2;
            if log.append(&pair(n)).is_err() && log.append(&pair(n)).is_err() {
                rewrite(&mut log, &mut written);
                continue;
            }
            written.extend([n, n + 1]);
            if log.commit().is_ok() && log.is_chained() {
                acknowledged.clone_from(&written);
            } else {
                rewrite(&mut log, &mut written);
            }
        }
        rewrite(&mut log, &mut written);
        if log.commit().is_ok() && log.is_chained() {
            acknowledged.clone_from(&written);
        }
    }
    (acknowledged, written)
}

#[test]
fn a_failed_sync_is_never_taken_back_but_by_a_new_base() {
    let disk = FaultyDisk::default();
    let mut log = Log::new(Arc::new(disk.clone()), Path::new("d"), "a", Manifest::default(), 0, false);
    let first = log.begin_increment().unwrap();
    let (path, bytes) = base(&disk, &[]).unwrap();
    log.put_base(&path, true, first, bytes).unwrap();
    log.append(&push(1)).unwrap();
    disk.stop_after(Some(0));
    assert!(log.sync().is_err());
    disk.stop_after(None);
    assert_eq!(log.health(), Health::Holed);
    assert!(log.append(&push(2)).is_err() && log.sync().is_err() && !log.is_chained());
    let first = log.begin_increment().unwrap();
    log.append(&push(3)).unwrap();
    log.sync().unwrap();
    assert!(!log.is_chained(), "what is written waits for its base");
    let (path, bytes) = base(&disk, &[1, 2]).unwrap();
    log.put_base(&path, true, first, bytes).unwrap();
    assert!(log.is_chained());
    assert_eq!(recover(&disk, false), [1, 2, 3]);
}

#[test]
fn a_torn_write_is_cut_off_and_repeated() {
    let disk = FaultyDisk::default();
    let mut log = Log::new(Arc::new(disk.clone()), Path::new("d"), "a", Manifest::default(), 0, false);
    let first = log.begin_increment().unwrap();
    let (path, bytes) = base(&disk, &[]).unwrap();
    log.put_base(&path, true, first, bytes).unwrap();
    disk.stop_after(Some(0));
    assert!(log.append(&pair(1)).is_err());
    disk.stop_after(None);
    log.append(&pair(1)).unwrap();
    log.sync().unwrap();
    assert_eq!(recover(&disk, false), [1, 2]);
}

/// A log of two pushes and a pair, cut at every byte.
#[test]
fn every_truncation_loads_whole_steps_and_is_cut_there() {
    let text = [push(1), pair(2), push(4)].concat();
    let states: [&[u32]; 4] = [&[], &[1], &[1, 2, 3], &[1, 2, 3, 4]];
    for len in 0..=text.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.1.incr.aof");
        std::fs::write(&path, &text[..len]).unwrap();
        let manifest = Manifest::parse("file a.1.incr.aof seq 1 type i\n").unwrap();
        let options = Options { truncated: true, until: None, repair: true };
        for _ in 0..2 {
            let mut numbers = Numbers::default();
            load::load(folder.path(), &manifest, options, &mut numbers).unwrap();
            assert!(states.contains(&&numbers.all[..]), "{len} bytes: {:?}", numbers.all);
        }
        let strict = Options { truncated: false, until: None, repair: false };
        load::load(folder.path(), &manifest, strict, &mut Numbers::default()).expect("the torn end is gone");
    }
}

#[test]
fn a_flipped_byte_is_an_error_or_another_log_but_never_harm() {
    let text = [push(1), pair(2), push(4)].concat();
    for at in 0..text.len() {
        let mut bad = text.clone();
        bad[at] ^= 0x10;
        let mut reader = super::reader::Reader::new(&bad[..], 0);
        while matches!(reader.advance(), Ok(true)) {}
    }
}
