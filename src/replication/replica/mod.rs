//! The replica's side: whom this server follows, and how the link is.
//!
//! Each REPLICAOF begins an epoch of the journal and a thread of its own for the link ([`link`]). A thread whose epoch is over changes
//! nothing any more: every step is applied, and every copy put in place, under locks under which the epoch is looked at.

mod apply;
mod copying;
pub mod dial;
mod intake;
pub mod link;
mod load;
pub mod machine;
mod pipe;
mod session;
#[cfg(test)]
mod simulation;

use crate::persist::rdb::Loading;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// How the link to the primary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LinkState {
    /// About to be connected.
    #[default]
    Connect,
    Connecting,
    Handshake,
    /// A copy is on its way, or is being loaded.
    Sync,
    Connected,
}

impl LinkState {
    /// As ROLE prints it.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Connect => "connect",
            LinkState::Connecting => "connecting",
            LinkState::Handshake => "handshake",
            LinkState::Sync => "sync",
            LinkState::Connected => "connected",
        }
    }
}

/// A copy that is on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// If it is known.
    pub total: Option<u64>,
    pub read: u64,
    pub last_ms: u64,
}

/// What INFO says of the link. Times are monotonic ms.
#[derive(Clone, Debug, Default)]
pub struct Following {
    pub host: String,
    pub port: u16,
    pub epoch: u64,
    pub state: LinkState,
    /// Since when it is down; `None` if it never was up.
    pub down_since_ms: Option<u64>,
    pub heard_ms: u64,
    pub sync: Option<Progress>,
    /// Bytes of the stream that wait for the copy, and the most that ever did.
    pub held: u64,
    pub held_peak: u64,
    /// Bytes of the stream that have come and are not applied: because writes are paused.
    pub unapplied: u64,
    /// The primary has refused us, the last time it was asked.
    pub refused: bool,
}

/// What every turn looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look(u32);

impl Look {
    const FOLLOWING: u32 = 1;
    const CONNECTED: u32 = 1 << 1;
    const LOADING: u32 = 1 << 2;
    const ASYNC_LOADING: u32 = 1 << 3;

    /// This server follows a primary.
    pub fn is_following(self) -> bool {
        self.0 & Look::FOLLOWING != 0
    }

    /// The stream is coming in.
    pub fn is_connected(self) -> bool {
        self.0 & Look::CONNECTED != 0
    }

    /// The data set is being replaced, and there is nothing to serve.
    pub fn is_loading(self) -> bool {
        self.0 & Look::LOADING != 0
    }

    /// The data set is being replaced, and the old one is served meanwhile.
    pub fn is_loading_beside(self) -> bool {
        self.0 & Look::ASYNC_LOADING != 0
    }
}

/// The replica's side.
#[derive(Default)]
pub struct Follower {
    following: Mutex<Option<Following>>,
    look: AtomicU32,
    /// How the last copy is loaded, or was.
    loading: Mutex<Option<Arc<Loading>>>,
    /// Who is told whether this server follows somebody.
    told: OnceLock<Box<dyn Fn(bool) + Send + Sync>>,
}

impl Follower {
    #[inline]
    pub fn look(&self) -> Look {
        Look(self.look.load(Ordering::Relaxed))
    }

    /// Whom this server follows and how the link is.
    pub fn following(&self) -> Option<Following> {
        self.following.lock().clone()
    }

    /// Says whom this server is going to follow once its data are there: who asks meanwhile must not take it for a primary.
    pub fn will_follow(&self, host: &str, port: u16) {
        self.set(Some(Following { host: host.to_owned(), port, ..Following::default() }));
    }

    /// Tells `told` whether this server follows somebody, now and whenever that changes.
    pub fn tell(&self, told: Box<dyn Fn(bool) + Send + Sync>) {
        let now = self.following.lock();
        told(now.is_some());
        // There is one who is told, from the start.
        let _ = self.told.set(told);
    }

    pub(super) fn set(&self, following: Option<Following>) {
        let mut now = self.following.lock();
        if let Some(told) = self.told.get() {
            told(following.is_some());
        }
        self.look.store(if following.is_some() { Look::FOLLOWING } else { 0 }, Ordering::Release);
        *now = following;
    }

    /// Changes what is known of the link of an epoch; false if that is over.
    fn update(&self, epoch: u64, change: impl FnOnce(&mut Following)) -> bool {
        let mut now = self.following.lock();
        let Some(f) = now.as_mut().filter(|f| f.epoch == epoch) else { return false };
        change(f);
        self.mark(Look::CONNECTED, f.state == LinkState::Connected);
        true
    }

    fn is_current(&self, epoch: u64) -> bool {
        self.following.lock().as_ref().is_some_and(|f| f.epoch == epoch)
    }

    /// Says that a copy is being loaded, `beside` data that are served. False if the epoch is over.
    fn begin_loading(&self, epoch: u64, beside: bool, loading: Arc<Loading>) -> bool {
        let now = self.following.lock();
        if now.as_ref().is_none_or(|f| f.epoch != epoch) {
            return false;
        }
        *self.loading.lock() = Some(loading);
        self.mark(Look::LOADING, !beside);
        self.mark(Look::ASYNC_LOADING, beside);
        true
    }

    fn end_loading(&self, epoch: u64) {
        let now = self.following.lock();
        if now.as_ref().is_some_and(|f| f.epoch == epoch) {
            self.mark(Look::LOADING, false);
            self.mark(Look::ASYNC_LOADING, false);
            *self.loading.lock() = None;
        }
    }

    /// How the copy is loaded that is being loaded.
    pub fn loading(&self) -> Option<Arc<Loading>> {
        self.loading.lock().clone()
    }

    /// Under the lock of `following`.
    fn mark(&self, bit: u32, set: bool) {
        if set {
            self.look.fetch_or(bit, Ordering::Release);
        } else {
            self.look.fetch_and(!bit, Ordering::Release);
        }
    }
}
