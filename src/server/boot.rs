//! From a command line to a server that runs.

use super::bind;
use super::cron::Cron;
use super::exposed;
use super::http::{self, Http};
use super::recover::{self, recover};
use super::reload::{self, Reloader};
use super::sandbox;
use super::service::{self, Service};
use super::tls;
use super::tuning;
use super::workers::Workers;
use crate::acl::{Acl, Policy};
use crate::audit::{self, Audit, Event, Outcome, Record};
use crate::base::background::Background;
use crate::base::process::Side;
use crate::base::runtime_hint::{self, RuntimeHint};
use crate::base::{clock, crash, memory, process, title as base_title};
use crate::client::{Registry, WaitList};
use crate::cluster::{self, Cluster};
use crate::commands::server::shutdown::{self, Ending};
use crate::commands::{CommandTable, FAMILIES, Node};
use crate::config::types::AuditFailure;
use crate::config::{Config, ConfigHandle, Loaded};
use crate::crypto;
use crate::engine::{Executor, access};
use crate::fips::Booting;
use crate::journal::Journal;
use crate::keyspace::{Freer, Keyspace, Plan};
use crate::metrics::recorder::Metrics;
use crate::metrics::slowlog::Kind as LogKind;
use crate::net::doors::{Doors, Kind};
use crate::net::listener::{Listener, SocketOptions};
use crate::observe::logs::{self, Logs};
use crate::persist::{JobKind, Saver};
use crate::replication::{Host, Replication};
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why the server did not start. The text names the remedy.
#[derive(Debug)]
pub struct BootError(pub String);

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> BootError + '_ {
    move |e| BootError(format!("{what}: {e}"))
}

/// What others may not do with files that are made without a mode of their own.
const UMASK: u32 = 0o027;
/// How long CONFIG SET waits for a rewrite to end that it has stopped: inside a transaction its locks may keep it from ending.
const REWRITE_END_WAIT: std::time::Duration = std::time::Duration::from_millis(200);
/// Stack of the thread that loads: scripts in a log nest as deep as a worker's.
const LOADER_STACK: usize = 8 << 20;
/// Descriptors beside the clients': files, listeners, polls.
const OTHER_DESCRIPTORS: u64 = 64;

/// How many databases there are, and the cluster this server is, if it is to be one.
fn open_cluster(config: &Config) -> Result<(u32, Option<Cluster>), String> {
    let c = &config.cluster;
    if !c.enabled {
        return Ok((config.general.databases, None));
    }
    if config.replication.replicaof.is_some() {
        return Err("replicaof directive not allowed in cluster mode".into());
    }
    let cluster = Cluster::open(config)?;
    tracing::info!("Node configuration loaded, I'm {}", cluster.id());
    Ok((c.databases, Some(cluster)))
}

