//! The cluster: which nodes there are, which slots each serves, who has failed and who takes its place.
//!
//! What it does is decided by a [`Machine`](machine::Machine) that knows neither socket nor clock nor disk. A thread ([`bus`]) has the
//! connections to the other nodes and the clock; commands order under the same lock.
//!
//! # Invariants
//! * What the file has to hold is on disk before a message or a reply tells of it: see [`Cluster::order`].
//! * Stripes are locked before the machine, never the other way round.
//! * A worker asks one word for a slot that is served here and settled. A slot that stops being so begins an epoch of the journal, so that a
//!   command that asked before and has its locks after asks again under them; and whoever says that a slot is another's from now on
//!   holds all stripes.
//!
//! # Where things are
//! | file | what |
//! |---|---|
//! | `wire.rs` | the messages, as bytes |
//! | `machine/` | the machine: `talk.rs` gossip, `failure.rs` failure detection, `election.rs` failover, `slots.rs` claims, `order.rs` commands |
//! | `file.rs` | `cluster-config-file` |
//! | `view.rs` | what workers look at |
//! | `bus.rs` | the thread |
//! | `effects.rs` | what has to happen outside |

pub mod bus;
mod effects;
mod file;
pub mod machine;
pub mod node;
mod slots;
pub mod view;
pub mod wire;

pub use effects::{Host, drop_keys};
pub use file::line_behind_address;
pub use machine::order::{Change, SetSlot};
pub use slots::Slots;
pub use view::{Owner, Seen, View};

use crate::base::clock;
use crate::base::slot::{SLOTS, SlotId};
use crate::config::Config;
use crate::config::types::ClusterConfigSave;
use crate::crypto;
use crate::replication::LinkState;
use file::Keeper;
use machine::{Data, Machine, Settings};
use node::{Address, NodeId};
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How long a node that was started again hears others before it serves what it remembers.
const SILENCE_MS: u64 = 2000;
/// The bus' port, where it is not configured, is the clients' and this.
const BUS_PORT_OFFSET: u16 = 10000;

/// Between two attempts to write a file that cannot be written.
const SAVE_AGAIN_MS: u64 = 1000;
/// No time that is waited for is longer: a year and more, so that sums of such times stay numbers.
const MS_MAX: u64 = 1 << 35;

/// Wakes the thread of the bus.
type Bell = Box<dyn Fn() + Send + Sync>;

/// This server as a node.
pub struct Cluster {
    machine: Mutex<Machine>,
    view: RwLock<Arc<View>>,
    /// Slots that this node serves, that are neither coming nor going, while the cluster is up.
    plain: Box<[AtomicU64; SLOTS / 64]>,
    file: PathBuf,
    _keeper: Keeper,
    bell: OnceLock<Bell>,
    /// Slots have gone: who waits for keys of theirs, or listens to channels of theirs, is to be told.
    lost: AtomicBool,
    /// The file is not tried before then.
    save_again_ms: AtomicU64,
    /// The configuration's version that the machine knows; `u64::MAX` before the first.
    configured: AtomicU64,
    /// Wall and monotonic clock at the start: the machine's time goes on evenly.
    began: (u64, u64),
    /// What incoming connections of the bus are given.
    pub tls: RwLock<Option<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.file.display())
    }
}

/// The port of the bus; `None` if it would be none.
pub fn bus_port(config: &Config) -> Option<u16> {
    if config.cluster.port != 0 {
        return Some(config.cluster.port);
    }
    let port = if config.tls.cluster { config.tls.port } else { config.network.port };
    port.checked_add(BUS_PORT_OFFSET).filter(|_| port != 0)
}

