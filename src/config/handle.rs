//! The configuration of a running server: shared reading, changes that are all or nothing, hooks.
//!
//! Invariants: readers never see a value a hook refused; one change runs at a time; the version moves after the new
//! value can be read, so whoever sees the version sees the value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::check::conflicts;
use super::directives::{Config, directives, find};
use super::load::{Loaded, SecretFile, read_secret};
use super::pattern;
use super::rewrite;
use super::row::{Change, Directive, Sensitivity, Source, Standing};
use super::types::{Permission, Secret};

/// What has to happen when directives change: the old configuration and the new one. An error refuses the change.
/// It runs before the new one can be read, and with the two swapped when a later hook refuses.
pub type Hook = Box<dyn Fn(&Config, &Config) -> Result<(), String> + Send + Sync>;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetContext {
    /// The connection comes from this machine.
    pub local: bool,
}

/// Why CONFIG SET changed nothing. `Display` is the text after `ERR `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// No such directive.
    Unknown { name: String },
    /// The value of `name` was refused.
    Refused { name: String, reason: String },
}

impl fmt::Display for SetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown { name } => {
                write!(out, "Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Refused { name, reason } => {
                write!(out, "CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        }
    }
}

impl std::error::Error for SetError {}

/// Why CONFIG REWRITE wrote nothing. `Display` is the text after `ERR `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewriteError {
    /// The server was started without a file.
    NoFile,
    /// The operating system's words.
    Io(String),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::NoFile => out.write_str("The server is running without a config file"),
            RewriteError::Io(reason) => write!(out, "Rewriting config file: {reason}"),
        }
    }
}

impl std::error::Error for RewriteError {}

/// What stands for a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// The configuration of a running server. Share it in an `Arc`.
pub struct ConfigHandle {
    current: RwLock<Arc<Config>>,
    version: AtomicU64,
    /// One change at a time; holds the hooks in the order they were registered.
    changing: Mutex<Vec<(Vec<&'static str>, Hook)>>,
    file: Option<PathBuf>,
    secret_files: Mutex<Vec<SecretFile>>,
}

impl ConfigHandle {
    /// A handle on what was loaded.
    pub fn new(loaded: Loaded) -> Self {
        Self { secret_files: Mutex::new(loaded.secret_files), ..Self::over(loaded.config, loaded.file) }
    }

    /// A handle on the defaults, without a file; for tests and tools.
    pub fn with_defaults() -> Self {
        Self::over(Config::default(), None)
    }

    fn over(config: Config, file: Option<PathBuf>) -> Self {
        let current = RwLock::new(Arc::new(config));
        let changing = Mutex::new(Vec::new());
        Self { current, version: AtomicU64::new(1), changing, file, secret_files: Mutex::default() }
    }

    /// The configuration as it is now.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.current.read())
    }

    /// A number that moves with every change, from 1.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Loads anew into `held` if the version moved past `seen`; one atomic read when it did not.
    /// Returns whether it loaded.
    pub fn refresh(&self, held: &mut Arc<Config>, seen: &mut u64) -> bool {
        // Read first: a change in between is then loaded once more, never missed.
        let version = self.version();
        if version == *seen {
            return false;
        }
        *held = self.current();
        *seen = version;
        true
    }

