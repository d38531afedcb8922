//! Finds the server of this machine, so that a bare `ping` works: port, TLS or not, certificate authority, password.
//!
//! Order: flags; the environment; the configuration file; the hint of a running server. Each fills only what those
//! before it left open, and speaks only for its own ports. Nothing found here is ever used for another machine: a
//! password from a file must not follow `-h` elsewhere.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::connection::Target;
use super::options::{Options, TlsOptions, environment};
use super::words;
use crate::base::runtime_hint::{self, RuntimeHint};

const DEFAULT_PORT: u16 = 6379;
/// Configuration files by themselves have a few hundred lines.
const CONFIGURATION_BYTES_MAX: u64 = 4 << 20;
/// `include` within `include`; a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 8;

/// Where to connect and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub target: Target,
    pub password: Option<Vec<u8>>,
    /// The password was not given by the user: that the server wants none is then no news.
    pub password_discovered: bool,
}

/// What one source says about the local server. `None`: it does not say; port 0: does not listen so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Knowledge {
    tls_port: Option<u16>,
    port: Option<u16>,
    ca_file: Option<PathBuf>,
    ca_dir: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    password: Option<Vec<u8>>,
}

impl Knowledge {
    /// Whether the port is one of this source's, and TLS.
    fn protocol_of(&self, port: u16) -> Option<bool> {
        if self.tls_port == Some(port) {
            Some(true)
        } else if self.port == Some(port) {
            Some(false)
        } else {
            None
        }
    }

    /// The port a client should take: TLS before plaintext.
    fn best_port(&self) -> Option<u16> {
        [self.tls_port, self.port].into_iter().flatten().find(|p| *p != 0)
    }
}

/// Decides everything the flags left open.
pub fn find(options: &Options) -> Found {
    let local = options.host.as_deref().is_none_or(is_this_machine);
    let (environment, configuration) = if local {
        (from_environment(), from_configuration().unwrap_or_default())
    } else {
        (Knowledge::default(), Knowledge::default())
    };
    let hint = |port| {
        let wanted = local && options.socket.is_none();
        wanted.then(|| runtime_hint::find(port).or_else(|| in_data_folder(port)).map(from_hint)).flatten()
    };
    decide(options, &environment, &configuration, hint)
}

fn decide(
    options: &Options,
    environment: &Knowledge,
    configuration: &Knowledge,
    hint: impl Fn(Option<u16>) -> Option<Knowledge>,
) -> Found {
    let mut hinted = options.port.and_then(|p| hint(Some(p)));
    let port = options.port.or(environment.best_port()).or(configuration.best_port()).or_else(|| {
        hinted = hint(None);
        hinted.as_ref().and_then(Knowledge::best_port)
    });
    let port = port.unwrap_or(DEFAULT_PORT);
    let hinted = hinted.or_else(|| hint(Some(port))).unwrap_or_default();
    let sources = [environment, configuration, &hinted];

    // A running server knows best what it speaks; the other two are what it was meant to speak.
    let spoken = [&hinted, environment, configuration].into_iter().find_map(|k| k.protocol_of(port));
    let tls = options.socket.is_none() && (options.tls || spoken.unwrap_or(false));
    let tls = tls.then(|| {
        let mut tls = options.tls_options.clone();
        let ours = sources.into_iter().filter(|k| k.protocol_of(port) == Some(true));
        for known in ours {
            fill_tls(&mut tls, known);
        }
        tls
    });

    // A configuration file's password is for its own server.
    let speaks_for_it = |k: &Knowledge| options.port.is_none() || k.protocol_of(port).is_some();
    let discovered = sources.into_iter().filter(|k| speaks_for_it(k)).find_map(|k| k.password.clone());
    let password_discovered = options.password.is_none() && discovered.is_some();
    Found {
        target: Target {
            host: options.host.clone().unwrap_or_else(|| "127.0.0.1".to_string()),
            port,
            socket: options.socket.clone(),
            tls,
            family: options.family,
            connect_timeout: options.connect_timeout,
        },
        password: options.password.clone().or(discovered),
        password_discovered,
    }
}

