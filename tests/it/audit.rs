//! The audit log of a real server: what is in it, and that what was done to it is found.

use crate::support::Server;
use crate::support::server::BINARY;
use std::path::Path;
use std::process::Command;

fn verify(path: &Path) -> (bool, String) {
    let out = Command::new(BINARY).args(["audit", "verify"]).arg(path).output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn events_are_recorded_and_the_chain_holds_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let words = ["--audit-file", path.to_str().unwrap(), "--audit-keys", "secret:*"];
    let mut server = Server::with(&words);
    let (mut admin, mut user) = (server.connect(), server.connect());
    admin.line("ACL SETUSER u on >hidden-password ~a* +@all");
    user.line("AUTH u wrong-password");
    user.line("AUTH u hidden-password");
    user.line("GET b");
    admin.line("GET secret:1");
    admin.line("GET plain");
    admin.line("CONFIG SET requirepass another-password maxmemory 1000000000");
    admin.line("FLUSHALL");
    // A record is queued before its reply, and written soon after.
    while !std::fs::read_to_string(&path).unwrap().contains("FLUSHALL") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    server.signal("KILL");
    server.wait(std::time::Duration::from_secs(20));
    let (holds, said) = verify(&path);
    assert!(holds, "{said}");
    let text = std::fs::read_to_string(&path).unwrap();
    for part in [
        "\"event\":\"gate\"",
        "\"event\":\"start\"",
        "\"event\":\"acl-change\"",
        "\"event\":\"login-failed\"",
        "\"as\":\"u\"",
        "\"event\":\"login-ok\"",
        "\"reason\":\"key\",\"context\":\"toplevel\",\"command\":\"get\",\"object\":\"b\"",
        "\"event\":\"key-access\"",
        "\"directive\":\"requirepass\",\"old\":\"(redacted)\",\"new\":\"(redacted)\"",
        "\"directive\":\"maxmemory\",\"old\":\"0\",\"new\":\"1000000000\"",
        "\"command\":\"FLUSHALL\"",
        "\"tls\":\"TLSv1.3 ",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    for secret in ["hidden-password", "wrong-password", "another-password", "plain"] {
        assert!(!text.contains(secret), "{secret}:\n{text}");
    }
    // The next start goes on with the chain.
    drop(Server::with(&words));
    let (holds, said) = verify(&path);
    assert!(holds, "{said}");
    // And a change in the middle is named.
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|l| l.contains("login-failed")).unwrap() + 1;
    std::fs::write(&path, text.replace("login-failed", "login-ok")).unwrap();
    let (holds, said) = verify(&path);
    assert!(!holds && said.contains(&format!("audit.log:{line}: the record was changed")), "{said}");
}

#[test]
fn a_server_whose_log_was_tampered_with_does_not_go_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    drop(Server::with(&["--audit-file", path.to_str().unwrap()]));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    let out = crate::support::server::refused(folder.path(), &["--audit-file", "audit.log"]);
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && said.contains("its end was cut off"), "{said}");
}
