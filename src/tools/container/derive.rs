//! From environment and arguments to what the container does: a pure function.
//!
//! Order of precedence, lowest first: what is built in; the mounted configuration file, which replaces what the variables
//! would say, or the variables; the file of overrides; the command line.

use super::ask::{Access, Others};
use super::create::Plan;
use super::pods::{self, Peer};
use super::variables::{ReadFile, Variables};
use crate::config::{self, Standing};
use crate::crypto;
use crate::tools::cli::options::TlsOptions;
use std::path::{Path, PathBuf};

/// A configuration file that is found here is used, as in the images it comes from.
pub const MOUNTED: &[&str] = &["/opt/bitnami/valkey/mounted-etc/valkey.conf", "/etc/valkey/valkey.conf"];
/// The same for overrides.
pub const OVERRIDES: &str = "/opt/bitnami/valkey/mounted-etc/overrides.conf";
/// The data's place, a link in the image for those who mount it elsewhere.
pub const DATA: &str = "/bitnami/valkey/data";
const PORT: &str = "6379";
const SENTINEL_PORT: &str = "26379";

/// What the function may look at beside environment and arguments.
pub struct World<'a> {
    pub read: ReadFile<'a>,
    pub exists: &'a dyn Fn(&Path) -> bool,
    pub others: &'a dyn Others,
}

/// What the container does.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// `holdfast server` with these words.
    Server { words: Vec<String>, data: Option<PathBuf> },
    /// Another tool of the binary.
    Tool { words: Vec<String> },
    /// A program of the image.
    Program { words: Vec<String> },
}

/// The result, and what to log of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Derived {
    pub start: Start,
    pub notices: Vec<String>,
    /// The cluster this node makes, once it serves.
    pub create: Option<Plan>,
}

/// Decides.
///
/// # Errors
/// One sentence that names the variable and the remedy.
pub fn derive(
    environment: impl IntoIterator<Item = (String, String)>,
    arguments: &[String],
    world: &World<'_>,
) -> Result<Derived, String> {
    let mut notices = Vec::new();
    let options = match arguments.split_first() {
        None => &[],
        Some((first, rest)) => {
            let name = Path::new(first).file_name().map_or(first.as_str(), |n| n.to_str().unwrap_or(first));
            match name {
                "valkey-server" | "redis-server" | "server" => rest,
                // Bitnami's charts and compose files call its script.
                "run.sh" | "entrypoint.sh" if first.contains("/bitnami/") => rest,
                _ if first.starts_with('-') || first.ends_with(".conf") => arguments,
                _ if super::TOOLS.contains(&name) => {
                    let mut words = arguments.to_vec();
                    name.clone_into(&mut words[0]);
                    return Ok(Derived { start: Start::Tool { words }, notices, create: None });
                }
                _ => return Ok(Derived { start: Start::Program { words: arguments.to_vec() }, notices, create: None }),
            }
        }
    };
    let v = Variables::new(environment, world.read, &mut notices);
    v.unknown(&mut notices);
    let (own_file, options) = match options.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(PathBuf::from(first)), rest),
        _ => (None, options),
    };
    let named = v.get("HOLDFAST_CONF")?.map(PathBuf::from);
    let mounted = || MOUNTED.iter().map(PathBuf::from).find(|p| (world.exists)(p));
    let file = own_file.or(named).or_else(mounted);

    let mut d = Lines { words: Vec::new(), notices };
    let mut data = v.get("VALKEY_DATA_DIR")?;
    let mut limits = vec!["landlock", "seccomp"];
    match &file {
        Some(path) => {
            let text = (world.read)(path).map_err(|e| format!("'{}' cannot be read: {e}", path.display()))?;
            let set: Vec<&str> = v.set().into_iter().filter(|n| !WITH_A_FILE.contains(n)).collect();
            if !set.is_empty() {
                d.notices.push(format!(
                    "the configuration file {} counts, not these variables: {}",
                    path.display(),
                    set.join(", ")
                ));
            }
            d.words.push(path.display().to_string());
            limits.retain(|l| !names_directive(&text, l));
            if names_directive(&text, "dir") {
                data = None;
            } else {
                let dir = data.get_or_insert_with(|| DATA.into()).clone();
                d.set("dir", &dir);
            }
        }
        None => {
            let dir = data.get_or_insert_with(|| DATA.into()).clone();
            d.set("dir", &dir);
            variables(&v, &mut d, world)?;
        }
    }
    for (variable, directive) in v.directives() {
        let (variable, directive) = content_of_file(variable, directive);
        if config::find(directive.as_bytes()).is_none() {
            let near = config::nearest(directive.as_bytes()).map(|n| format!("; the nearest directive is {n}"));
            return Err(format!("{variable}: there is no directive '{directive}'{}", near.unwrap_or_default()));
        }
        let value = v.get(variable)?.unwrap_or_default();
        d.set(&directive, &value);
    }
    // What the process can do without it gives up, unless a word that follows says otherwise.
    limits.retain(|l| !d.words.iter().any(|w| w.strip_prefix("--") == Some(l)));
    for limit in limits {
        d.set(limit, "try");
    }
    let mut told = false;
    if let Some(path) = overrides(&v, world)? {
        let text = (world.read)(Path::new(&path)).map_err(|e| format!("'{path}' cannot be read: {e}"))?;
        told = ["requirepass", "aclfile", "user", "protected-mode"].iter().any(|d| names_directive(&text, d));
        d.set("include", &path);
    }
    if let Some(flags) = v.get("VALKEY_EXTRA_FLAGS")? {
        let words = config::words::split(flags.as_bytes()).ok_or("VALKEY_EXTRA_FLAGS: a quote is left open")?;
        d.words.extend(words.iter().map(|w| String::from_utf8_lossy(w).into_owned()));
    }
    d.words.extend(options.iter().cloned());
    if file.is_none() {
        passwords(&v, &mut d, told)?;
    }
    let start = Start::Server { words: d.words, data: data.map(PathBuf::from) };
    Ok(Derived { start, notices: d.notices, create: creation(&v)? })
}