    /// The configuration file, absolute.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Runs `hook` when one of `names` (the directives' own names) changes. A hook must not set directives.
    pub fn on_change(&self, names: &[&'static str], hook: Hook) {
        debug_assert!(names.iter().all(|name| directives().any(|row| row.name == *name)), "{names:?}");
        self.changing.lock().push((names.to_vec(), hook));
    }

    /// CONFIG GET: directives whose name or alias matches one of `patterns`, by name, each name once. A name in full is
    /// returned as it was asked for first. Without `secrets` only whether there is one is told.
    pub fn get(&self, patterns: &[&[u8]], secrets: bool) -> Vec<(String, Vec<u8>)> {
        let config = self.current();
        let mut found = BTreeMap::new();
        for asked in patterns {
            if !pattern::is_pattern(asked) {
                if let Some(directive) = find(asked)
                    && directive.sensitivity != Sensitivity::Unlisted
                {
                    let asked = String::from_utf8_lossy(asked).into_owned();
                    found.entry(asked.to_ascii_lowercase()).or_insert((asked, directive));
                }
                continue;
            }
            for directive in directives() {
                if matches!(directive.sensitivity, Sensitivity::Hidden | Sensitivity::Unlisted) {
                    continue;
                }
                for name in directive.names() {
                    if pattern::matches(asked, name.as_bytes(), true) {
                        found.entry(name.to_string()).or_insert((name.to_string(), directive));
                    }
                }
            }
        }
        let shown = |directive: &Directive| match (directive.get)(&config) {
            value if !secrets && directive.sensitivity == Sensitivity::Secret && !value.is_empty() => REDACTED.to_vec(),
            value => value,
        };
        found.into_values().map(|(name, directive)| (name, shown(directive))).collect()
    }

    /// CONFIG SET: sets all `pairs` of name and value, or none. Returns the directives whose value is another one now.
    ///
    /// # Errors
    /// The first refusal, in Valkey's words where Valkey has them.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], context: SetContext) -> Result<Vec<&'static Directive>, SetError> {
        let hooks = self.changing.lock();
        let old = self.current();

        // Names first, then values: a wrong name is reported before a wrong value, wherever it stands.
        let mut rows: Vec<(&'static Directive, &'static str, &[u8])> = Vec::with_capacity(pairs.len());
        for (asked, value) in pairs {
            let given = String::from_utf8_lossy(asked).into_owned();
            let row = find(asked).filter(|row| row.sensitivity != Sensitivity::Unlisted);
            let Some(row) = row else { return Err(SetError::Unknown { name: given }) };
            let refused = |reason: &str| Err(SetError::Refused { name: given.clone(), reason: reason.to_string() });
            if row.change == Change::Start {
                // What changes nothing needs no restart.
                if (row.get)(&old) == *value {
                    continue;
                }
                return refused("can't set immutable config");
            }
            if row.sensitivity == Sensitivity::Protected && !permitted(&old, context) {
                return refused("can't set protected config");
            }
            let Some(name) = row.names().find(|own| own.as_bytes().eq_ignore_ascii_case(asked)) else { continue };
            if rows.iter().any(|(_, other, _)| *other == name) {
                return refused("duplicate parameter");
            }
            rows.push((row, name, value));
        }

        let mut new = Config::clone(&old);
        for (row, name, value) in &rows {
            row.apply(&mut new, &[value.to_vec()], Source::Runtime)
                .map_err(|reason| SetError::Refused { name: (*name).to_string(), reason })?;
        }
        let before = conflicts(&old);
        if let Some(conflict) = conflicts(&new).into_iter().find(|conflict| !before.contains(conflict)) {
            let asked = rows.iter().find(|(row, _, _)| row.name == conflict.directive).or(rows.first());
            let name = asked.map_or(conflict.directive, |(_, name, _)| *name).to_string();
            return Err(SetError::Refused { name, reason: conflict.reason });
        }

        let changed: Vec<(&'static Directive, &'static str)> = rows
            .iter()
            .filter(|(row, _, _)| (row.get)(&old) != (row.get)(&new))
            .map(|(row, name, _)| (*row, *name))
            .collect();
        let mut done: Vec<&Hook> = Vec::new();
        for (names, hook) in hooks.iter() {
            let Some((_, asked)) = changed.iter().find(|(row, _)| names.contains(&row.name)) else { continue };
            if let Err(reason) = hook(&old, &new) {
                for hook in done.iter().rev() {
                    // The old state was in effect a moment ago; if it cannot be had back there is nothing better to do
                    // than to go on, and the hook has logged why.
                    let _ = hook(&new, &old);
                }
                return Err(SetError::Refused { name: (*asked).to_string(), reason });
            }
            done.push(hook);
        }
        self.publish(new);

        for (row, name) in &changed {
            if let Standing::Later(why) | Standing::Inert(why) = row.standing {
                tracing::info!("CONFIG SET {name} has no effect: {why}");
            }
        }
        Ok(changed.into_iter().map(|(row, _)| row).collect())
    }

    /// The files that secrets are read from.
    pub fn secret_files(&self) -> Vec<std::path::PathBuf> {
        self.secret_files.lock().iter().map(|f| f.path.clone()).collect()
    }