/// Runs the server until it is told to end. Returns the exit status.
///
/// # Errors
/// Whatever keeps it from serving, before a socket is bound.
pub fn run(loaded: Loaded) -> Result<i32, BootError> {
    // Before anything that belongs to a process: threads, the clock's origin, the gate and its self-tests.
    if service::is_daemon(&loaded.config)
        && process::go_to_background().map_err(failed("daemonize: the process cannot go to the background"))?
            == Side::Started
    {
        return Ok(0);
    }
    clock::init();
    process::add_umask(UMASK);
    let Loaded { config, file, notices, secret_files } = loaded;
    let dir = match &config.general.dir {
        Some(d) => d.clone(),
        None => std::env::current_dir().map_err(failed("the working directory"))?,
    };
    std::env::set_current_dir(&dir)
        .map_err(|e| BootError(format!("dir '{}' cannot be entered: {e}", dir.display())))?;
    if config.general.set_proc_title
        && let Err(e) = base_title::take()
    {
        eprintln!("holdfast: the process keeps its title: {e}");
    }
    let logs = logs::install(&config.logging).map_err(|e| BootError(e.to_string()))?;
    report_crashes();
    tracing::info!("oO0OoO0OoO0Oo Holdfast is starting oO0OoO0OoO0Oo");
    tracing::info!("Holdfast version={}, bits=64, pid={}, just started", env!("CARGO_PKG_VERSION"), std::process::id());
    match &file {
        Some(f) => tracing::info!("Configuration loaded from {}", f.display()),
        None => tracing::warn!("No configuration file: using the defaults and the command line."),
    }
    for n in &notices {
        tracing::info!("{n}");
    }
    let config = limit_clients(config);
    prepare_process(&config);

    let service = Service::of(&config);
    let (runtime, mut signals) = control_runtime()?;

    // The gate comes before anything that could be reached from outside.
    let wants_tls = config.tls.port != 0;
    let now_s = clock::wall_ms() / 1000;
    let tls = if wants_tls {
        Some(tls::setup(&config, &dir, now_s).map_err(|e| BootError(format!("Failed to configure TLS: {e}")))?)
    } else {
        None
    };
    let http_tls = http::prepare(&config, &dir)?;
    let approved =
        Booting::new().validate(tls.as_ref().map(|t| &*t.server.config), None).map_err(|r| BootError(r.to_string()))?;
    if let Some(t) = &tls {
        announce(t);
    }

    recover::take_keys(&config)?;
    let secrets: Vec<PathBuf> = secret_files.iter().map(|f| f.path.clone()).collect();
    exposed::warn(&config, &dir, &secrets);
    sandbox::limit_files(&config, file.as_deref(), &dir, &secrets)?;
    tuning::seed_hash(&config)?;

    let renames: Vec<(String, String)> =
        config.security.rename_command.iter().map(|r| (r.from.clone(), r.to.clone())).collect();
    let commands: &'static CommandTable =
        Box::leak(Box::new(CommandTable::new(FAMILIES, &renames).map_err(BootError)?));
    let (metrics, mut recorders) = Metrics::new(commands.len(), 5);
    let (cron_recorder, apply_recorder) = (recorders.pop(), recorders.pop());
    let (recover_recorder, replay_recorder) = (recorders.pop(), recorders.pop());
    let link_recorder = recorders.pop().expect("one for the links");
    let id = || crypto::random_hex(40).map_err(|e| BootError(e.to_string()));
    let journal = Arc::new(Journal::default());
    let (databases, cluster) = open_cluster(&config).map_err(BootError)?;
    let audit = start_audit(&config).map_err(BootError)?;
    let tls_facts = tls.as_ref().map(|t| tls::facts(&config, &dir, t)).unwrap_or_default();
    let node = Arc::new(Node {
        keyspace: Keyspace::with_journal(databases, Arc::clone(&journal)),
        config: ConfigHandle::new(Loaded { config: config.clone(), file, notices: Vec::new(), secret_files }),
        commands,
        clients: Arc::new(Registry::default()),
        replication: Arc::new(Replication::new(id()?)),
        cluster,
        executor: Mutex::new(None),
        acl: Arc::new(Acl::new(commands.catalog())),
        audit,
        background: Background::start("background").map_err(failed("the background thread"))?,
        tls: RwLock::new(tls_facts),
        journal,
        started_ms: clock::wall_ms(),
        run_id: id()?,
        pause: Mutex::default(),
        ending: Mutex::default(),
        paused: AtomicBool::new(false),
        saver: Saver::new(clock::wall_ms()),
        aof: Default::default(),
        loading: Default::default(),
        replay: Default::default(),
        shutdown: AtomicBool::new(false),
        insisted: AtomicBool::new(false),
        deaf: AtomicBool::new(false),
        asleep_until_ms: AtomicU64::new(0),
        active_expire: AtomicBool::new(true),
        cron_paused: AtomicBool::new(false),
        waiting: WaitList::default(),
        migrations: Default::default(),
        pubsub: Default::default(),
        scripts: Default::default(),
        scripts_call_anything: AtomicBool::new(false),
        tracking: Default::default(),
        monitors: Default::default(),
        freer: Freer::start().map_err(failed("the freeing thread"))?,
        metrics,
        baseline_memory: AtomicU64::new(0),
        output_memory: AtomicU64::new(0),
        peak_memory: AtomicU64::new(0),
        fips: approved,
    });
    crate::commands::acl::load_configured(&node.acl, &config)
        .map_err(|e| BootError(format!("Aborting startup because of {e}")))?;
    let endpoint = Arc::new(http::start(&node, &config, http_tls.as_ref(), tls.as_ref())?);
    let weak = Arc::downgrade(&node);
    node.aof.on_sync(Box::new(move || {
        if let Some(node) = weak.upgrade() {
            node.clients.ring_all();
            node.replication.replicas.acked(&node.answers());
        }
    }));
    let weak = Arc::downgrade(&node);
    node.keyspace.on_way_free(Box::new(move || {
        if let Some(node) = weak.upgrade() {
            node.clients.ring_all();
        }
    }));
    if node.replay.set(recover::again(&node, replay_recorder.expect("one recorder per thread"))).is_err() {
        return Err(BootError("the server was started twice".into()));
    }
    node.replication.count_received(link_recorder.counters);
    node.loading.key_delay_us.store(config.general.key_load_delay_us, Ordering::Relaxed);
    node.loading.begin(clock::wall_ms() / 1000);
    apply_metrics(&node, &config);
    if let Some((address, port)) = &config.replication.replicaof {
        node.replication.follower.will_follow(address, *port);
    }

    let doors = Doors::new(socket_options(&config), tls.as_ref().map(|t| Arc::clone(&t.server.config)));
    let doors = Arc::new(doors);
    let workers = Workers::new(&node, &doors, config.general.io_threads as usize).map_err(BootError)?;
    let workers = Arc::new(workers);
    let mut names = Vec::new();
    for (kind, listeners) in listen(&node, &config)? {
        names.extend(listeners.iter().map(|l| format!("{} ({kind:?})", l.describe())));
        doors.replace(kind, listeners);
    }
    let bus_listeners = listen_for_nodes(&node, &config, &dir)?;
    hooks(&node, &doors, &endpoint, logs, dir.clone());
    let growing = Arc::downgrade(&workers);
    node.config.on_change(
        &["io-threads"],
        Box::new(move |_, new| match growing.upgrade() {
            Some(workers) => workers.grow(new.general.io_threads as usize),
            None => Ok(()),
        }),
    );
    let is_node = node.cluster.is_some();
    node.config.on_change(
        &["tls-cluster"],
        Box::new(move |_, _| {
            let bus_is_open = "the bus of a node that runs stays as it is: set it in the file and start again";
            if is_node { Err(bus_is_open.into()) } else { Ok(()) }
        }),
    );
    let executor = Executor::new(Arc::clone(&node), apply_recorder.expect("one recorder per thread"));
    *node.executor.lock() = Some(Box::new(executor));
    tuning::apply(&node, &config);
    workers.start().map_err(BootError)?;

    sandbox::limit_calls(&config)?;
    node.baseline_memory.store(memory::used(), Ordering::Relaxed);
    write_pid_file(&config);
    let hints = write_hint(&config, &dir, tls.as_ref());
    tracing::info!(
        "Running mode={}, port={}, tls-port={}, PID: {}",
        if node.cluster.is_some() { "cluster" } else { "standalone" },
        config.network.port,
        config.tls.port,
        std::process::id()
    );
    tracing::info!("Server initialized");
    for name in &names {
        tracing::info!("Listening on {name}");
    }
    let recorder = recover_recorder.expect("one recorder per thread");
    let load =
        || service.while_loading(&node.loading, service::is_daemon(&config), || recover(&node, &config, recorder));
    load_or_end(&node, &runtime, &mut signals, load, || leave(&node, &config, &hints))?;
    if let Some((address, port)) = &config.replication.replicaof {
        let host: Arc<dyn Host> = Arc::clone(&node) as Arc<dyn Host>;
        let space = node.keyspace.lock(&Plan::All, access(&config, clock::wall_ms()));
        Replication::follow_from_the_start(&host, &space, address, *port)
            .map_err(failed("the thread of the primary's link"))?;
    }
    if let Some(c) = &node.cluster {
        let mut space = node.keyspace.space(access(&config, clock::wall_ms()));
        c.loaded(&*node, &mut space);
        drop(space);
        cluster::bus::start(Arc::clone(&node) as Arc<dyn cluster::Host>, bus_listeners)
            .map_err(failed("the thread of the cluster bus"))?;
    }
    endpoint.loaded();
    tracing::info!("Ready to accept connections");
    service.ready();
    let reloader = Reloader::new(Arc::clone(&node), Arc::clone(&doors), Arc::clone(&endpoint), dir.clone());
    control(&node, runtime, signals, Cron::new(cron_recorder.expect("one recorder per thread")), &service, reloader);
    service.stopping();
    // Whoever decided on the end has saved what was to be saved; what still runs would not be ended by anybody.
    node.saver.stop();

    doors.close();
    node.deaf.store(true, Ordering::Release);
    node.clients.ring_all();
    workers.join();
    // After the last worker: what they acknowledged is in the journal.
    if !node.aof.flush() {
        tracing::warn!("The append only file could not be brought to disk.");
    }
    leave(&node, &config, &hints);
    Ok(0)
}

