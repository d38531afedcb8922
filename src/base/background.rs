//! A thread for work that takes long and that nobody may be held up by: password hashes, above all.
//!
//! Jobs run one after the other in the order they came. The queue is bounded: at most [`JOBS_MAX`] wait.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

/// One for each client that could be signing in at once, by the default limit of clients.
pub const JOBS_MAX: usize = 10_000;

type Job = Box<dyn FnOnce() + Send>;

/// The handle; the thread ends with it.
#[derive(Debug)]
pub struct Background(SyncSender<Job>);

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(name: &str) -> io::Result<Background> {
        let (sender, receiver) = sync_channel::<Job>(JOBS_MAX);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in receiver {
                job();
            }
        })?;
        Ok(Background(sender))
    }

    /// Queues a job; false if too many wait already.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.0.try_send(Box::new(job)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_order() {
        let background = Background::start("test").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        for i in 0..100 {
            let sender = sender.clone();
            assert!(background.run(move || sender.send(i).unwrap()));
        }
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}
