//! Signing in: slow hashes, throttling, certificates that name a user, certificates that change while the server runs.

use crate::support::process::eventually;
use crate::support::{Connection, Server};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

#[test]
fn a_slow_hash_is_verified_without_holding_up_others() {
    let server = Server::with(&["--acl-password-hash", "pbkdf2", "--io-threads", "1"]);
    let (mut admin, mut user, mut other) = (server.connect(), server.connect(), server.connect());
    assert!(admin.line("ACL SETUSER s on >short +@all").to_string().contains("shorter than 14 bytes"));
    assert_eq!(admin.line("ACL SETUSER u on >correct-horse-battery ~* +@all").to_string(), "+OK");
    let hash = admin.line("ACL GETUSER u").to_string();
    assert!(hash.contains("pbkdf2-sha256:600000:") && !hash.contains("correct-horse"), "{hash}");
    assert_eq!(user.line("AUTH u wrong-horse-battery").to_string(), WRONG);
    // Both requests are under way before either is answered; the one that needs no hash is.
    user.send(b"AUTH u correct-horse-battery\r\nACL WHOAMI\r\n").unwrap();
    assert_eq!(other.line("PING").to_string(), "+PONG");
    assert_eq!(user.read().unwrap().to_string(), "+OK");
    assert_eq!(user.read().unwrap().to_string(), "\"u\"");
    assert_eq!(other.line("HELLO 3 AUTH u correct-horse-battery SETNAME me").to_string().get(..1), Some("{"));
    assert_eq!(other.line("CLIENT GETNAME").to_string(), "\"me\"");
}

#[test]
fn an_old_hash_is_replaced_at_the_next_login_if_asked() {
    let server = Server::with(&["--acl-password-hash", "pbkdf2", "--acl-password-upgrade", "yes"]);
    let (mut admin, mut user) = (server.connect(), server.connect());
    // SHA-256 of "correct horse battery staple".
    let old = "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a";
    assert_eq!(admin.line(&format!("ACL SETUSER u on #{old} +@all")).to_string(), "+OK");
    user.send(b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$28\r\ncorrect horse battery staple\r\n").unwrap();
    assert_eq!(user.read().unwrap().to_string(), "+OK");
    let end = Instant::now() + Duration::from_secs(20);
    while !admin.line("ACL GETUSER u").to_string().contains("pbkdf2-sha256:") {
        assert!(Instant::now() < end, "it was never replaced");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!admin.line("ACL GETUSER u").to_string().contains(old));
    user.send(b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$28\r\ncorrect horse battery staple\r\n").unwrap();
    assert_eq!(user.read().unwrap().to_string(), "+OK");
}

#[test]
fn who_guesses_is_slowed_down_and_the_true_user_gets_in() {
    let server = Server::with(&["--auth-throttle-after", "5", "--auth-throttle-delay-max", "300"]);
    let mut admin = server.connect();
    admin.line("ACL SETUSER u on >right +@all");
    let (mut guesser, mut owner) = (server.connect(), server.connect());
    for _ in 0..12 {
        assert_eq!(guesser.line("AUTH u guess").to_string(), WRONG);
    }
    guesser.send(b"AUTH u guess\r\n").unwrap();
    // The guess waits; neither the other client of this worker nor the one beside it does.
    assert_eq!(admin.line("PING").to_string(), "+PONG");
    assert_eq!(owner.line("AUTH u right").to_string(), "+OK");
    assert_eq!(guesser.read().unwrap().to_string(), WRONG);
    let log = server.log();
    assert!(log.contains("Failed login as 'u' from 127.0.0.1:"), "{log}");
}

#[test]
fn a_flood_of_slow_logins_holds_up_those_of_its_own_address_alone() {
    let server = Server::plain(&["--acl-password-hash", "pbkdf2", "--maxclients", "200"]);
    let mut admin = server.connect_plain();
    assert_eq!(admin.line("ACL SETUSER u on >correct-horse-battery ~* +@all").to_string(), "+OK");
    let mut guessers: Vec<TcpStream> = (0..40)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let address = |ip: [u8; 4], port| SockAddr::from(SocketAddr::from((ip, port)));
            socket.bind(&address([127, 0, 0, 2], 0)).unwrap();
            socket.connect(&address([127, 0, 0, 1], server.plain_port)).unwrap();
            socket.into()
        })
        .collect();
    guessers.iter_mut().for_each(|g| g.write_all(b"AUTH u wrong-horse-battery\r\n").unwrap());
    // Some of them are being verified.
    guessers[0].read_exact(&mut [0; 1]).unwrap();
    assert_eq!(admin.line("AUTH u correct-horse-battery").to_string(), "+OK");
    let mut answered = 0;
    for guesser in &guessers[1..] {
        guesser.set_nonblocking(true).unwrap();
        answered += usize::from(guesser.peek(&mut [0; 1]).is_ok());
    }
    assert!(answered < 20, "{answered} were answered first");
}