/// What is done last of all.
fn leave(node: &Node, config: &Config, hints: &[PathBuf]) {
    runtime_hint::withdraw(hints, std::process::id());
    if let Some(p) = &config.general.pidfile {
        let _ = std::fs::remove_file(p);
    }
    node.audit.record(Record::new(Event::Stop, Outcome::Done).with("pid", std::process::id().to_string()));
    if !node.audit.flush(std::time::Duration::from_secs(5)) {
        let last = node.audit.figures().last_seq.load(Ordering::Relaxed);
        tracing::error!("The audit log cannot be written: what was to follow record {last} is lost");
    }
    node.audit.send_rest(std::time::Duration::from_secs(2));
    tracing::warn!("Holdfast is now ready to exit, bye bye...");
}

/// Loads the data on a thread of its own, so that this one hears who wants the server to end meanwhile: then it ends the process, after
/// `leave`. Nothing has changed by then that would have to be saved.
fn load_or_end(
    node: &Node,
    runtime: &tokio::runtime::Runtime,
    signals: &mut Signals,
    load: impl FnOnce() -> Result<(), BootError> + Send,
    leave: impl FnOnce(),
) -> Result<(), BootError> {
    /// Between two looks at whether a client has asked for the end.
    const LOOK: std::time::Duration = std::time::Duration::from_millis(50);
    std::thread::scope(|scope| {
        let (done, mut loaded) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("load".into()).stack_size(LOADER_STACK);
        thread.spawn_scoped(scope, move || done.send(load())).map_err(failed("the loading thread"))?;
        let wish = runtime.block_on(async {
            loop {
                tokio::select! {
                    result = &mut loaded => {
                        let panicked = || Err(BootError("the loading thread has ended".into()));
                        return Err(result.unwrap_or_else(|_| panicked()));
                    }
                    _ = signals.term.recv() => return Ok("SIGTERM"),
                    _ = signals.int.recv() => return Ok("SIGINT"),
                    _ = tokio::time::sleep(LOOK) => {
                        if node.shutdown.load(Ordering::Acquire) {
                            return Ok("SHUTDOWN");
                        }
                    }
                }
            }
        });
        match wish {
            Err(Ok(())) => Ok(()),
            Err(Err(e)) => {
                leave();
                Err(e)
            }
            Ok(wish) => {
                tracing::warn!("{wish} while the data are loaded: the server ends, and saves nothing");
                leave();
                // The thread that reads the files is not waited for.
                std::process::exit(0)
            }
        }
    })
}

