//! Certificates while the server runs: other files by CONFIG SET, changed files by SIGHUP or by looking at them now and then.
//!
//! # Invariants
//! * New material is loaded and checked as a whole before it takes the place of the old; on any error the old one stays, and goes on
//!   being served.
//! * Connections keep the material they began with.

use super::exposed;
use super::http::{self, Http};
use super::tls;
use crate::audit::{Event, Outcome, Record};
use crate::base::clock;
use crate::commands::Node;
use crate::config::Config;
use crate::config::handle::REDACTED;
use crate::net::doors::Doors;
use crate::net::tls::facts;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The means to load again.
pub struct Reloader {
    pub node: Arc<Node>,
    pub doors: Arc<Doors>,
    pub endpoint: Arc<Http>,
    /// Where generated material is.
    pub dir: PathBuf,
    next_look_ms: u64,
}

/// Loads what `config` names and puts it in place.
///
/// # Errors
/// What is wrong with it; nothing has changed but the note of it in INFO.
pub fn apply(node: &Node, doors: &Doors, endpoint: &Http, config: &Config, dir: &Path) -> Result<(), String> {
    let audited = |outcome, detail: &str| {
        let record = Record::new(Event::CertificateReload, outcome);
        node.audit.record(record.with("detail", detail));
    };
    let own = http::prepare(config, dir).map_err(|e| e.to_string());
    if config.tls.port == 0 {
        endpoint.take(own.inspect_err(|e| audited(Outcome::Failed, e))?);
        *node.tls.write() = Default::default();
        return Ok(());
    }
    // Both have the same files: what is wrong with them is told once, whoever finds it first.
    let outcome = own.and_then(|own| match tls::setup(config, dir, clock::wall_ms() / 1000) {
        Ok(t) => Ok((own, t)),
        Err(e) => Err(e.to_string()),
    });
    match outcome {
        Ok((own, t)) => {
            t.server.warnings.iter().for_each(|s| tracing::warn!("{s}"));
            let mut facts = tls::facts(config, dir, &t);
            let mut current = node.tls.write();
            (facts.reloads, facts.failed_reloads) = (current.reloads + 1, current.failed_reloads);
            endpoint.take(own);
            endpoint.set_certificate_expiry(t.server.identity.not_after_s);
            doors.set_tls(t.server.config);
            if let Some(cluster) = node.cluster.as_ref().filter(|_| config.tls.cluster) {
                // The same files, which have just been read.
                match tls::bus(config, dir, clock::wall_ms() / 1000) {
                    Ok(t) => *cluster.tls.write() = Some(t.server.config),
                    Err(e) => tracing::warn!("The cluster bus keeps its certificates: {e}"),
                }
            }
            audited(Outcome::Done, &t.server.identity.fingerprint);
            *current = facts;
            Ok(())
        }
        Err(e) => {
            let mut current = node.tls.write();
            current.failed_reloads += 1;
            current.last_error.clone_from(&e);
            audited(Outcome::Failed, &e);
            Err(e)
        }
    }
}

impl Reloader {
    pub fn new(node: Arc<Node>, doors: Arc<Doors>, endpoint: Arc<Http>, dir: PathBuf) -> Reloader {
        Reloader { node, doors, endpoint, dir, next_look_ms: 0 }
    }

    /// Looks at the files if it is time to, and loads them again if they have changed.
    pub fn look(&mut self) {
        let config = self.node.config.current();
        let interval = config.tls.auto_reload_interval_secs;
        let now = clock::monotonic_ms();
        if interval == 0 || config.tls.port == 0 {
            // A later CONFIG SET waits one interval from then on.
            self.next_look_ms = now;
            return;
        }
        if now < self.next_look_ms.max(1) {
            return;
        }
        self.next_look_ms = now + u64::from(interval) * 1000;
        if self.node.tls.read().on_disk() == "same" {
            tracing::debug!("TLS materials unchanged");
            return;
        }
        self.reload(&config, "the files have changed");
    }

    /// Loads the files again, whatever they are.
    pub fn reload(&self, config: &Config, why: &str) {
        exposed::warn(config, &self.dir, &self.node.config.secret_files());
        match apply(&self.node, &self.doors, &self.endpoint, config, &self.dir) {
            Ok(()) if config.tls.port != 0 => tracing::info!("TLS materials reloaded successfully: {why}"),
            Ok(()) => {}
            Err(e) => {
                tracing::warn!("TLS materials could not be reloaded, the old ones stay in use: {e}");
                // Until they change once more there is nothing to try again.
                let mut facts = self.node.tls.write();
                facts.files.iter_mut().for_each(|(path, then)| *then = facts::stamp(path));
            }
        }
    }

    /// SIGHUP: secrets in files of their own, certificates, keys of files, and the ACL file.
    pub fn hang_up(&self) {
        tracing::info!("Received SIGHUP: reading secrets, certificates, keys and users again");
        let (changed, problems) = self.node.config.reread_secrets();
        for directive in changed {
            tracing::info!("{} read again from its file", directive.name);
            let record = Record::new(Event::ConfigSet, Outcome::Done).with("directive", directive.name);
            self.node.audit.record(record.with_bytes("old", REDACTED).with_bytes("new", REDACTED).with("by", "SIGHUP"));
        }
        problems.iter().for_each(|e| tracing::warn!("A secret not read again, the old one stays in use: {e}"));
        let config = self.node.config.current();
        self.reload(&config, "SIGHUP");
        if !config.persistence.encryption_key_source.is_empty()
            && let Err(e) = super::recover::change_keys(&config)
        {
            tracing::warn!("Keys for files not read again, the old ones stay in use: {e}");
        }
        if let Some(path) = &config.security.aclfile {
            match crate::commands::acl::reload(&self.node, path, None) {
                Ok(()) => {
                    tracing::info!("ACL file {} read again", path.display());
                    let record = Record::new(Event::AclChange, Outcome::Done).with("change", "loaded");
                    self.node.audit.record(record.with("file", path.display().to_string()).with("by", "SIGHUP"));
                }
                Err(e) => tracing::warn!("ACL file not read again: {e}"),
            }
        }
    }
}