fn settings(config: &Config) -> Settings {
    let c = &config.cluster;
    let or = |announced: u16, real: u16| if announced == 0 { real } else { announced };
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let or_none = |announced: u16, real: u16| if real == 0 { 0 } else { or(announced, real) };
    Settings {
        node_timeout_ms: c.node_timeout_ms.min(MS_MAX),
        ping_interval_ms: c.ping_interval_ms.min(MS_MAX),
        gossip_percent: c.message_gossip_percent as usize,
        replica_validity_factor: u64::from(c.replica_validity_factor),
        no_failover: c.replica_no_failover,
        migration_barrier: c.migration_barrier,
        allow_replica_migration: c.allow_replica_migration,
        require_full_coverage: c.require_full_coverage,
        manual_failover_timeout_ms: u64::from(c.manual_failover_timeout_ms),
        blacklist_ttl_ms: c.blacklist_ttl_secs.saturating_mul(1000).min(MS_MAX),
        repl_ping_period_ms: u64::from(config.replication.repl_ping_replica_period_secs) * 1000,
        link_sendbuf_limit: c.link_sendbuf_limit,
        tls_first: config.tls.cluster,
        own: Address {
            ip: text(&c.announce_ip),
            tcp_port: or_none(c.announce_port, config.network.port),
            tls_port: or_none(c.announce_tls_port, config.tls.port),
            bus_port: or(c.announce_bus_port, bus_port(config).unwrap_or(0)),
            hostname: text(&c.announce_hostname),
            nodename: text(&c.announce_human_nodename),
            client_ipv4: text(&c.announce_client_ipv4),
            client_ipv6: text(&c.announce_client_ipv6),
            client_port: c.announce_client_port,
            client_tls_port: c.announce_client_tls_port,
            zone: config.general.availability_zone.clone(),
        },
    }
}

impl Cluster {
    /// The node that the configured file describes, or a new one, which is written there.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not understood, or is used by another process.
    pub fn open(config: &Config) -> Result<Cluster, String> {
        let path: PathBuf = config.cluster.config_file.clone().into();
        let named = |e: &dyn std::fmt::Display| format!("cluster-config-file {}: {e}", path.display());
        let keeper = Keeper::take(&path).map_err(|e| named(&e))?;
        let began = (clock::wall_ms() as u64, clock::monotonic_ms());
        let seed = u64::from_le_bytes(crypto::random_array().map_err(|e| e.to_string())?);
        let found = file::read(&path, config.tls.cluster, seed, began.0).map_err(|e| named(&e))?;
        let is_new = found.is_none();
        let id = || -> Result<NodeId, String> {
            let hex = crypto::random_hex(40).map_err(|e| e.to_string())?;
            NodeId::parse(hex.as_bytes()).ok_or_else(|| "no name for this node".into())
        };
        let mut machine = match found {
            Some(machine) => machine,
            None => Machine::new(id()?, id()?, seed, began.0),
        };
        machine.configure(settings(config));
        if !is_new && machine.nodes.len() > 1 {
            machine.wait_for_others(began.0 + SILENCE_MS);
        }
        machine.resume();
        machine.settle();
        file::write(&path, &machine).map_err(|e| named(&e))?;
        machine.dirty = false;
        let cluster = Cluster {
            view: RwLock::new(Arc::new(View::of(&machine))),
            machine: Mutex::new(machine),
            plain: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
            file: path,
            _keeper: keeper,
            bell: OnceLock::new(),
            lost: AtomicBool::new(false),
            save_again_ms: AtomicU64::new(0),
            configured: AtomicU64::new(u64::MAX),
            began,
            tls: RwLock::new(None),
        };
        cluster.show(&cluster.machine.lock());
        Ok(cluster)
    }

    /// The machine's clock: the wall's at the start, and evenly from there.
    pub fn now_ms(&self) -> u64 {
        self.began.0 + clock::monotonic_ms().saturating_sub(self.began.1)
    }

    /// Makes what has changed visible to workers. True if a slot is not served here any more, or not plainly.
    fn show(&self, machine: &Machine) -> bool {
        let view = View::of(machine);
        let mut words = [0u64; SLOTS / 64];
        if machine.is_up && machine.myself().is_primary() {
            words = *machine.myself().slots.words();
            for slot in machine.migrating.keys().chain(machine.importing.keys()) {
                words[usize::from(slot.get()) / 64] &= !(1 << (slot.get() % 64));
            }
        }
        let mut lost = self.view().loses(&view);
        // The view first: whoever finds that a slot is not plain looks there.
        *self.view.write() = Arc::new(view);
        for (shown, word) in self.plain.iter().zip(words) {
            lost |= shown.swap(word, Ordering::AcqRel) & !word != 0;
        }
        lost
    }

