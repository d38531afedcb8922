//! The HTTP endpoint's place in the server: its listeners, its TLS, its answers.

use super::boot::BootError;
use super::{bind, tls};
use crate::acl::throttle::{Limits, origin};
use crate::audit::{Event, Outcome, Record};
use crate::base::{clock, memory};
use crate::commands::Node;
use crate::commands::server::info::with_facts;
use crate::config::Config;
use crate::keyspace::STRIPES;
use crate::net::listener::Listener;
use crate::observe::http::{self, Endpoint, Role, Source, State};
use crate::observe::openmetrics::{self, Extra, Format, Journal, Stripes};
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// The endpoint as the rest of the server sees it.
pub struct Http {
    source: Arc<Answers>,
    tls: http::Tls,
    _endpoint: Option<Endpoint>,
}

struct Answers {
    node: Arc<Node>,
    /// Until the data is loaded.
    loading: AtomicBool,
    /// Seconds since 1970; 0 is unknown.
    certificate_expiry_s: AtomicI64,
}

impl Answers {
    fn role(&self) -> Role {
        let follower = &self.node.replication.follower;
        let look = follower.look();
        if !look.is_following() {
            return Role::Primary;
        }
        let link_up = look.is_connected();
        // Once it was synchronised it has data, if old ones, which `replica-serve-stale-data` may keep from clients.
        let had = || follower.following().is_some_and(|f| f.down_since_ms.is_some());
        let stale = || self.node.config.current().replication.replica_serve_stale_data && had();
        Role::Replica { serves: !look.is_loading() && (link_up || stale()), link_up }
    }
}

impl Source for Answers {
    fn state(&self) -> State {
        State {
            loading: self.loading.load(Ordering::Acquire),
            ending: self.node.shutdown.load(Ordering::Acquire),
            role: self.role(),
        }
    }

    fn metrics(&self, format: Format) -> Vec<u8> {
        let used = memory::used();
        let config = self.node.config.current();
        let state = self.state();
        // Who loads holds every lock.
        let databases = if state.loading || self.node.replication.follower.look().is_loading() {
            Vec::new()
        } else {
            self.node.keyspace.standings(crate::base::clock::wall_ms())
        };
        let expiry = self.certificate_expiry_s.load(Ordering::Relaxed);
        let (waits, sleeps) = self.node.keyspace.lock_waits();
        let journal = self.node.keyspace.journal();
        let extra = Extra {
            certificate_expiry_s: (expiry != 0).then_some(expiry),
            ready: state.is_ready(),
            stripes: Stripes { count: STRIPES, waits, sleeps },
            journal: Journal {
                is_read: journal.is_read(),
                end: journal.end(),
                kept_bytes: journal.backlog().2,
                excess_bytes: journal.excess(),
            },
        };
        with_facts(&self.node, &config, used, &databases, |facts| openmetrics::print(facts, &extra, format))
    }

    fn login_wait(&self, from: &str) -> Duration {
        let limits = Limits::of(&self.node.config.current());
        Duration::from_millis(self.node.acl.throttle.before_ms(&origin(from), limits, clock::monotonic_ms()))
    }

    fn login_failed(&self, from: &str, user: &str) -> Duration {
        tracing::info!("Failed login at the HTTP endpoint as '{user}' from {from}");
        let record = Record::new(Event::LoginFailed, Outcome::Denied).with("as", user).with("addr", from);
        self.node.audit.record(record.with("by", "http"));
        let limits = Limits::of(&self.node.config.current());
        // Its user is none of the users': only the address is held up with the others.
        let throttle = &self.node.acl.throttle;
        Duration::from_millis(throttle.failed(
            &origin(from),
            &[b"http\0", user.as_bytes()].concat(),
            limits,
            clock::monotonic_ms(),
        ))
    }

    fn credentials(&self) -> Option<(String, Zeroizing<Vec<u8>>)> {
        let config = self.node.config.current();
        let m = &config.monitoring;
        (!m.password.is_empty()).then(|| (m.user.clone(), Zeroizing::new(m.password.expose().to_vec())))
    }
}

/// The endpoint's TLS, before the gate judges. `None` where it has none.
///
/// # Errors
/// Those of the certificates.
pub fn prepare(config: &Config, dir: &Path) -> Result<Option<tls::Tls>, BootError> {
    let m = &config.monitoring;
    if m.port == 0 || !m.tls {
        return Ok(None);
    }
    tls::http(config, dir, clock::wall_ms() / 1000)
        .map(Some)
        .map_err(|e| BootError(format!("Failed to configure TLS of the HTTP endpoint: {e}")))
}

/// Binds and serves, if a port is configured; the node is loading until [`Http::loaded`].
///
/// # Errors
/// The port cannot be bound.
pub fn start(
    node: &Arc<Node>,
    config: &Config,
    own: Option<&tls::Tls>,
    clients: Option<&tls::Tls>,
) -> Result<Http, BootError> {
    let m = &config.monitoring;
    let expiry = clients.or(own).map_or(0, |t| t.server.identity.not_after_s);
    let source = Arc::new(Answers {
        node: Arc::clone(node),
        loading: AtomicBool::new(true),
        certificate_expiry_s: AtomicI64::new(expiry),
    });
    let tls: http::Tls = Arc::new(RwLock::new(own.map(|t| Arc::clone(&t.server.config))));
    if m.port == 0 {
        return Ok(Http { source, tls, _endpoint: None });
    }
    let addresses = if m.tls { m.bind.clone() } else { config.network.plaintext_of(&m.bind) };
    let failed = |e: String| BootError(format!("The HTTP endpoint cannot listen on http-port {}: {e}", m.port));
    let bound = bind::bind(node.fips.permit(), &addresses, m.port, config.network.tcp_backlog).map_err(failed)?;
    for l in &bound {
        tracing::info!("HTTP endpoint on {} ({})", l.describe(), if m.tls { "TLS" } else { "plaintext" });
    }
    let sockets = bound
        .into_iter()
        .filter_map(|l| match l {
            Listener::Tcp(l) => Some(std::net::TcpListener::from(l)),
            Listener::Unix { .. } => None,
        })
        .collect();
    let endpoint = http::start(sockets, Arc::clone(&tls), Arc::clone(&source) as Arc<dyn Source>)
        .map_err(|e| failed(e.to_string()))?;
    Ok(Http { source, tls, _endpoint: Some(endpoint) })
}

impl Http {
    /// The data is there.
    pub fn loaded(&self) {
        self.source.loading.store(false, Ordering::Release);
    }

    /// The certificate that clients are served with from now on ends then.
    pub fn set_certificate_expiry(&self, not_after_s: i64) {
        self.source.certificate_expiry_s.store(not_after_s, Ordering::Relaxed);
    }

    /// Takes certificates that changed, made by [`prepare`].
    pub fn take(&self, own: Option<tls::Tls>) {
        if let Some(t) = own {
            self.set_certificate_expiry(t.server.identity.not_after_s);
            *self.tls.write() = Some(t.server.config);
        }
    }
}