/// `HOLDFAST_X_FILE` is the content of a file for the directive x, unless there is a directive x-file.
fn content_of_file(variable: &str, directive: String) -> (&str, String) {
    let is_directive = |name: &str| config::find(name.as_bytes()).is_some();
    match (variable.strip_suffix("_FILE"), directive.strip_suffix("-file")) {
        (Some(variable), Some(short)) if !is_directive(&directive) && is_directive(short) => {
            (variable, short.to_owned())
        }
        _ => (variable, directive),
    }
}

/// Variables that count beside a configuration file too.
const WITH_A_FILE: &[&str] =
    &["VALKEY_DATA_DIR", "VALKEY_OVERRIDES_FILE", "VALKEY_EXTRA_FLAGS", "ALLOW_EMPTY_PASSWORD"];

/// The server's words as they come together.
struct Lines {
    words: Vec<String>,
    notices: Vec<String>,
}

impl Lines {
    fn set(&mut self, directive: &str, value: &str) {
        self.words.extend([format!("--{directive}"), value.to_owned()]);
    }

    /// Sets a directive if there is a value.
    fn set_some(&mut self, directive: &str, value: Option<String>) {
        if let Some(value) = value {
            self.set(directive, &value);
        }
    }
}

fn overrides(v: &Variables<'_>, world: &World<'_>) -> Result<Option<String>, String> {
    match v.get("VALKEY_OVERRIDES_FILE")? {
        Some(path) if (world.exists)(Path::new(&path)) => Ok(Some(path)),
        Some(path) => Err(format!("VALKEY_OVERRIDES_FILE: '{path}' is not there")),
        None => Ok((world.exists)(Path::new(OVERRIDES)).then(|| OVERRIDES.to_owned())),
    }
}

fn variables(v: &Variables<'_>, d: &mut Lines, world: &World<'_>) -> Result<(), String> {
    tls(v, d)?;
    if v.flag("VALKEY_ALLOW_REMOTE_CONNECTIONS")? == Some(false) {
        d.set("bind", "127.0.0.1 -::1");
    }
    if v.flag("BITNAMI_DEBUG")? == Some(true) {
        d.set("loglevel", "debug");
    }
    d.set_some("aclfile", v.get("VALKEY_ACLFILE")?);
    for command in v.get("VALKEY_DISABLE_COMMANDS")?.iter().flat_map(|l| l.split([',', ' '])).filter(|c| !c.is_empty())
    {
        d.words.extend(["--rename-command".to_owned(), command.to_owned(), String::new()]);
    }
    persistence(v, d)?;
    d.set_some("io-threads", v.get("VALKEY_IO_THREADS")?);
    d.set_some("maxclients", v.get("VALKEY_MAXCLIENTS")?);
    if let Some(n) = v.first(&["VALKEY_DATABASES", "VALKEY_DATABASE_NUM"])? {
        if n.parse::<u32>().is_ok_and(|n| n > 0) {
            d.set("databases", &n);
        } else {
            d.notices.push(format!("VALKEY_DATABASE_NUM: '{n}' is not a number of databases; 16 is used"));
        }
    }
    replication(v, d, world)?;
    cluster(v, d)
}

