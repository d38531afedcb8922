//! General: the process, its threads, its folder and how it ends.

use std::path::PathBuf;

use crate::config::codec::{Clamped, File, Folder, INT, LONG, OneOf, TEXT, Text, YesNo, int};
use crate::config::row::{Standing, topic};
use crate::config::special::{Events, OomValues, Shutdown};
use crate::config::types::{KeyspaceEvents, OomScoreAdj, ShutdownOptions, Supervised};

const CPUS: &str = "threads are placed by the kernel";

/// Workers by default: one for each core the process may use.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(256).min(256))
}

/// Variables in braces must be known ones; a doubled brace stands for itself.
fn title(text: &str) -> Result<(), &'static str> {
    const WRONG: &str = "template format is invalid or contains unknown variables";
    const KNOWN: &[&str] = &["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    if text.is_empty() {
        return Err(WRONG);
    }
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once('{') {
        if let Some(after) = tail.strip_prefix('{') {
            rest = after;
            continue;
        }
        let (name, tail) = tail.split_once('}').ok_or(WRONG)?;
        if !KNOWN.contains(&name) {
            return Err(WRONG);
        }
        rest = tail;
    }
    Ok(())
}

/// Why the thresholds of sharing are not obeyed.
const SHARED: &str = "values above 4 KiB are always shared with the reply";

