//! A full copy comes in: into a key space beside the real one, which then takes its place at one instant.
//!
//! # Invariants
//! * Until the copy is loaded whole nobody sees any of it; a copy that turns out damaged leaves no half data set behind.
//! * Data, history and the journal's offset change together, while every stripe is held, and only if this link is still the one.

use super::super::Host;
use crate::base::clock;
use crate::keyspace::{Garbage, Keyspace, Plan};
use crate::persist::rdb::{self, LoadOptions};
use crate::persist::snapshot;
use crate::script::{self, RestorePolicy};
use std::io::Read;

/// The history the copy is a moment of.
#[derive(Clone, Debug)]
pub struct Moment {
    pub id: String,
    pub offset: u64,
}

/// Takes the old data out. False if this link is not the one any more.
pub fn empty(host: &dyn Host, epoch: u64) -> bool {
    let mut space = host.keyspace().lock(&Plan::All, host.access(clock::wall_ms()));
    if space.epoch != epoch {
        return false;
    }
    let (_, flushed) = space.flush(None);
    drop(space);
    host.freer().free(Garbage::Flushed(flushed));
    true
}

/// Loads the copy and puts it in the place of the data. Returns the database that is selected where the stream goes on.
///
/// # Errors
/// The copy cannot be read, or this link is not the one any more.
pub fn replace(host: &dyn Host, epoch: u64, moment: &Moment, copy: impl Read) -> Result<u32, String> {
    let config = host.config().current();
    let access = host.access(clock::wall_ms());
    let beside = Keyspace::new(host.keyspace().databases());
    let mut loaded_space = beside.space(access);
    // Keys past their deadline stay until the primary says otherwise.
    let options = LoadOptions { keep_expired: true, ..snapshot::load_options(&config, false) };
    let begin = clock::monotonic_ms();
    let loaded = rdb::load(copy, &mut loaded_space, &options).map_err(|e| format!("the copy cannot be loaded: {e}"))?;
    let selected = loaded.stream_db.unwrap_or(0);
    // Before anybody is held up, and in a VM nobody else uses: a library that cannot be loaded leaves all as it was.
    let libraries = script::compile_all(host.functions(), script::settings(&config), &loaded.libraries)
        .map_err(|e| format!("the copy cannot be loaded: a library of functions: {e}"));
    script::forget();
    let libraries = libraries?;

    loaded_space.lock(&Plan::All);
    let mut space = host.keyspace().lock(&Plan::All, access);
    if space.epoch != epoch {
        return Err("another primary was chosen meanwhile".into());
    }
    host.functions().restore(libraries, RestorePolicy::Flush).map_err(|e| format!("the copy cannot be loaded: {e}"))?;
    space.exchange(&mut loaded_space);
    let journal = host.keyspace().journal();
    journal.keep_backlog(Some(config.replication.repl_backlog_size));
    journal.replaced(moment.offset, loaded.stream_db);
    host.begin_history();
    host.replication().identity.lock().adopt(moment.id.clone());
    drop(space);
    let (_, flushed) = loaded_space.flush(None);
    host.freer().free(Garbage::Flushed(flushed));
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: 0, in {} ms",
        loaded.keys,
        clock::monotonic_ms() - begin
    );
    // Replicas of ours follow a history that has ended.
    host.replication().replicas.drop_all(host.clients());
    Ok(selected)
}
