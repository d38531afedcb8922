//! The gates before a command, in order. The first that refuses is the reply.

use super::Turn;
use crate::base::clock;
use crate::client::{Client, Queued, Source};
use crate::commands::table::{Handler, TransactionCommand};
use crate::commands::{CommandError, Entry, Node};
use crate::config::Config;
use crate::keyspace::KeyHash;
use crate::replication::Look;
use crate::resp::args::Args;
use crate::resp::reply::Version;
use crate::spec::{CommandFlags, DatabaseUse};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often connections that were cut off are told of in the log: a page in a browser can open any number.
const CUT_OFF_LOG_MS: u64 = 60_000;

/// True for what an HTTP request has where a command should be.
#[cold]
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// A page in somebody's browser may send a request here whose body is commands: the connection ends before the body is read.
#[cold]
pub(super) fn cut_off(client: &mut Client) {
    static TOLD_MS: AtomicU64 = AtomicU64::new(0);
    client.dead = true;
    let (now, told) = (clock::monotonic_ms().max(1), TOLD_MS.load(Ordering::Relaxed));
    let due = told == 0 || now.saturating_sub(told) >= CUT_OFF_LOG_MS;
    if due && TOLD_MS.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tracing::warn!(
            "Possible SECURITY ATTACK detected: an HTTP request where commands should be, as a page in a browser sends it to reach \
             servers behind it (cross-protocol scripting). Connection from {} aborted.",
            client.shared.addr
        );
    }
}

/// What the gates look at, gathered once a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gates {
    pub maxmemory: u64,
    /// CLIENT PAUSE: nobody, writers, or everybody.
    pub paused_writes: bool,
    pub paused_all: bool,
    /// Somebody is paused, a script is busy, or commands are recorded: each command is looked at once more.
    pub special: bool,
    /// Saving fails, and nobody may change what would be lost.
    pub disk_fails: bool,
    /// The append-only file fails, and writers are refused; or it, or a snapshot, is far behind, and they wait.
    pub log_fails: bool,
    pub behind: bool,
    /// The data are not there yet.
    pub loading: bool,
    /// A script has run for too long.
    busy: bool,
    /// Somebody is sent every command.
    pub monitored: bool,
    /// Nothing here asks what a command is, but for the memory it may need.
    pub open: bool,
    slower_than_ns: u64,
    request_larger_than: usize,
    reply_larger_than: usize,
    /// The journal's epoch: whose history this is may have changed when locks are taken later.
    pub epoch: u64,
    /// Something about replication, or a cluster's slots, may refuse a command.
    restricted: bool,
    look: Look,
    pub readonly: bool,
    /// The link is down, and what is here is too old to be served.
    pub stale: bool,
    pub too_few_replicas: bool,
}

impl Gates {
    pub fn of(node: &Node, config: &Config, now_ms: i64) -> Gates {
        let busy = node.keyspace.is_busy();
        let (mut paused_writes, mut paused_all) = (false, false);
        if node.paused.load(Ordering::Acquire) {
            let p = *node.pause.lock();
            if p.until_ms > now_ms {
                paused_writes = true;
                paused_all = !p.writes_only;
            }
        }
        let bound = |n: i64, unit: u64| if n < 0 { u64::MAX } else { (n as u64).saturating_mul(unit) };
        let l = &config.latency;
        let threshold = |n: i64, max_len: u64, unit: u64| if max_len == 0 { u64::MAX } else { bound(n, unit) };
        // The epoch first: what is looked at after it may be newer, but not older.
        let epoch = node.journal.standing().epoch();
        let r = &config.replication;
        let look = node.replication.follower.look();
        let stale = look.is_following() && !look.is_connected() && !r.replica_serve_stale_data;
        let readonly = look.is_following() && r.replica_read_only;
        let too_few_replicas = r.min_replicas_to_write > 0
            && r.min_replicas_max_lag_secs > 0
            && !look.is_following()
            && node.replication.replicas.good() < r.min_replicas_to_write
            && {
                // Nobody is refused for what was so in the last round.
                let replicas = &node.replication.replicas;
                replicas.count_good(u64::from(r.min_replicas_max_lag_secs) * 1000, clock::monotonic_ms());
                replicas.good() < r.min_replicas_to_write
            };
        let audit = &node.audit;
        let watches = audit.is_on() && (audit.refuses() || !audit.key_patterns().is_empty());
        let mut gates = Gates {
            epoch,
            open: false,
            restricted: look.is_following() || too_few_replicas || node.cluster.is_some(),
            look,
            readonly,
            stale,
            too_few_replicas,
            maxmemory: if look.is_following() && r.replica_ignore_maxmemory { 0 } else { config.memory.maxmemory },
            paused_writes,
            paused_all,
            special: paused_writes || busy || node.audit.is_on(),
            disk_fails: node.saving_fails(config),
            log_fails: node.aof.has_failed(),
            behind: node.aof.is_behind() || node.keyspace.is_walk_behind(),
            loading: node.loading.is_running(),
            busy,
            monitored: node.monitors.any(),
            slower_than_ns: threshold(l.commandlog_execution_slower_than_us, l.commandlog_slow_execution_max_len, 1000),
            request_larger_than: threshold(l.commandlog_request_larger_than, l.commandlog_large_request_max_len, 1)
                as usize,
            reply_larger_than: threshold(l.commandlog_reply_larger_than, l.commandlog_large_reply_max_len, 1) as usize,
        };
        let g = &gates;
        gates.open = !(g.restricted
            || g.loading
            || g.paused_writes
            || busy
            || watches
            || g.disk_fails
            || g.log_fails
            || g.behind
            || g.monitored);
        gates
    }

