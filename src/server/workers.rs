//! The worker threads: as many as `io-threads` asks for at the start, and more when it asks for more.
//!
//! # Invariants
//! * A worker that is there stays until the end: its number stands in its clients, and its figures in the totals. When `io-threads` comes
//!   down, those beyond it serve the connections they have and get no new ones; when it goes up again they are the first to.
//! * A worker takes part only once its mailbox is known and its thread runs.

use crate::base::crash;
use crate::client::WORKERS_MAX;
use crate::commands::Node;
use crate::metrics::recorder::Recorder;
use crate::net::doors::Doors;
use crate::session::{Aside, Worker, WorkerParts, poll_and_mailbox};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The status of a process that a panic ended.
const PANICKED: i32 = 70;
/// Stack of a worker: what scripts nest, their compiler and their values are as deep as they are.
const WORKER_STACK: usize = 8 << 20;

/// Threads for commands that take long: what several clients ask of the kind at once goes one after the other.
const ASIDES_MAX: usize = 4;
const _: () = assert!(WORKERS_MAX + ASIDES_MAX < crash::THREADS_MAX, "each has a place of its own");

/// See the module.
pub struct Workers {
    node: Arc<Node>,
    doors: Arc<Doors>,
    aside: Arc<Aside>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Made, and not started yet.
    waiting: Vec<WorkerParts>,
    threads: Vec<JoinHandle<()>>,
    /// Threads for commands that would hold up a worker.
    asides: usize,
    started: bool,
}

impl Workers {
    /// Makes `count` workers, whose mailboxes are known from here on.
    ///
    /// # Errors
    /// What they need is not to be had.
    pub fn new(node: &Arc<Node>, doors: &Arc<Doors>, count: usize) -> Result<Workers, String> {
        let (node, doors) = (Arc::clone(node), Arc::clone(doors));
        let workers = Workers { node, doors, aside: Arc::default(), state: Mutex::default() };
        workers.grow(count)?;
        Ok(workers)
    }

    /// Starts their threads.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        state.started = true;
        self.start_waiting(&mut state)
    }

    /// Sees to it that there are `count` workers.
    ///
    /// # Errors
    /// What they need is not to be had; those that were made stay.
    pub fn grow(&self, count: usize) -> Result<(), String> {
        let mut state = self.state.lock();
        while state.waiting.len() + state.threads.len() < count {
            let parts = self.make()?;
            state.waiting.push(parts);
        }
        if state.started { self.start_waiting(&mut state) } else { Ok(()) }
    }

    fn make(&self) -> Result<WorkerParts, String> {
        let metrics = &self.node.metrics;
        let recorders = metrics.recorder().zip(metrics.recorder());
        let (recorder, of_scripts) = recorders.ok_or("there are as many threads as there may be")?;
        let (poll, mailbox) = poll_and_mailbox().map_err(|e| format!("a worker's poll: {e}"))?;
        let watcher = self.doors.watch(poll.registry()).map_err(|e| format!("a worker's listeners: {e}"))?;
        let id =
            self.node.clients.add_worker(Arc::clone(&mailbox)).ok_or("there are as many workers as there may be")?;
        Ok(WorkerParts {
            node: Arc::clone(&self.node),
            id,
            poll,
            mailbox,
            doors: Arc::clone(&self.doors),
            watcher,
            recorder,
            of_scripts,
            aside: Arc::clone(&self.aside),
        })
    }

    fn start_waiting(&self, state: &mut State) -> Result<(), String> {
        let thread = |name: String| std::thread::Builder::new().name(name).stack_size(WORKER_STACK);
        for parts in std::mem::take(&mut state.waiting) {
            let started = thread(format!("worker-{}", parts.id)).spawn(move || work(parts));
            state.threads.push(started.map_err(|e| format!("a worker's thread: {e}"))?);
        }
        while state.asides < state.threads.len().min(ASIDES_MAX) {
            let (node, aside, seed) = (Arc::clone(&self.node), Arc::clone(&self.aside), state.asides as u64);
            let recorder = node.metrics.recorder().ok_or("there are as many threads as there may be")?;
            thread(format!("aside-{seed}"))
                .spawn(move || work_aside(&aside, &node, recorder, seed))
                .map_err(|e| format!("a thread for long commands: {e}"))?;
            state.asides += 1;
        }
        Ok(())
    }

    /// Waits until all have ended.
    pub fn join(&self) {
        let threads = std::mem::take(&mut self.state.lock().threads);
        for thread in threads {
            // A worker's panic has ended the process already.
            let _ = thread.join();
        }
    }
}

/// A worker's thread: what panics in it ends the process, because half a server is worse than none.
fn work(parts: WorkerParts) {
    crash::join(usize::from(parts.id));
    match catch_unwind(AssertUnwindSafe(|| Worker::new(parts).run())) {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            tracing::error!("A worker cannot wait for its connections any more: {e}");
            std::process::exit(PANICKED);
        }
        Err(_) => std::process::exit(PANICKED),
    }
}

/// The same for a thread that runs what would hold up a worker.
fn work_aside(aside: &Aside, node: &Arc<Node>, mut recorder: Recorder, seed: u64) {
    crash::join(WORKERS_MAX + seed as usize);
    if catch_unwind(AssertUnwindSafe(|| aside.run(node, &mut recorder, seed))).is_err() {
        std::process::exit(PANICKED);
    }
}