    /// Orders, or tells, the machine something; what the file has to hold is on disk when this returns, and nobody has been told before.
    pub fn order<R>(&self, host: &dyn Host, f: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine.lock();
        self.prepare(host, &mut machine);
        let result = f(&mut machine);
        self.finish(host, &mut machine);
        let ring = machine.has_outputs() || machine.has_effects() || self.lost.load(Ordering::Relaxed);
        drop(machine);
        if ring {
            self.ring();
        }
        result
    }

    /// Takes over what has changed in the configuration, so that a look shows it.
    pub fn refresh(&self, host: &dyn Host) {
        if self.configured.load(Ordering::Relaxed) != host.config().version() {
            self.order(host, |_| ());
        }
    }

    /// Looks at the machine.
    pub fn look<R>(&self, f: impl FnOnce(&Machine) -> R) -> R {
        f(&self.machine.lock())
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }

    fn prepare(&self, host: &dyn Host, machine: &mut Machine) {
        machine.moment(self.now_ms(), data(host));
        let version = host.config().version();
        if self.configured.swap(version, Ordering::Relaxed) != version {
            machine.configure(settings(&host.config().current()));
        }
    }

    fn finish(&self, host: &dyn Host, machine: &mut Machine) {
        machine.settle();
        // A file that could not be written is tried again each second, and with each change, where the node goes on without it.
        let again = self.save_again_ms.load(Ordering::Relaxed);
        if (std::mem::take(&mut machine.dirty) || (again > 0 && machine.now_ms >= again))
            && let Err(e) = self.written(machine)
        {
            tracing::error!(
                "Could not rename tmp cluster config file to {}, or not write it: {e}",
                self.file.display()
            );
            if host.config().current().cluster.config_save_behavior == ClusterConfigSave::Sync {
                tracing::error!(
                    "Fatal: can't update cluster config file. The server ends: cluster-config-save-behavior is 'sync'"
                );
                std::process::exit(1);
            }
            if again == 0 {
                tracing::warn!("Cluster config updated even though writing the cluster config file to disk failed.");
            }
            self.save_again_ms.store(machine.now_ms + SAVE_AGAIN_MS, Ordering::Relaxed);
        }
        if std::mem::take(&mut machine.moved) && self.show(machine) {
            host.keyspace().journal().turn_over();
            self.lost.store(true, Ordering::Release);
        }
    }

    fn written(&self, machine: &Machine) -> std::io::Result<()> {
        file::write(&self.file, machine)?;
        self.save_again_ms.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the file once more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self) -> Result<(), String> {
        file::write(&self.file, &self.machine.lock()).map_err(|e| e.to_string())
    }

    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// True if this node serves a slot and nothing more has to be asked.
    #[inline]
    pub fn is_plain(&self, slot: SlotId) -> bool {
        self.plain[usize::from(slot.get()) / 64].load(Ordering::Relaxed) >> (slot.get() % 64) & 1 == 1
    }

    /// This node's name.
    pub fn id(&self) -> NodeId {
        self.machine.lock().myself().id
    }
}

/// What replication knows now.
fn data(host: &dyn Host) -> Data {
    let offset = host.keyspace().journal().end();
    let Some(f) = host.replication().follower.following() else {
        return Data { offset, ..Data::default() };
    };
    Data {
        // While everything is fetched anew there is nothing that could be led with.
        offset: if f.state == LinkState::Sync { 0 } else { offset },
        link_is_up: f.state == LinkState::Connected,
        silence_ms: if f.state == LinkState::Connected { Some(f.heard_ms) } else { f.down_since_ms }
            .map(|ms| clock::monotonic_ms().saturating_sub(ms)),
        epoch: f.epoch,
    }
}

#[cfg(test)]
mod tests;