    /// True if a command log may want this command.
    #[inline(always)]
    pub fn logs(&self, ns: u64, args: Args<'_>, reply_bytes: usize) -> bool {
        ns >= self.slower_than_ns
            || reply_bytes >= self.reply_larger_than
            || (args.end() >= self.request_larger_than && args.bytes() >= self.request_larger_than)
    }
}

/// What the gates decided.
pub(super) enum Pass {
    Run,
    /// Queued in MULTI: the reply is written.
    Answered,
    /// Try again later.
    Wait,
}

/// In RESP2 messages cannot be told from replies, so a subscriber may run little else.
#[cold]
fn listens_only(entry: &Entry) -> Result<(), CommandError> {
    if super::is_subscription(entry) || matches!(entry.spec().name, "ping" | "quit" | "reset") {
        return Ok(());
    }
    Err(CommandError::Bytes(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        entry.name
    ).into_bytes()))
}

const MISCONF: &str = "MISCONF Holdfast is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands \
     that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the logs for details about the RDB error.";

impl Turn<'_> {
    #[inline]
    pub(super) fn admit(
        &mut self,
        client: &mut Client,
        entry: &'static Entry,
        args: Args<'_>,
        hash: Option<KeyHash>,
    ) -> Result<Pass, CommandError> {
        if client.source != Source::Connection {
            // What was admitted once, where it happened first, is not judged again.
            return if client.in_multi() { self.queue(client, entry, args) } else { Ok(Pass::Run) };
        }
        if !client.trusted {
            self.permit(client, entry, args)?;
        }
        if self.gates.restricted {
            if self.waits_for_handover(client, entry) {
                return Ok(Pass::Wait);
            }
            // Whose the slot is comes first: a replica of a cluster says where to go rather than that it does not write.
            let node = self.node;
            if let Some(cluster) = &node.cluster
                && !self.is_plain(cluster, entry, args, hash)
            {
                self.check_slots(cluster, client, entry, args, false)?;
            }
            self.check_replication(client, entry)?;
        }
        if client.version == Version::Resp2 && !client.subscriptions.is_empty() {
            listens_only(entry)?;
        }
        if self.gates.loading && !entry.is(CommandFlags::LOADING) {
            return Err(CommandError::fixed("LOADING Holdfast is loading the dataset in memory"));
        }
        if (client.monitor || client.attached)
            && entry.is(CommandFlags::WRITE.or(CommandFlags::READONLY).or(CommandFlags::MAY_REPLICATE))
        {
            return Err(CommandError::fixed("ERR Replica can't interact with the keyspace"));
        }
        if self.gates.special {
            if self.gates.busy && !entry.is(CommandFlags::ALLOW_BUSY) {
                return Err(self.busy());
            }
            if self.gates.paused_writes && self.is_paused(client, entry, args) {
                return Ok(Pass::Wait);
            }
            self.record(client, entry, args)?;
        }
        // While a script is busy there is no lock to evict under, and nothing that may run then needs memory.
        if self.gates.maxmemory != 0 && !self.gates.busy {
            self.make_memory(client, entry)?;
        }
        if (self.gates.disk_fails || self.gates.log_fails)
            && (entry.spec().name == "ping" || Self::changes_data(self.node, client, entry))
        {
            self.check_disk()?;
        }
        if self.gates.behind && self.may_write_now(client, entry, args) {
            return Ok(Pass::Wait);
        }
        if client.in_multi() {
            return self.queue(client, entry, args);
        }
        Ok(Pass::Run)
    }

    /// It would be sent elsewhere, where nobody leads yet, and would be sent back: it waits until the role has been handed over.
    #[cold]
    fn waits_for_handover(&self, client: &Client, entry: &'static Entry) -> bool {
        self.gates.look.is_following()
            && self.gates.paused_writes
            && client.shared.capa_redirect.load(Ordering::Relaxed)
            && !client.in_multi()
            && (entry.is(CommandFlags::WRITE)
                || (entry.is(CommandFlags::READONLY) && !client.shared.readonly.load(Ordering::Relaxed)))
            && self.node.replication.failover.lock().is_going_on()
    }

    /// What a replica, or a primary with too few replicas, refuses.
    #[cold]
    pub(super) fn check_replication(&self, client: &Client, entry: &'static Entry) -> Result<(), CommandError> {
        let g = &self.gates;
        // EXEC writes what was queued; what is queued is judged when it is queued and again then.
        let is = |flags: CommandFlags| match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client
                .transaction
                .queue
                .iter()
                .any(|q| self.node.commands.by_id(q.command).is_some_and(|e| e.is(flags))),
            _ => entry.is(flags),
        };
        // A queued script has said of itself whether it writes; one that has said nothing is judged by what it does.
        let writes = is(CommandFlags::WRITE)
            || (matches!(entry.command.handler, Handler::Transaction(TransactionCommand::Exec))
                && client.transaction.queue.iter().any(|q| {
                    self.node.commands.by_id(q.command).is_some_and(|e| self.says_it_writes(e, q.args.args()))
                }));
        // EXEC itself is for every time; what it would run need not be.
        let lacks = |flag: CommandFlags| match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client
                .transaction
                .queue
                .iter()
                .any(|q| self.node.commands.by_id(q.command).is_some_and(|e| !e.is(flag))),
            _ => !entry.is(flag),
        };
        let reads = CommandFlags::READONLY;
        if g.look.is_following()
            && self.node.cluster.is_none()
            && client.shared.capa_redirect.load(Ordering::Relaxed)
            && (writes || (is(reads) && !client.shared.readonly.load(Ordering::Relaxed)))
            && let Some(f) = self.node.replication.follower.following()
        {
            return Err(CommandError::Bytes(format!("REDIRECT {}:{}", f.host, f.port).into_bytes()));
        }
        if g.too_few_replicas && writes {
            return Err(CommandError::fixed("NOREPLICAS Not enough good replicas to write."));
        }
        if g.readonly && writes {
            return Err(CommandError::fixed("READONLY You can't write against a read only replica."));
        }
        if g.stale && lacks(CommandFlags::STALE) {
            return Err(CommandError::fixed(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            ));
        }
        if g.look.is_loading() && lacks(CommandFlags::LOADING) {
            return Err(CommandError::fixed("LOADING Holdfast is loading the dataset in memory"));
        }
        if g.look.is_loading_beside() && entry.is(CommandFlags::NO_ASYNC_LOADING) {
            return Err(CommandError::fixed("LOADING Holdfast is loading the dataset in memory"));
        }
        Ok(())
    }

    /// Under the locks a command needs: whose history this is has changed since the gates were looked at. Looks again, and if the command
    /// is refused now, lets go of the locks, says so and returns false.
    #[cold]
    pub(super) fn still_admitted(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>) -> bool {
        self.gates = Gates::of(self.node, &self.config, self.space.now_ms());
        let outcome = match client.source {
            Source::Primary => Err(CommandError::fixed("ERR another primary is followed now")),
            Source::Log => Ok(()),
            Source::Connection => self.check_again(client, entry, args),
        };
        match outcome {
            Ok(()) => true,
            Err(e) => {
                self.space.unlock();
                self.forward = None;
                self.refuse(client, Some(entry), &e);
                false
            }
        }
    }

    /// Under the locks, with gates that were looked at again.
    #[cold]
    pub(super) fn check_again(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let node = self.node;
        if let Some(cluster) = &node.cluster {
            self.check_slots(cluster, client, entry, args, true)?;
        }
        self.check_replication(client, entry)
    }

    #[cold]
    fn is_paused(&self, client: &Client, entry: &'static Entry, args: Args<'_>) -> bool {
        if self.gates.paused_all {
            return true;
        }
        let writes = CommandFlags::WRITE.or(CommandFlags::MAY_REPLICATE);
        match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client.transaction.queue.iter().any(|q| {
                self.node.commands.by_id(q.command).is_some_and(|e| e.is(writes) && !self.only_reads(e, q.args.args()))
            }),
            // In MULTI commands are only queued; EXEC waits for them.
            _ => !client.in_multi() && entry.is(writes) && !self.only_reads(entry, args),
        }
    }

    /// It changes the key space, or will when its transaction runs.
    #[cold]
    fn changes_data(node: &Node, client: &Client, entry: &'static Entry) -> bool {
        match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client
                .transaction
                .queue
                .iter()
                .any(|q| node.commands.by_id(q.command).is_some_and(|e| e.is(CommandFlags::WRITE))),
            _ => entry.is(CommandFlags::WRITE),
        }
    }

    /// It may change the key space, now: a script too that has not said that it only reads, for it can give way at its beginning only.
    #[cold]
    fn may_write_now(&self, client: &Client, entry: &'static Entry, args: Args<'_>) -> bool {
        let is = |e: &'static Entry, args| {
            let script = matches!(e.command.handler, Handler::Script(_)) && !e.is(CommandFlags::READONLY);
            e.is(CommandFlags::WRITE) || (script && !self.only_reads(e, args))
        };
        match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client
                .transaction
                .queue
                .iter()
                .any(|q| self.node.commands.by_id(q.command).is_some_and(|e| is(e, q.args.args()))),
            _ => !client.in_multi() && is(entry, args),
        }
    }

    /// While the disk fails nothing new is promised.
    pub(super) fn check_disk(&self) -> Result<(), CommandError> {
        if self.gates.disk_fails {
            return Err(CommandError::fixed(MISCONF));
        }
        if self.gates.log_fails {
            let why = self.node.aof.figures().error.unwrap_or_default();
            return Err(CommandError::Bytes(format!("MISCONF Errors writing to the AOF file: {why}").into_bytes()));
        }
        Ok(())
    }

    /// Memory is over its limit: something goes, or what would need more is refused.
    #[cold]
    pub(super) fn make_memory(&mut self, client: &Client, entry: &'static Entry) -> Result<(), CommandError> {
        let fits = self.evict();
        if !self.notices.is_empty() {
            self.write_notices_first(client);
        }
        if fits {
            return Ok(());
        }
        let denied = match entry.command.handler {
            Handler::Transaction(TransactionCommand::Exec) => client
                .transaction
                .queue
                .iter()
                .any(|q| self.node.commands.by_id(q.command).is_some_and(|e| e.is(CommandFlags::DENYOOM))),
            _ => entry.is(CommandFlags::DENYOOM),
        };
        if denied {
            return Err(CommandError::fixed("OOM command not allowed when used memory > 'maxmemory'."));
        }
        Ok(())
    }

    #[cold]
    fn queue(&mut self, client: &mut Client, entry: &'static Entry, args: Args<'_>) -> Result<Pass, CommandError> {
        if entry.is(CommandFlags::NO_MULTI) {
            return Err(CommandError::err(format_args!("Command '{}' not allowed inside a transaction", entry.name)));
        }
        let now = matches!(
            entry.command.handler,
            Handler::Transaction(TransactionCommand::Exec | TransactionCommand::Discard)
        ) || matches!(entry.name.as_str(), "quit" | "reset");
        if now {
            return Ok(Pass::Run);
        }
        if entry.spec().name == "debug" {
            // What would be refused anyway breaks the transaction while it is being queued.
            crate::commands::server::permit_debug(client, &self.config)?;
        }
        let limit = match client.source {
            Source::Connection => self.config.limits.client_query_buffer_limit as usize,
            // It was within the limit where it came from.
            Source::Log | Source::Primary => usize::MAX,
        };
        let t = &mut client.transaction;
        let own = args.to_owned();
        t.queued_bytes += own.memory_bytes();
        if t.queued_bytes > limit {
            // The same bound that a single request has: a transaction is one request in several pieces.
            t.queue.clear();
            t.broken = true;
            return Err(CommandError::err("transaction is larger than client-query-buffer-limit"));
        }
        if entry.spec().databases == DatabaseUse::Select {
            let databases = self.space.databases();
            let named = args.get(1).and_then(crate::base::number::parse_i64).and_then(|n| u32::try_from(n).ok());
            t.db = named.filter(|n| *n < databases).or(t.db);
        }
        if !t.broken {
            t.queue.push(Queued { command: entry.id, args: own });
        }
        client.last_command(entry.id);
        self.reply.raw(b"+QUEUED\r\n");
        Ok(Pass::Answered)
    }
}
