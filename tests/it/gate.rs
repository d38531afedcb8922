//! What must not start: exit status, a message with the remedy, and nothing bound.

use crate::support::Server;
use crate::support::process::run;
use crate::support::server::{BINARY, free_port, refused};
use holdfast::tools::elf;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Runs a server that has to refuse, with a port nobody may find open afterwards, and returns what it said.
#[track_caller]
fn refuses(words: &[&str], says: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let port_text = port.to_string();
    let words: Vec<&str> = words.iter().map(|w| if *w == "PORT" { port_text.as_str() } else { w }).collect();
    let Output { status, stdout, stderr } = refused(folder.path(), &words);
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.code().is_some_and(|c| c != 0), "exit status {status}:\n{said}");
    for part in says {
        assert!(said.contains(part), "'{part}' is not in:\n{said}");
    }
    assert!(!said.contains("Ready to accept connections"), "it was ready:\n{said}");
    assert!(!said.contains("Listening on"), "it was bound:\n{said}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something listens on {port}");
    assert!(!folder.path().join("s.sock").exists(), "a unix socket was bound");
    said
}

#[test]
fn plaintext_is_refused_unless_it_is_allowed() {
    refuses(&["--port", "PORT"], &["plaintext is not allowed", "allow-plaintext local", "tls-port"]);
    refuses(&["--port", "PORT", "--tls-port", "0", "--allow-plaintext", "no"], &["plaintext is not allowed"]);
    refuses(&["--unixsocket", "s.sock", "--tls-port", "PORT"], &["allow-plaintext"]);
}

#[test]
fn suites_that_are_not_approved_are_named() {
    for suite in ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"] {
        refuses(
            &["--tls-port", "PORT", "--tls-ciphersuites", suite],
            &[suite, "not an approved", "TLS_AES_256_GCM_SHA384"],
        );
    }
    for cipher in ["ECDHE-RSA-CHACHA20-POLY1305", "AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", "DES-CBC3-SHA"] {
        refuses(&["--tls-port", "PORT", "--tls-ciphers", cipher], &[cipher, "not an approved"]);
    }
}

#[test]
fn versions_that_are_not_approved_are_named() {
    refuses(&["--tls-port", "PORT", "--tls-protocols", "TLSv1.1 TLSv1.2"], &["TLSv1.1"]);
}

#[test]
fn without_certificates_and_without_leave_to_make_them_nothing_starts() {
    refuses(&["--tls-port", "PORT", "--tls-auto-generate", "no"], &["tls-cert-file", "tls-key-file"]);
}

#[test]
fn half_a_certificate_is_refused() {
    refuses(&["--tls-port", "PORT", "--tls-cert-file", "absent.crt"], &["tls-key-file"]);
    refuses(
        &[
            "--tls-port",
            "PORT",
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            "absent.crt",
            "--tls-key-file",
            "absent.key",
        ],
        &["absent"],
    );
}

#[test]
fn weak_certificates_are_refused() {
    let fixture = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let key = fixture("rsa-pkcs1.key");
    for (name, says) in [("rsa1024.crt", "1024"), ("sha1.crt", "SHA-1"), ("md5.crt", "MD5"), ("ed25519.crt", "")] {
        let certificate = fixture(name);
        refuses(
            &[
                "--tls-port",
                "PORT",
                "--tls-auth-clients",
                "no",
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
            ],
            &[says],
        );
    }
}

#[test]
fn a_certificate_out_of_its_dates_or_with_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let make = |name: &str, from: i32, to: i32| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        std::fs::write(path(&format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    make("expired", 2020, 2021);
    make("early", 2090, 2091);
    make("good", 2020, 2091);
    for (certificate, key, says) in [
        ("expired", "expired", "expired on"),
        ("early", "early", "is not valid before"),
        ("good", "early", "is not the key of the certificate in"),
    ] {
        let (certificate, key) = (path(&format!("{certificate}.crt")), path(&format!("{key}.key")));
        refuses(
            &[
                "--tls-port",
                "PORT",
                "--tls-auth-clients",
                "no",
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
            ],
            &[says, &certificate],
        );
    }
}

/// A copy of the binary with one other bit where `symbol` is.
fn damaged(folder: &Path, symbol: &str, further: usize) -> std::path::PathBuf {
    let mut bytes = std::fs::read(BINARY).unwrap();
    let found = elf::symbols(&bytes, &[symbol]);
    let at =
        found.iter().find(|s| s.name.ends_with(symbol)).and_then(|s| s.offset).expect("the module's symbols") + further;
    bytes[at] ^= 1;
    let path = folder.join(symbol);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[test]
fn a_module_that_was_changed_ends_the_process_before_anything_is_bound() {
    // A byte of its code, and a byte of the hash its code is held against.
    for (symbol, further) in [("BORINGSSL_bcm_text_start", 64), ("BORINGSSL_bcm_text_hash", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let binary = damaged(folder.path(), symbol, further);
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let port = free_port();
        for words in [vec!["server", "--tls-port"], vec!["fips", "status"], vec!["cli", "ping"]] {
            let mut command = Command::new(&binary);
            command.args(&words).current_dir(&data);
            if words[0] == "server" {
                command.arg(port.to_string());
            }
            let out = run(&mut command, b"", Duration::from_secs(30));
            let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            // The module aborts: no code of ours has run.
            assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{symbol} {words:?}: {} {said}", out.status);
            assert!(said.contains("FIPS integrity test failed"), "{symbol}: {said}");
            assert!(!said.contains("FIPS VALIDATION"), "{symbol}: {said}");
        }
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something listens on {port}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "it wrote something");
    }
}

#[test]
fn the_self_test_runs_on_demand_and_is_reported() {
    let server = Server::start();
    let mut c = server.connect();
    let runs = |c: &mut crate::support::Connection| {
        let info = c.line("INFO fips").to_string();
        let line = info.lines().find_map(|l| l.trim().strip_prefix("fips_self_tests_run:").map(str::to_owned));
        line.unwrap_or_else(|| panic!("{info}")).parse::<u64>().unwrap()
    };
    let before = runs(&mut c);
    assert!(!c.line("FIPS SELFTEST").to_string().starts_with('-'));
    assert_eq!(runs(&mut c), before + 1);
    let info = c.line("INFO fips").to_string();
    for field in [
        "fips_certificate:#5314",
        "fips_standard:FIPS 140-3",
        "fips_module:AWS-LC FIPS 3.1.0",
        "fips_lane:certified",
        "fips_self_test:passed",
        "fips_self_test_age_seconds:",
        "fips_entropy:",
        "fips_operational_environment:",
        "fips_tracer_pid:0",
        "fips_inspection_denied:passed",
        "fips_tls_groups:P-256,P-384,SecP256r1MLKEM768,X25519MLKEM768",
    ] {
        assert!(info.contains(field), "{field}:\n{info}");
    }
}

#[test]
fn an_unknown_directive_is_named_with_its_line() {
    refuses(&["--tls-port", "PORT", "--shared_buffers", "1gb"], &["shared_buffers"]);
}
