use super::*;
use crate::base::clock;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn key() -> Key {
    Key::from_bytes(b"an audit key of the tests").unwrap()
}

fn settings(path: &Path) -> Settings {
    Settings {
        path: path.to_path_buf(),
        key: key(),
        bytes_max: 0,
        retention_days: 0,
        blocks: false,
        key_patterns: Vec::new(),
        syslog: false,
        collector: None,
    }
}

/// A log of `n` records in a folder of its own.
fn log_of(n: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    write(settings(&path), n);
    (folder, path)
}

fn write(settings: Settings, n: usize) {
    let audit = Audit::start(settings).unwrap();
    for i in 0..n {
        audit
            .record(Record::new(Event::LoginOk, Outcome::Done).with("user", format!("u{i}")).with("addr", "1.2.3.4:5"));
    }
    audit.flush(PATIENCE);
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn put(path: &Path, lines: &[String]) {
    std::fs::write(path, lines.iter().map(|l| format!("{l}\n")).collect::<String>()).unwrap();
}

#[test]
fn a_log_that_was_left_alone_verifies() {
    let (_folder, path) = log_of(20);
    let v = verify(&path, &key()).unwrap();
    assert_eq!((v.records, v.first_seq, v.last_seq, v.files, v.unfinished_bytes), (20, 1, 20, 1, 0));
    let first: serde_json::Value = serde_json::from_str(&lines(&path)[0]).unwrap();
    assert_eq!((first["event"].as_str(), first["user"].as_str()), (Some("login-ok"), Some("u0")));
}

#[test]
fn a_changed_byte_is_found_at_its_record_wherever_it_is() {
    let (_folder, path) = log_of(3);
    let good = std::fs::read(&path).unwrap();
    let second = good.iter().position(|b| *b == b'\n').unwrap() + 1;
    let third = second + good[second..].iter().position(|b| *b == b'\n').unwrap() + 1;
    for at in second..third - 1 {
        let mut bad = good.clone();
        bad[at] ^= 1;
        if bad[at] == b'\n' {
            continue;
        }
        std::fs::write(&path, &bad).unwrap();
        let broken = verify(&path, &key()).unwrap_err();
        assert_eq!(broken.line, 2, "byte {at}: {broken}");
    }
}

#[test]
fn a_removed_line_and_swapped_lines_are_found_where_they_were() {
    let (_folder, path) = log_of(10);
    let good = lines(&path);
    let mut bad = good.clone();
    bad.remove(4);
    put(&path, &bad);
    let broken = verify(&path, &key()).unwrap_err();
    assert_eq!((broken.line, broken.fault), (5, Fault::OutOfOrder { expected: 5, found: 6 }));
    let mut bad = good.clone();
    bad.swap(2, 3);
    put(&path, &bad);
    let broken = verify(&path, &key()).unwrap_err();
    assert_eq!((broken.line, broken.fault), (3, Fault::OutOfOrder { expected: 3, found: 4 }));
    // The same record twice.
    let mut bad = good;
    bad.insert(5, bad[4].clone());
    put(&path, &bad);
    assert_eq!(verify(&path, &key()).unwrap_err().line, 6);
}

#[test]
fn a_log_that_was_cut_short_is_found_by_its_head() {
    let (_folder, path) = log_of(10);
    let good = std::fs::read(&path).unwrap();
    put(&path, &lines(&path)[..7]);
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::Cut { last: 7, head: 10 });
    // In the middle of a record, too.
    std::fs::write(&path, &good[..good.len() - 5]).unwrap();
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::Cut { last: 9, head: 10 });
    // And the server does not go on with it.
    assert!(Audit::start(settings(&path)).unwrap_err().contains("cut off"));
}

#[test]
fn a_head_that_was_changed_is_no_head() {
    let (_folder, path) = log_of(4);
    let head = verify::head_path(&path);
    let text = std::fs::read_to_string(&head).unwrap().replacen("004 ", "003 ", 1);
    std::fs::write(&head, text).unwrap();
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::Head);
}

#[test]
fn another_key_makes_no_record_of_this_log() {
    let (_folder, path) = log_of(2);
    let other = Key::from_bytes(b"another key of the same length").unwrap();
    assert!(verify(&path, &other).is_err());
    assert!(Audit::start(Settings { key: other, ..settings(&path) }).is_err());
}

#[test]
fn the_chain_goes_on_after_a_restart_and_after_half_a_record() {
    let (_folder, path) = log_of(3);
    write(settings(&path), 2);
    assert_eq!(verify(&path, &key()).unwrap().last_seq, 5);
    // Killed while it wrote the sixth: the head still names the fifth.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"seq\":6,\"time\":\"20");
    std::fs::write(&path, &text).unwrap();
    let v = verify(&path, &key()).unwrap();
    assert_eq!((v.last_seq, v.unfinished_bytes), (5, 19));
    write(settings(&path), 1);
    let v = verify(&path, &key()).unwrap();
    assert_eq!((v.last_seq, v.unfinished_bytes), (7, 0));
    assert!(lines(&path)[5].contains("\"event\":\"recovered\""), "{}", lines(&path)[5]);
}