topic! {
    /// The process, its threads, its folder and how it ends.
    General in general, "General";

    /// Databases, numbered from 0.
    "databases" => databases: u32 = 16, int(1, i32::MAX as i128), Start, Open, Standing::Works;
    /// Worker threads; each runs the commands of its own connections. The default is a worker for each core. Those beyond a smaller number
    /// keep the connections they have and get no new ones.
    "io-threads" => io_threads: u32 = cores(), int(1, 256), Runtime, Open, Standing::Works;
    /// Upkeep rounds in a second: expiry, statistics, clients that time out.
    "hz" => hz: u32 = 10, Clamped { low: 1, high: 500 }, Runtime, Open, Standing::Works;
    /// Folder the server works in: its files and generated certificates.
    "dir" => dir: Option<PathBuf> = None, Folder, Runtime, Protected, Standing::Works;
    /// Run in the background: the process that was started ends at once, and what goes wrong later is in the log file alone. Without
    /// effect under a service manager (`supervised`).
    "daemonize" => daemonize: bool = false, YesNo, Start, Open, Standing::Works;
    /// Who supervises the process, and is told that it is ready.
    "supervised" => supervised: Supervised = Supervised::No, OneOf, Start, Open, Standing::Works;
    /// File the process id is written to.
    "pidfile" => pidfile: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// Wait this many seconds for replicas to catch up when ending.
    "shutdown-timeout" => shutdown_timeout_secs: u32 = 10, INT, Runtime, Open, Standing::Works;
    /// What SIGINT does.
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownOptions = ShutdownOptions::default(), Shutdown, Runtime, Open, Standing::Works;
    /// What SIGTERM does.
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownOptions = ShutdownOptions::default(), Shutdown, Runtime, Open, Standing::Works;
    /// Which key space events are published: K key space, E key event, g generic, $ strings, l lists, s sets, h hashes,
    /// z sorted sets, x expired, e evicted, t streams, d modules, m misses, n new keys, A all but m and n.
    "notify-keyspace-events" => notify_keyspace_events: KeyspaceEvents = KeyspaceEvents::default(), Events, Runtime, Open, Standing::Works;
    /// Give the process a title of its own, which ps and top show.
    "set-proc-title" => set_proc_title: bool = true, YesNo, Start, Open, Standing::Works;
    /// The process title: {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, {unixsocket}, {config-file}.
    "proc-title-template" => proc_title_template: String = "{title} {listen-addr} {server-mode}".into(), Text { check: title }, Runtime, Open, Standing::Works;
    /// Print a logo at start even when the output is no terminal.
    "always-show-logo" => always_show_logo: bool = false, YesNo, Start, Open, Standing::Inert("there is no logo");
    /// Locale for sorting text.
    "locale-collate" => locale_collate: String = String::new(), TEXT, Runtime, Open, Standing::Missing("sorting by locale");
    /// Tune how likely the kernel is to end this process when memory runs out.
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, OneOf, Runtime, Open, Standing::Works;
    /// Its values for a primary, a replica, and background work.
    "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800], OomValues, Runtime, Open, Standing::Works;
    /// Keep the kernel from giving this process huge pages it has not asked for; the blocks of keys do ask, since nothing forks here.
    "disable-thp" => disable_thp: bool = true, YesNo, Start, Open, Standing::Works;
    /// Availability zone of this machine, shown in INFO and HELLO.
    "availability-zone" => availability_zone: String = String::new(), TEXT, Runtime, Open, Standing::Works;
    /// Warnings about this machine that do not stop the start.
    "ignore-warnings" => ignore_warnings: String = String::new(), TEXT, Runtime, Open, Standing::Inert("no warning stops the start");
    /// Answer as the older server where names differ.
    "extended-redis-compatibility" => extended_redis_compatibility: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Seed of the key space's hash; the same on several servers makes SCAN go the same way. Empty draws one at random.
    "hash-seed" => hash_seed: String = String::new(), TEXT, Start, Secret, Standing::Works;
    /// Processors for the workers.
    "server-cpulist" | "server_cpulist" => server_cpulist: String = String::new(), TEXT, Start, Open, Standing::Missing(CPUS);
    /// Processors for background work.
    "bio-cpulist" | "bio_cpulist" => bio_cpulist: String = String::new(), TEXT, Start, Open, Standing::Missing(CPUS);
    /// Processors for rewriting the append-only file.
    "aof-rewrite-cpulist" | "aof_rewrite_cpulist" => aof_rewrite_cpulist: String = String::new(), TEXT, Start, Open, Standing::Missing(CPUS);
    /// Processors for background saving.
    "bgsave-cpulist" | "bgsave_cpulist" => bgsave_cpulist: String = String::new(), TEXT, Start, Open, Standing::Missing(CPUS);
    /// Commands fetched ahead of their data in one batch; 0 fetches none.
    "prefetch-batch-max-size" => prefetch_batch_max_size: u32 = 16, int(0, 128), Runtime, Open, Standing::Works;
    /// Values from this size on are shared with the reply instead of copied.
    "min-string-size-avoid-copy-reply" => min_string_size_avoid_copy_reply: u64 = 16384, LONG, Runtime, Hidden, Standing::Inert(SHARED);
    /// The same with several workers.
    "min-string-size-avoid-copy-reply-threaded" => min_string_size_avoid_copy_reply_threaded: u64 = 65536, LONG, Runtime, Hidden, Standing::Inert(SHARED);
    /// Workers from which on values are shared.
    "min-io-threads-avoid-copy-reply" => min_io_threads_avoid_copy_reply: u32 = 7, INT, Runtime, Hidden, Standing::Inert(SHARED);
    /// Milliseconds a script may run before other clients are told that the server is busy.
    "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold_ms: u64 = 5000, LONG, Runtime, Open, Standing::Works;
    /// Give scripts getfenv, setfenv and newproxy, with which they can reach what is not theirs.
    "lua.enable-insecure-api" | "lua-enable-insecure-api" => lua_enable_insecure_api: bool = false, YesNo, Runtime, Protected, Standing::Works;
    /// Write a worker's stack into the log when it does not go on for more than so many milliseconds; 0 never.
    "watchdog-period" => watchdog_period_ms: u32 = 0, INT, Runtime, Hidden, Standing::Works;
    /// Log a report when the process crashes.
    "crash-log-enabled" => crash_log_enabled: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Test memory when the process crashes.
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, YesNo, Runtime, Open, Standing::Inert("a crash ends the process at once");
    /// Rehash in the background.
    "activerehashing" => activerehashing: bool = true, YesNo, Runtime, Open, Standing::Inert("the table never rehashes as a whole");
    /// Have a thread of the allocator give unused pages back to the kernel in time, also while nothing is asked of the server.
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Once chose whether reads went to I/O threads.
    "io-threads-do-reads" => io_threads_do_reads: bool = true, YesNo, Start, Unlisted, Standing::Inert("workers always read");
    /// Once kept I/O threads awake, for tests.
    "io-threads-always-active" => io_threads_always_active: bool = false, YesNo, Runtime, Hidden, Standing::Inert("every worker reads and writes its own connections whenever they have something");
    /// Once adapted `hz` to the number of clients.
    "dynamic-hz" => dynamic_hz: bool = true, YesNo, Runtime, Unlisted, Standing::Inert("hz is fixed");
    /// Stop on assertions that are meant for tests.
    "enable-debug-assert" => enable_debug_assert: bool = false, YesNo, Start, Hidden, Standing::Inert("assertions are chosen at build time");
    /// Bytes between two times clients are served while a file is loaded.
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: u64 = 2 << 20, int(1024, i32::MAX as i128), Runtime, Hidden, Standing::Inert("clients are served by threads of their own while a file is loaded");
    /// End with exit instead of abort when an assertion fails.
    "use-exit-on-panic" => use_exit_on_panic: bool = false, YesNo, Runtime, Hidden, Standing::Inert("a failed assertion always ends by exit, after the report");
    /// Text that tests leave in the log of a crash.
    "debug-context" => debug_context: String = String::new(), TEXT, Runtime, Hidden, Standing::Inert("only tests of the original server use it");
    /// Microseconds to wait after each loaded key, for tests.
    "key-load-delay" => key_load_delay_us: i64 = 0, int(i32::MIN as i128, i32::MAX as i128), Runtime, Hidden, Standing::Works;
}