#[test]
fn a_transaction_is_no_way_to_guess_faster() {
    let server = Server::with(&["--auth-throttle-after", "5", "--auth-throttle-delay-max", "300"]);
    let mut admin = server.connect();
    admin.line("ACL SETUSER u on >right +@all");
    let mut guesser = server.connect();
    guesser.line("MULTI");
    for _ in 0..50 {
        assert_eq!(guesser.line("AUTH u guess").to_string(), "+QUEUED");
    }
    // Not even the right one is looked at by then.
    guesser.line("AUTH u right");
    let replies = guesser.line("EXEC").to_string();
    assert_eq!(replies.matches("WRONGPASS invalid").count(), 6, "{replies}");
    assert_eq!(replies.matches("WRONGPASS after so many failed logins").count(), 45, "{replies}");
    assert_eq!(guesser.line("ACL WHOAMI").to_string(), "\"default\"");
    assert_eq!(guesser.line("AUTH u right").to_string(), "+OK");
}

#[test]
fn a_slow_hash_is_not_verified_under_the_locks_of_a_transaction() {
    let server = Server::with(&["--acl-password-hash", "pbkdf2"]);
    let mut admin = server.connect();
    admin.line("ACL SETUSER u on >correct-horse-battery +@all");
    for name in ["u", "nobody"] {
        admin.line("MULTI");
        admin.line(&format!("AUTH {name} correct-horse-battery"));
        let replies = admin.line("EXEC").to_string();
        assert!(replies.contains("ERR a password kept as PBKDF2 is not verified inside a transaction"), "{replies}");
    }
    assert_eq!(admin.line("ACL WHOAMI").to_string(), "\"default\"");
}

#[test]
fn a_password_of_before_is_not_taken_again_as_long_as_it_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.acl");
    std::fs::write(&file, "user default on nopass ~* &* +@all\n").unwrap();
    let server = Server::with(&["--aclfile", file.to_str().unwrap(), "--acl-password-history", "2"]);
    let mut admin = server.connect();
    let mut set = |rules: &str| admin.line(&format!("ACL SETUSER u on {rules}")).to_string();
    let before = "the password was this user's before";
    assert_eq!(set(">first"), "+OK");
    for way in ["resetpass >first", "reset >first", "nopass >first", "<first >first"] {
        let reply = set(way);
        assert!(reply.contains(before) && !reply.contains("first"), "{way}: {reply}");
    }
    assert_eq!(set("resetpass >second"), "+OK");
    // It is remembered through the file, and through another change.
    assert_eq!(admin.line("ACL SAVE").to_string(), "+OK");
    assert_eq!(admin.line("ACL LOAD").to_string(), "+OK");
    let mut set = |rules: &str| admin.line(&format!("ACL SETUSER u on {rules}")).to_string();
    assert!(set(">first").contains(before));
    assert_eq!(set("resetpass >third"), "+OK");
    assert_eq!(set("resetpass >fourth"), "+OK");
    assert!(set(">third").contains(before) && set(">second").contains(before));
    assert_eq!(set(">first"), "+OK", "two are remembered");
    // The hash of one of before is refused as well.
    let second = "#16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";
    assert_eq!(set("resetpass >fifth >second"), "+OK");
    assert_eq!(set("<second"), "+OK");
    assert!(set(second).contains(before));
}