#[test]
fn rotated_files_are_one_chain_and_a_missing_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for _ in 0..10 {
        write(Settings { bytes_max: 600, ..settings(&path) }, 2);
    }
    let files = verify::files(&path);
    assert!(files.len() > 3, "{files:?}");
    let v = verify(&path, &key()).unwrap();
    assert_eq!((v.records, v.last_seq), (20, 20));
    std::fs::remove_file(&files[1]).unwrap();
    assert!(matches!(verify(&path, &key()).unwrap_err().fault, Fault::OutOfOrder { .. }));
    std::fs::remove_file(&files[0]).unwrap();
    let broken = verify(&path, &key()).unwrap_err();
    assert!(matches!(broken.fault, Fault::Beheaded { head: 1, .. }), "{broken}");
}

#[test]
fn files_that_have_passed_their_retention_may_be_gone_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for _ in 0..10 {
        write(Settings { bytes_max: 600, ..settings(&path) }, 2);
    }
    let files = verify::files(&path);
    let long_ago =
        std::time::UNIX_EPOCH + Duration::from_millis(clock::wall_ms() as u64) - Duration::from_secs(3 * 86_400);
    for file in &files[..2] {
        std::fs::File::options().append(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
    let kept = || verify::files(&path).len();
    let audit = Audit::start(Settings { retention_days: 2, ..settings(&path) }).unwrap();
    audit.record(Record::new(Event::Start, Outcome::Done));
    audit.flush(PATIENCE);
    // They go after the answer.
    let end = clock::monotonic_ms() + PATIENCE.as_millis() as u64;
    while kept() > files.len() - 2 && clock::monotonic_ms() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!files[0].exists() && !files[1].exists() && files[2].exists());
    let v = verify(&path, &key()).unwrap();
    assert_eq!(Some(v.first_seq), verify::first_of(&files[2]));
    std::fs::remove_file(&files[2]).unwrap();
    assert!(matches!(verify(&path, &key()).unwrap_err().fault, Fault::Beheaded { .. }));
}

#[test]
fn a_log_without_its_beginning_or_its_head_is_not_the_one_that_was_written() {
    let (_folder, path) = log_of(10);
    let head = std::fs::read(verify::head_path(&path)).unwrap();
    let good = lines(&path);
    put(&path, &good[1..]);
    let broken = verify(&path, &key()).unwrap_err();
    assert_eq!((broken.line, broken.fault), (1, Fault::Beheaded { first: 2, head: 1 }));
    put(&path, &good[..5]);
    std::fs::remove_file(verify::head_path(&path)).unwrap();
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::NoHead);
    assert!(Audit::start(settings(&path)).unwrap_err().contains("head file is missing"));
    // What a crash leaves before the first record goes on.
    put(&path, &[]);
    write(settings(&path), 1);
    assert_eq!(verify(&path, &key()).unwrap().last_seq, 1);
    // Of the same records with their head nothing is said.
    put(&path, &good);
    std::fs::write(verify::head_path(&path), head).unwrap();
    assert!(verify(&path, &key()).is_ok());
}

#[test]
fn a_head_that_does_not_say_where_the_log_begins_is_gone_on_with() {
    let (_folder, path) = log_of(3);
    let mac = verify(&path, &key()).unwrap().last_mac;
    let old = verify::Head { seq: 3, mac, first: None };
    std::fs::write(verify::head_path(&path), old.text(&key())).unwrap();
    write(settings(&path), 2);
    assert_eq!(verify(&path, &key()).unwrap().last_seq, 5);
    put(&path, &lines(&path)[1..]);
    assert!(matches!(verify(&path, &key()).unwrap_err().fault, Fault::Beheaded { .. }));
}

#[test]
fn values_cannot_break_out_of_their_field_and_have_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = Audit::start(settings(&path)).unwrap();
    audit.record(
        Record::new(Event::Denied, Outcome::Denied)
            .with_bytes("object", b"a\",\"mac\":\"0\"}\n{\"seq\":9\xff\0")
            .with("long", "\u{fc}".repeat(5000)),
    );
    audit.flush(PATIENCE);
    assert_eq!(verify(&path, &key()).unwrap().records, 1);
    assert!(lines(&path)[0].len() < 3000);
}

