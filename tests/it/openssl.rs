//! What OpenSSL's command line gets from this server, and what it is refused: every protocol, suite, group, signature scheme and kind of
//! certificate, each with the alert that ends it.

use crate::support::Server;
use crate::support::process::{find, run, skipped};
use crate::support::server::free_port;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What has to come of a connection.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// This protocol with this suite.
    Yes(&'static str, &'static str),
    /// The server ends it with an alert of this number.
    No(u8),
}
use Want::{No, Yes};

// Numbers of alerts (RFC 8446, section 6).
const HANDSHAKE_FAILURE: u8 = 40;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const REVOKED: u8 = 44;
const EXPIRED: u8 = 45;
const CERTIFICATE_UNKNOWN: u8 = 46;
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;

const T13: Want = Yes("TLSv1.3", "TLS_AES_256_GCM_SHA384");
const E12: Want = Yes("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384");
const R12: Want = Yes("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384");

/// The server's key, the client's words (version first), and what comes of it.
const MATRIX: &[(&str, &str, Want)] = &[
    // Versions.
    ("p256", "-tls1_3", T13),
    ("p256", "-tls1_2", E12),
    ("p256", "-tls1_1 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_1 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    // Suites of TLS 1.3.
    ("p256", "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", T13),
    ("p256", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", Yes("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ("rsa", "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384", T13),
    ("rsa", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256", Yes("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    ("p256", "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -ciphersuites TLS_AES_128_CCM_8_SHA256", No(HANDSHAKE_FAILURE)),
    // Suites of TLS 1.2.
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", E12),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", Yes("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", R12),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", Yes("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES256-CCM", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM8", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-ARIA256-GCM-SHA384", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-CAMELLIA256-SHA384", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher ECDHE-ECDSA-NULL-SHA@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -cipher AECDH-AES256-SHA@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-AES256-SHA384", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-AES256-SHA", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher ECDHE-RSA-NULL-SHA@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher AES256-GCM-SHA384", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher AES128-SHA", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher NULL-SHA256@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher DHE-RSA-CHACHA20-POLY1305", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -cipher ADH-AES256-GCM-SHA384@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    // Groups. In TLS 1.2 the list is one of curves for the certificate's key as well, so there an RSA key stands behind it.
    ("p256", "-tls1_3 -groups P-256", T13),
    ("p256", "-tls1_3 -groups P-384", T13),
    ("rsa", "-tls1_2 -groups P-256", R12),
    ("rsa", "-tls1_2 -groups P-384", R12),
    ("p256", "-tls1_3 -groups X25519:P-256", T13),
    ("p256", "-tls1_3 -groups P-521", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -groups X25519", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -groups X448", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -groups ffdhe2048", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -groups ffdhe4096", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -groups P-521", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -groups X25519", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -groups X448", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -groups brainpoolP256r1", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -groups secp256k1", No(HANDSHAKE_FAILURE)),
    // Signature schemes of the server's key. TLS 1.3 binds each curve to one digest.
    ("p256", "-tls1_3 -sigalgs ECDSA+SHA256", T13),
    ("p384", "-tls1_3 -sigalgs ECDSA+SHA384", T13),
    ("p521", "-tls1_3 -sigalgs ECDSA+SHA512", T13),
    ("rsa", "-tls1_3 -sigalgs rsa_pss_rsae_sha256", T13),
    ("rsa", "-tls1_3 -sigalgs rsa_pss_rsae_sha384", T13),
    ("rsa", "-tls1_3 -sigalgs rsa_pss_rsae_sha512", T13),
    ("p256", "-tls1_2 -sigalgs ECDSA+SHA256", E12),
    ("p384", "-tls1_2 -sigalgs ECDSA+SHA384", E12),
    ("rsa", "-tls1_2 -sigalgs RSA+SHA256", R12),
    ("rsa", "-tls1_2 -sigalgs RSA+SHA384", R12),
    ("rsa", "-tls1_2 -sigalgs RSA+SHA512", R12),
    ("rsa", "-tls1_2 -sigalgs rsa_pss_rsae_sha256", R12),
    ("p256", "-tls1_3 -sigalgs ed25519", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -sigalgs ed448", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_3 -sigalgs ECDSA+SHA384", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_3 -sigalgs ECDSA+SHA256", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -sigalgs ECDSA+SHA1 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("p256", "-tls1_2 -sigalgs ECDSA+SHA224 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -sigalgs RSA+SHA1 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
    ("rsa", "-tls1_2 -sigalgs RSA+SHA224 -cipher DEFAULT@SECLEVEL=0", No(HANDSHAKE_FAILURE)),
];

/// A client's certificate, made by these words of `openssl`, and what a server that demands one makes of it.
const CERTIFICATES: &[(&str, Option<u8>)] = &[
    ("good", None),
    ("p384", None),
    ("p521", None),
    ("rsa2048", None),
    ("none", Some(CERTIFICATE_REQUIRED)),
    ("stranger", Some(CERTIFICATE_UNKNOWN)),
    ("expired", Some(EXPIRED)),
    ("early", Some(EXPIRED)),
    ("revoked", Some(REVOKED)),
    ("server-only", Some(UNSUPPORTED_CERTIFICATE)),
    ("sha1", Some(DECRYPT_ERROR)),
    ("rsa1024", Some(DECRYPT_ERROR)),
    // OpenSSL finds no scheme in common with the server's and sends none.
    ("ed25519", Some(CERTIFICATE_REQUIRED)),
    ("secp256k1", Some(CERTIFICATE_REQUIRED)),
];

/// OpenSSL, and a folder for what it makes.
struct Lab {
    openssl: PathBuf,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Option<Lab> {
        Some(Lab { openssl: find("openssl")?, folder: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    #[track_caller]
    fn openssl(&self, words: &str) {
        let out = Command::new(&self.openssl).args(words.split(' ')).current_dir(&self.folder).output().unwrap();
        assert!(out.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// A server with a key of this kind, signed by itself.
    fn server(&self, name: &str, kind: &str) -> Server {
        self.openssl(&format!(
            "req -x509 {kind} -nodes -sha256 -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {name}.key -out {name}.crt"
        ));
        Server::with(&[
            "--tls-cert-file",
            &self.path(&format!("{name}.crt")),
            "--tls-key-file",
            &self.path(&format!("{name}.key")),
        ])
    }

    /// `s_client`'s account of a connection with these words.
    fn connect(&self, server: &Server, words: &str, config: Option<&Path>) -> String {
        self.ask(server, words, config, "PING")
    }

    fn ask(&self, server: &Server, words: &str, config: Option<&Path>, command_line: &str) -> String {
        let mut command = Command::new(&self.openssl);
        command
            .args(["s_client", "-ign_eof", "-connect", &format!("127.0.0.1:{}", server.port)])
            .args(words.split(' '));
        command.current_dir(&self.folder);
        if let Some(config) = config {
            command.env("OPENSSL_CONF", config);
        }
        let out = run(&mut command, format!("{command_line}\r\nQUIT\r\n").as_bytes(), Duration::from_secs(20));
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }
}

/// Why what `s_client` said is not what was wanted.
fn fault(said: &str, want: Want) -> Option<String> {
    let (expected, holds) = match want {
        Yes(protocol, cipher) => {
            let line = format!("New, {protocol}, Cipher is {cipher}");
            let holds = said.contains(&line) && said.contains("+PONG");
            (line, holds)
        }
        // An alert of the server's ends it, not the client's own refusal to try, and nothing was served.
        No(number) => {
            let line = format!("SSL alert number {number}");
            let holds = said.lines().any(|l| l.ends_with(&line)) && !said.contains("+PONG");
            (line, holds)
        }
    };
    (!holds).then(|| format!("no '{expected}' in:\n{said}"))
}

#[test]
fn approved_protocols_suites_groups_and_schemes_are_accepted_and_all_else_is_refused_with_an_alert() {
    let Some(lab) = Lab::new() else { return };
    let servers = [
        ("p256", lab.server("p256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256")),
        ("p384", lab.server("p384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384")),
        ("p521", lab.server("p521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521")),
        ("rsa", lab.server("rsa", "-newkey rsa:2048")),
    ];
    let mut faults = Vec::new();
    for (key, words, want) in MATRIX {
        let server = &servers.iter().find(|(name, _)| name == key).unwrap().1;
        let said = lab.connect(server, words, None);
        faults.extend(fault(&said, *want).map(|why| format!("{key} {words}: {why}")));
    }
    // OpenSSL has the hybrids from 3.5 on.
    for group in ["SecP256r1MLKEM768", "X25519MLKEM768"] {
        let said = lab.connect(&servers[0].1, &format!("-tls1_3 -groups {group}"), None);
        if said.contains("-groups") {
            skipped(&format!("this OpenSSL does not know {group}"));
        } else {
            faults.extend(fault(&said, T13).map(|why| format!("{group}: {why}")));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), MATRIX.len(), faults.join("\n---\n"));
    // What was refused is counted by its reason.
    let info = lab.ask(&servers[0].1, "-tls1_3", None, "INFO stats");
    let count = |name: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(&format!("{name}:"))).unwrap_or("0");
        line.trim().parse::<u64>().unwrap()
    };
    for (reason, at_least) in [
        ("tls_refused_version", 2),
        ("tls_refused_suite", 10),
        ("tls_refused_group", 4),
        ("tls_refused_signature_scheme", 3),
        ("tls_handshakes_tls13", 6),
        ("tls_handshakes_tls12", 3),
        ("tls_group_p384", 1),
        ("tls_suite_tls13_aes_128_gcm_sha256", 1),
    ] {
        assert!(count(reason) >= at_least, "{reason} below {at_least}:\n{info}");
    }
}

#[test]
fn tls_1_2_without_extended_master_secret_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let config = lab.folder.path().join("no-ems.cnf");
    // An extension a TLS 1.2 client may leave out; OpenSSL does it only when its configuration says so.
    let text = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n";
    std::fs::write(&config, text).unwrap();
    let servers = [Server::start(), lab.server("rsa", "-newkey rsa:2048")];
    for server in servers {
        // TLS 1.3 does not know the extension: that it goes on shows that nothing but the extension is refused.
        let said = lab.connect(&server, "-tls1_3", Some(&config));
        assert!(fault(&said, T13).is_none(), "{said}");
        let said = lab.connect(&server, "-tls1_2", Some(&config));
        assert!(fault(&said, No(HANDSHAKE_FAILURE)).is_none(), "{said}");
        let said = lab.connect(&server, "-tls1_2", None);
        assert!(said.contains("Extended master secret: yes"), "{said}");
    }
}

#[test]
fn nothing_is_renegotiated_and_nothing_is_taken_early() {
    let Some(lab) = Lab::new() else { return };
    let server = Server::start();
    let mut command = Command::new(&lab.openssl);
    command.args(["s_client", "-tls1_2", "-connect", &format!("127.0.0.1:{}", server.port)]);
    // A line of R asks for it.
    let out = run(&mut command, b"R\n", Duration::from_secs(20));
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");

    std::fs::write(lab.folder.path().join("early"), "PING\r\n").unwrap();
    let said = lab.connect(&server, "-tls1_3 -sess_out session", None);
    assert!(fault(&said, T13).is_none(), "{said}");
    let said = lab.connect(&server, "-tls1_3 -sess_in session -early_data early", None);
    assert!(said.contains("Reused, TLSv1.3"), "{said}");
    assert!(said.contains("Max Early Data: 0") && !said.contains("Early data was accepted"), "{said}");
}

/// An authority, and the certificates of [`CERTIFICATES`].
fn make_certificates(lab: &Lab) {
    let ec = |curve: &str| format!("-newkey ec -pkeyopt ec_paramgen_curve:{curve}");
    lab.openssl(&format!("req -x509 {} -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca", ec("P-256")));
    lab.openssl(&format!(
        "req -x509 {} -nodes -keyout stranger.key -out stranger.crt -days 30 -subj /CN=s",
        ec("P-256")
    ));
    let folder = lab.folder.path();
    for (file, text) in [
        ("index.txt", ""),
        ("crlnumber", "01\n"),
        ("server.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n"),
        ("client.ext", "extendedKeyUsage=clientAuth\n"),
        ("server-only.ext", "extendedKeyUsage=serverAuth\n"),
        (
            "ca.cnf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_days=20\n\
             default_crl_days=10\nnew_certs_dir=.\nrand_serial=yes\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n",
        ),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    for (name, key, more) in [
        ("server", ec("P-256"), "-extfile server.ext"),
        ("good", ec("P-256"), "-extfile client.ext"),
        ("p384", ec("P-384"), "-extfile client.ext"),
        ("p521", ec("P-521"), "-extfile client.ext"),
        ("rsa2048", "-newkey rsa:2048".into(), "-extfile client.ext"),
        ("expired", ec("P-256"), "-extfile client.ext -startdate 20200101000000Z -enddate 20210101000000Z"),
        ("early", ec("P-256"), "-extfile client.ext -startdate 20900101000000Z -enddate 20910101000000Z"),
        ("revoked", ec("P-256"), "-extfile client.ext"),
        ("server-only", ec("P-256"), "-extfile server-only.ext"),
        ("sha1", ec("P-256"), "-extfile client.ext -md sha1"),
        ("rsa1024", "-newkey rsa:1024".into(), "-extfile client.ext"),
        ("ed25519", "-newkey ed25519".into(), "-extfile client.ext"),
        ("secp256k1", ec("secp256k1"), "-extfile client.ext"),
    ] {
        lab.openssl(&format!("req {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        lab.openssl(&format!(
            "ca -batch -notext -config ca.cnf -keyfile ca.key -cert ca.crt -in {name}.csr -out {name}.crt {more}"
        ));
    }
    lab.openssl("ca -config ca.cnf -keyfile ca.key -cert ca.crt -revoke revoked.crt");
    lab.openssl("ca -config ca.cnf -keyfile ca.key -cert ca.crt -gencrl -out crl.pem");
}

#[test]
fn each_kind_of_bad_client_certificate_is_refused_with_its_alert() {
    let Some(lab) = Lab::new() else { return };
    make_certificates(&lab);
    let (certificate, key, ca, crl) =
        (lab.path("server.crt"), lab.path("server.key"), lab.path("ca.crt"), lab.path("crl.pem"));
    let mut words = vec!["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    words.extend(["--tls-crl-file", &crl, "--tls-auth-clients", "yes"]);
    let server = Server::with(&words);
    let mut faults = Vec::new();
    for version in ["-tls1_3", "-tls1_2"] {
        for (name, alert) in CERTIFICATES {
            let presented = if *name == "none" { String::new() } else { format!(" -cert {name}.crt -key {name}.key") };
            let said = lab.connect(&server, &format!("{version} -cipher DEFAULT@SECLEVEL=0{presented}"), None);
            let want = match alert {
                None if version == "-tls1_3" => T13,
                None => E12,
                // TLS 1.2 does not bind a scheme to a curve: OpenSSL sends it, and its signature is of no approved kind.
                Some(_) if version == "-tls1_2" && *name == "secp256k1" => No(DECRYPT_ERROR),
                Some(number) => No(*number),
            };
            faults.extend(fault(&said, want).map(|why| format!("{version} {name}: {why}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n---\n"));
}

#[test]
fn this_program_as_a_client_agrees_to_nothing_else_either() {
    let Some(lab) = Lab::new() else { return };
    make_certificates(&lab);
    for (words, accepted) in [
        ("-tls1_3", true),
        ("-tls1_2", true),
        ("-tls1_1 -cipher DEFAULT@SECLEVEL=0", false),
        ("-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", false),
        ("-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", false),
        ("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", false),
        ("-tls1_3 -groups X25519", false),
        ("-tls1_3 -groups P-521", false),
    ] {
        let port = free_port();
        let mut other = Command::new(&lab.openssl)
            .args(["s_server", "-accept", &port.to_string(), "-cert", "server.crt", "-key", "server.key", "-quiet"])
            .args(words.split(' '))
            .current_dir(&lab.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let config = holdfast::net::tls::config::client(
            &holdfast::net::tls::config::ClientParameters {
                trust: holdfast::net::tls::config::Trust::Roots {
                    file: Some(lab.folder.path().join("ca.crt")),
                    folder: None,
                },
                identity: None,
                ciphers: String::new(),
                ciphersuites: String::new(),
            },
            holdfast::base::clock::wall_ms() / 1000,
        )
        .unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut session = rustls::ClientConnection::new(config, name).unwrap();
        let outcome = session.complete_io(&mut socket);
        let _ = other.kill();
        let _ = other.wait();
        assert_eq!(outcome.is_ok() && !session.is_handshaking(), accepted, "{words}: {outcome:?}");
    }
}
