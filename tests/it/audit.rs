//! The audit log of a real server: what is in it, and that what was done to it is found.

use crate::support::Server;
use crate::support::process::eventually;
use crate::support::server::BINARY;
use holdfast::net::dial;
use holdfast::net::tls::config::{ClientParameters, Trust, client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

fn until(what: &str, f: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(30), f);
}

/// TLS with the certificate that `of` has made for itself.
fn collector_tls(of: &Server) -> Arc<rustls::ServerConfig> {
    let folder = of.ca().parent().unwrap().to_owned();
    let chain: Vec<_> = CertificateDer::pem_file_iter(folder.join("server.crt")).unwrap().map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::default_fips_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap())
        .unwrap();
    Arc::new(config)
}

/// A collector with the certificate that `of` has made for itself: what it is sent, connection by connection. It ends each connection after
/// so many bytes.
fn collector(of: &Server, bytes_max: usize) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, sent) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let (config, kept) = (collector_tls(of), Arc::clone(&sent));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut stream =
                rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let n = kept.lock().unwrap().len();
            kept.lock().unwrap().push(String::new());
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                let mut kept = kept.lock().unwrap();
                kept[n].push_str(std::str::from_utf8(&buffer[..len]).unwrap());
                if kept[n].len() > bytes_max {
                    break;
                }
            }
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, sent)
}

/// The records in a stream of syslog messages, each behind its length.
fn records(stream: &str) -> Vec<&str> {
    let (mut rest, mut found) = (stream, Vec::new());
    while let Some((len, after)) = rest.split_once(' ') {
        let Some((message, behind)) = after.split_at_checked(len.parse().unwrap()) else { break };
        assert!(message.starts_with("<85>1 "), "{message}");
        found.push(message.split_once(" audit - ").unwrap().1);
        rest = behind;
    }
    found
}

#[test]
fn records_are_sent_to_a_collector_over_tls_in_their_order_through_its_restarts() {
    let other = Server::start();
    let (port, sent) = collector(&other, 3_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let server = Server::with(&[
        "--audit-file",
        path.to_str().unwrap(),
        "--audit-syslog-tls",
        &format!("localhost:{port}"),
        "--audit-syslog-ca-cert-file",
        other.ca().to_str().unwrap(),
    ]);
    let mut c = server.connect();
    let arrived = || sent.lock().unwrap().iter().map(|s| records(s).len()).sum::<usize>();
    for n in 1..=24 {
        // One after the other: what was under way when a connection ended may be lost.
        c.line(&format!("AUTH nobody{n} wrong"));
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains(&format!("nobody{n}\"")) {
            until("the record is written", || {
                std::fs::read_to_string(&path).unwrap().contains(&format!("nobody{n}\""))
            });
        }
        until("the record has arrived", || sent.lock().unwrap().iter().any(|s| s.contains(&format!("nobody{n}\""))));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let streams = sent.lock().unwrap().clone();
    assert!(streams.len() > 2, "it was ended and reached again");
    let copies: Vec<&str> = streams.iter().flat_map(|s| records(s)).collect();
    assert_eq!(copies, text.lines().collect::<Vec<_>>());
    // Counted when it is on its way, so perhaps behind its arrival.
    let sent = format!("audit_records_sent:{}\r", arrived());
    for part in ["audit_collector_reached:1", &sent, "audit_records_unsent:0"] {
        until(part, || c.line("INFO audit").to_string().contains(part));
    }
}

#[test]
fn what_takes_nothing_any_more_is_given_up_in_time_however_little_it_took() {
    let of = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, config) = (listener.local_addr().unwrap().port(), collector_tls(&of));
    // It shakes hands, and then reads a byte now and then.
    std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut connection = rustls::ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        while socket.read(&mut [0; 1]).is_ok_and(|n| n > 0) {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let trust = Trust::Roots { file: Some(of.ca()), folder: None };
    let now_s = holdfast::base::clock::wall_ms() / 1000;
    let parameters = ClientParameters { trust, identity: None, ciphers: String::new(), ciphersuites: String::new() };
    let mut socket = dial::tls("localhost", port, None, client(&parameters, now_s).unwrap(), None, None).unwrap();
    // More than the kernel takes on the way.
    let mut write = || (0..4096).try_for_each(|_| socket.write_within(&[b'x'; 4096], Duration::from_millis(200)));
    assert_eq!(write().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_collector_that_is_not_believed_gets_nothing_and_holds_nobody_up() {
    let other = Server::start();
    let (port, sent) = collector(&other, usize::MAX);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    // Its own authority is not the collector's.
    let words = ["--audit-file", path.to_str().unwrap(), "--audit-syslog-tls", &format!("127.0.0.1:{port}")];
    let server = Server::with(&words);
    let mut c = server.connect();
    c.line("AUTH nobody wrong");
    until("the record is written", || std::fs::read_to_string(&path).unwrap().contains("nobody"));
    until("the log says why", || server.log().contains("cannot be reached"));
    assert!(c.line("INFO audit").to_string().contains("audit_collector_reached:0"));
    assert!(sent.lock().unwrap().iter().all(String::is_empty));
    let out = crate::support::server::refused(
        folder.path(),
        &["--audit-file", "other.log", "--audit-syslog-tls", "logs.example.com"],
    );
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && said.contains("is no host:port"), "{said}");
}
