//! The data of an earlier run: the append-only folder if there is one and it is on, else the snapshot file.
//!
//! A server whose data cannot be read does not start without them: an empty one would soon write its emptiness over them.

use super::boot::BootError;
use crate::base::clock;
use crate::client::{Client, Execute, Request, Shared, Source};
use crate::commands::Node;
use crate::config::Config;
use crate::config::types::EncryptionAtRest;
use crate::engine::{Executor, access};
use crate::keyspace::{Garbage, Plan, STRIPES};
use crate::metrics::recorder::Recorder;
use crate::persist::aof::load::{self, Found, LoadError, Options, Target};
use crate::persist::aof::reader::Moment;
use crate::persist::aof::{self, manifest::Manifest};
use crate::persist::rdb::{self, LoadOptions, Loaded, RdbError};
use crate::persist::{Owner, snapshot};
use crate::resp::args::Args;
use crate::script::{self, RestorePolicy};
use crate::storage::{self, Keyring, Sealing, leftover};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys that go in one step of the journal while nobody is served.
const EXPIRE_AT_ONCE: usize = 64;

/// Replays a log into the server.
pub struct Replay<'n> {
    node: &'n Arc<Node>,
    executor: Executor,
    client: Client,
}

impl<'n> Replay<'n> {
    pub fn new(node: &'n Arc<Node>, recorder: Recorder) -> Replay<'n> {
        let shared = Shared::new(0, 0, String::new(), String::new(), -1, clock::wall_ms());
        let client = Client::internal(Arc::new(shared), &node.acl, Source::Log);
        Replay { node, executor: Executor::new(Arc::clone(node), recorder), client }
    }

    fn into_recorder(self) -> Recorder {
        self.executor.into_recorder()
    }
}

impl Target for Replay<'_> {
    fn begin_file(&mut self) {
        self.client.db = 0;
    }

    fn snapshot(&mut self, from: &mut dyn Read) -> Result<(Loaded, u64), RdbError> {
        let config = self.node.config.current();
        let mut space = self.node.keyspace.space(access(&config, clock::wall_ms()));
        let loading = Some(Arc::clone(&self.node.loading));
        let options = LoadOptions { loading, keep_expired: true, ..snapshot::load_options(&config, false) };
        let (loaded, bytes) = rdb::load_prefix(from, &mut space, &options)?;
        snapshot::keep_libraries(&loaded, &config, &self.node.scripts.functions, RestorePolicy::Append)?;
        Ok((loaded, bytes))
    }

