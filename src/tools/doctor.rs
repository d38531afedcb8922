//! `holdfast doctor [FILE|-] [--directive value ...]`: one page on what is unsafe, slow or unsupported here, for a
//! configuration on this machine. It starts nothing and changes nothing.
//!
//! Every finding names the remedy. The checks are functions of text, so that tests can hand in other machines.

use crate::base::clock;
use crate::config::types::{AllowPlaintext, TlsAuthClients};
use crate::config::{Config, load};
use crate::fips::Booting;
use crate::net::tls::certificate;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good,
    /// Worth knowing.
    Note,
    /// To be changed before it matters.
    Warning,
    /// Unsafe, or it will not start.
    Bad,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Good => "ok  ",
            Level::Note => "note",
            Level::Warning => "WARN",
            Level::Bad => "BAD ",
        }
    }
}

/// One line of the page, and under it the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub text: String,
    pub remedy: Option<String>,
}

#[derive(Default)]
struct Page {
    sections: Vec<(&'static str, Vec<Finding>)>,
}

impl Page {
    fn section(&mut self, title: &'static str) {
        self.sections.push((title, Vec::new()));
    }

    fn add(&mut self, level: Level, text: impl Into<String>, remedy: &str) {
        let remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
        if let Some((_, list)) = self.sections.last_mut() {
            list.push(Finding { level, text: text.into(), remedy });
        }
    }

    fn good(&mut self, text: impl Into<String>) {
        self.add(Level::Good, text, "");
    }

