//! One connection, as its worker knows it.

use super::blocked::Blocked;
use super::copy::CopyReader;
use super::login::Login;
use super::output::Output;
use super::registry::Shared;
use super::subscription::Subscriptions;
use super::tracking::ClientTracking;
use super::transaction::Transaction;
use crate::acl::{Acl, User};
use crate::journal::Cursor;
use crate::resp::args::OwnedArgs;
use crate::resp::parser::Partial;
use crate::resp::reply::Version;
use std::sync::Arc;

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// The next command's reply is swallowed; this one's too.
    SkipNext,
    Skip,
}

/// Where a client's requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Source {
    /// A connection: every gate counts.
    #[default]
    Connection,
    /// A log that is replayed.
    Log,
    /// The primary this server follows.
    Primary,
}

/// State of a connection.
#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub shared: Arc<Shared>,
    pub source: Source,
    pub db: u32,
    pub version: Version,
    /// The user is known. Until then only AUTH, HELLO, QUIT and RESET are heard, and little is promised to it.
    pub authenticated: bool,
    /// Signed in as a user who may do everything: none of its commands needs a look.
    pub trusted: bool,
    /// Who it is: the default user until it has signed in.
    pub user: Arc<User>,
    /// A login that is not answered yet.
    pub login: Option<Arc<Login>>,
    /// What a command keeps between two tries of the same request.
    pub parked: Option<Arc<dyn std::any::Any + Send + Sync>>,
    /// The command that runs is to be tried again later: set by its handler, which has done nothing.
    pub later: bool,
    /// Its certificate was verified.
    pub has_certificate: bool,
    /// The state of the users that `user` belongs to.
    pub acl_epoch: u64,
    pub reply_mode: ReplyMode,
    /// Close once all output is sent.
    pub closing: bool,
    /// Close at once: the peer is gone or was killed.
    pub dead: bool,
    pub transaction: Transaction,
    pub subscriptions: Subscriptions,
    pub blocked: Option<Blocked>,
    /// Counts waits, so that late answers find their own.
    pub next_token: u64,
    pub no_touch: bool,
    pub no_evict: bool,
    /// Bytes of an unfinished request, and how far it was understood.
    pub query: Vec<u8>,
    /// The most that `query` has held lately.
    pub query_peak: usize,
    pub partial: Partial,
    pub output: Output,
    /// Bytes of a replica's output that others have been told of.
    pub told_output: u64,
    /// Monotonic ms since when the output has been above its soft limit.
    pub soft_limit_since: Option<u64>,
    /// Monotonic ms of the last byte in either direction.
    pub last_active_ms: u64,
    /// Commands run; flushed to `shared` once a turn.
    pub commands: u64,
    /// Wanted by DEBUG REPLYBUFFER and CLIENT INFO: the largest reply lately.
    pub reply_peak: usize,
    /// How often its next command has given way to commands on big values.
    pub gave_way: u8,
    /// Waiting for CLIENT PAUSE to end: its requests stay unread.
    pub paused: bool,
    pub import_source: bool,
    /// ASKING has been said: the next command may use a slot that is coming.
    pub asking: bool,
    /// What its next command would wait for has come.
    pub has_waited: bool,
    /// SCRIPT DEBUG SYNC: its next script is debugged.
    pub debugs: bool,
    /// MONITOR has been said: it is sent what others run, and runs nothing on keys.
    pub monitor: bool,
    /// CLIENT TRACKING.
    pub tracking: Option<Box<ClientTracking>>,
    /// It is a replica, from its synchronisation on: what it sends is not answered.
    pub attached: bool,
    /// The copy of the data set that it is sent before the journal.
    pub copy: Option<CopyReader>,
    /// A replica's place in the journal: its worker sends what follows as fast as the socket takes it.
    pub feed: Option<Cursor>,
    /// What that may be behind, as was last told to the journal.
    pub feed_bytes_max: u64,
    /// Whether its socket sends small packets at once.
    pub feed_nodelay: bool,
    /// It has to acknowledge the copy first: what follows would be taken for a part of it.
    pub feed_held: bool,
    /// When the EXEC or script that runs began, in microseconds since the epoch.
    pub step_us: i64,
    /// The journal's offset behind this client's last change: what WAIT waits for.
    pub written: u64,
}