#[test]
fn secrets_may_stand_in_files_of_their_own_and_stay_there() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, secret) = (folder.path().join("h.conf"), folder.path().join("pw"));
    std::fs::write(&secret, "from-a-file\n").unwrap();
    std::fs::write(&conf, format!("tls-auth-clients no\nrequirepass-file {}\n", secret.display())).unwrap();
    let server = Server::with_file(&[conf.to_str().unwrap()]);
    let mut c = server.connect();
    assert_eq!(c.line("PING").to_string(), "-NOAUTH Authentication required.");
    assert_eq!(c.line("AUTH from-a-file").to_string(), "+OK");
    assert_eq!(c.line("CONFIG REWRITE").to_string(), "+OK");
    let text = std::fs::read_to_string(&conf).unwrap();
    assert!(text.contains("requirepass-file ") && !text.contains("from-a-file"), "{text}");
}

#[test]
fn a_secret_in_a_file_changes_with_it_at_sighup_and_an_empty_file_never_opens_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("pw");
    let file = secret.to_str().unwrap().to_owned();
    std::fs::write(&secret, "").unwrap();
    let out = crate::support::server::refused(folder.path(), &["--tls-port", "1", "--requirepass-file", &file]);
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("is empty"), "{said}");
    std::fs::write(&secret, "the-first\n").unwrap();
    let words = ["--requirepass-file", &file, "--landlock", "try", "--audit-file", "audit.log"];
    let server = Server::with(&words);
    let mut old = server.connect();
    assert_eq!(old.line("AUTH the-first").to_string(), "+OK");
    let next = folder.path().join("next");
    std::fs::write(&next, "the-second\n").unwrap();
    std::fs::rename(&next, &secret).unwrap();
    server.signal("HUP");
    eventually("the new password is in use", Duration::from_secs(20), || {
        server.connect().line("AUTH the-second").to_string() == "+OK"
    });
    assert!(server.connect().line("AUTH the-first").to_string().starts_with("-WRONGPASS"));
    assert_eq!(old.line("PING").to_string(), "+PONG");
    std::fs::write(&secret, "\n").unwrap();
    server.signal("HUP");
    eventually("the empty file is refused", Duration::from_secs(20), || server.log().contains("is empty"));
    assert_eq!(server.connect().line("AUTH the-second").to_string(), "+OK");
    let audit = std::fs::read_to_string(server.folder().join("audit.log")).unwrap();
    assert!(audit.contains("\"directive\":\"requirepass\"") && !audit.contains("the-second"), "{audit}");
}

#[test]
fn a_secret_of_the_configuration_is_shown_to_those_only_who_could_set_it() {
    let server = Server::with(&["--requirepass", "of-the-server", "--primaryauth", "of-the-primary"]);
    let mut c = server.connect();
    c.line("AUTH of-the-server");
    assert_eq!(c.line("CONFIG GET masterauth").to_string(), "[\"masterauth\" \"of-the-primary\"]");
    for (name, rules) in [("watcher", "+config|get"), ("setter", "+config"), ("selected", "+ping (+config|set)")] {
        assert_eq!(c.line(&format!("ACL SETUSER {name} on nopass +config|get {rules}")).to_string(), "+OK");
        let mut other = server.connect();
        assert_eq!(other.line(&format!("AUTH {name} any")).to_string(), "+OK");
        let all = other.line("CONFIG GET *").to_string();
        let shown = other.line("CONFIG GET primaryauth requirepass tls-key-file-pass").to_string();
        assert_eq!(all.contains("of-the-"), name != "watcher", "{name}: {all}");
        if name == "watcher" {
            let want = "[\"primaryauth\" \"(redacted)\" \"requirepass\" \"(redacted)\" \"tls-key-file-pass\" \"\"]";
            assert_eq!(shown, want);
        }
    }
}

