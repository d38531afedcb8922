//! The node: handles of everything there is one of. It has no logic; data handlers never see it.

use super::table::{CommandTable, Entry};
use crate::acl::Acl;
use crate::audit::{Audit, Event, Outcome, Record};
use crate::base::background::Background;
use crate::base::clock;
use crate::client::{Execute, Monitors, Registry, Shared, Tracking, WaitList};
use crate::cluster::Cluster;
use crate::config::{Config, ConfigHandle, Sensitivity};
use crate::journal::Journal;
use crate::keyspace::{Freer, Keyspace};
use crate::metrics::recorder::Metrics;
use crate::metrics::slowlog::{self, Kind};
use crate::net::tls::facts::Facts as TlsFacts;
use crate::persist::aof::Aof;
use crate::persist::rdb::Loading;
use crate::persist::{Owner, Saver};
use crate::pubsub::Broker;
use crate::replication::{Answers, Replication};
use crate::resp::args::Args;
use crate::script::Scripts;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What CLIENT PAUSE asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// ms since the epoch; 0 when nobody is paused.
    pub until_ms: i64,
    /// Reads go on.
    pub writes_only: bool,
    /// The role is being handed over.
    pub failover: bool,
}

/// Loads the append-only file into the key space.
pub type Replay = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Handles.
pub struct Node {
    pub keyspace: Keyspace,
    pub config: ConfigHandle,
    pub commands: &'static CommandTable,
    pub clients: Arc<Registry>,
    pub replication: Arc<Replication>,
    /// `None` unless this server is a cluster.
    pub cluster: Option<Cluster>,
    pub acl: Arc<Acl>,
    pub audit: Audit,
    /// For password hashes: slow on purpose, and not on a worker.
    pub background: Background,
    /// The certificates in use.
    pub tls: RwLock<TlsFacts>,
    pub journal: Arc<Journal>,
    /// ms since the epoch when the process began.
    pub started_ms: i64,
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// Runs what comes from a primary.
    pub executor: Mutex<Option<Box<dyn Execute>>>,
    pub pause: Mutex<Pause>,
    /// An end that waits for replicas.
    pub ending: Mutex<Option<crate::commands::server::shutdown::Ending>>,
    /// Set while somebody is paused, so that nobody else takes the lock.
    pub paused: AtomicBool,
    /// Saving, and what has changed since.
    pub saver: Saver,
    pub aof: Aof,
    /// The load that goes on, if one does.
    pub loading: Arc<Loading>,
    /// Replays the append-only file once more, for DEBUG LOADAOF; set at the start.
    pub replay: std::sync::OnceLock<Replay>,
    /// Set by SHUTDOWN and by signals; workers finish their turn and end.
    pub shutdown: AtomicBool,
    /// Another signal has come while the end saves: it is not waited for.
    pub insisted: AtomicBool,
    /// The end has begun, and no listener is left.
    pub deaf: AtomicBool,
    /// DEBUG SLEEP: monotonic ms until which nobody is served. Workers and the bus look at it when they wake.
    pub asleep_until_ms: AtomicU64,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: AtomicBool,
    /// DEBUG PAUSE-CRON.
    pub cron_paused: AtomicBool,
    pub waiting: WaitList,
    pub migrations: super::generic::migrate::Migrations,
    pub pubsub: Broker,
    pub scripts: Scripts,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call commands that are not for them.
    pub scripts_call_anything: AtomicBool,
    pub tracking: Tracking,
    pub monitors: Monitors,
    pub freer: Freer,
    pub metrics: Metrics,
    /// Bytes that were in use before the first client came: not the data's.
    pub baseline_memory: AtomicU64,
    /// Bytes of replicas' output, which eviction would only make more of.
    pub output_memory: AtomicU64,
    /// The most memory that was ever in use, as upkeep saw it.
    pub peak_memory: AtomicU64,
    /// What the start-up gate found.
    pub fips: crate::fips::Approved,
}