fn tls(v: &Variables<'_>, d: &mut Lines) -> Result<(), String> {
    let port = v.get("VALKEY_PORT_NUMBER")?;
    let tls_port = v.first(&["VALKEY_TLS_PORT_NUMBER", "VALKEY_TLS_PORT"])?;
    let enabled = v.flag("VALKEY_TLS_ENABLED")?;
    let plaintext = v.get("HOLDFAST_ALLOW_PLAINTEXT")?.is_some_and(|p| p != "no");
    if plaintext {
        // Asked for: the port numbers mean what they mean in the other images.
        let tls = enabled == Some(true);
        let tls_port = tls_port.unwrap_or_else(|| PORT.into());
        let port = port.unwrap_or_else(|| PORT.into());
        if !tls {
            d.set("tls-port", "0");
            d.set("port", &port);
        } else {
            d.set("tls-port", &tls_port);
            d.set("port", if port == tls_port { "0" } else { &port });
        }
    } else {
        let is_set = port.is_some();
        let number = tls_port.or_else(|| port.clone()).unwrap_or_else(|| PORT.into());
        d.set("tls-port", &number);
        if enabled == Some(false) {
            d.notices.push(format!(
                "VALKEY_TLS_ENABLED=no: the server speaks TLS on port {number} all the same; plaintext needs \
                 HOLDFAST_ALLOW_PLAINTEXT=yes"
            ));
        } else if is_set && port.as_ref() != Some(&number) {
            d.notices.push(format!(
                "VALKEY_PORT_NUMBER={}: plaintext is not opened; it needs HOLDFAST_ALLOW_PLAINTEXT=yes",
                port.unwrap_or_default()
            ));
        }
    }
    let own = v.get("VALKEY_TLS_CERT_FILE")?;
    let has_own = own.is_some();
    d.set_some("tls-cert-file", own);
    d.set_some("tls-key-file", v.get("VALKEY_TLS_KEY_FILE")?);
    d.set_some("tls-key-file-pass", v.get("VALKEY_TLS_KEY_FILE_PASS")?);
    d.set_some("tls-ca-cert-file", v.get("VALKEY_TLS_CA_FILE")?);
    d.set_some("tls-ca-cert-dir", v.get("VALKEY_TLS_CA_DIR")?);
    match v.get("VALKEY_TLS_AUTH_CLIENTS")? {
        Some(who) => d.set("tls-auth-clients", &who),
        None if has_own => d.set("tls-auth-clients", "yes"),
        None => {}
    }
    if v.get("VALKEY_TLS_DH_PARAMS_FILE")?.is_some() {
        d.notices.push("VALKEY_TLS_DH_PARAMS_FILE has no effect: finite-field Diffie-Hellman is not offered".into());
    }
    for name in ["OPENSSL_CONF", "OPENSSL_FIPS"] {
        if v.get(name)?.is_some() {
            d.notices.push(format!(
                "{name} has no effect: the cryptographic module is AWS-LC FIPS, and it is always in FIPS mode"
            ));
        }
    }
    Ok(())
}

fn persistence(v: &Variables<'_>, d: &mut Lines) -> Result<(), String> {
    let asked = v.flag("VALKEY_AOF_ENABLED")?;
    let works = config::find(b"appendonly").is_some_and(|row| row.standing == Standing::Works);
    match asked {
        Some(on) => d.set("appendonly", if on { "yes" } else { "no" }),
        None if works => d.set("appendonly", "yes"),
        None => d.notices.push("the append-only file is not there yet: the data is kept by snapshots alone".into()),
    }
    if v.flag("VALKEY_RDB_POLICY_DISABLED")? == Some(true) {
        d.set("save", "");
    } else if let Some(policy) = v.get("VALKEY_RDB_POLICY")? {
        let mut points = Vec::new();
        for point in policy.split_ascii_whitespace() {
            let Some((seconds, changes)) = point.split_once('#') else {
                return Err(format!("VALKEY_RDB_POLICY: '{point}' is not SECONDS#CHANGES, as in '900#1 600#5'"));
            };
            points.extend([seconds.to_owned(), changes.to_owned()]);
        }
        d.set("save", &points.join(" "));
    }
    Ok(())
}

