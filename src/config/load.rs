//! From a command line and files to a [`Config`], as valkey-server reads them: `[FILE|-] [--directive value ...]`.
//!
//! Invariants: the options are turned into lines and read after the file, so that both have one grammar; reading
//! collects every problem, and a server starts only when there is none; a secret never stands in a problem.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::check::{Conflict, conflicts};
use super::codec::os_text;
use super::directives::{Config, directives, find, nearest};
use super::pattern;
use super::row::{Directive, Sensitivity, Source};
use super::types::{Secret, TlsAuthClients};
use super::words::{quote, split};
use crate::storage;
use zeroize::Zeroizing;

/// Files may include files to this depth; deeper is nearly always a file that includes itself.
const INCLUDE_DEPTH_MAX: usize = 16;
/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Problems beyond this many are not collected: nobody reads on.
const PROBLEMS_MAX: usize = 200;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    Stdin,
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(out, "{}", path.display()),
            Origin::Stdin => out.write_str("standard input"),
            Origin::CommandLine => out.write_str("command line"),
        }
    }
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Counted from 1. On the command line, as if its options were lines behind the file and an empty one.
    pub line: usize,
    /// The line, trimmed; without its value if that is a secret.
    pub text: String,
    /// The word it is about, counted from 0 (the directive's name).
    pub word: usize,
    /// Why it is refused.
    pub reason: String,
    /// The directive that may have been meant.
    pub nearest: Option<&'static str>,
}

