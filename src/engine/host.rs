//! What replication may ask of the node.

use super::access;
use crate::acl::Acl;
use crate::base::clock;
use crate::client::{Execute, Registry, WaitList, WaiterFacts};
use crate::cluster::{self, Cluster, View};
use crate::commands::Node;
use crate::commands::node::Pause;
use crate::config::{Config, ConfigHandle};
use crate::keyspace::{Access, Freer, Garbage, Keyspace, Space};
use crate::net::tls::config::{ClientParameters, Trust, client};
use crate::net::tls::generate;
use crate::persist::{Saver, aof};
use crate::pubsub::Broker;
use crate::replication::{Host, Replication};
use crate::script::Functions;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl cluster::Host for Node {
    fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    fn pubsub(&self) -> &Broker {
        &self.pubsub
    }

    fn clean_up(&self, space: &mut Space<'_>) {
        let config = self.config.current();
        let unlinked = std::mem::take(&mut space.changes.unlinked);
        if !unlinked.is_empty() {
            self.freer.free(Garbage::Records(unlinked));
        }
        space.changes.ready.clear();
        super::tracking::invalidate(self, &mut space.changes.invalidated);
        super::events::publish(self, &config, &mut space.changes.events);
        self.saver.changes.fetch_add(std::mem::take(&mut space.changes.dirty), Ordering::Relaxed);
    }

    fn redirect(&self, view: &View, config: &Config, waiter: &WaiterFacts) -> Option<Vec<u8>> {
        super::slots::redirect_waiter(self, view, config, waiter)
    }
}

impl Host for Node {
    fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    fn config(&self) -> &ConfigHandle {
        &self.config
    }

    fn clients(&self) -> &Arc<Registry> {
        &self.clients
    }

    fn acl(&self) -> &Acl {
        &self.acl
    }

    fn waiting(&self) -> &WaitList {
        &self.waiting
    }

    fn saver(&self) -> &Saver {
        &self.saver
    }

    fn freer(&self) -> &Freer {
        &self.freer
    }

    fn functions(&self) -> &Functions {
        &self.scripts.functions
    }

    fn replication(&self) -> &Arc<Replication> {
        &self.replication
    }

    fn node_id(&self) -> Option<String> {
        self.cluster.as_ref().map(|c| c.id().to_string())
    }

    fn access(&self, now_ms: i64) -> Access {
        access(&self.config.current(), now_ms)
    }

    fn executor(&self) -> &Mutex<Option<Box<dyn Execute>>> {
        &self.executor
    }

    fn dial_tls(&self) -> Result<Arc<rustls::ClientConfig>, String> {
        client_tls(&self.config.current(), None).map_err(|e| format!("TLS for the link to the primary: {e}"))
    }

    fn synced(&self) -> Option<u64> {
        self.log()
    }

    fn begin_history(&self) {
        self.aof.begin_history();
    }

    fn loaded_from(&self, snapshot: &Path) {
        aof::adopt(self, snapshot);
    }

    fn pause_writes(&self, hold: bool) {
        *self.pause.lock() =
            if hold { Pause { until_ms: i64::MAX, writes_only: true, failover: true } } else { Pause::default() };
        self.paused.store(hold, Ordering::Release);
        self.clients.ring_all();
    }

    fn pauses_writes(&self) -> bool {
        self.paused.load(Ordering::Acquire) && self.pause.lock().until_ms > clock::wall_ms()
    }

    fn disk_fails(&self) -> bool {
        self.aof.has_failed() || self.saving_fails(&self.config.current())
    }

    fn is_ending(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    fn stand_still(&self) {
        Node::stand_still(self);
    }
}

/// TLS for connections that this server opens: whom it believes, and what it shows. `authorities` stand instead of the configured ones.
///
/// # Errors
/// What is wrong with the files.
pub fn client_tls(config: &Config, authorities: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, String> {
    let t = &config.tls;
    // Where nothing is configured, the certificates this server made for itself serve here too.
    let made = || {
        let dir = std::env::current_dir().map_err(|e| e.to_string())?;
        Ok::<_, String>(generate::Paths::under(&dir))
    };
    let (file, folder) = match (authorities, &t.ca_cert_file, &t.ca_cert_dir) {
        (Some(file), ..) => (Some(file.to_owned()), None),
        (None, None, None) => (Some(made()?.ca_certificate), None),
        (None, file, folder) => (file.clone(), folder.clone()),
    };
    let identity = match (&t.client_cert_file, &t.client_key_file, &t.cert_file, &t.key_file) {
        (Some(cert), Some(key), ..) | (None, None, Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None, None, None) => {
            let made = made()?;
            made.certificate.exists().then_some((made.certificate, made.key))
        }
        _ => return Err("one of tls-client-cert-file and tls-client-key-file is not set".into()),
    };
    let parameters = ClientParameters {
        trust: Trust::Roots { file, folder },
        identity,
        ciphers: t.ciphers.clone(),
        ciphersuites: t.ciphersuites.clone(),
    };
    client(&parameters, clock::wall_ms() / 1000).map_err(|e| e.to_string())
}