    /// Reads the files of secrets again, and sets what another secret stands in now; one that was set here meanwhile stays where its file has
    /// not changed. Returns the directives whose value is another one, or what is wrong with each file; those keep their value.
    pub fn reread_secrets(&self) -> (Vec<&'static Directive>, Vec<String>) {
        let (mut changed, mut problems) = (Vec::new(), Vec::new());
        for file in self.secret_files.lock().iter_mut().filter(|f| f.directive.change != Change::Start) {
            let outcome = read_secret(&file.path).and_then(|secret| {
                if *secret == file.held.expose() {
                    return Ok(Vec::new());
                }
                let pair = [(file.directive.name.as_bytes(), secret.as_slice())];
                let set = self.set(&pair, SetContext { local: true }).map_err(|e| e.to_string())?;
                file.held = Secret::new(&secret);
                Ok(set)
            });
            match outcome {
                Ok(set) => changed.extend(set),
                Err(e) => problems.push(e),
            }
        }
        (changed, problems)
    }

    /// Changes values from inside (a limit the system refuses, a port that was chosen), without hooks and checks.
    pub fn adjust(&self, change: impl FnOnce(&mut Config)) {
        let _one_at_a_time = self.changing.lock();
        let mut config = Config::clone(&self.current());
        change(&mut config);
        self.publish(config);
    }

    /// CONFIG REWRITE: writes the current values into the file the server was started with. With `all`, directives at
    /// their default are written too.
    ///
    /// # Errors
    /// There is no file, or it cannot be read or replaced; it is then as it was.
    pub fn rewrite(&self, all: bool) -> Result<(), RewriteError> {
        let _one_at_a_time = self.changing.lock();
        let path = self.file.as_deref().ok_or(RewriteError::NoFile)?;
        rewrite::file(path, &self.current(), all).map_err(|error| RewriteError::Io(super::codec::os_text(&error)))
    }

    fn publish(&self, config: Config) {
        *self.current.write() = Arc::new(config);
        self.version.fetch_add(1, Ordering::Release);
    }
}

