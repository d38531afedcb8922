//! What OpenSSL's client gets and what it is refused: suites, groups, versions, the extended master secret.

use crate::support::Server;
use crate::support::process::{find, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A client, and servers with each kind of certificate.
struct Lab {
    openssl: PathBuf,
    folder: tempfile::TempDir,
    ecdsa: Server,
    rsa: Server,
}

impl Lab {
    fn new() -> Option<Lab> {
        let openssl = find("openssl")?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let made = Command::new(&openssl)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-keyout", &at("rsa.key"), "-out", &at("rsa.crt")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // An extension a TLS 1.2 client may leave out; OpenSSL does it only when its configuration says so.
        std::fs::write(
            folder.path().join("no-ems.cnf"),
            "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n",
        )
        .unwrap();
        let rsa = Server::with(&["--tls-cert-file", &at("rsa.crt"), "--tls-key-file", &at("rsa.key")]);
        Some(Lab { openssl, folder, ecdsa: Server::start(), rsa })
    }

    fn server(&self, name: &str) -> &Server {
        if name == "rsa" { &self.rsa } else { &self.ecdsa }
    }

    /// `s_client`'s account of a connection with these words.
    fn connect(&self, server: &str, words: &[&str], config: Option<&Path>) -> String {
        let mut command = Command::new(&self.openssl);
        command.args(["s_client", "-connect", &format!("127.0.0.1:{}", self.server(server).port)]).args(words);
        if let Some(config) = config {
            command.env("OPENSSL_CONF", config);
        }
        let out = run(&mut command, b"Q\n", Duration::from_secs(20));
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }

    #[track_caller]
    fn accepted(&self, server: &str, words: &[&str], protocol: &str, cipher: &str) -> String {
        let said = self.connect(server, words, None);
        let line = format!("New, {protocol}, Cipher is {cipher}");
        assert!(said.contains(&line), "{server} {words:?}: no '{line}' in:\n{said}");
        said
    }

    /// Refused by the server: it is an alert of its that ends the handshake, not the client's own refusal to try.
    #[track_caller]
    fn refused(&self, server: &str, words: &[&str], config: Option<&Path>) {
        let said = self.connect(server, words, config);
        assert!(said.contains("Cipher is (NONE)"), "{server} {words:?} was accepted:\n{said}");
        assert!(said.contains("alert"), "{server} {words:?}: the server said nothing:\n{said}");
    }
}

const SECLEVEL_0: &str = "DEFAULT@SECLEVEL=0";

#[test]
fn approved_suites_are_accepted_and_all_else_is_refused() {
    let Some(lab) = Lab::new() else { return };

    for suite in ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"] {
        for server in ["ecdsa", "rsa"] {
            lab.accepted(server, &["-tls1_3", "-ciphersuites", suite], "TLSv1.3", suite);
        }
    }
    for (server, suite) in [
        ("ecdsa", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("ecdsa", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("rsa", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("rsa", "ECDHE-RSA-AES128-GCM-SHA256"),
    ] {
        let said = lab.accepted(server, &["-tls1_2", "-cipher", suite], "TLSv1.2", suite);
        assert!(said.contains("Extended master secret: yes"), "{said}");
        // OpenSSL tells of renegotiation by the extension alone; whether it is done is asked below.
        assert!(said.contains("Secure Renegotiation IS supported"), "{said}");
    }
    for group in ["P-256", "P-384"] {
        lab.accepted("ecdsa", &["-tls1_3", "-groups", group], "TLSv1.3", "TLS_AES_256_GCM_SHA384");
        // In TLS 1.2 the list of groups is one of curves for the certificate's key as well: an RSA key is in nobody's way.
        lab.accepted("rsa", &["-tls1_2", "-groups", group], "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384");
    }

    lab.refused("ecdsa", &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], None);
    lab.refused("ecdsa", &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], None);
    for suite in ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"] {
        lab.refused("ecdsa", &["-tls1_2", "-cipher", suite], None);
    }
    for suite in
        ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-SHA", "AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384"]
    {
        lab.refused("rsa", &["-tls1_2", "-cipher", suite], None);
    }
    for version in ["-tls1_3", "-tls1_2"] {
        lab.refused("ecdsa", &[version, "-groups", "X25519"], None);
        lab.refused("ecdsa", &[version, "-groups", "X448"], None);
    }
    for version in ["-tls1_1", "-tls1"] {
        lab.refused("ecdsa", &[version, "-cipher", SECLEVEL_0], None);
    }
}

#[test]
fn tls_1_2_without_extended_master_secret_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let config = lab.folder.path().join("no-ems.cnf");
    for server in ["ecdsa", "rsa"] {
        // TLS 1.3 does not know the extension: that it goes on shows that nothing but the extension is refused.
        let said = lab.connect(server, &["-tls1_3"], Some(&config));
        assert!(said.contains("New, TLSv1.3, Cipher is TLS_AES"), "{said}");
        lab.refused(server, &["-tls1_2"], Some(&config));
    }
}

#[test]
fn a_server_can_demand_certificates() {
    let Some(openssl) = find("openssl") else { return };
    let server = Server::with(&["--tls-auth-clients", "yes"]);
    let mut command = Command::new(openssl);
    command.args(["s_client", "-quiet", "-tls1_2", "-connect", &format!("127.0.0.1:{}", server.port)]);
    let out = run(&mut command, b"EXISTS k\r\n", Duration::from_secs(20));
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!said.contains(":0\r\n") && said.contains("alert"), "{said}");
}
