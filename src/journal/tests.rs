//! What readers of the stream may count on.

use super::stream::requests;
use super::*;
use std::sync::atomic::AtomicUsize;

fn step(journal: &Journal, effects: &[(u32, &str)]) -> u64 {
    let mut e = Effects::default();
    for (db, line) in effects {
        e.push(*db, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    }
    journal.append(&mut e)
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let join = |r: &Vec<Vec<u8>>| r.iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" ");
    requests(bytes).iter().map(join).collect()
}

fn drain(c: &mut Cursor) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(chunk) = c.read().expect("not lost") {
        all.extend(lines(&chunk.bytes));
    }
    all
}

#[test]
fn nothing_is_kept_or_counted_while_nobody_reads() {
    let j = Arc::new(Journal::default());
    assert!(!j.is_read());
    assert_eq!(step(&j, &[(0, "SET a 1")]), 0);
    let c = j.cursor_here(0);
    assert!(j.is_read());
    assert!(step(&j, &[(0, "SET a 1")]) > 0);
    drop(c);
    assert!(!j.is_read());
    assert_eq!(j.backlog().2, 0);
}

#[test]
fn a_step_of_several_effects_stands_between_multi_and_exec_with_its_select_inside() {
    let j = Arc::new(Journal::default());
    let mut c = j.cursor_here(0);
    step(&j, &[(0, "A")]);
    step(&j, &[(0, "B"), (0, "C")]);
    step(&j, &[(3, "D"), (4, "E")]);
    step(&j, &[(4, "F")]);
    let want = ["SELECT 0", "A", "MULTI", "B", "C", "EXEC", "MULTI", "SELECT 3", "D", "SELECT 4", "E", "EXEC", "F"];
    assert_eq!(drain(&mut c), want);
    assert_eq!(c.position(), j.end());
    assert!(c.read().unwrap().is_none());
}

#[test]
fn deletions_of_the_servers_own_stand_each_for_itself_unless_a_command_named_the_keys_or_follows_from_them() {
    let j = Arc::new(Journal::default());
    let mut c = j.cursor_here(0);
    let mut e = Effects::default();
    e.push_deletion(1, b"a");
    e.push_deletion(2, b"b");
    j.append(&mut e);
    e.push_deletion(2, b"c");
    e.push(2, &[b"SET", b"c", b"1"]);
    j.append(&mut e);
    e.push_deletion(2, b"d");
    e.push_deletion(2, b"e");
    e.bind();
    j.append(&mut e);
    let mut want = vec!["SELECT 1", "UNLINK a", "SELECT 2", "UNLINK b", "MULTI", "UNLINK c", "SET c 1", "EXEC"];
    want.extend(["MULTI", "UNLINK d", "UNLINK e", "EXEC"]);
    assert_eq!(drain(&mut c), want);
}

#[test]
fn a_new_cursor_makes_the_next_effect_say_its_database() {
    let j = Arc::new(Journal::default());
    let mut a = j.cursor_here(0);
    step(&j, &[(2, "A")]);
    let mut b = j.cursor_here(0);
    step(&j, &[(2, "B")]);
    assert_eq!(drain(&mut a), ["SELECT 2", "A", "SELECT 2", "B"]);
    assert_eq!(drain(&mut b), ["SELECT 2", "B"]);
}

#[test]
fn chunks_are_whole_steps_of_one_kind_and_say_what_is_selected() {
    let j = Arc::new(Journal::default());
    let mut c = j.cursor_here(0);
    step(&j, &[(5, "A")]);
    j.append_talk(&[b"PING"]);
    step(&j, &[(5, "B")]);
    let big = "x".repeat(200_000);
    step(&j, &[(5, &format!("SET k {big}")), (5, "C")]);
    let mut chunks = Vec::new();
    while let Some(chunk) = c.read().unwrap() {
        chunks.push((chunk.kind, chunk.selected, lines(&chunk.bytes)));
    }
    assert_eq!(chunks[0], (Kind::Data, None, vec!["SELECT 5".to_owned(), "A".into()]));
    assert_eq!(chunks[1], (Kind::Talk, Some(5), vec!["PING".to_owned()]));
    assert_eq!(chunks[2], (Kind::Data, Some(5), vec!["B".to_owned()]));
    assert_eq!((chunks[3].2.len(), chunks[3].2.last().map(String::as_str)), (4, Some("EXEC")));
    assert_eq!(chunks.len(), 4);
}

#[test]
fn the_backlog_gives_any_offset_it_holds_and_no_other() {
    let j = Arc::new(Journal::default());
    assert_eq!(j.cursor_at(0, 0).err(), Some(Gone), "without a backlog nothing can be continued");
    j.keep_backlog(Some(1000));
    let mut whole = Vec::new();
    let mut c = j.cursor_here(0);
    for i in 0..20_000 {
        step(&j, &[(0, &format!("SET key {i}"))]);
        while let Some(chunk) = c.read().unwrap() {
            assert_eq!(chunk.offset, whole.len() as u64);
            whole.extend_from_slice(&chunk.bytes);
        }
    }
    let (size, first, kept) = j.backlog();
    assert_eq!((size, first + kept), (Some(1000), j.end()));
    assert_eq!(kept, 1000);
    assert_eq!(j.cursor_at(first - 1, 0).err(), Some(Gone));
    assert_eq!(j.cursor_at(j.end() + 1, 0).err(), Some(Gone));
    for offset in [first, first + 1, j.end() - 7, j.end()] {
        let mut c = j.cursor_at(offset, 0).unwrap();
        let mut rest = Vec::new();
        while let Some(chunk) = c.read().unwrap() {
            rest.extend_from_slice(&chunk.bytes);
        }
        assert_eq!(rest, whole[offset as usize..]);
    }
}