fn replication(v: &Variables<'_>, d: &mut Lines, world: &World<'_>) -> Result<(), String> {
    d.set_some("replica-announce-ip", v.get("VALKEY_REPLICA_IP")?);
    d.set_some("replica-announce-port", v.get("VALKEY_REPLICA_PORT")?);
    let mode = v.get("VALKEY_REPLICATION_MODE")?.unwrap_or_default().to_ascii_lowercase();
    let primary = match mode.as_str() {
        "" => return Ok(()),
        "primary" | "master" => None,
        "replica" | "slave" => Some(named_primary(v, d, world)?),
        // Pods share their variables and differ in their number.
        "statefulset" => of_stateful_set(v, d, world)?,
        _ => return Err(format!("VALKEY_REPLICATION_MODE: '{mode}' is none of primary, replica, statefulset")),
    };
    // Who is the primary may have to follow one day, and needs both then.
    let password = match &primary {
        Some(_) => v.first(&["VALKEY_PRIMARY_PASSWORD", "VALKEY_MASTER_PASSWORD", "VALKEY_PASSWORD"])?,
        None => v.get("VALKEY_PASSWORD")?,
    };
    if let Some(Peer { host, port }) = primary {
        d.words.extend(["--replicaof".to_owned(), host, port.to_string()]);
    }
    if password.is_some() {
        d.set_some("primaryuser", user(v)?);
    }
    d.set_some("primaryauth", password);
    if v.get("HOLDFAST_TLS_REPLICATION")?.is_none() && v.get("HOLDFAST_ALLOW_PLAINTEXT")?.is_none() {
        d.set("tls-replication", "yes");
    }
    Ok(())
}

/// The primary a replica is given by name, or by a sentinel, who is asked if both are given.
fn named_primary(v: &Variables<'_>, d: &mut Lines, world: &World<'_>) -> Result<Peer, String> {
    if let Some(host) = v.get("VALKEY_SENTINEL_HOST")? {
        let port = v.get("VALKEY_SENTINEL_PORT_NUMBER")?.unwrap_or_else(|| SENTINEL_PORT.into());
        let sentinel = Peer { port: port_of("VALKEY_SENTINEL_PORT_NUMBER", &port)?, host };
        let name = v.first(&["VALKEY_SENTINEL_PRIMARY_NAME", "VALKEY_SENTINEL_MASTER_NAME"])?;
        let name = name.unwrap_or_else(|| "mymaster".into());
        let access = Access { user: None, password: v.get("VALKEY_SENTINEL_PASSWORD")?, tls: access(v)?.tls };
        let primary = world
            .others
            .primary_of(&sentinel, &name, &access)
            .map_err(|e| format!("VALKEY_SENTINEL_HOST: {}:{}: {e}", sentinel.host, sentinel.port))?;
        d.notices.push(format!(
            "the sentinel at {}:{} says that {}:{} is the primary of '{name}'",
            sentinel.host, sentinel.port, primary.host, primary.port
        ));
        return Ok(primary);
    }
    let host = v.first(&["VALKEY_PRIMARY_HOST", "VALKEY_MASTER_HOST"])?;
    let host = host.ok_or("VALKEY_REPLICATION_MODE=replica needs VALKEY_PRIMARY_HOST, or VALKEY_SENTINEL_HOST")?;
    let port = v.first(&["VALKEY_PRIMARY_PORT_NUMBER", "VALKEY_MASTER_PORT_NUMBER"])?;
    Ok(Peer { host, port: port_of("VALKEY_PRIMARY_PORT_NUMBER", &port.unwrap_or_else(|| PORT.into()))? })
}