impl Client {
    /// Puts a request before what has been received and not run.
    pub fn read_first(&mut self, request: &OwnedArgs) {
        let mut query = Vec::with_capacity(request.args().bytes() + self.query.len());
        request.args().write_request(&mut query);
        query.append(&mut self.query);
        self.query = query;
        self.partial = Partial::default();
    }

    /// A connection that has said nothing yet: the default user's, signed in if that one asks for no password.
    pub fn new(shared: Arc<Shared>, acl: &Acl, now_mono_ms: u64) -> Client {
        // Before the user: a change in between is then looked at once more.
        let acl_epoch = acl.epoch();
        let user = acl.default_user();
        let authenticated = acl.is_open();
        Client {
            id: shared.id,
            shared,
            source: Source::Connection,
            db: 0,
            version: Version::Resp2,
            authenticated,
            trusted: authenticated && user.is_full(),
            user,
            acl_epoch,
            login: None,
            parked: None,
            later: false,
            has_certificate: false,
            reply_mode: ReplyMode::On,
            closing: false,
            dead: false,
            transaction: Transaction::default(),
            subscriptions: Subscriptions::default(),
            blocked: None,
            next_token: 0,
            no_touch: false,
            no_evict: false,
            query: Vec::new(),
            query_peak: 0,
            partial: Partial::default(),
            output: Output::default(),
            told_output: 0,
            soft_limit_since: None,
            last_active_ms: now_mono_ms,
            commands: 0,
            reply_peak: 0,
            gave_way: 0,
            paused: false,
            import_source: false,
            asking: false,
            has_waited: false,
            debugs: false,
            monitor: false,
            tracking: None,
            attached: false,
            copy: None,
            feed: None,
            feed_bytes_max: 0,
            feed_nodelay: true,
            feed_held: false,
            step_us: 0,
            written: 0,
        }
    }

    /// Signs in as a user.
    pub fn sign_in(&mut self, acl: &Acl, user: Arc<User>) {
        self.shared.text.lock().user = String::from_utf8_lossy(user.name()).into_owned();
        self.authenticated = true;
        self.user = user;
        // The user may have changed since it was looked up.
        self.refresh_user(acl);
    }

    /// Back to a connection that has not signed in.
    pub fn sign_out(&mut self, acl: &Acl) {
        self.shared.text.lock().user = "default".into();
        self.acl_epoch = acl.epoch();
        self.user = acl.default_user();
        self.authenticated = acl.is_open();
        self.trusted = self.authenticated && self.user.is_full();
    }

    /// Takes over what has changed about its user. One that is gone leaves nothing: its connections are being closed.
    pub fn refresh_user(&mut self, acl: &Acl) {
        if self.source != Source::Connection {
            return;
        }
        self.acl_epoch = acl.epoch();
        match acl.get(self.user.name()).filter(|now| now.serial() == self.user.serial()) {
            Some(now) => {
                self.user = now;
                self.trusted = self.authenticated && self.user.is_full();
            }
            None => {
                self.authenticated = false;
                self.trusted = false;
            }
        }
    }

    /// A client without a connection, for what comes from a log or a primary.
    pub fn internal(shared: Arc<Shared>, acl: &Acl, source: Source) -> Client {
        Client { source, authenticated: true, trusted: true, ..Client::new(shared, acl, 0) }
    }

    /// Notes the command for CLIENT LIST.
    #[inline(always)]
    pub fn last_command(&self, id: u16) {
        self.shared.last_command.store(u32::from(id), std::sync::atomic::Ordering::Relaxed);
    }

    /// Commands are being gathered for EXEC.
    pub fn in_multi(&self) -> bool {
        self.transaction.open
    }
}