impl Owner for Node {
    fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    fn configuration(&self) -> Arc<Config> {
        self.config.current()
    }

    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    fn aof(&self) -> &Aof {
        &self.aof
    }

    fn functions(&self) -> &crate::script::Functions {
        &self.scripts.functions
    }

    fn moment(&self) -> Vec<(&'static str, String)> {
        self.replication.moment(&self.journal)
    }
}

impl Node {
    /// Stands still as long as DEBUG SLEEP says, but for the end of the server.
    pub fn stand_still(&self) {
        /// How often the end of the server is looked for.
        const SLICE_MS: u64 = 50;
        while !self.shutdown.load(Ordering::Acquire) {
            let left_ms = self.asleep_until_ms.load(Ordering::Acquire).saturating_sub(clock::monotonic_ms());
            if left_ms == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(left_ms.min(SLICE_MS)));
        }
    }

    /// Bytes that count against `maxmemory`.
    pub fn memory_for_data(&self) -> u64 {
        crate::base::memory::used().saturating_sub(self.memory_on_its_way())
    }

    /// Bytes of changes that wait for replicas or the log: to evict keys for them would only make more of them.
    pub fn memory_on_its_way(&self) -> u64 {
        self.output_memory.load(std::sync::atomic::Ordering::Relaxed) + self.journal.excess()
    }

    /// Whether the replies of a client whose last change ends at `written` wait for the disk. An offset that the journal has not come to is of
    /// a history that this server has left for another's, as a replica does: nothing of it is waited for.
    #[inline(always)]
    pub fn holds_replies(&self, written: u64) -> bool {
        self.aof.holds(written) && written <= self.journal.end()
    }

    /// A snapshot that the configuration asks for could not be saved, and nothing is to be written until one can.
    pub fn saving_fails(&self, config: &Config) -> bool {
        let p = &config.persistence;
        self.saver.has_failed() && p.stop_writes_on_bgsave_error && !p.save.is_empty()
    }

    /// Tells the replicas which slots are on their way from and to this node: one that has just got its copy has not heard of it.
    pub fn tell_moves(&self) {
        let Some(cluster) = &self.cluster else { return };
        // Under the machine's lock: what changes after this comes after it in the stream too.
        cluster.look(|m| {
            let moves = m.migrating.iter().map(|(slot, id)| (slot, "MIGRATING", id));
            for (slot, word, id) in moves.chain(m.importing.iter().map(|(slot, id)| (slot, "IMPORTING", id))) {
                let (slot, id) = (slot.get().to_string(), id.to_string());
                let words: [&[u8]; 5] = [b"CLUSTER", b"SETSLOT", slot.as_bytes(), word.as_bytes(), id.as_bytes()];
                self.journal.append_talk(&words);
            }
        });
    }

    /// The offset up to which changes are on disk here; `None` where they are not written.
    pub fn log(&self) -> Option<u64> {
        self.config.current().persistence.appendonly.then(|| self.aof.synced())
    }

    /// What it takes to answer those who wait for copies of their changes.
    pub fn answers(&self) -> Answers<'_> {
        Answers { clients: &self.clients, waiting: &self.waiting, keyspace: &self.keyspace, log: self.log() }
    }

    /// Puts a command into the command logs that want it.
    #[expect(clippy::too_many_arguments, reason = "the facts of one event")]
    pub fn log_command(
        &self,
        client: &Shared,
        entry: &Entry,
        args: Args<'_>,
        ns: u64,
        reply_bytes: usize,
        config: &Config,
        now_ms: i64,
    ) {
        let list: Vec<&[u8]> = redacted(entry, args);
        let name = client.text.lock().name.clone();
        let l = &config.latency;
        let kinds = [
            (Kind::Slow, ns / 1000, l.commandlog_execution_slower_than_us),
            (Kind::LargeRequest, args.bytes() as u64, l.commandlog_request_larger_than),
            (Kind::LargeReply, reply_bytes as u64, l.commandlog_reply_larger_than),
        ];
        for (kind, value, threshold) in kinds {
            if threshold >= 0 && value >= threshold as u64 {
                self.metrics.logs.of(kind).record(slowlog::Event {
                    time_s: now_ms / 1000,
                    value,
                    argv: &list,
                    client_addr: &client.addr,
                    client_name: name.as_bytes(),
                });
            }
        }
    }
}