/// Whom a pod follows; `None` is the primary. The pods are in `HOLDFAST_PEERS`, in the order of their numbers; without it pod 0
/// is the primary for ever, at `VALKEY_PRIMARY_HOST`.
fn of_stateful_set(v: &Variables<'_>, d: &mut Lines, world: &World<'_>) -> Result<Option<Peer>, String> {
    const NO_NAME: &str = "VALKEY_REPLICATION_MODE=statefulset needs HOLDFAST_POD_NAME, the pod's name with its number";
    let me = v.get("HOLDFAST_POD_NAME")?.as_deref().and_then(pods::number).ok_or(NO_NAME)?;
    let Some(list) = v.get("HOLDFAST_PEERS")? else {
        return if me == 0 { Ok(None) } else { named_primary(v, d, world).map(Some) };
    };
    let port = port_of("VALKEY_PRIMARY_PORT_NUMBER", PORT)?;
    let names = list.split([',', ' ']).filter(|n| !n.is_empty());
    let peers = names.map(|n| Peer::parse(n, port)).collect::<Result<Vec<_>, _>>();
    let peers = peers.map_err(|e| format!("HOLDFAST_PEERS: {e}"))?;
    let recorded = match v.get("HOLDFAST_PRIMARY_FILE")?.map(PathBuf::from) {
        Some(path) if (world.exists)(&path) => {
            let text = (world.read)(&path).map_err(|e| format!("HOLDFAST_PRIMARY_FILE: {}: {e}", path.display()))?;
            pods::number(String::from_utf8_lossy(&text).trim())
        }
        _ => None,
    };
    let others: Vec<Peer> = peers.iter().enumerate().filter(|(n, _)| *n != me).map(|(_, p)| p.clone()).collect();
    let mut says = world.others.roles(&others, &access(v)?);
    if me < peers.len() {
        says.insert(me.min(says.len()), None);
    }
    let primary = pods::primary(me, &peers, &says, recorded.filter(|n| *n < peers.len()));
    if primary == me {
        d.notices.push("this pod is the primary".into());
        return Ok(None);
    }
    let peer = peers.get(primary).cloned().ok_or("HOLDFAST_PEERS names nobody")?;
    d.notices.push(format!("this pod follows {}:{}", peer.host, peer.port));
    Ok(Some(peer))
}

fn port_of(variable: &str, text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{variable}: '{text}' is not a port"))
}

fn user(v: &Variables<'_>) -> Result<Option<String>, String> {
    Ok(v.get("VALKEY_ACL_USERNAME")?.filter(|u| u != "default"))
}

/// How this container's variables say that other servers of its kind are spoken to.
///
/// # Errors
/// A file that a variable names cannot be read.
pub fn access(v: &Variables<'_>) -> Result<Access, String> {
    let path = |name| v.get(name).map(|p| p.map(PathBuf::from));
    let plaintext = v.get("HOLDFAST_ALLOW_PLAINTEXT")?.is_some_and(|p| p != "no");
    let tls = if plaintext && v.flag("VALKEY_TLS_ENABLED")? != Some(true) {
        None
    } else {
        Some(TlsOptions {
            ca_file: path("VALKEY_TLS_CA_FILE")?,
            ca_dir: path("VALKEY_TLS_CA_DIR")?,
            cert: path("VALKEY_TLS_CERT_FILE")?,
            key: path("VALKEY_TLS_KEY_FILE")?,
            ..TlsOptions::default()
        })
    };
    let password = v.first(&["VALKEY_PRIMARY_PASSWORD", "VALKEY_MASTER_PASSWORD", "VALKEY_PASSWORD"])?;
    Ok(Access { user: user(v)?, password, tls })
}

/// The cluster that the creator among its nodes makes.
fn creation(v: &Variables<'_>) -> Result<Option<Plan>, String> {
    let Some(list) = v.get("VALKEY_NODES")?.filter(|_| v.flag("VALKEY_CLUSTER_CREATOR") == Ok(Some(true))) else {
        return Ok(None);
    };
    let port = v.first(&["VALKEY_TLS_PORT_NUMBER", "VALKEY_TLS_PORT", "VALKEY_PORT_NUMBER"])?;
    let port = port_of("VALKEY_PORT_NUMBER", &port.unwrap_or_else(|| PORT.into()))?;
    let names = list.split([',', ' ']).filter(|n| !n.is_empty());
    let nodes = names.map(|n| Peer::parse(n, port)).collect::<Result<Vec<_>, _>>();
    let nodes = nodes.map_err(|e| format!("VALKEY_NODES: {e}"))?;
    let replicas = v.get("VALKEY_CLUSTER_REPLICAS")?.unwrap_or_else(|| "1".into());
    let replicas = replicas.parse().map_err(|_| format!("VALKEY_CLUSTER_REPLICAS: '{replicas}' is not a number"))?;
    Ok(Some(Plan { nodes, replicas, access: access(v)? }))
}