fn fill_tls(tls: &mut TlsOptions, known: &Knowledge) {
    if tls.ca_file.is_none() && tls.ca_dir.is_none() {
        tls.ca_file.clone_from(&known.ca_file);
        tls.ca_dir.clone_from(&known.ca_dir);
    }
    if tls.cert.is_none() && tls.key.is_none() {
        tls.cert.clone_from(&known.cert);
        tls.key.clone_from(&known.key);
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

fn number(bytes: &[u8]) -> Option<u16> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// The container image's variables; each may also be `NAME_FILE`, the content of that file.
fn from_environment() -> Knowledge {
    let variable = |name: &str| {
        environment(name).or_else(|| {
            let file = environment(&format!("{name}_FILE"))?;
            let mut content = bounded(&path(file))?;
            while content.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                content.pop();
            }
            Some(content)
        })
    };
    let port = |name: &str| environment(name).as_deref().and_then(number);
    let tls = environment("VALKEY_TLS_ENABLED")
        .is_some_and(|v| [&b"yes"[..], b"true", b"1"].iter().any(|y| v.eq_ignore_ascii_case(y)));
    let mut known = Knowledge { password: variable("VALKEY_PASSWORD"), ..Knowledge::default() };
    if tls {
        let tls_port = port("VALKEY_TLS_PORT_NUMBER").or_else(|| port("VALKEY_TLS_PORT"));
        known.tls_port = Some(tls_port.unwrap_or(DEFAULT_PORT));
        known.ca_file = environment("VALKEY_TLS_CA_FILE").map(path);
        known.ca_dir = environment("VALKEY_TLS_CA_DIR").map(path);
    } else {
        known.port = port("VALKEY_PORT_NUMBER");
    }
    known
}

/// Whose password the container image's variables hold.
pub fn user_of_environment() -> Option<String> {
    environment("VALKEY_ACL_USERNAME").and_then(|u| String::from_utf8(u).ok()).filter(|u| u != "default")
}

fn from_hint(hint: RuntimeHint) -> Knowledge {
    Knowledge { tls_port: Some(hint.tls_port), port: Some(hint.port), ca_file: hint.ca, ..Knowledge::default() }
}

/// In a container whose root is read-only the server can leave its hint with its data alone.
fn in_data_folder(port: Option<u16>) -> Option<RuntimeHint> {
    let named = environment("VALKEY_DATA_DIR").map(path);
    let usual = ["/data", "/bitnami/valkey/data"].map(PathBuf::from);
    named
        .into_iter()
        .chain(usual)
        .filter_map(|dir| runtime_hint::read(&dir.join(runtime_hint::FILE_NAME)).ok())
        .find(|hint| port.is_none_or(|p| p == hint.tls_port || p == hint.port))
}

fn from_configuration() -> Option<Knowledge> {
    let named = environment("HOLDFAST_CONF").map(path);
    // Whoever may write to the folder we happen to stand in must not tell us which authority to trust.
    let here = Path::new("holdfast.conf");
    let here = is_ours(here).then(|| here.to_path_buf());
    let usual = [
        "/opt/bitnami/valkey/mounted-etc/valkey.conf",
        "/etc/valkey/valkey.conf",
        "/etc/holdfast/holdfast.conf",
        "/opt/bitnami/valkey/etc/valkey.conf",
    ]
    .map(PathBuf::from);
    let file = named.into_iter().chain(here).chain(usual).find(|p| p.is_file())?;
    let mut directives = Directives::default();
    directives.read(&file, 0);
    Some(directives.knowledge())
}

fn is_ours(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| {
        let us = nix::unistd::geteuid().as_raw();
        (m.uid() == us || m.uid() == 0) && m.mode() & 0o022 == 0
    })
}

/// What matters here of a configuration file; a later line replaces an earlier one.
#[derive(Debug, Default)]
struct Directives {
    tls_port: Option<u16>,
    port: Option<u16>,
    ca_file: Option<PathBuf>,
    ca_dir: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    password: Option<Vec<u8>>,
    dir: Option<PathBuf>,
}

impl Directives {
    fn read(&mut self, file: &Path, depth: usize) {
        let Some(text) = bounded(file) else { return };
        for line in text.split(|b| *b == b'\n') {
            let line = line.trim_ascii();
            if line.first() == Some(&b'#') {
                continue;
            }
            let Ok(words) = words::split(line) else { continue };
            let [name, value, ..] = words.as_slice() else { continue };
            let value = value.clone();
            match name.to_ascii_lowercase().as_slice() {
                b"port" => self.port = number(&value),
                b"tls-port" => self.tls_port = number(&value),
                b"tls-ca-cert-file" => self.ca_file = Some(path(value)).filter(|p| p.as_os_str() != ""),
                b"tls-ca-cert-dir" => self.ca_dir = Some(path(value)).filter(|p| p.as_os_str() != ""),
                b"tls-client-cert-file" => self.client_cert = Some(path(value)).filter(|p| p.as_os_str() != ""),
                b"tls-client-key-file" => self.client_key = Some(path(value)).filter(|p| p.as_os_str() != ""),
                b"requirepass" => self.password = (!value.is_empty()).then_some(value),
                b"dir" => self.dir = Some(path(value)),
                b"include" if depth < INCLUDE_DEPTH_MAX => {
                    let included = file.parent().unwrap_or(Path::new("")).join(path(value));
                    self.read(&included, depth + 1);
                }
                _ => {}
            }
        }
    }