#[test]
fn nobody_goes_on_from_further_behind_than_it_may_be() {
    let j = Arc::new(Journal::default());
    j.keep_backlog(Some(1000));
    step(&j, &[(0, &format!("SET key {}", "x".repeat(50_000)))]);
    let mut slow = j.cursor_here(0);
    step(&j, &[(0, &format!("SET key {}", "x".repeat(50_000)))]);
    assert!(j.cursor_at(slow.position(), 0).is_ok(), "what is kept for one is there for all");
    assert_eq!(
        j.cursor_at(slow.position(), 10_000).err(),
        Some(Gone),
        "it would be lost at its first read, and come back for ever"
    );
    assert!(j.cursor_at(j.end() - 10, 10_000).is_ok());
    drain(&mut slow);
}

#[test]
fn of_a_step_that_is_larger_than_the_backlog_no_more_is_kept_than_that() {
    let j = Arc::new(Journal::default());
    j.keep_backlog(Some(1000));
    for size in [50_000, 5_000_000] {
        step(&j, &[(0, &format!("SET key {}", "x".repeat(size)))]);
        assert_eq!(j.cursor_at(j.end() - 1001, 0).err(), Some(Gone));
        let mut c = j.cursor_at(j.end() - 1000, 0).unwrap();
        let chunk = c.read().unwrap().unwrap();
        assert!(chunk.bytes.len() == 1000 && chunk.bytes.ends_with(b"xx\r\n") && chunk.selected.is_none());
    }
}

#[test]
fn a_cursor_that_is_too_far_behind_is_lost_and_holds_nothing() {
    let j = Arc::new(Journal::default());
    let mut slow = j.cursor_here(100_000);
    let mut fast = j.cursor_here(0);
    for i in 0..100 {
        step(&j, &[(0, &format!("SET {i} {}", "x".repeat(10_000)))]);
        drain(&mut fast);
    }
    assert!(matches!(slow.read(), Err(Lost::Behind { bytes }) if bytes > 100_000));
    assert!(j.backlog().2 < 100_000);
}

#[test]
fn a_follower_keeps_its_primarys_bytes_and_drops_effects_of_its_own() {
    let j = Arc::new(Journal::default());
    let mut before = j.cursor_here(0);
    j.keep_backlog(Some(1 << 20));
    let epoch = j.follow();
    j.replaced(1000, Some(3));
    assert_eq!(before.read().unwrap_err(), Lost::Replaced);
    assert!(!j.is_read());
    assert_eq!(step(&j, &[(0, "SET mine 1")]), 1000);
    let mut c = j.cursor_here(0);
    let raw = b"*1\r\n$4\r\nPING\r\n";
    assert_eq!(j.append_raw(raw, Kind::Talk, 3, epoch + 4), 1000, "from another epoch");
    assert_eq!(j.append_raw(raw, Kind::Talk, 3, epoch), 1000 + raw.len() as u64);
    let chunk = c.read().unwrap().unwrap();
    assert_eq!((chunk.offset, &chunk.bytes[..], chunk.selected), (1000, &raw[..], Some(3)));
    // Promoted: the history goes on where it stopped, and those who follow go on too.
    j.lead();
    step(&j, &[(3, "SET ours 1")]);
    assert_eq!(drain(&mut c), ["SELECT 3", "SET ours 1"]);
    assert!(j.cursor_at(1000, 0).is_ok());
}

#[test]
fn a_reader_is_woken_once_until_it_has_read_everything() {
    let j = Arc::new(Journal::default());
    let mut c = j.cursor_here(0);
    let woken = Arc::new(AtomicUsize::new(0));
    let w = Arc::clone(&woken);
    c.on_append(Arc::new(move || {
        w.fetch_add(1, Ordering::Relaxed);
    }));
    for _ in 0..3 {
        step(&j, &[(0, "A")]);
        j.ring();
    }
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    drain(&mut c);
    j.ring();
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    step(&j, &[(0, "B")]);
    j.ring();
    assert_eq!(woken.load(Ordering::Relaxed), 2);
    assert!(c.wait(std::time::Duration::ZERO));
}

#[test]
fn a_reader_that_takes_its_time_is_called_again_when_half_a_backlog_has_come() {
    let j = Arc::new(Journal::default());
    j.keep_backlog(Some(1000));
    let c = j.cursor_here(0);
    let woken = Arc::new(AtomicUsize::new(0));
    let w = Arc::clone(&woken);
    c.on_append(Arc::new(move || {
        w.fetch_add(1, Ordering::Relaxed);
    }));
    step(&j, &[(0, "A")]);
    j.ring();
    let first = j.end();
    while j.end() < first + 500 {
        assert_eq!(woken.load(Ordering::Relaxed), 1, "{} bytes later", j.end() - first);
        step(&j, &[(0, "A")]);
        j.ring();
    }
    assert_eq!(woken.load(Ordering::Relaxed), 2);
}