/// What the image for clusters is told. Its nodes are joined by their creator; see `create`.
fn cluster(v: &Variables<'_>, d: &mut Lines) -> Result<(), String> {
    if v.get("VALKEY_NODES")?.is_none() {
        if v.flag("VALKEY_CLUSTER_CREATOR")? == Some(true) {
            return Err("VALKEY_CLUSTER_CREATOR=yes needs VALKEY_NODES, the nodes to join".into());
        }
        return Ok(());
    }
    d.set("cluster-enabled", "yes");
    let plaintext = v.get("HOLDFAST_ALLOW_PLAINTEXT")?.is_some_and(|p| p != "no");
    let port = if plaintext && v.flag("VALKEY_TLS_ENABLED")? != Some(true) {
        "cluster-announce-port"
    } else {
        "cluster-announce-tls-port"
    };
    for (variable, directive) in [
        ("VALKEY_CLUSTER_ANNOUNCE_IP", "cluster-announce-ip"),
        ("VALKEY_CLUSTER_ANNOUNCE_PORT", port),
        ("VALKEY_CLUSTER_ANNOUNCE_BUS_PORT", "cluster-announce-bus-port"),
        ("VALKEY_CLUSTER_ANNOUNCE_HOSTNAME", "cluster-announce-hostname"),
        ("VALKEY_CLUSTER_PREFERRED_ENDPOINT_TYPE", "cluster-preferred-endpoint-type"),
    ] {
        d.set_some(directive, v.get(variable)?);
    }
    if v.get("VALKEY_REPLICATION_MODE")?.is_none() {
        // Replicas of a cluster log in at their primaries.
        d.set_some("primaryuser", user(v)?);
        d.set_some("primaryauth", v.get("VALKEY_PASSWORD")?);
        if v.get("HOLDFAST_TLS_REPLICATION")?.is_none() && !plaintext {
            d.set("tls-replication", "yes");
        }
    }
    if let Some(plan) = creation(v)? {
        plan.check().map_err(|e| format!("VALKEY_NODES: {e}"))?;
    }
    if v.flag("VALKEY_CLUSTER_DYNAMIC_IPS")? == Some(true) {
        d.notices.push("VALKEY_CLUSTER_DYNAMIC_IPS: a node whose address changed tells the others by itself".into());
    }
    Ok(())
}

/// The password of the default user, and the rule that there is one, unless the overrides have `told` who may log in.
fn passwords(v: &Variables<'_>, d: &mut Lines, told: bool) -> Result<(), String> {
    let password = v.get("VALKEY_PASSWORD")?;
    let before = |d: &mut Lines, words: [String; 2]| {
        // Before the overrides and the command line, which may say otherwise.
        d.words.splice(0..0, words);
    };
    if let Some(password) = &password {
        match v.get("VALKEY_ACL_USERNAME")?.filter(|u| u != "default") {
            Some(user) => {
                let digest = crypto::sha256_hex(password.as_bytes());
                before(d, ["--user".into(), format!("{user} on ~* &* +@all #{digest}")]);
                before(d, ["--user".into(), "default off".into()]);
            }
            None => before(d, ["--requirepass".into(), password.clone()]),
        }
        return Ok(());
    }
    if v.flag("ALLOW_EMPTY_PASSWORD")? == Some(true) {
        before(d, ["--protected-mode".into(), "no".into()]);
        d.notices
            .push("ALLOW_EMPTY_PASSWORD=yes: whoever reaches the port may do everything; for development only".into());
        return Ok(());
    }
    // Whoever says in another way who may log in has said it.
    let names = ["--requirepass", "--aclfile", "--user", "--protected-mode"];
    if told || d.words.iter().any(|w| names.iter().any(|n| w.split(' ').next() == Some(n))) {
        return Ok(());
    }
    Err("VALKEY_PASSWORD is not set: set it, or VALKEY_PASSWORD_FILE, or, for development, ALLOW_EMPTY_PASSWORD=yes"
        .into())
}

/// Whether a line of a configuration file sets the directive.
fn names_directive(text: &[u8], name: &str) -> bool {
    text.split(|b| *b == b'\n').any(|line| {
        let first = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        first.eq_ignore_ascii_case(name.as_bytes())
    })
}

#[cfg(test)]
#[path = "derive_tests.rs"]
mod tests;