    fn knowledge(self) -> Knowledge {
        // The generated authority, where no other is configured.
        let generated = || {
            let dir = self.dir.as_deref().unwrap_or(Path::new("."));
            Some(dir.join("tls/ca.crt")).filter(|p| p.is_file())
        };
        let plaintext = self.port.is_some_and(|p| p != 0);
        Knowledge {
            tls_port: self.tls_port.or((!plaintext).then_some(DEFAULT_PORT)),
            port: self.port,
            ca_file: self.ca_file.clone().or_else(|| if self.ca_dir.is_none() { generated() } else { None }),
            ca_dir: self.ca_dir,
            cert: self.client_cert,
            key: self.client_key,
            password: self.password,
        }
    }
}

fn bounded(file: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    fs::File::open(file).ok()?.take(CONFIGURATION_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls_on(port: u16, ca: &str) -> Knowledge {
        Knowledge { tls_port: Some(port), port: Some(0), ca_file: Some(ca.into()), ..Knowledge::default() }
    }

    fn none(_: Option<u16>) -> Option<Knowledge> {
        None
    }

    #[test]
    fn a_bare_command_follows_the_hint_of_a_running_server() {
        let found =
            decide(&Options::default(), &Knowledge::default(), &Knowledge::default(), |_| Some(tls_on(7001, "/ca")));
        assert_eq!(found.target.port, 7001);
        assert_eq!(found.target.tls.unwrap().ca_file, Some("/ca".into()));
    }

    #[test]
    fn a_port_that_nobody_knows_is_plaintext() {
        let options = Options { port: Some(7005), ..Options::default() };
        let conf = Knowledge { password: Some(b"secret".to_vec()), ..tls_on(7001, "/ca") };
        let found = decide(&options, &Knowledge::default(), &conf, none);
        assert_eq!((found.target.port, found.target.tls, found.password), (7005, None, None));
    }

    #[test]
    fn flags_win_over_what_is_found() {
        let mut options = Options { tls: true, password: Some(b"mine".to_vec()), ..Options::default() };
        options.tls_options.ca_file = Some("/mine".into());
        let conf = Knowledge { password: Some(b"theirs".to_vec()), ..tls_on(7001, "/ca") };
        let found = decide(&options, &Knowledge::default(), &conf, none);
        assert_eq!(found.target.tls.unwrap().ca_file, Some("/mine".into()));
        assert_eq!(found.password.as_deref(), Some(&b"mine"[..]));
        assert!(!found.password_discovered);
    }

    #[test]
    fn a_configuration_file_gives_port_authority_and_password() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir_all(data.join("tls")).unwrap();
        fs::write(data.join("tls/ca.crt"), "x").unwrap();
        fs::write(dir.path().join("more.conf"), "requirepass \"p w\"\n").unwrap();
        let conf = dir.path().join("holdfast.conf");
        fs::write(
            &conf,
            format!("# port 1\nTLS-PORT 7001\ninclude more.conf\ninclude holdfast.conf\ndir {}\n", data.display()),
        )
        .unwrap();
        let mut directives = Directives::default();
        directives.read(&conf, 0);
        let known = directives.knowledge();
        assert_eq!((known.tls_port, known.port), (Some(7001), None));
        assert_eq!(known.password.as_deref(), Some(&b"p w"[..]));
        assert_eq!(known.ca_file, Some(data.join("tls/ca.crt")));
    }

    #[test]
    fn other_machines_get_nothing_that_was_found_here() {
        assert!(is_this_machine("localhost") && is_this_machine("127.0.0.2") && is_this_machine("::1"));
        assert!(!is_this_machine("example.org") && !is_this_machine("10.0.0.1") && !is_this_machine("localhost.evil"));
    }
}
