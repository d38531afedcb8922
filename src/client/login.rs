//! A login that is not answered at once: its password is being verified on another thread, or its answer waits.
//!
//! The request stays unread in the meantime and is tried again, as it is under CLIENT PAUSE; so a client has at most one.

use std::sync::atomic::{AtomicU8, Ordering};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// It has not been looked at: it waits because of failures before it.
    NotAsked,
    /// It is being verified.
    Pending,
    Right,
    Wrong,
    /// Wrong, and counted and logged already: only the answer waits.
    Told,
}

/// A login that waits.
#[derive(Debug)]
pub struct Login {
    /// Digest of user and password: the same request finds it again.
    pub asked: [u8; 32],
    answer: AtomicU8,
    /// Monotonic ms before which nothing is said.
    pub not_before_ms: u64,
}

impl Login {
    pub fn new(asked: [u8; 32], answer: Answer, not_before_ms: u64) -> Login {
        Login { asked, answer: AtomicU8::new(answer as u8), not_before_ms }
    }

    pub fn answer(&self) -> Answer {
        match self.answer.load(Ordering::Acquire) {
            0 => Answer::NotAsked,
            1 => Answer::Pending,
            2 => Answer::Right,
            3 => Answer::Wrong,
            _ => Answer::Told,
        }
    }

    pub fn set(&self, answer: Answer) {
        self.answer.store(answer as u8, Ordering::Release);
    }
}