/// Opens the audit log, if one is configured. The gate has passed by then, and that is its first record.
fn start_audit(config: &Config) -> Result<Audit, String> {
    let a = &config.audit;
    let Some(path) = a.file.clone() else { return Ok(Audit::default()) };
    let key = match &a.key_file {
        Some(path) => audit::Key::read(path)?,
        None => {
            let mut name = path.as_os_str().to_owned();
            name.push(".key");
            audit::Key::read_or_make(std::path::Path::new(&name))?
        }
    };
    let audit = Audit::start(audit::Settings {
        path,
        key,
        bytes_max: a.bytes_max,
        retention_days: a.retention_days,
        blocks: a.failure == AuditFailure::Block,
        key_patterns: a.keys.split_ascii_whitespace().map(|p| p.as_bytes().to_vec()).collect(),
        syslog: a.syslog,
        collector: super::collector::of(config)?,
    })?;
    let certificate = format!("{} {}", crypto::MODULE_VERSION, crypto::CERTIFICATE);
    audit.record(Record::new(Event::Gate, Outcome::Done).with("module", certificate));
    audit.record(
        Record::new(Event::Start, Outcome::Done)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("pid", std::process::id().to_string()),
    );
    // That it began is on record before anybody is served.
    audit.flush(std::time::Duration::from_secs(5));
    Ok(audit)
}