fn openssl(folder: &Path, words: &str) {
    let out = std::process::Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(out.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A CA, a server's certificate, and clients' certificates: `CN`, URI.
fn certificates(folder: &Path, clients: &[(&str, &str, &str)]) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca",
    );
    let mut all = vec![("server", "localhost", "DNS:localhost,IP:127.0.0.1")];
    all.extend(clients);
    for (file, cn, san) in all {
        openssl(
            folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {file}.key -out {file}.csr -subj /CN={cn}"
            ),
        );
        std::fs::write(folder.join("ext"), format!("subjectAltName={san}\nbasicConstraints=CA:FALSE\n")).unwrap();
        openssl(
            folder,
            &format!(
                "x509 -req -in {file}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {file}.crt -days 20 -extfile ext"
            ),
        );
    }
}

fn server_with(folder: &Path, more: &[&str]) -> Server {
    let path = |n: &str| folder.join(n).display().to_string();
    let (crt, key, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let mut words = vec![
        "--tls-cert-file",
        &crt,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "optional",
    ];
    words.extend(more);
    Server::with(&words)
}

fn connect_as(server: &Server, folder: &Path, name: &str) -> Result<Connection, holdfast::net::dial::DialError> {
    Connection::tls_as(
        server.port,
        &folder.join("ca.crt"),
        Some((folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")))),
    )
}

#[test]
fn a_certificate_names_its_user_and_a_user_may_demand_one() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[("a", "alice", "URI:urn:user:first,URI:urn:user:second"), ("n", "nobody", "URI:urn:none")]);
    let server = server_with(f, &["--tls-auth-clients-user", "CN"]);
    let mut admin = Connection::tls(server.port, &f.join("ca.crt")).unwrap();
    admin.line("ACL SETUSER alice on +@all");
    admin.line("ACL SETUSER urn:user:second on +@all");
    admin.line("ACL SETUSER both on certificate >pw +@all");
    assert_eq!(connect_as(&server, f, "a").unwrap().line("ACL WHOAMI").to_string(), "\"alice\"");
    assert_eq!(connect_as(&server, f, "n").unwrap().line("ACL WHOAMI").to_string(), "\"default\"");
    assert!(admin.line("INFO stats").to_string().contains("acl_access_denied_tls_cert:1"));
    assert!(admin.line("ACL LOG").to_string().contains("\"tls-cert\""));
    admin.line("CONFIG SET tls-auth-clients-user URI");
    assert_eq!(connect_as(&server, f, "a").unwrap().line("ACL WHOAMI").to_string(), "\"urn:user:second\"");
    assert_eq!(admin.line("AUTH both pw").to_string(), WRONG, "a password alone does not do");
    assert_eq!(connect_as(&server, f, "n").unwrap().line("AUTH both pw").to_string(), "+OK");
}

#[test]
fn certificates_change_while_connections_go_on_and_bad_ones_never_take_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[("other", "localhost", "DNS:localhost,IP:127.0.0.1")]);
    // The endpoint for metrics has the same certificate, and is the first to look at it.
    let (http, audit) = (crate::support::server::free_port().to_string(), f.join("audit.log"));
    let words = ["--tls-auth-clients", "no", "--http-port", &http, "--audit-file", audit.to_str().unwrap()];
    let server = server_with(f, &words);
    let ca = f.join("ca.crt");
    let mut old = Connection::tls(server.port, &ca).unwrap();
    let serial = |c: &mut Connection| {
        let info = c.line("INFO tls").to_string();
        info.lines().find_map(|l| l.trim().strip_prefix("tls_server_cert_serial:").map(str::to_owned)).unwrap_or(info)
    };
    let first = serial(&mut old);
    assert!(old.line("INFO tls").to_string().contains("tls_files_on_disk:same"));

    // A certificate with another's key is refused, and nothing has changed.
    std::fs::copy(f.join("other.crt"), f.join("server.crt")).unwrap();
    assert!(old.line("INFO tls").to_string().contains("tls_files_on_disk:changed"));
    server.signal("HUP");
    wait(|| server.log().contains("could not be reloaded"));
    assert_eq!(serial(&mut old), first);
    let info = old.line("INFO tls").to_string();
    assert!(info.contains("is not the key of the certificate") && info.contains("tls_failed_reloads:1"), "{info}");
    let failed = "\"event\":\"certificate-reload\",\"outcome\":\"failed\"";
    wait(|| std::fs::read_to_string(&audit).unwrap().contains(failed));
    assert_eq!(Connection::tls(server.port, &ca).unwrap().line("PING").to_string(), "+PONG");

    // With its key it is taken.
    std::fs::copy(f.join("other.key"), f.join("server.key")).unwrap();
    server.signal("HUP");
    wait(|| server.log().contains("TLS materials reloaded successfully"));
    assert_ne!(serial(&mut old), first, "and the old connection goes on");
    assert_eq!(Connection::tls(server.port, &ca).unwrap().line("PING").to_string(), "+PONG");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[("good", "good", "URI:urn:g"), ("bad", "bad", "URI:urn:b")]);
    std::fs::write(f.join("index.txt"), "").unwrap();
    std::fs::write(f.join("crlnumber"), "01\n").unwrap();
    std::fs::write(
        f.join("ca.cnf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=10\n",
    )
    .unwrap();
    openssl(f, "ca -config ca.cnf -keyfile ca.key -cert ca.crt -revoke bad.crt");
    openssl(f, "ca -config ca.cnf -keyfile ca.key -cert ca.crt -gencrl -out crl.pem");
    let crl = f.join("crl.pem").display().to_string();
    let server = server_with(f, &["--tls-crl-file", &crl]);
    assert_eq!(connect_as(&server, f, "good").unwrap().line("PING").to_string(), "+PONG");
    let refused = connect_as(&server, f, "bad").map(|mut c| c.command(&[b"PING"]));
    assert!(!matches!(refused, Ok(Ok(_))), "a revoked certificate was let in");
    let mut admin = connect_as(&server, f, "good").unwrap();
    let info = admin.line("INFO stats").to_string() + &admin.line("INFO fips").to_string();
    assert!(info.contains("tls_refused_certificate:1"), "{info}");
}

