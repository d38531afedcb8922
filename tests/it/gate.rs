//! What must not start: exit status, a message with the remedy, and nothing bound.

use crate::support::server::{free_port, refused};
use std::net::TcpStream;
use std::process::Output;

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
fn an_unknown_directive_is_named_with_its_line() {
    refuses(&["--tls-port", "PORT", "--shared_buffers", "1gb"], &["shared_buffers"]);
}