/// The signals the server listens to. They are asked for before anybody could think that it is up.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

fn control_runtime() -> Result<(tokio::runtime::Runtime, Signals), BootError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("the control runtime"))?;
    let guard = runtime.enter();
    let watch = |k: SignalKind| signal(k).map_err(failed("a signal handler"));
    let signals = Signals {
        term: watch(SignalKind::terminate())?,
        int: watch(SignalKind::interrupt())?,
        hup: watch(SignalKind::hangup())?,
    };
    drop(guard);
    Ok((runtime, signals))
}

/// Waits for signals and runs the periodic tasks until the server ends.
fn control(
    node: &Arc<Node>,
    runtime: tokio::runtime::Runtime,
    mut signals: Signals,
    mut cron: Cron,
    service: &Service,
    mut reloader: Reloader,
) {
    runtime.block_on(async {
        let mut next = tokio::time::Instant::now();
        let mut sign_of_life = next;
        while !node.shutdown.load(Ordering::Acquire) {
            tokio::select! {
                _ = tokio::time::sleep_until(next) => {
                    let period = cron.run(node);
                    reloader.look();
                    next = tokio::time::Instant::now() + period;
                    if let Some(period) = service.watchdog_period()
                        && next > sign_of_life
                    {
                        service.alive();
                        sign_of_life = next + period;
                    }
                }
                _ = signals.term.recv() => end(node, "SIGTERM", &mut signals).await,
                _ = signals.int.recv() => end(node, "SIGINT", &mut signals).await,
                _ = signals.hup.recv() => service.while_reloading(|| reloader.hang_up()),
            }
        }
    });
}

/// What a signal to end comes to. Saving may take long: it is done on a thread, so that this one hears whoever insists meanwhile.
async fn end(node: &Arc<Node>, signal: &'static str, signals: &mut Signals) {
    let config = node.config.current();
    let mut options =
        if signal == "SIGINT" { config.general.shutdown_on_sigint } else { config.general.shutdown_on_sigterm };
    let (insists, later) = {
        let mut ending = node.ending.lock();
        let insists = ending.is_some();
        // It is one of the periodic tasks that ends the server: while they are paused it waits, and can be called off.
        let later = !insists && node.cron_paused.load(Ordering::Relaxed);
        if later {
            *ending = Some(Ending::next_round(options));
        }
        (insists, later)
    };
    tracing::warn!("Received {signal} scheduling shutdown...");
    tracing::warn!("User requested shutdown...");
    if later {
        return;
    }
    if insists {
        tracing::warn!("You insist... exiting now.");
        options.now = true;
    }
    let (done, mut ended) = tokio::sync::oneshot::channel();
    let own = Arc::clone(node);
    let request = move || {
        let mut space = own.keyspace.space(access(&config, clock::wall_ms()));
        let _ = done.send(shutdown::request(&own, &config, &mut space, options, None).is_ok());
    };
    if let Err(e) = std::thread::Builder::new().name("end".into()).spawn(request) {
        tracing::warn!("{signal} is not obeyed: no thread: {e}");
        return;
    }
    let accepted = loop {
        tokio::select! {
            accepted = &mut ended => break accepted.unwrap_or(false),
            _ = signals.term.recv() => node.insisted.store(true, Ordering::Release),
            _ = signals.int.recv() => node.insisted.store(true, Ordering::Release),
        }
    };
    if !accepted {
        node.insisted.store(false, Ordering::Release);
        tracing::warn!(
            "{signal} received but errors trying to shut down the server, check the logs for more information"
        );
    }
}

/// From here on the log says how the process ended, if it was by a fault of its own.
fn report_crashes() {
    std::panic::set_hook(Box::new(tuning::report_panic));
    if let Err(e) = crash::install() {
        tracing::warn!("Crashes will not be reported: no signal handler: {e}");
    }
}

/// Clients that there can be descriptors for.
fn limit_clients(mut config: Config) -> Config {
    let wanted = u64::from(config.network.maxclients) + OTHER_DESCRIPTORS;
    match process::raise_open_files(wanted) {
        Ok(limit) if limit < wanted => {
            let clients = limit.saturating_sub(OTHER_DESCRIPTORS).max(1) as u32;
            tracing::warn!(
                "maxclients is {clients} instead of {}: the limit of open files is {limit} and cannot be raised (ulimit -n)",
                config.network.maxclients
            );
            config.network.maxclients = clients;
        }
        Ok(_) => {}
        Err(e) => tracing::warn!("The limit of open files cannot be read: {e}"),
    }
    config
}