/// Why a configuration could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// A file could not be read; `reason` in the operating system's words.
    Open { path: PathBuf, reason: String },
    /// A line is wrong.
    Line(Problem),
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Open { path, reason } => {
                write!(out, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
            LoadError::Line(problem) => {
                writeln!(out, "\n*** FATAL CONFIG FILE ERROR (Version {}) ***", env!("CARGO_PKG_VERSION"))?;
                writeln!(out, "Reading the configuration file, at line {}", problem.line)?;
                writeln!(out, ">>> '{}'", problem.text)?;
                write!(out, "{}", problem.reason)?;
                match problem.nearest {
                    Some(name) => write!(out, "\nDid you mean '{name}'?"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// A configuration, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// The configuration file, absolute; what CONFIG REWRITE writes to.
    pub file: Option<PathBuf>,
    /// What to log at start: settings without effect, defaults that follow from other settings.
    pub notices: Vec<String>,
    /// Secrets that stand in files of their own, by directive.
    pub secret_files: Vec<SecretFile>,
}

/// A file that a directive's secret was read from.
#[derive(Debug, Clone)]
pub struct SecretFile {
    pub directive: &'static Directive,
    /// Absolute: the server enters another folder.
    pub path: PathBuf,
    /// What it held when it was read last.
    pub(super) held: Secret,
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// The first problem in reading order.
pub fn load(args: &[OsString]) -> Result<Loaded, LoadError> {
    let (loaded, mut errors) = examine(args);
    if errors.is_empty() { Ok(loaded) } else { Err(errors.swap_remove(0)) }
}

/// Reads the arguments as [`load`] does, and goes on after a problem.
pub fn examine(args: &[OsString]) -> (Loaded, Vec<LoadError>) {
    let words: Vec<&[u8]> = args.iter().map(|word| word.as_bytes()).collect();
    let mut reader = Reader::default();
    let mut rest = words.as_slice();
    let mut file = None;
    let mut lines_before = 0;

    if let [first, tail @ ..] = rest
        && !first.starts_with(b"-")
    {
        let path = PathBuf::from(OsString::from_vec(first.to_vec()));
        let path = std::path::absolute(&path).unwrap_or(path);
        if let Some(text) = reader.open(&path) {
            reader.text(&text, &Origin::File(path.clone()), 0, 0);
            lines_before = text.iter().filter(|byte| **byte == b'\n').count();
        }
        file = Some(path);
        rest = tail;
    }
    // `-` reads standard input, between the file and the options.
    let stdin = match rest {
        [b"-", tail @ ..] => Some(tail),
        [head @ .., b"-"] => Some(head),
        _ => None,
    };
    if let Some(tail) = stdin {
        rest = tail;
        let mut text = Vec::new();
        match std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_end(&mut text) {
            Ok(_) => {
                reader.text(&text, &Origin::Stdin, lines_before, 0);
                lines_before += text.iter().filter(|byte| **byte == b'\n').count();
            }
            Err(error) => {
                reader.errors.push(LoadError::Open { path: "-".into(), reason: os_text(&error) });
            }
        }
    }
    reader.text(&options(rest), &Origin::CommandLine, lines_before + 1, 0);
    reader.finish(file)
}

/// The secret that `NAME-file` reads from a file: every secret directive has this form, so that its value need not stand in a
/// configuration or on a command line.
pub(super) fn secret_of_file(name: &[u8]) -> Option<&'static Directive> {
    let stem = name.len().checked_sub(b"-file".len()).map(|at| name.split_at(at));
    let (stem, _) = stem.filter(|(_, end)| end.eq_ignore_ascii_case(b"-file"))?;
    find(stem).filter(|directive| directive.sensitivity == Sensitivity::Secret)
}

/// A secret's file: its bytes without the line end that editors put behind them.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    /// A longer file holds something else.
    const BYTES_MAX: u64 = 64 << 10;
    let failed =
        |error: std::io::Error| format!("the secret's file '{}' cannot be read: {}", path.display(), os_text(&error));
    let file = storage::open_secret(path).map_err(failed)?;
    // Room for it all at once: a secret leaves no copies behind as it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize + 2));
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("the secret's file '{}' is too large", path.display()));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        // One that is not filled yet must not open the door: no password at all is said without a file.
        return Err(format!("the secret's file '{}' is empty", path.display()));
    }
    Ok(bytes)
}

/// The options as lines. An argument with `--` before it starts a directive, unless the one before still waits for its
/// value; `save` alone may go without.
fn options(args: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut waits = false;
    let mut save = false;
    for arg in args {
        let name = arg.strip_prefix(b"--").filter(|name| !name.is_empty());
        match name {
            Some(name) if !waits || save => {
                if save {
                    text.extend_from_slice(b" \"\"");
                }
                if !text.is_empty() {
                    text.push(b'\n');
                }
                // Not quoted: `--port 6380` may come as one argument.
                text.extend(name.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
                let words = split(name);
                waits = words.as_ref().is_some_and(|words| words.len() == 1);
                save = waits && name.eq_ignore_ascii_case(b"save");
            }
            _ => {
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend_from_slice(quote(arg).as_bytes());
                (waits, save) = (false, false);
            }
        }
    }
    if save {
        text.extend_from_slice(b" \"\"");
    }
    text
}

/// Reads lines into a configuration and collects what is wrong.
#[derive(Default)]
struct Reader {
    config: Config,
    /// Directives that were set, each with its last line.
    given: HashMap<&'static str, Problem>,
    secret_files: Vec<SecretFile>,
    errors: Vec<LoadError>,
}

impl Reader {
    fn open(&mut self, path: &Path) -> Option<Vec<u8>> {
        let read = || {
            let mut text = Vec::new();
            let file = std::fs::File::open(path)?;
            if file.metadata()?.len() > FILE_BYTES_MAX {
                return Err(std::io::Error::other("File too large"));
            }
            file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
            Ok(text)
        };
        read().map_err(|error| self.errors.push(LoadError::Open { path: path.into(), reason: os_text(&error) })).ok()
    }

    /// Reads the lines of `text`, which start behind `lines_before` others.
    fn text(&mut self, text: &[u8], origin: &Origin, lines_before: usize, depth: usize) {
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if self.errors.len() >= PROBLEMS_MAX {
                return;
            }
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let mut problem = Problem {
                origin: origin.clone(),
                line: lines_before + at + 1,
                text: String::from_utf8_lossy(line).into_owned(),
                word: 0,
                reason: String::new(),
                nearest: None,
            };
            let Some(words) = split(line) else {
                // What directive it was cannot be told for sure, so a possible secret is not shown.
                let first = line.split(u8::is_ascii_whitespace).next().unwrap_or(line);
                if find(first).is_some_and(|directive| directive.sensitivity == Sensitivity::Secret) {
                    problem.text = format!("{} ***", String::from_utf8_lossy(first));
                }
                self.refuse(problem, "Unbalanced quotes in configuration line");
                continue;
            };
            let Some((name, values)) = words.split_first() else { continue };
            if name.eq_ignore_ascii_case(b"include") {
                match values {
                    [target] => self.include(target, problem, depth),
                    _ => self.refuse(problem, "Bad directive or wrong number of arguments"),
                }
            } else {
                self.directive(name, values, problem);
            }
        }
    }

    fn directive(&mut self, name: &[u8], values: &[Vec<u8>], mut problem: Problem) {
        if name.eq_ignore_ascii_case(b"sentinel") {
            return self.refuse(problem, "sentinel directive while not in sentinel mode");
        }
        if let Some(directive) = secret_of_file(name) {
            problem.word = 1;
            let [path] = values else { return self.refuse(problem, "wrong number of arguments") };
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            let mut config = self.config.clone();
            let applied = read_secret(&path).and_then(|secret| {
                directive.apply(&mut config, &[secret.to_vec()], Source::Load).map(|()| Secret::new(&secret))
            });
            return match applied {
                Ok(held) => {
                    self.config = config;
                    self.given.insert(directive.name, problem);
                    self.secret_files.retain(|f| f.directive.name != directive.name);
                    self.secret_files.push(SecretFile { directive, path, held });
                }
                Err(reason) => self.refuse(problem, &reason),
            };
        }
        let Some(directive) = find(name) else {
            problem.nearest = nearest(name);
            return self.refuse(problem, "Bad directive or wrong number of arguments");
        };
        if directive.sensitivity == Sensitivity::Secret && !values.is_empty() {
            problem.text = format!("{} ***", directive.name);
        }
        problem.word = 1;
        let mut config = self.config.clone();
        if directive.name == "save" && !self.given.contains_key(directive.name) {
            // The first line replaces the default, the others add to it.
            config.persistence.save.clear();
        }
        match directive.apply(&mut config, values, Source::Load) {
            Ok(()) => {
                self.config = config;
                self.secret_files.retain(|f| f.directive.name != directive.name);
                self.given.insert(directive.name, problem);
            }
            Err(reason) => self.refuse(problem, &reason),
        }
    }

    fn include(&mut self, target: &[u8], problem: Problem, depth: usize) {
        if depth >= INCLUDE_DEPTH_MAX {
            return self.refuse(problem, "included files are nested too deep");
        }
        let path = PathBuf::from(OsString::from_vec(target.to_vec()));
        let paths = if pattern::is_pattern(target) { glob(&path) } else { vec![path] };
        for path in paths {
            if let Some(text) = self.open(&path) {
                self.text(&text, &Origin::File(path), 0, depth + 1);
            }
        }
    }

    fn refuse(&mut self, problem: Problem, reason: &str) {
        self.errors.push(LoadError::Line(Problem { reason: reason.to_string(), ..problem }));
    }

    /// Defaults that follow from other settings, contradictions, notices.
    fn finish(mut self, file: Option<PathBuf>) -> (Loaded, Vec<LoadError>) {
        let mut notices = Vec::new();
        let given = |name: &str| self.given.contains_key(name);
        let config = &mut self.config;
        if config.network.port != 0 && !given("tls-port") {
            // A file written for another server names its one port; a second server on the machine must not fail on 6379.
            config.tls.port = 0;
            notices.push("tls-port is 0 because a plaintext port is configured and tls-port is not".to_string());
        }
        if config.tls.port == 0 && !given("tls-replication") {
            config.tls.replication = false;
        }
        if config.tls.port == 0 && !given("tls-cluster") {
            config.tls.cluster = false;
        }
        if config.tls.cert_file.is_none() && config.tls.auto_generate && !given("tls-auth-clients") {
            config.tls.auth_clients = TlsAuthClients::No;
        }
        for directive in directives() {
            if let Some(why) = directive.without_effect()
                && given(directive.name)
                && directive.is_changed(config)
            {
                notices.push(format!("'{}' has no effect: {why}", directive.name));
            }
        }
        for Conflict { directive, reason } in conflicts(&self.config) {
            let nowhere = || Problem {
                origin: file.clone().map_or(Origin::CommandLine, Origin::File),
                line: 0,
                text: directive.to_string(),
                word: 0,
                reason: String::new(),
                nearest: None,
            };
            let problem = self.given.remove(directive).unwrap_or_else(nowhere);
            self.refuse(problem, &reason);
        }
        (Loaded { config: self.config, file, notices, secret_files: self.secret_files }, self.errors)
    }
}

/// The paths a pattern stands for, in order; only the last components may hold patterns, each is matched in its folder.
fn glob(pattern_path: &Path) -> Vec<PathBuf> {
    /// More files than this are not included by one line.
    const PATHS_MAX: usize = 1000;
    let mut found = vec![PathBuf::new()];
    for part in pattern_path.components() {
        let name = part.as_os_str();
        if !pattern::is_pattern(name.as_bytes()) {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let folder_or_here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            let Ok(entries) = std::fs::read_dir(folder_or_here) else { continue };
            for entry in entries.flatten().take(PATHS_MAX) {
                let own = entry.file_name();
                // A hidden file has to be named by its dot.
                let hidden = own.as_bytes().starts_with(b".") && !name.as_bytes().starts_with(b".");
                if !hidden && pattern::matches(name.as_bytes(), own.as_bytes(), false) {
                    next.push(folder.join(own));
                }
            }
        }
        next.sort();
        next.truncate(PATHS_MAX);
        found = next;
    }
    found.retain(|path| path.exists());
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loaded(args: &[&str]) -> Result<Config, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        load(&args).map(|loaded| loaded.config).map_err(|error| error.to_string())
    }

    fn value(args: &[&str], name: &str) -> String {
        let config = loaded(args).unwrap();
        String::from_utf8((find(name.as_bytes()).unwrap().get)(&config)).unwrap()
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_string();
        (folder, path)
    }

    #[test]
    fn options_take_values_as_valkey_server_takes_them() {
        let cases: &[(&[&str], &str, &str)] = &[
            (&["--maxmemory 700mb", "--maxmemory-policy volatile-lru"], "maxmemory", "734003200"),
            (&["--maxmemory '700mb'", "--maxmemory-policy 'volatile-lru'"], "maxmemory-policy", "volatile-lru"),
            (&["--availability-zone", "--my--zone", "--loglevel", "verbose"], "availability-zone", "--my--zone"),
            (&["--availability-zone --my--zone", "--loglevel verbose"], "loglevel", "verbose"),
            (&["--save", "--loglevel", "verbose"], "loglevel", "verbose"),
            (&["--loglevel", "verbose", "--save"], "save", ""),
            (&["--availability-zone", "--save", "--save", "", "--hz", "7"], "availability-zone", "--save"),
            (&["--shutdown-on-sigint", "nosave force now", "--hz", "7"], "shutdown-on-sigint", "nosave now force"),
            (&["--bind", "127.0.0.1", "-::1", "--hz", "7"], "bind", "127.0.0.1 -::1"),
            (&["--dir", "./", "--dir", "./", "--hz", "7"], "hz", "7"),
        ];
        for (args, name, expect) in cases {
            assert_eq!(value(args, name), *expect, "{args:?}");
        }
        let (_folder, path) = file("hz 5\n");
        assert_eq!(value(&[&path, "loglevel", "verbose", "--hz", "8"], "loglevel"), "verbose");
        assert_eq!(value(&[&path, "--timeout", "8"], "hz"), "5");
    }

    #[test]
    fn a_wrong_option_is_reported_with_its_line() {
        let cases: &[(&[&str], usize, &str, &str)] = &[
            (&["--invalid"], 2, "invalid", "Bad directive or wrong number of arguments"),
            (&["--port"], 2, "port", "wrong number of arguments"),
            (&["--hz", "8", "--loglevel"], 3, "loglevel", "wrong number of arguments"),
            (&["--port", "6379", "6380"], 2, "port \"6379\" \"6380\"", "wrong number of arguments"),
            (&["--port", "--loglevel", "verbose"], 2, "port \"--loglevel\" \"verbose\"", "wrong number of arguments"),
            (
                &["--port", "--bla", "--loglevel", "verbose"],
                2,
                "port \"--bla\"",
                "argument couldn't be parsed into an integer",
            ),
            (
                &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
                3,
                "shutdown-on-sigterm",
                "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover",
            ),
            (&["--replicaof", "127.0.0.1", "abc"], 2, "replicaof \"127.0.0.1\" \"abc\"", "Invalid primary port"),
            (&["--save", "100"], 2, "save \"100\"", "Invalid save parameters"),
            (&["--maxmemory", "\"abc"], 2, "maxmemory \"\\\"abc\"", "argument must be a memory value"),
        ];
        for (args, line, text, reason) in cases {
            let expect = format!(
                "\n*** FATAL CONFIG FILE ERROR (Version {}) ***\nReading the configuration file, at line {line}\n>>> \
                 '{text}'\n{reason}",
                env!("CARGO_PKG_VERSION")
            );
            assert_eq!(loaded(args).unwrap_err(), expect);
        }
    }

    #[test]
    fn a_misspelt_directive_is_answered_with_the_nearest() {
        assert!(loaded(&["--maxmemroy", "1"]).unwrap_err().ends_with("Did you mean 'maxmemory'?"));
        assert!(!loaded(&["--somethingelse", "1"]).unwrap_err().contains("Did you mean"));
    }

    #[test]
    fn included_files_are_read_in_place_and_a_loop_is_refused() {
        let (folder, path) = file("");
        for (name, text) in [("1.conf", "hz 3\n"), ("2.conf", "hz 4\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let include = format!("include {}/[0-9].conf\ninclude {}/none*.conf\n", folder.path().display(), path);
        std::fs::write(&path, format!("{include}timeout 9\n")).unwrap();
        assert_eq!(value(&[&path], "hz"), "4");
        std::fs::write(&path, format!("include {path}\n")).unwrap();
        assert!(loaded(&[&path]).unwrap_err().contains("nested too deep"));
        std::fs::write(&path, "include /nonexistent\n").unwrap();
        assert_eq!(
            loaded(&[&path]).unwrap_err(),
            "Fatal error, can't open config file '/nonexistent': No such file or directory"
        );
    }

    #[test]
    fn a_secret_never_stands_in_a_problem() {
        for text in ["requirepass hidden more\n", "requirepass \"hidden\n", "tls-key-file-pass hidden x\n"] {
            let (_folder, path) = file(text);
            assert!(!loaded(&[&path]).unwrap_err().contains("hidden"));
        }
        let config = loaded(&["--requirepass", "hidden"]).unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn plaintext_is_refused_until_it_is_asked_for() {
        let why = loaded(&["--port", "7000"]).unwrap_err();
        assert!(why.contains("allow-plaintext local") && why.contains("at line 2"), "{why}");
        assert!(loaded(&["--unixsocket", "/tmp/x"]).unwrap_err().contains("allow-plaintext"));
        let config = loaded(&["--port", "7000", "--allow-plaintext", "yes"]).unwrap();
        assert_eq!((config.network.port, config.tls.port), (7000, 0));
        let config = loaded(&["--port", "7000", "--allow-plaintext", "local", "--tls-port", "7001"]).unwrap();
        assert_eq!((config.network.port, config.tls.port), (7000, 7001));
    }

    #[test]
    fn clients_certificates_are_asked_for_unless_ours_is_generated() {
        assert_eq!(value(&[], "tls-auth-clients"), "no");
        assert_eq!(value(&["--tls-auth-clients", "yes"], "tls-auth-clients"), "yes");
        let own = ["--tls-cert-file", "/a", "--tls-key-file", "/b"];
        assert!(loaded(&own).unwrap_err().contains("tls-ca-cert-file"));
        assert_eq!(value(&[&own[..], &["--tls-ca-cert-file", "/c"]].concat(), "tls-auth-clients"), "yes");
    }

    #[test]
    fn what_is_not_approved_for_tls_is_refused_by_name() {
        for (name, text, word) in [
            ("--tls-protocols", "TLSv1.1 TLSv1.2", "TLSv1.1"),
            ("--tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("--tls-ciphers", "AES128-SHA256", "AES128-SHA256"),
        ] {
            assert!(loaded(&[name, text]).unwrap_err().contains(&format!("'{word}' is not an approved")), "{name}");
        }
        assert!(loaded(&["--tls-protocols", "TLSv1.2 TLSv1.3", "--tls-ciphers", "DEFAULT:!MEDIUM"]).is_ok());
    }

    #[test]
    fn what_is_missing_is_an_error_and_what_waits_is_a_notice() {
        assert!(loaded(&["--mptcp", "yes"]).unwrap_err().contains("not supported yet"));
        for args in [["--appendonly", "yes"], ["--save", "900 1"], ["--replica-serve-stale-data", "yes"]] {
            assert!(loaded(&args).is_ok(), "{args:?}");
        }
        let notices = load(&["--cluster-slot-stats-enabled".into(), "yes".into()]).unwrap().notices;
        assert_eq!(notices, ["'cluster-slot-stats-enabled' has no effect: requests are not counted by slot"]);
    }

    #[test]
    fn every_problem_of_a_file_is_collected() {
        let (_folder, path) = file("hz x\nmaxmemroy 1\nport 7000\n");
        let (_, errors) = examine(&[path.into()]);
        let lines: Vec<usize> = errors
            .iter()
            .map(|error| match error {
                LoadError::Line(problem) => problem.line,
                LoadError::Open { .. } => 0,
            })
            .collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn reading_never_panics(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            // An include would read real files.
            let text: Vec<u8> = text.into_iter().filter(|byte| *byte != b'u').collect();
            Reader::default().text(&text, &Origin::Stdin, 0, 0);
        }

        #[test]
        fn any_value_of_any_directive_is_taken_or_refused(
            at in 0..directives().count(),
            words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..5),
        ) {
            let row = directives().nth(at).unwrap();
            for source in [Source::Load, Source::Runtime] {
                let mut config = Config::default();
                let _ = row.apply(&mut config, &words, source);
            }
        }

        #[test]
        fn a_printed_value_is_read_back_the_same(
            at in 0..directives().count(),
            words in proptest::collection::vec("(yes|no|everysec|-?[0-9]{1,6}|[0-9]{1,3}(kb|%|gb)?|normal|[a-zA-Z$.]{1,5}|KEA|n|now|)", 1..5),
        ) {
            let row = directives().nth(at).unwrap();
            let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
            let mut config = Config::default();
            if row.apply(&mut config, &words, Source::Load).is_ok() {
                let mut again = Config::default();
                for line in (row.lines)(&config) {
                    prop_assert_eq!(row.apply(&mut again, &line, Source::Load), Ok(()));
                }
                prop_assert_eq!((row.get)(&again), (row.get)(&config), "{}", row.name);
            }
        }
    }
}