    fn run(&mut self, requests: &[Args<'_>]) -> Result<(), (usize, Vec<u8>)> {
        let requests: Vec<Request<'_>> = requests.iter().map(|args| Request { args: *args, forward: None }).collect();
        self.executor.execute(&mut self.client, &requests).map_err(|f| (f.at, f.text))
    }

    fn forget(&mut self) {
        self.client.end_transaction(&self.node.keyspace);
    }
}

/// Takes the keys that files are sealed under, once the module has passed the gate.
///
/// # Errors
/// They are not where the configuration says, or are none.
pub fn take_keys(config: &Config) -> Result<(), BootError> {
    let p = &config.persistence;
    let sealing = match p.encryption_at_rest {
        EncryptionAtRest::No => Sealing::Off,
        EncryptionAtRest::Migrate => Sealing::Migrate,
        EncryptionAtRest::Yes => Sealing::On,
    };
    if p.encryption_key_source.is_empty() {
        return match sealing {
            Sealing::Off => Ok(()),
            _ => Err(BootError(
                "encryption-at-rest needs a key: set encryption-key-source to file:PATH or env:NAME".into(),
            )),
        };
    }
    let ring = Keyring::read(&p.encryption_key_source, sealing)
        .map_err(|e| BootError(format!("encryption-key-source '{}': {e}", p.encryption_key_source)))?;
    if ring.seals() {
        tracing::info!(
            "Snapshots and append-only files are sealed with AES-256-GCM; key ids, the first seals: {}",
            ring.ids()
        );
    }
    storage::install(ring);
    Ok(())
}

/// Reads the keys again while the server runs: new files are sealed under what is the first now.
///
/// # Errors
/// They cannot be read, or a file of the data is sealed under one that is not among them; the old ones stay in use.
pub fn change_keys(config: &Config) -> Result<(), String> {
    let source = &config.persistence.encryption_key_source;
    let sealing = storage::keyring().sealing();
    if source.is_empty() {
        return match sealing {
            Sealing::Off => {
                storage::install(Keyring::default());
                Ok(())
            }
            _ => Err("encryption-at-rest needs a key: encryption-key-source cannot be empty".into()),
        };
    }
    let ring = Keyring::read(source, sealing).map_err(|e| format!("encryption-key-source '{source}': {e}"))?;
    let manifest = aof::folder(config).join(aof::log::manifest_name(&config.persistence.appendfilename));
    for path in files(config).into_iter().chain(config.security.aclfile.clone()).chain([manifest.clone()]) {
        let id = if path == manifest { storage::stamp_key_of(&path) } else { storage::key_of(&path) };
        let id = id.map_err(|e| format!("{}: {e}", path.display()))?;
        if let Some(id) = id.filter(|id| !ring.has(id)) {
            return Err(format!(
                "{} is sealed under the key {}, which is not among the new ones ({}): keep it in the list until BGSAVE, BGREWRITEAOF and \
                 ACL SAVE have sealed everything under the first",
                path.display(),
                crate::crypto::hex(&id),
                ring.ids()
            ));
        }
    }
    tracing::info!("Keys for files read again; key ids, the first seals: {}", ring.ids());
    storage::install(ring);
    Ok(())
}

/// The files of the data, as far as they can be known.
fn files(config: &Config) -> Vec<PathBuf> {
    let p = &config.persistence;
    let mut files = vec![PathBuf::from(&p.dbfilename)];
    let folder = aof::folder(config);
    let text = std::fs::read_to_string(folder.join(aof::log::manifest_name(&p.appendfilename)));
    if let Some(manifest) = text.ok().and_then(|text| Manifest::parse(&text).ok()) {
        files.extend(manifest.parts().map(|part| folder.join(&part.name)));
    }
    files
}

/// Brings the data back.
///
/// # Errors
/// What cannot be read, with the remedy.
pub fn recover(node: &Arc<Node>, config: &Config, recorder: Recorder) -> Result<(), BootError> {
    let result = bring_back(node, config, recorder);
    // Libraries were compiled here, where no client calls them.
    script::forget();
    if result.is_ok() {
        // What could not be loaded whole is never served, also while the process ends.
        node.loading.end();
    }
    result
}

/// Frees what a process of this server that was killed had begun to write in a folder: the disk may be full of it.
fn delete_leftovers(folder: &Path, is_temporary: impl Fn(&str) -> bool) {
    for name in leftover::clear(folder, is_temporary) {
        tracing::info!("{name}: deleted, being what a process left that was killed while it wrote it");
    }
}

fn bring_back(node: &Arc<Node>, config: &Config, recorder: Recorder) -> Result<(), BootError> {
    delete_leftovers(Path::new("."), leftover::is_of_snapshots);
    if !config.persistence.appendonly {
        return load_snapshot(node, config);
    }
    // Before anything there is repaired.
    let claimed = node.aof.claim(&aof::folder(config));
    claimed.map_err(|e| BootError(format!("The append only folder cannot be used: {e}")))?;
    delete_leftovers(&aof::folder(config), |name| name.starts_with(aof::TEMPORARY));
    aof::bring_back(config).map_err(|e| {
        BootError(format!(
            "Fatal error: what the doublewrite buffer in {} holds can't be brought back to the log: {e}. Without the buffer the log may lack what \
             was acknowledged last.",
            aof::folder(config).display()
        ))
    })?;
    let found = find(config)?;
    let log = match found {
        Found::Log(manifest) => {
            let begin = clock::monotonic_ns();
            let recovered =
                replay(&mut Replay::new(node, recorder), config, &manifest).map_err(|e| BootError(e.to_string()))?;
            node.saver.loaded(recovered.keys, recovered.expired);
            let ms = (clock::monotonic_ns() - begin) / 1_000_000;
            tracing::info!("DB loaded from append only file: {}.{:03} seconds", ms / 1000, ms % 1000);
            node.saver.changes.store(0, std::sync::atomic::Ordering::Relaxed);
            if let Some(Moment { id, offset, selected }) = &recovered.moment {
                resume(node, config, id, *offset, *selected)?;
            }
            Some((manifest, recovered))
        }
        Found::Nothing => {
            // The first start with a log: what there is becomes its base.
            load_snapshot(node, config)?;
            None
        }
    };
    let mut space = node.keyspace.lock(&Plan::All, access(config, clock::wall_ms()));
    let selected = node.journal.selected();
    aof::open(node, log, &mut space).map_err(|e| BootError(format!("The append only folder cannot be used: {e}")))?;
    // The log's cursor has a primary's stream say its database; the primary that a replica comes back to does not say it again.
    node.journal.select(selected);
    Ok(())
}

fn find(config: &Config) -> Result<Found, BootError> {
    let p = &config.persistence;
    load::find(Path::new("."), &p.appenddirname, &p.appendfilename).map_err(|e| BootError(e.to_string()))
}

/// What DEBUG LOADAOF runs.
pub fn again(node: &Arc<Node>, recorder: Recorder) -> crate::commands::node::Replay {
    let weak = Arc::downgrade(node);
    let recorder = parking_lot::Mutex::new(Some(recorder));
    Box::new(move || {
        let Some(node) = weak.upgrade() else { return Ok(()) };
        let mut recorder = recorder.lock();
        let Some(own) = recorder.take() else { return Err("it is being loaded already".into()) };
        let config = node.config.current();
        let mut target = Replay::new(&node, own);
        let result = match find(&config) {
            Ok(Found::Log(manifest)) => {
                let options = Options { truncated: true, until: None, repair: false };
                load::load(&aof::folder(&config), &manifest, options, &mut target).map_err(|e| e.to_string())
            }
            Ok(Found::Nothing) => Err("there is no append-only file".into()),
            Err(e) => Err(e.to_string()),
        };
        *recorder = Some(target.into_recorder());
        result.map(|_| ())
    })
}

/// Replays the log of the configured folder.
///
/// # Errors
/// What cannot be read.
pub fn replay(target: &mut dyn Target, config: &Config, manifest: &Manifest) -> Result<load::Recovered, LoadError> {
    let options = Options { truncated: config.persistence.aof_load_truncated, until: None, repair: true };
    load::load(&aof::folder(config), manifest, options, target)
}

/// Goes on with the history that the file is a moment of.
fn resume(node: &Arc<Node>, config: &Config, id: &str, offset: u64, selected: Option<u32>) -> Result<(), BootError> {
    let follows = config.replication.replicaof.is_some();
    let backlog = config.replication.repl_backlog_size;
    node.replication.resume(&node.journal, id, offset, selected, follows, backlog).map_err(BootError)
}

/// What is past its deadline in a file whose history goes on goes before anybody is served, as changes of that history: replicas that come
/// back for them have the keys. Returns how many went.
fn expire_loaded(node: &Arc<Node>, config: &Config) -> u64 {
    let mut space = node.keyspace.space(access(config, clock::wall_ms()));
    for stripe in 0..STRIPES as u16 {
        space.lock_stripe(stripe);
        let mut db = 0;
        while db < node.keyspace.databases() {
            if !space.expire_due(stripe, db, EXPIRE_AT_ONCE).1 {
                db += 1;
            }
            node.journal.append(&mut space.changes.effects);
        }
        while space.expire_fields_due(stripe, EXPIRE_AT_ONCE).1 {
            node.journal.append(&mut space.changes.effects);
        }
        node.journal.append(&mut space.changes.effects);
        space.unlock();
        let unlinked = std::mem::take(&mut space.changes.unlinked);
        node.freer.free(Garbage::Records(unlinked));
        // Nobody listens yet.
        space.changes.ready.clear();
        space.changes.invalidated.clear();
        space.changes.events.clear();
    }
    space.changes.expired
}

fn load_snapshot(node: &Arc<Node>, config: &Config) -> Result<(), BootError> {
    let begin = clock::monotonic_ns();
    let mut space = node.keyspace.space(access(config, clock::wall_ms()));
    let name = &config.persistence.dbfilename;
    match snapshot::load(&mut space, config, &node.scripts.functions, false, Some(Arc::clone(&node.loading))) {
        Ok(None) => Ok(()),
        Ok(Some(mut loaded)) => {
            if let (Some(id), Some(offset)) = (&loaded.repl_id, loaded.repl_offset) {
                resume(node, config, id, offset, loaded.stream_db)?;
            }
            if loaded.repl_offset.is_some() && config.replication.replicaof.is_none() {
                let expired = expire_loaded(node, config);
                (loaded.keys, loaded.expired) = (loaded.keys - expired.min(loaded.keys), loaded.expired + expired);
            }
            node.saver().loaded(loaded.keys, loaded.expired);
            tracing::info!(
                "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}, keys with all fields expired: {}.",
                loaded.keys,
                loaded.expired,
                loaded.empty,
                loaded.all_fields_expired
            );
            let ms = (clock::monotonic_ns() - begin) / 1_000_000;
            tracing::info!("DB loaded from disk: {}.{:03} seconds", ms / 1000, ms % 1000);
            Ok(())
        }
        Err(e) => {
            tracing::warn!("Error loading {name}: {e}");
            Err(BootError(format!(
                "Fatal error loading the DB from {name} in dir: {e}. Terminating server after rdb file reading failure. Put a whole file \
                 there, or move it away to start empty."
            )))
        }
    }
}
