//! Files that are not as they should be: in the way, left behind, open to others.

use crate::support::process::eventually;
use crate::support::server::BINARY;
use crate::support::{Server, check};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const STARTED: &str = "+Background append only file rewriting started";

fn start(dir: &Path, words: &[&str]) -> Server {
    let mut all = vec!["--dir", dir.to_str().unwrap(), "--save", ""];
    all.extend(words);
    Server::plain(&all)
}

fn rewrite_is_refused_until_it_can_begin(server: &Server, in_the_way: &Path) {
    let mut c = server.connect_plain();
    let refused = |said: String| assert!(said.contains("ERR Can't execute an AOF background rewriting."), "{said}");
    refused(c.line("BGREWRITEAOF").to_string());
    check(&mut c, &[("MULTI", "+OK"), ("BGREWRITEAOF", "+QUEUED")]);
    refused(c.line("EXEC").to_string());
    let info = c.line("INFO persistence").to_string();
    for field in ["aof_last_bgrewrite_status:err", "aof_last_write_status:ok", "aof_rewrite_scheduled:0"] {
        assert!(info.contains(field), "{field} in {info}");
    }
    let named = "Can't rewrite the append only file: appendonlydir: ";
    eventually("the log has the reason", Duration::from_secs(20), || server.log().contains(named));
    check(&mut c, &[("SET k v", "+OK")]);
    if in_the_way.is_dir() {
        fs::remove_dir(in_the_way).unwrap()
    } else {
        fs::remove_file(in_the_way).unwrap()
    }
    check(&mut c, &[("BGREWRITEAOF", STARTED)]);
    eventually("the base is there", Duration::from_secs(20), || {
        let info = c.line("INFO persistence").to_string();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_last_bgrewrite_status:ok")
    });
}

#[test]
fn a_rewrite_that_cannot_begin_is_an_error_for_who_asks_for_it_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("appendonlydir");
    let server = start(folder.path(), &["--appendonly", "no"]);
    fs::write(&log, "no folder").unwrap();
    rewrite_is_refused_until_it_can_begin(&server, &log);
    let names: Vec<_> = fs::read_dir(&log).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|n| n.to_string_lossy().contains("probe")), "{names:?}");
    drop(server);

    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--appendonly", "yes"]);
    let increment = folder.path().join("appendonlydir/appendonly.aof.2.incr.aof");
    fs::create_dir(&increment).unwrap();
    rewrite_is_refused_until_it_can_begin(&server, &increment);
    assert!(increment.is_file());
}

#[test]
fn files_of_keys_and_secrets_that_others_may_read_are_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (keys, password) = (at("keys", &"5a".repeat(32), 0o644), at("password", "a-long-enough-secret", 0o600));
    let source = format!("file:{keys}");
    let server = start(folder.path(), &["--encryption-key-source", &source, "--requirepass-file", &password]);
    let warning = |path: &str, mode: &str| {
        format!("{path} holds a key or a secret and is open to others (mode {mode}): chmod 600 {path}")
    };
    let log = server.log();
    assert!(log.contains(&warning(&keys, "0644")), "{log}");
    assert!(!log.contains(&format!("chmod 600 {password}")), "{log}");
    // What changes while the server runs is seen when it is read again.
    at("password", "a-long-enough-secret", 0o640);
    server.signal("HUP");
    eventually("the other is named", Duration::from_secs(20), || server.log().contains(&warning(&password, "0640")));
}

#[test]
fn a_backup_deletes_what_a_killed_one_left_and_not_what_a_running_one_makes() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let backups = folder.path().join("backups");
    let (killed, running) = (backups.join(".partial-a-1"), backups.join(".partial-b-2"));
    fs::create_dir_all(&killed).unwrap();
    fs::write(killed.join("dump.rdb"), "half").unwrap();
    fs::create_dir(&running).unwrap();
    let lock = fs::File::open(&running).unwrap();
    lock.try_lock().unwrap();
    let back_up = || {
        let words = ["backup", "-p", &server.port.to_string(), "-q", backups.to_str().unwrap()];
        let out = std::process::Command::new(BINARY).args(words).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let said = back_up();
    assert!(said.contains(&format!("{}: deleted", killed.display())) && !said.contains("partial-b"), "{said}");
    assert!(!killed.exists() && running.exists());
    drop(lock);
    let said = back_up();
    assert!(said.contains(&format!("{}: deleted", running.display())), "{said}");
    let left: Vec<_> = fs::read_dir(&backups).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.len() == 2 && !left.iter().any(|n| n.to_string_lossy().starts_with('.')), "{left:?}");
}