#[test]
fn time_is_written_as_utc() {
    assert_eq!(record::time_text(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(record::time_text(951_827_696_789), "2000-02-29T12:34:56.789Z");
    assert_eq!(record::time_text(1_795_574_482_741), "2026-11-25T02:41:22.741Z");
}

#[test]
fn a_log_that_is_removed_while_it_is_written_is_begun_anew_and_found_to_lack_its_beginning() {
    let (folder, path) = log_of(0);
    let audit = Audit::start(settings(&path)).unwrap();
    let login = |n: usize| {
        for _ in 0..n {
            audit.record(Record::new(Event::LoginOk, Outcome::Done));
        }
        audit.flush(PATIENCE);
    };
    login(3);
    let kept = folder.path().join("kept");
    std::fs::rename(&path, &kept).unwrap();
    login(2);
    let now = lines(&path);
    assert!(
        now.len() == 3
            && now.concat().contains(r#""event":"log-damaged","outcome":"failed","log":"removed or moved away""#),
        "{now:?}"
    );
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::Beheaded { first: 4, head: 1 });
    // Whoever moved it can put it in its place: nothing is missing.
    drop(audit);
    let whole = lines(&kept).into_iter().chain(now).collect::<Vec<_>>();
    put(&path, &whole);
    assert_eq!(verify(&path, &key()).unwrap().records, 6);
}

#[test]
fn a_log_that_is_cut_or_has_something_else_in_its_place_says_so_and_goes_on_when_it_can() {
    let (folder, path) = log_of(0);
    let audit = Audit::start(settings(&path)).unwrap();
    let login = |patience| {
        audit.record(Record::new(Event::LoginOk, Outcome::Done));
        audit.flush(patience);
    };
    login(PATIENCE);
    login(PATIENCE);
    // Half of the first record is left.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(40).unwrap();
    login(PATIENCE);
    let now = lines(&path);
    assert!(now.len() == 3 && now[0].len() == 40 && now.concat().contains(r#""log":"cut""#), "{now:?}");
    assert_eq!(verify(&path, &key()).unwrap_err().fault, Fault::NotARecord);
    // Another's file is not written into, and records wait.
    std::fs::rename(&path, folder.path().join("kept")).unwrap();
    std::fs::write(&path, "another's\n").unwrap();
    login(Duration::from_millis(700));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's\n");
    assert!(audit.figures().failing.load(Ordering::Relaxed));
    // An empty one is what a log rotator leaves.
    std::fs::write(&path, "").unwrap();
    audit.flush(PATIENCE);
    let now = lines(&path);
    assert!(now.len() == 2 && now.concat().contains(r#""log":"replaced""#), "{now:?}");
    // A head that is gone comes back.
    std::fs::remove_file(verify::head_path(&path)).unwrap();
    login(PATIENCE);
    assert!(verify::Head::read(&path, &key()).unwrap().is_some_and(|head| head.seq >= 7));
}

#[test]
fn what_is_no_regular_file_is_no_log_and_no_key_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(Audit::start(settings(&path)).unwrap_err().contains("no regular file"));
    assert!(Key::read(&path).err().unwrap().contains("no regular file"));
    std::fs::rename(&path, verify::head_path(&path)).unwrap();
    assert!(Audit::start(settings(&path)).unwrap_err().contains("no regular file"));
    std::fs::remove_file(verify::head_path(&path)).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Audit::start(settings(&path)).is_err() && Key::read(&path).is_err());
}

#[test]
fn nobody_waits_for_a_log_whose_disk_takes_nothing() {
    let (folder, path) = log_of(0);
    let audit = Audit::start(Settings { blocks: true, ..settings(&path) }).unwrap();
    std::fs::rename(&path, folder.path().join("kept")).unwrap();
    std::fs::create_dir(&path).unwrap();
    for _ in 0..QUEUE_MAX + 512 {
        audit.record(Record::new(Event::LoginOk, Outcome::Done));
    }
    assert!(audit.refuses() && audit.figures().lost.load(Ordering::Relaxed) > 0);
    // The end of a process waits as long as it says, and no longer.
    assert!(!audit.flush(Duration::from_millis(50)));
}

#[test]
fn a_chain_goes_on_after_a_kill_right_behind_a_rotation_and_not_without_the_file_it_ended_in() {
    let (folder, path) = log_of(0);
    let rotating = || Settings { bytes_max: 1, ..settings(&path) };
    write(rotating(), 3);
    let early = std::fs::read(verify::head_path(&path)).unwrap();
    write(rotating(), 3);
    let aside = verify::files(&path).into_iter().rfind(|f| *f != path).unwrap();
    assert_eq!(lines(&path).len(), 0, "everything was put aside");
    // The head was not written any more.
    std::fs::write(verify::head_path(&path), early).unwrap();
    write(rotating(), 3);
    assert_eq!(verify(&path, &key()).unwrap().records, 9);
    // The newest file is gone, and the head tells.
    let kept = folder.path().join("kept");
    for missing in [&path, verify::files(&path).iter().rfind(|f| **f != path).unwrap()] {
        std::fs::rename(missing, &kept).unwrap();
        let fault = Audit::start(settings(&path)).err();
        assert_eq!(fault.is_some_and(|e| e.contains("its end was cut off")), missing != &path, "{}", missing.display());
        std::fs::rename(&kept, missing).unwrap();
    }
    let _ = aside;
}