/// A record with who caused it and from where.
pub fn audit_record(event: Event, outcome: Outcome, client: &Shared) -> Record {
    let text = client.text.lock();
    Record::new(event, outcome)
        .with("user", text.user.clone())
        .with("addr", client.addr.clone())
        .with("tls", text.tls.clone())
        .with("certificate", text.certificate.clone())
        .with("db", client.db.load(std::sync::atomic::Ordering::Relaxed).to_string())
}

/// A command's arguments without the secrets in them.
pub fn redacted<'a>(entry: &Entry, args: Args<'a>) -> Vec<&'a [u8]> {
    /// Beside what the configuration calls secret: half of a password's use is to know whose it is.
    const NAMES: [&[u8]; 2] = [b"primaryuser", b"masteruser"];
    let secret = |name: &[u8]| {
        crate::config::directives::find(name).is_some_and(|d| d.sensitivity == Sensitivity::Secret)
            || NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
    };
    // By the row's name: a command that was given another one keeps its secrets.
    let name = (entry.spec().parent.unwrap_or_default(), entry.spec().name);
    let from = match name {
        ("", "auth") => 1,
        ("acl", "setuser" | "getuser" | "deluser") => 2,
        // What is tried out may be what has secrets in it.
        ("acl", "dryrun") => 4,
        _ => usize::MAX,
    };
    let (sets, greets, migrates) = (name == ("config", "set"), name == ("", "hello"), name == ("", "migrate"));
    let mut hide_next = 0;
    args.iter()
        .enumerate()
        .map(|(i, a)| {
            if i >= from || hide_next > 0 {
                hide_next -= usize::from(hide_next > 0);
                return &b"(redacted)"[..];
            }
            if sets && i >= 2 && i % 2 == 0 && secret(a) {
                hide_next = 1;
            } else if (greets && a.eq_ignore_ascii_case(b"auth")) || (migrates && a.eq_ignore_ascii_case(b"auth2")) {
                hide_next = 2;
            } else if migrates && a.eq_ignore_ascii_case(b"auth") {
                hide_next = 1;
            }
            a
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::FAMILIES;
    use crate::resp::args::OwnedArgs;

    #[test]
    fn secrets_stay_out_of_the_logs_and_nothing_else_does() {
        let table = CommandTable::new(FAMILIES, &[]).expect("no renames");
        let shown = |line: &str| {
            let own = OwnedArgs::new(line.split(' ').map(str::as_bytes));
            let args = own.args();
            let entry = table.resolve(args).expect("a command");
            redacted(entry, args).iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" ")
        };
        for (line, want) in [
            ("auth user pw", "auth (redacted) (redacted)"),
            ("hello 3 AUTH user pw SETNAME n", "hello 3 AUTH (redacted) (redacted) SETNAME n"),
            ("config set requirepass pw maxmemory 1", "config set requirepass (redacted) maxmemory 1"),
            ("config set maxmemory 1 masteruser u", "config set maxmemory 1 masteruser (redacted)"),
            ("config set slowlog-log-slower-than 0", "config set slowlog-log-slower-than 0"),
            ("acl setuser u +get >pw", "acl setuser (redacted) (redacted) (redacted)"),
            ("acl dryrun u auth u pw", "acl dryrun u auth (redacted) (redacted)"),
            ("acl deluser a b", "acl deluser (redacted) (redacted)"),
            ("migrate h 1 key 9 5000 AUTH pw", "migrate h 1 key 9 5000 AUTH (redacted)"),
            ("migrate h 1 key 9 5000 AUTH2 u pw", "migrate h 1 key 9 5000 AUTH2 (redacted) (redacted)"),
            ("set auth pw", "set auth pw"),
        ] {
            assert_eq!(shown(line), want);
        }
    }
}
