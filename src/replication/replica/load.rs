//! A full copy takes the place of the data: it is loaded into a key space beside the real one, which then takes its place at one instant.
//!
//! # Invariants
//! * Until the copy is loaded whole nobody sees any of it; a copy that is cut off or damaged leaves no half data set behind.
//! * Data, history and the journal's offset change together, while every stripe is held, and only if this link is still the one.
//! * Data that are dropped before the copy is there take the name of their history with them: nobody goes on from an empty data set under a
//!   name that stands for a full one.
//! * Until the copy is there, or this server leads, what is on disk of dropped data stays: an empty data set replaces neither file.

use super::super::{Host, new_id};
use crate::base::clock;
use crate::keyspace::{Garbage, Keyspace, Plan};
use crate::persist::rdb::{self, LoadOptions, Loading};
use crate::persist::snapshot;
use crate::script::{self, RestorePolicy};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// The history the copy is a moment of.
#[derive(Clone, Debug)]
pub struct Moment {
    pub id: String,
    pub offset: u64,
}

/// Where a copy comes from.
pub(super) trait Supply: Read + Send {
    /// Goes over what is left, to its end. Returns the bytes of the whole.
    ///
    /// # Errors
    /// It does not end as it should.
    fn rest(&mut self) -> io::Result<u64>;

    /// The snapshot file it is, if it is one.
    fn file(&self) -> Option<&Path> {
        None
    }
}

/// What becomes of the old data while a copy is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// They go first.
    Dropped,
    /// They wait, unseen, for the copy to fail.
    Kept,
    /// The copy is of a later moment of the same history: they are served meanwhile.
    Served,
}

/// Takes the old data out. False if this link is not the one any more.
///
/// # Errors
/// There is no name for the history of an empty data set; nothing has changed then.
pub(super) fn empty(host: &dyn Host, epoch: u64) -> Result<bool, String> {
    let id = new_id()?;
    let mut space = host.keyspace().lock(&Plan::All, host.access(clock::wall_ms()));
    if space.epoch != epoch {
        return Ok(false);
    }
    let (_, flushed) = space.flush(None);
    host.saver().withhold(true);
    let emptied = host.functions().restore(Vec::new(), RestorePolicy::Flush).map_err(|e| e.to_string());
    host.replication().identity.lock().adopt(id);
    drop(space);
    host.freer().free(Garbage::Flushed(flushed));
    // They have what we have not any more.
    host.replication().replicas.drop_all(host.clients());
    emptied.map(|()| true)
}

/// The copy that was to come after [`empty`] did not: what is on disk is no longer what this server has.
pub(super) fn give_up(host: &dyn Host, epoch: u64) {
    let space = host.keyspace().lock(&Plan::All, host.access(clock::wall_ms()));
    if space.epoch == epoch {
        let journal = host.keyspace().journal();
        journal.replaced(journal.end(), None);
        host.begin_history();
    }
}

/// Loads the copy and puts it in the place of the data. Returns the database that is selected where the stream goes on.
///
/// # Errors
/// The copy cannot be read to its end, or this link is not the one any more.
pub(super) fn replace(
    host: &dyn Host,
    epoch: u64,
    moment: &Moment,
    copy: &mut dyn Supply,
    loading: Arc<Loading>,
) -> Result<u32, String> {
    let config = host.config().current();
    let access = host.access(clock::wall_ms());
    let beside = Keyspace::new(host.keyspace().databases());
    let mut loaded_space = beside.space(access);
    // Keys past their deadline stay until the primary says otherwise.
    let options = LoadOptions { keep_expired: true, loading: Some(loading), ..snapshot::load_options(&config, false) };
    let begin = clock::monotonic_ms();
    let loaded = rdb::load_prefix(&mut *copy, &mut loaded_space, &options);
    let (loaded, bytes) = loaded.map_err(|e| format!("Internal error in RDB reading offset {}: {e}", e.offset))?;
    let all = copy.rest().map_err(|e| format!("Internal error in RDB reading offset {bytes}: {e}"))?;
    if all != bytes {
        return Err(format!("Internal error in RDB reading offset {bytes}: {} bytes follow its end", all - bytes));
    }
    let selected = loaded.stream_db.unwrap_or(0);
    // Before anybody is held up, and in a VM nobody else uses: a library that cannot be loaded leaves all as it was.
    let libraries = script::compile_all(host.functions(), script::settings(&config), &loaded.libraries)
        .map_err(|e| format!("a library of functions: {e}"));
    script::forget();
    let libraries = libraries?;

    loaded_space.lock(&Plan::All);
    let mut space = host.keyspace().lock(&Plan::All, access);
    if space.epoch != epoch {
        return Err("another primary was chosen meanwhile".into());
    }
    host.functions().restore(libraries, RestorePolicy::Flush).map_err(|e| format!("a library of functions: {e}"))?;
    space.exchange(&mut loaded_space);
    let journal = host.keyspace().journal();
    journal.keep_backlog(Some(config.replication.repl_backlog_size));
    journal.replaced(moment.offset, loaded.stream_db);
    host.begin_history();
    host.replication().identity.lock().adopt(moment.id.clone());
    host.saver().withhold(false);
    if let Some(path) = copy.file() {
        host.loaded_from(path);
    }
    drop(space);
    let (_, flushed) = loaded_space.flush(None);
    host.freer().free(Garbage::Flushed(flushed));
    host.saver().loaded(loaded.keys, loaded.expired);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: 0, in {} ms",
        loaded.keys,
        clock::monotonic_ms() - begin
    );
    // Replicas of ours follow a history that has ended.
    host.replication().replicas.drop_all(host.clients());
    Ok(selected)
}