fn prepare_process(config: &Config) {
    if config.general.disable_thp {
        process::disable_unasked_huge_pages();
    }
}

fn announce(t: &tls::Tls) {
    for s in &t.server.warnings {
        tracing::warn!("{s}");
    }
    if let Some(g) = &t.generated {
        let how = if g.new_ca { "generated" } else { "found" };
        tracing::info!("TLS certificates {how} under {}", g.paths.certificate.display());
        tracing::info!("TLS CA {} fingerprint SHA-256 {}", g.paths.ca_certificate.display(), g.ca.fingerprint);
    }
    tracing::info!("TLS certificate fingerprint SHA-256 {}", t.server.identity.fingerprint);
}

fn listen(node: &Node, config: &Config) -> Result<Vec<(Kind, Vec<Listener>)>, BootError> {
    let permit = node.fips.permit();
    let n = &config.network;
    let mut all = Vec::new();
    let port = |kind, addresses: &[_], port| {
        // `bind ""` leaves the Unix socket alone to listen.
        let port = if n.bind.is_empty() { 0 } else { port };
        bind::bind(permit, addresses, port, n.tcp_backlog)
            .map(|listeners| (kind, listeners))
            .map_err(|e| BootError(format!("Failed listening on port {port}: {e}")))
    };
    all.push(port(Kind::Plain, &n.plaintext_bind(), n.port)?);
    all.push(port(Kind::Tls, &n.bind, config.tls.port)?);
    if let Some(path) = &n.unixsocket {
        let l = Listener::unix(permit, path, n.unixsocketperm, n.unixsocketgroup.as_deref(), n.tcp_backlog)
            .map_err(|e| BootError(format!("Failed opening Unix socket: {e}")))?;
        all.push((Kind::Unix, vec![l]));
    }
    if all.iter().all(|(_, listeners)| listeners.is_empty()) {
        return Err(BootError(
            "Configured to not listen anywhere, exiting: set tls-port, or port with allow-plaintext.".into(),
        ));
    }
    Ok(all)
}

/// The listeners of the cluster bus.
fn listen_for_nodes(node: &Node, config: &Config, dir: &std::path::Path) -> Result<Vec<Listener>, BootError> {
    let (Some(cluster), Some(port)) = (&node.cluster, cluster::bus_port(config)) else { return Ok(Vec::new()) };
    let addresses = if config.tls.cluster {
        let tls = tls::bus(config, dir, clock::wall_ms() / 1000)
            .map_err(|e| BootError(format!("Failed to configure TLS of the cluster bus: {e}")))?;
        *cluster.tls.write() = Some(tls.server.config);
        config.network.bind.clone()
    } else {
        config.network.plaintext_bind()
    };
    let listeners = bind::bind(node.fips.permit(), &addresses, port, config.network.tcp_backlog)
        .map_err(|e| BootError(format!("Failed listening on port {port} for the cluster bus: {e}")))?;
    for l in &listeners {
        tracing::info!("Listening on {} (cluster bus{})", l.describe(), if config.tls.cluster { ", TLS" } else { "" });
    }
    Ok(listeners)
}

fn apply_metrics(node: &Node, config: &Config) {
    let l = &config.latency;
    node.metrics.latency.set_threshold_ms(l.latency_monitor_threshold_ms);
    for (kind, threshold, len) in [
        (LogKind::Slow, l.commandlog_execution_slower_than_us, l.commandlog_slow_execution_max_len),
        (LogKind::LargeRequest, l.commandlog_request_larger_than, l.commandlog_large_request_max_len),
        (LogKind::LargeReply, l.commandlog_reply_larger_than, l.commandlog_large_reply_max_len),
    ] {
        let log = node.metrics.logs.of(kind);
        log.set_threshold(threshold);
        log.set_len_max(len as usize);
    }
}

fn socket_options(config: &Config) -> SocketOptions {
    SocketOptions { keepalive_s: config.network.tcp_keepalive_secs, nodelay: true }
}