#[test]
fn a_revocation_list_that_would_lock_everybody_out_is_refused_and_an_old_one_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[("good", "good", "URI:urn:g"), ("bad", "bad", "URI:urn:b")]);
    openssl(
        f,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca2.key -out ca2.crt -days 30 -subj /CN=ca",
    );
    std::fs::write(f.join("index.txt"), "").unwrap();
    std::fs::write(f.join("crlnumber"), "01\n").unwrap();
    std::fs::write(
        f.join("ca.cnf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=10\n",
    )
    .unwrap();
    openssl(f, "ca -config ca.cnf -keyfile ca.key -cert ca.crt -revoke bad.crt");
    let old = "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z";
    for (name, ca, more) in [
        ("good.pem", "ca", ""),
        ("forged.pem", "ca2", ""),
        ("sha1.pem", "ca", " -md sha1"),
        ("old.pem", "ca", &format!(" {old}")),
    ] {
        openssl(f, &format!("ca -config ca.cnf -keyfile {ca}.key -cert {ca}.crt -gencrl -out {name}{more}"));
    }
    let crl = f.join("crl.pem");
    let put = |name: &str| std::fs::copy(f.join(name), &crl).map(drop).unwrap();
    put("good.pem");
    let server = server_with(f, &["--tls-crl-file", crl.to_str().unwrap(), "--http-port", "0"]);
    let mut admin = connect_as(&server, f, "good").unwrap();
    for (name, says) in
        [("forged.pem", "is not signed by the authority of that name"), ("sha1.pem", "is signed with ECDSA with SHA-1")]
    {
        put(name);
        server.signal("HUP");
        wait(|| server.log().contains(says));
        assert!(admin.line("INFO tls").to_string().contains(says), "{name}");
        assert_eq!(connect_as(&server, f, "good").unwrap().line("PING").to_string(), "+PONG", "{name}");
    }
    put("old.pem");
    server.signal("HUP");
    wait(|| server.log().contains("should have been replaced by"));
    assert_eq!(connect_as(&server, f, "good").unwrap().line("PING").to_string(), "+PONG");
    let refused = connect_as(&server, f, "bad").map(|mut c| c.command(&[b"PING"]));
    assert!(!matches!(refused, Ok(Ok(_))), "a revoked certificate was let in");
}