    fn worst(&self) -> Level {
        self.sections.iter().flat_map(|(_, l)| l).map(|f| f.level).max().unwrap_or(Level::Good)
    }
}

/// What the machine says of itself; empty texts are unknown.
#[derive(Default)]
struct Machine {
    kernel: String,
    somaxconn: String,
    overcommit: String,
    huge_pages: String,
    clock_source: String,
    memory_limit: String,
    cpu_limit: String,
    total_memory: u64,
    open_files: u64,
    cores: u64,
    root: bool,
    container: Option<String>,
}

impl Machine {
    fn read() -> Machine {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Machine {
            kernel: text("/proc/sys/kernel/osrelease"),
            somaxconn: text("/proc/sys/net/core/somaxconn"),
            overcommit: text("/proc/sys/vm/overcommit_memory"),
            huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled"),
            clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            memory_limit: [text("/sys/fs/cgroup/memory.max"), text("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
                .join(""),
            cpu_limit: text("/sys/fs/cgroup/cpu.max"),
            total_memory: crate::observe::info::system_memory(),
            open_files: open_files_max(&text("/proc/self/limits")),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            root: nix::unistd::geteuid().is_root(),
            container: crate::fips::Environment::read().container,
        }
    }
}

/// The hard limit of open files, out of /proc/self/limits.
fn open_files_max(limits: &str) -> u64 {
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"));
    let hard = line.and_then(|l| l.split_ascii_whitespace().nth(1));
    hard.map_or(0, |h| if h == "unlimited" { u64::MAX } else { h.parse().unwrap_or(0) })
}

const USAGE: &str = "Usage: holdfast doctor [FILE|-] [--directive value ...]\n";

/// Runs the tool; returns the exit code: 0 when nothing is bad, 1 when something is.
///
/// # Errors
/// `out` cannot be written to.
pub fn run(args: &[OsString], out: &mut dyn Write) -> io::Result<i32> {
    if args.first().is_some_and(|a| a == "--help" || a == "-h") {
        out.write_all(USAGE.as_bytes())?;
        return Ok(0);
    }
    let mut page = Page::default();
    page.section("Configuration");
    let (loaded, errors) = load::examine(args);
    match &loaded.file {
        Some(path) => page.good(format!("{} is read", path.display())),
        None => page.add(Level::Note, "no configuration file: the defaults and the command line", ""),
    }
    for e in &errors {
        let line = e.to_string().replace('\n', " ").replace("*** ", "").trim().to_owned();
        page.add(Level::Bad, line, "holdfast check-config names line, word and the nearest directive");
    }
    for n in &loaded.notices {
        page.add(Level::Note, n.clone(), "");
    }
    let machine = Machine::read();
    module(&mut page);
    access(&mut page, &loaded.config);
    certificates(&mut page, &loaded.config, clock::wall_ms() / 1000);
    data(&mut page, &loaded.config);
    host(&mut page, &loaded.config, &machine);
    print(&page, out)?;
    Ok(i32::from(page.worst() == Level::Bad))
}

fn print(page: &Page, out: &mut dyn Write) -> io::Result<()> {
    for (title, findings) in &page.sections {
        writeln!(out, "{title}")?;
        for f in findings {
            writeln!(out, "  {}  {}", f.level.word(), f.text)?;
            if let Some(r) = &f.remedy {
                writeln!(out, "        -> {r}")?;
            }
        }
    }
    let count = |level| page.sections.iter().flat_map(|(_, l)| l).filter(|f| f.level == level).count();
    writeln!(out, "\n{} bad, {} warnings, {} notes", count(Level::Bad), count(Level::Warning), count(Level::Note))
}

fn module(page: &mut Page) {
    page.section("Cryptographic module");
    match Booting::new().validate(None, None) {
        Ok(approved) => {
            let report = approved.report();
            page.good("FIPS VALIDATION: PASSED");
            for (name, value) in report.rows() {
                match (name, value.as_str()) {
                    ("fips_module" | "fips_certificate", _) => page.good(format!("{name}: {value}")),
                    ("fips_operational_environment", "ported") => page.add(
                        Level::Note,
                        "a ported operational environment: the certificate names Amazon Linux 2023 only",
                        "say 'ported', not 'validated', in your system security plan",
                    ),
                    ("fips_rdrand", "yes") => page.good("the processor has RDRAND"),
                    ("fips_rdrand", "no") => page.add(
                        Level::Warning,
                        "the processor has no RDRAND: entropy comes from the kernel alone",
                        "name getrandom as the entropy source in the evidence",
                    ),
                    ("fips_tracer_pid", pid) if pid != "0" => page.add(
                        Level::Bad,
                        format!("process {pid} traces this one, which the module's policy forbids"),
                        "end the debugger or tracer",
                    ),
                    _ => {}
                }
            }
        }
        Err(rejected) => {
            page.add(Level::Bad, rejected.to_string(), "the server will not start: see holdfast fips status")
        }
    }
}

fn access(page: &mut Page, c: &Config) {
    page.section("Who may do what");
    let password = c.security.requirepass.expose();
    let users = c.security.aclfile.is_some() || !c.security.users.is_empty();
    let certificates = c.tls.port != 0 && c.tls.auth_clients == TlsAuthClients::Yes;
    match (password.len(), users) {
        (0, false) if certificates => page.good("no password; clients must show a certificate"),
        (0, false) if c.network.protected_mode => page.add(
            Level::Warning,
            "no password: protected mode refuses clients from other machines",
            "set requirepass, an aclfile, or tls-auth-clients yes with tls-ca-cert-file",
        ),
        (0, false) => page.add(
            Level::Bad,
            "no password, and protected-mode is no: whoever reaches the port may do everything",
            "set requirepass or an aclfile",
        ),
        (1..14, _) => page.add(
            Level::Warning,
            "requirepass has fewer than 14 bytes, which a key derivation in approved mode does not take",
            "use a longer one: holdfast cli ACL GENPASS makes one",
        ),
        _ => page.good("a password or users are set"),
    }
    match (c.network.allow_plaintext, c.network.port) {
        (AllowPlaintext::No, _) => page.good("no plaintext: every byte is TLS"),
        (AllowPlaintext::Yes, 1..) => page.add(
            Level::Bad,
            "plaintext is open on every address of bind: outside of what FIPS mode can promise",
            "use tls-port; or allow-plaintext local",
        ),
        _ => page.add(
            Level::Warning,
            "plaintext is allowed on this machine",
            "remove allow-plaintext where nobody needs it",
        ),
    }
    for (name, value) in [
        ("enable-debug-command", c.security.enable_debug_command),
        ("enable-protected-configs", c.security.enable_protected_configs),
    ] {
        if value.word() == "yes" {
            page.add(Level::Warning, format!("{name} yes: for clients everywhere"), &format!("{name} no, or local"));
        }
    }
    let m = &c.monitoring;
    if m.port != 0 && m.password.is_empty() && m.auth_clients != TlsAuthClients::Yes {
        page.add(
            Level::Note,
            format!("/metrics on port {} asks for no password", m.port),
            "set http-password, or http-auth-clients yes",
        );
    }
}

/// Certificates that end within this many days are told.
const EXPIRY_DAYS: i64 = 30;

fn certificates(page: &mut Page, c: &Config, now_s: i64) {
    page.section("Certificates");
    let t = &c.tls;
    if t.port == 0 && (c.monitoring.port == 0 || !c.monitoring.tls) {
        return page.add(Level::Note, "TLS is not served", "");
    }
    match (&t.cert_file, &t.key_file) {
        (Some(chain), Some(key)) => certificate(page, chain, key, now_s),
        _ => {
            page.add(
                Level::Note,
                "a certificate authority and a certificate are generated under dir",
                "for other machines set tls-cert-file, tls-key-file and tls-ca-cert-file",
            );
            let made = c.general.dir.as_deref().unwrap_or(Path::new(".")).join("tls");
            let (chain, key) = (made.join("server.crt"), made.join("server.key"));
            if chain.exists() {
                certificate(page, &chain, &key, now_s);
            }
            return;
        }
    }
    if t.auth_clients == TlsAuthClients::No {
        page.add(Level::Note, "clients show no certificate", "tls-auth-clients yes demands one");
    }
}

fn certificate(page: &mut Page, chain: &Path, key: &Path, now_s: i64) {
    match certificate::load(chain, key, now_s) {
        Err(e) => page.add(Level::Bad, e.to_string(), "the server will not start with it"),
        Ok(loaded) => {
            let days = (loaded.identity.not_after_s - now_s) / 86_400;
            let text = format!("{}: {}, ends in {days} days", chain.display(), loaded.identity.key);
            if days < EXPIRY_DAYS {
                page.add(Level::Warning, text, "put a new one in its place and send SIGHUP: no client is disconnected");
            } else {
                page.good(text);
            }
        }
    }
}

fn data(page: &mut Page, c: &Config) {
    page.section("Data");
    if c.persistence.save.is_empty() && !c.persistence.appendonly {
        page.add(
            Level::Warning,
            "persistence is off: a restart begins with what the last SAVE wrote",
            "set save, for instance: save 900 1 300 10 60 10000; or appendonly yes",
        );
    } else {
        page.good("the data is saved by itself");
    }
    let dir = c.general.dir.clone().unwrap_or_else(|| Path::new(".").to_path_buf());
    let probe = dir.join(format!(".holdfast-doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => page.good(format!("{} can be written", dir.display())),
        Err(e) => page.add(
            Level::Bad,
            format!("{} cannot be written: {e}", dir.display()),
            "change its owner, or set dir to another folder",
        ),
    }
}

fn host(page: &mut Page, c: &Config, m: &Machine) {
    page.section("This machine");
    let version = || {
        let mut parts = m.kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    match version() {
        Some(version) if version < LANDLOCK => page.add(
            Level::Note,
            format!("kernel {}: it cannot limit the process to its files (landlock)", m.kernel),
            "a kernel of 5.13 or later can",
        ),
        Some(_) => page.good(format!("kernel {}", m.kernel)),
        None => {}
    }
    if m.root {
        page.add(Level::Warning, "running as root", "run it as a user of its own (the unit and the image do)");
    }
    if let Some(container) = &m.container {
        page.add(Level::Note, format!("in a container ({container})"), "");
    }
    let limit = m.memory_limit.parse::<u64>().unwrap_or(m.total_memory).min(m.total_memory);
    let mib = |bytes: u64| bytes >> 20;
    match c.memory.maxmemory {
        0 => page.add(
            Level::Warning,
            format!("maxmemory is not set: the kernel ends the process when {} MiB are full", mib(limit)),
            "set maxmemory to about three quarters of it, and maxmemory-policy",
        ),
        max if max > limit / 10 * 9 => page.add(
            Level::Warning,
            format!("maxmemory is {} MiB of {}: too little is left for buffers and snapshots", mib(max), mib(limit)),
            "lower it to about three quarters",
        ),
        max => page.good(format!("maxmemory is {} MiB of {}", mib(max), mib(limit))),
    }
    let wanted = u64::from(c.network.maxclients) + 64;
    if m.open_files != 0 && m.open_files < wanted {
        page.add(
            Level::Warning,
            format!(
                "the limit of open files is {}: {} clients at the most",
                m.open_files,
                m.open_files.saturating_sub(64)
            ),
            "raise it (LimitNOFILE=, ulimit -n), or lower maxclients",
        );
    } else {
        page.good(format!("open files: enough for {} clients", c.network.maxclients));
    }
    if m.somaxconn.parse::<u32>().is_ok_and(|n| n < c.network.tcp_backlog) {
        page.add(
            Level::Warning,
            format!("net.core.somaxconn is {}, below tcp-backlog {}", m.somaxconn, c.network.tcp_backlog),
            "sysctl -w net.core.somaxconn=1024",
        );
    }
    if m.overcommit == "2" {
        page.add(
            Level::Warning,
            "vm.overcommit_memory is 2: allocations fail while memory is free",
            "sysctl -w vm.overcommit_memory=1",
        );
    }
    let chosen = m.huge_pages.split(['[', ']']).nth(1).unwrap_or_default();
    if chosen == "always" && c.general.disable_thp {
        page.good("transparent huge pages: always, but not for this process (disable-thp)");
    } else if chosen != "always" && !chosen.is_empty() {
        page.good(format!("transparent huge pages: {chosen}"));
    } else if chosen == "always" {
        page.add(
            Level::Warning,
            "transparent huge pages are always on, and disable-thp is no: memory and latency jump",
            "disable-thp yes, which is the default",
        );
    }
    match m.clock_source.as_str() {
        "" => {}
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => {
            page.good(format!("clock source: {}", m.clock_source));
        }
        slow => page.add(
            Level::Warning,
            format!("the clock source is {slow}: each look at the clock is a system call"),
            "boot with clocksource=tsc where the machine's counter is steady",
        ),
    }
    let quota = cpus(&m.cpu_limit);
    let threads = u64::from(c.general.io_threads);
    if quota.is_some_and(|q| (threads as f64) > q.ceil()) {
        page.add(
            Level::Warning,
            format!(
                "io-threads is {threads} under a limit of {:.1} processors: workers will be throttled",
                quota.unwrap_or(0.0)
            ),
            "set io-threads to the limit",
        );
    } else if threads > m.cores {
        page.add(Level::Warning, format!("io-threads is {threads} on {} processors", m.cores), "lower io-threads");
    } else {
        page.good(format!("{threads} workers on {} processors", m.cores));
    }
}

/// The first kernel that limits a process to its files.
const LANDLOCK: (u32, u32) = (5, 13);

/// `cpu.max`: quota and period, or `max`.
fn cpus(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.trim().parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(check: impl Fn(&mut Page)) -> String {
        let mut page = Page::default();
        check(&mut page);
        let mut out = Vec::new();
        print(&page, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_open_server_is_bad_and_a_closed_one_is_not() {
        let mut c = Config::default();
        c.network.protected_mode = false;
        c.tls.auth_clients = TlsAuthClients::No;
        let said = of(|p| access(p, &c));
        assert!(
            said.contains("BAD   no password, and protected-mode is no") && said.contains("-> set requirepass"),
            "{said}"
        );
        c.network.allow_plaintext = AllowPlaintext::Yes;
        c.network.port = 6379;
        assert!(of(|p| access(p, &c)).contains("BAD   plaintext is open on every address"));
        c.security.requirepass = crate::config::types::Secret::new(b"a long enough password");
        c.network.allow_plaintext = AllowPlaintext::No;
        assert!(of(|p| access(p, &c)).ends_with("\n0 bad, 0 warnings, 0 notes\n"));
    }

    #[test]
    fn a_machine_that_slows_the_server_is_told_with_the_remedy() {
        let m = Machine {
            kernel: "5.10.0-28-amd64".into(),
            huge_pages: "[always] madvise never".into(),
            somaxconn: "128".into(),
            overcommit: "2".into(),
            clock_source: "hpet".into(),
            memory_limit: "1073741824".into(),
            cpu_limit: "100000 100000".into(),
            total_memory: 8 << 30,
            open_files: 1024,
            cores: 8,
            root: true,
            ..Machine::default()
        };
        let mut c = Config::default();
        c.general.io_threads = 4;
        c.general.disable_thp = false;
        let said = of(|p| host(p, &c, &m));
        for part in [
            "kernel 5.10.0-28-amd64: it cannot limit",
            "huge pages are always on",
            "somaxconn is 128",
            "overcommit_memory is 2",
            "clock source is hpet",
            "1024 MiB",
            "960 clients",
            "running as root",
            "throttled",
        ] {
            assert!(said.contains(part), "'{part}' is not in:\n{said}");
        }
        c.memory.maxmemory = 1000 << 20;
        assert!(of(|p| host(p, &c, &m)).contains("maxmemory is 1000 MiB of 1024"));
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit  Soft Limit Hard Limit Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files_max(text), 524_288);
        assert_eq!(open_files_max(""), 0);
        assert_eq!(cpus("max 100000"), None);
        assert_eq!(cpus("150000 100000"), Some(1.5));
    }

    #[test]
    fn the_page_of_this_machine_ends_with_a_count() {
        let mut out = Vec::new();
        let folder = tempfile::tempdir().unwrap();
        let args = ["--dir".into(), folder.path().into(), "--maxmemroy".into(), "1".into()];
        let code = run(&args, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("FIPS VALIDATION: PASSED") && said.contains("maxmemory"), "{said}");
    }
}