/// What has to happen when a directive changes.
fn hooks(node: &Arc<Node>, doors: &Arc<Doors>, endpoint: &Arc<Http>, logs: Logs, dir: PathBuf) {
    let weak = Arc::downgrade(node);
    node.config.on_change(
        &[
            "latency-monitor-threshold",
            "commandlog-execution-slower-than",
            "commandlog-slow-execution-max-len",
            "commandlog-request-larger-than",
            "commandlog-large-request-max-len",
            "commandlog-reply-larger-than",
            "commandlog-large-reply-max-len",
        ],
        Box::new(move |_, new| {
            if let Some(node) = weak.upgrade() {
                apply_metrics(&node, new);
            }
            Ok(())
        }),
    );
    let weak = Arc::downgrade(node);
    node.config.on_change(
        &["repl-backlog-size"],
        Box::new(move |_, new| {
            if let Some(node) = weak.upgrade()
                && node.journal.backlog().0.is_some()
            {
                node.journal.keep_backlog(Some(new.replication.repl_backlog_size));
            }
            Ok(())
        }),
    );
    let weak = Arc::downgrade(node);
    node.config.on_change(
        &["requirepass"],
        Box::new(move |_, new| match weak.upgrade() {
            Some(node) => node
                .acl
                .set_default_password(new.security.requirepass.expose(), &Policy::of(new))
                .map_err(|e| e.to_string()),
            None => Ok(()),
        }),
    );
    let letter = logs.clone();
    node.replication.follower.tell(Box::new(move |follows| {
        letter.set_role(if follows { logs::Role::Replica } else { logs::Role::Primary });
    }));
    node.config.on_change(
        &["loglevel", "log-format", "log-timestamp-format"],
        Box::new(move |_, new| {
            logs.apply(&new.logging);
            Ok(())
        }),
    );
    node.config.on_change(
        &["dir"],
        Box::new(|_, new| match &new.general.dir {
            Some(d) => std::env::set_current_dir(d).map_err(|e| e.to_string()),
            None => Ok(()),
        }),
    );
    node.config.on_change(&["encryption-key-source"], Box::new(|_, new| recover::change_keys(new)));
    let from = dir.clone();
    node.config.on_change(
        &["encryption-key-source", "tls-key-file", "tls-client-key-file"],
        Box::new(move |_, new| {
            exposed::warn(new, &from, &[]);
            Ok(())
        }),
    );
    let (loading, replication) = (Arc::clone(&node.loading), Arc::clone(&node.replication));
    node.config.on_change(
        &["key-load-delay"],
        Box::new(move |_, new| {
            let us = new.general.key_load_delay_us;
            loading.key_delay_us.store(us, Ordering::Relaxed);
            if let Some(copy) = replication.follower.loading() {
                copy.key_delay_us.store(us, Ordering::Relaxed);
            }
            Ok(())
        }),
    );
    let weak = Arc::downgrade(node);
    node.config.on_change(
        &["appendonly", "appendfsync"],
        Box::new(move |old, new| {
            let Some(node) = weak.upgrade() else { return Ok(()) };
            match (old.persistence.appendonly, new.persistence.appendonly) {
                // Not here: a change may come from inside a transaction, which holds locks.
                (false, true) => {
                    crate::persist::aof::prepare(&node, new).map_err(|e| {
                        tracing::warn!("The append only folder cannot be used: {e}");
                        "Unable to turn on AOF. Check server logs.".to_owned()
                    })?;
                    node.aof.schedule();
                }
                (true, false) => {
                    node.aof.unschedule();
                    if node.saver.give_up(JobKind::Rewrite) {
                        tracing::info!("Killing AOF child: the rewrite ends, because appendonly was switched off");
                    }
                    node.aof.stop();
                    // So that what the client asks for next finds no rewrite that is just ending.
                    node.saver.wait_for(JobKind::Rewrite, REWRITE_END_WAIT);
                }
                _ => node.aof.configure(new),
            }
            Ok(())
        }),
    );
    let of_keepalive = Arc::clone(doors);
    node.config.on_change(
        &["tcp-keepalive"],
        Box::new(move |_, new| {
            of_keepalive.set_options(socket_options(new));
            Ok(())
        }),
    );
    let (weak, a) = (Arc::downgrade(node), Arc::clone(doors));
    node.config.on_change(
        &["port", "bind", "tls-port"],
        Box::new(move |old, new| {
            let Some(node) = weak.upgrade() else { return Ok(()) };
            rebind(&node, &a, old, new)
        }),
    );
    let (weak, a, endpoint) = (Arc::downgrade(node), Arc::clone(doors), Arc::downgrade(endpoint));
    node.config.on_change(
        &[
            "tls-port",
            "tls-cert-file",
            "tls-key-file",
            "tls-key-file-pass",
            "tls-ca-cert-file",
            "tls-ca-cert-dir",
            "tls-crl-file",
            "tls-client-cert-file",
            "tls-auth-clients",
            "tls-protocols",
            "tls-ciphers",
            "tls-ciphersuites",
            "tls-prefer-server-ciphers",
            "tls-session-caching",
            "tls-session-cache-size",
            "tls-session-cache-timeout",
        ],
        Box::new(move |_, new| {
            let (Some(node), Some(endpoint)) = (weak.upgrade(), endpoint.upgrade()) else { return Ok(()) };
            reload::apply(&node, &a, &endpoint, new, &dir)
                .map_err(|e| format!("Unable to update TLS configuration. {e}"))
        }),
    );
}