fn permitted(config: &Config, context: SetContext) -> bool {
    match config.security.enable_protected_configs {
        Permission::Yes => true,
        Permission::Local => context.local,
        Permission::No => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOTE: SetContext = SetContext { local: false };

    fn set(handle: &ConfigHandle, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let changed = handle.set(&pairs, REMOTE).map_err(|error| error.to_string())?;
        Ok(changed.iter().map(|row| row.name).collect())
    }

    fn get(handle: &ConfigHandle, name: &str) -> String {
        let found = handle.get(&[name.as_bytes()], true);
        found.first().map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn a_name_is_answered_once_however_often_and_in_whatever_case_it_is_asked_for() {
        let handle = ConfigHandle::with_defaults();
        for (asked, want) in [
            (&["MaxMemory", "maxmemory", "maxmemory"][..], &["MaxMemory"][..]),
            (&["maxmemory", "MAXMEM?RY", "MAXMEMORY"], &["maxmemory"]),
            (&["replica-priority", "SLAVE-priority", "*-priority"], &["replica-priority", "SLAVE-priority"]),
        ] {
            let asked: Vec<&[u8]> = asked.iter().map(|a| a.as_bytes()).collect();
            let found: Vec<String> = handle.get(&asked, true).into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, want);
        }
    }

    #[test]
    fn a_backlog_smaller_than_the_least_is_taken_for_the_least() {
        let handle = ConfigHandle::with_defaults();
        for (asked, want) in [("100", "16384"), ("16384", "16384"), ("16385", "16385")] {
            assert!(set(&handle, &[("repl-backlog-size", asked)]).is_ok());
            assert_eq!(get(&handle, "repl-backlog-size"), want);
        }
        let refused = set(&handle, &[("repl-backlog-size", "0")]).unwrap_err();
        assert!(refused.ends_with("argument must be between 1 and 9223372036854775807 inclusive"), "{refused}");
    }

    #[test]
    fn a_refused_value_leaves_every_directive_as_it_was() {
        let handle = ConfigHandle::with_defaults();
        let version = handle.version();
        let refused = set(&handle, &[("maxmemory", "10000001"), ("maxmemory-clients", "200%")]);
        assert_eq!(
            refused,
            Err("CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be \
                 less or equal to 100"
                .to_string())
        );
        assert_eq!((get(&handle, "maxmemory").as_str(), handle.version()), ("0", version));
    }

    #[test]
    fn names_are_checked_before_values_and_reported_as_clients_know_it() {
        let handle = ConfigHandle::with_defaults();
        let why = |pairs: &[(&str, &str)]| set(&handle, pairs).unwrap_err();
        let failed = "CONFIG SET failed (possibly related to argument ";
        assert_eq!(why(&[("nosuch", "1")]), "Unknown option or number of arguments for CONFIG SET - 'nosuch'");
        assert_eq!(
            why(&[("maxmemory", "x"), ("daemonize", "yes")]),
            format!("{failed}'daemonize') - can't set immutable config")
        );
        assert_eq!(why(&[("dbfilename", "x")]), format!("{failed}'dbfilename') - can't set protected config"));
        assert_eq!(why(&[("port", "x"), ("PORT", "y")]), format!("{failed}'PORT') - duplicate parameter"));
        assert_eq!(why(&[("MAXMEMORY", "x")]), format!("{failed}'maxmemory') - argument must be a memory value"));
        assert!(why(&[("cluster-enabled", "yes")]).contains("immutable"));
        assert!(why(&[("port", "7000")]).contains("allow-plaintext"));
        // The name and its alias are two parameters.
        assert!(set(&handle, &[("hash-max-listpack-entries", "1"), ("hash-max-ziplist-entries", "2")]).is_ok());
    }

    #[test]
    fn a_hook_that_refuses_rolls_back_those_before_it() {
        use std::sync::atomic::AtomicU32;
        let handle = ConfigHandle::with_defaults();
        let applied = Arc::new(AtomicU32::new(10));
        let seen = Arc::clone(&applied);
        handle.on_change(
            &["hz"],
            Box::new(move |_, new| {
                seen.store(new.general.hz, Ordering::Relaxed);
                Ok(())
            }),
        );
        handle.on_change(
            &["tls-port"],
            Box::new(
                |_, new| {
                    if new.tls.port == 7 { Err("Unable to listen on this port (7).".into()) } else { Ok(()) }
                },
            ),
        );
        assert_eq!(set(&handle, &[("hz", "20"), ("tls-port", "8")]), Ok(vec!["hz", "tls-port"]));
        assert_eq!(applied.load(Ordering::Relaxed), 20);
        assert_eq!(
            set(&handle, &[("hz", "30"), ("tls-port", "7")]),
            Err("CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port (7)."
                .to_string())
        );
        assert_eq!((applied.load(Ordering::Relaxed), get(&handle, "hz").as_str()), (20, "20"));
    }

    #[test]
    fn get_lists_names_and_aliases_once_and_sorted() {
        let handle = ConfigHandle::with_defaults();
        let names =
            |patterns: &[&[u8]]| handle.get(patterns, true).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&[b"*of", b"slaveof"]), ["replicaof", "slaveof"]);
        assert_eq!(names(&[b"MAXCLIENTS", b"maxclients"]), ["MAXCLIENTS"]);
        assert_eq!(names(&[b"key-load-delay"]), ["key-load-delay"]);
        let all = names(&[b"*"]);
        assert!(!all.iter().any(|name| name == "key-load-delay" || name == "rename-command"));
        assert!(all.is_sorted());
    }

    #[test]
    fn a_worker_reloads_only_when_the_version_moved() {
        let handle = ConfigHandle::with_defaults();
        let (mut held, mut seen) = (handle.current(), handle.version());
        assert!(!handle.refresh(&mut held, &mut seen));
        handle.adjust(|config| config.network.maxclients = 7);
        assert!(handle.refresh(&mut held, &mut seen));
        assert_eq!(held.network.maxclients, 7);
        assert!(!handle.refresh(&mut held, &mut seen));
    }

    #[test]
    fn every_value_that_is_shown_can_be_set_again() {
        let handle = ConfigHandle::with_defaults();
        handle.adjust(|config| config.security.enable_protected_configs = Permission::Yes);
        let before = handle.get(&[b"*"], true);
        for (name, value) in &before {
            let changed = handle.set(&[(name.as_bytes(), value)], REMOTE);
            assert_eq!(changed.map(|rows| rows.len()).ok(), Some(0), "{name}");
        }
        assert_eq!(handle.get(&[b"*"], true), before);
    }

    #[test]
    fn protected_directives_open_as_far_as_they_are_opened() {
        let handle = ConfigHandle::with_defaults();
        let name: &[(&[u8], &[u8])] = &[(b"dbfilename", b"x.rdb")];
        handle.adjust(|config| config.security.enable_protected_configs = Permission::Local);
        assert!(handle.set(name, REMOTE).is_err());
        assert!(handle.set(name, SetContext { local: true }).is_ok());
    }
}