#[test]
fn what_is_configured_for_later_is_looked_at_now() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[("other", "other", "URI:urn:o")]);
    let server = server_with(f, &["--tls-auth-clients", "no"]);
    let mut admin = Connection::tls(server.port, &f.join("ca.crt")).unwrap();
    let path = |name: &str| f.join(name).display().to_string();
    let mut refused = |words: &str, says: &str| {
        let reply = admin.line(&format!("CONFIG SET {words}")).to_string();
        assert!(reply.starts_with("-ERR") && reply.contains(says), "{words}: {reply}");
    };
    // No client is asked for a certificate, nor any server dialled.
    refused(&format!("tls-ca-cert-file {}", path("nowhere")), "cannot be read");
    refused(&format!("tls-crl-file {}", path("ca.crt")), "holds no certificate revocation list");
    refused(
        &format!("tls-client-cert-file {}", path("other.crt")),
        "one of tls-client-cert-file and tls-client-key-file",
    );
    let pair = |key: &str| format!("tls-client-cert-file {} tls-client-key-file {}", path("other.crt"), path(key));
    refused(&pair("server.key"), "is not the key of the certificate");
    assert_eq!(admin.line(&format!("CONFIG SET {}", pair("other.key"))).to_string(), "+OK");
}

#[test]
fn whether_the_bus_is_encrypted_can_be_set_where_there_is_none_and_not_on_a_node_that_runs() {
    assert_eq!(Server::start().connect().line("CONFIG SET tls-cluster no").to_string(), "+OK");
    let bus = crate::support::server::free_port().to_string();
    let node = Server::with(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
    let reply = node.connect().line("CONFIG SET tls-cluster no tls-replication no").to_string();
    assert!(reply.starts_with("-ERR"), "{reply}");
    let reply = node.connect().line("CONFIG GET tls-cluster tls-replication").to_string();
    assert_eq!(reply.matches("\"yes\"").count(), 2, "{reply}");
}

#[test]
fn a_pipe_or_a_device_in_the_place_of_a_file_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    certificates(f, &[]);
    let (pipe, users, secret) = (f.join("pipe"), f.join("users.acl"), f.join("secret"));
    let mkfifo = |path: &Path| {
        let _ = std::fs::remove_file(path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    mkfifo(&pipe);
    std::fs::write(&users, "user default on nopass ~* &* +@all\n").unwrap();
    std::fs::write(&secret, "a secret of the tests\n").unwrap();
    let words = ["--aclfile", users.to_str().unwrap(), "--primaryauth-file", secret.to_str().unwrap()];
    let server = server_with(f, &words);
    let mut admin = Connection::tls(server.port, &f.join("ca.crt")).unwrap();
    for directive in ["tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-crl-file"] {
        for path in [pipe.to_str().unwrap(), "/dev/zero"] {
            let reply = admin.line(&format!("CONFIG SET {directive} {path}")).to_string();
            assert!(reply.contains("it is no regular file"), "{directive} {path}: {reply}");
        }
    }
    [&users, &secret].into_iter().for_each(|path| mkfifo(path));
    assert!(admin.line("ACL LOAD").to_string().contains("it is no regular file"));
    server.signal("HUP");
    wait(|| server.log().contains("ACL file not read again") && server.log().contains("A secret not read again"));
    assert_eq!(admin.line("CONFIG GET primaryauth").to_string(), "[\"primaryauth\" \"a secret of the tests\"]");
}

fn wait(done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "it never happened");
        std::thread::sleep(Duration::from_millis(10));
    }
}