/// Moves the listeners to where a changed configuration wants them; on failure the old ones stay.
fn rebind(node: &Arc<Node>, doors: &Doors, old: &Config, new: &Config) -> Result<(), String> {
    let permit = node.fips.permit();
    let backlog = new.network.tcp_backlog;
    let moved = old.network.bind != new.network.bind;
    let kinds = [
        (Kind::Plain, old.network.port, new.network.port, new.network.plaintext_bind()),
        (Kind::Tls, old.tls.port, new.tls.port, new.network.bind.clone()),
    ];
    for (kind, before, after, addresses) in kinds {
        if before == after && !moved {
            continue;
        }
        // Where only the addresses change the port is taken by ourselves: the old listeners go first then.
        if before == after {
            doors.replace(kind, Vec::new());
        }
        // `bind ""` leaves the Unix socket alone to listen.
        let port = if new.network.bind.is_empty() { 0 } else { after };
        match bind::bind(permit, &addresses, port, backlog) {
            Ok(listeners) => {
                if kind == Kind::Tls && after != 0 && !doors.has_tls() {
                    let dir = std::env::current_dir().map_err(|e| e.to_string())?;
                    let t = tls::setup(new, &dir, clock::wall_ms() / 1000).map_err(|e| e.to_string())?;
                    doors.set_tls(t.server.config);
                }
                doors.replace(kind, listeners);
            }
            Err(e) => {
                if before == after {
                    let addresses =
                        if kind == Kind::Plain { old.network.plaintext_bind() } else { old.network.bind.clone() };
                    if let Ok(listeners) = bind::bind(permit, &addresses, before, backlog) {
                        doors.replace(kind, listeners);
                    }
                }
                tracing::warn!("Failed to bind: {e}");
                return Err(if before == after {
                    "Failed to bind to specified addresses.".into()
                } else {
                    "Unable to listen on this port. Check server logs.".into()
                });
            }
        }
    }
    Ok(())
}

/// Tells local tools where this server listens and which CA it uses. Without it they need flags, so a failure is no error.
fn write_hint(config: &Config, dir: &std::path::Path, tls: Option<&tls::Tls>) -> Vec<PathBuf> {
    let hint = RuntimeHint {
        tls_port: config.tls.port,
        port: config.network.port,
        unixsocket: config.network.unixsocket.clone(),
        // Who issued our own certificate, where that is another than who issues those of our peers.
        ca: tls
            .and_then(|t| t.generated.as_ref().map(|g| g.paths.ca_certificate.clone()).or_else(|| t.ca_file.clone()))
            .map(|p| dir.join(p)),
        pid: std::process::id(),
    };
    runtime_hint::write(dir, &hint).unwrap_or_else(|e| {
        tracing::info!("Local tools will need flags to find this server: {e}");
        Vec::new()
    })
}

fn write_pid_file(config: &Config) {
    if let Some(p) = &config.general.pidfile
        && let Err(e) = std::fs::write(p, format!("{}\n", std::process::id()))
    {
        tracing::warn!("Failed to write PID file: {e}");
    }
}
