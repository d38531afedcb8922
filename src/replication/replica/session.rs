//! One connection to a primary, from the first byte sent to the last: reads, and does what the [`Machine`] says.
//!
//! It blocks on the socket for a tenth of a second at most, so that time passes and an epoch that is over is seen. What it holds between
//! reads is one buffer, and the bytes of a step that has not arrived whole.

use super::super::failover;
use super::apply::Applier;
use super::copying::{Copying, News};
use super::intake::Intake;
use super::link::{Link, Stop};
use super::load::Moment;
use super::machine::{Ended, Input, Introduction, Machine, Output, command};
use super::{LinkState, Progress};
use crate::base::clock;
use crate::base::names;
use crate::client::{Client, Shared, Source};
use crate::config::Config;
use crate::keyspace::Garbage;
use crate::net::dial::Dialled;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two looks at the clock and the epoch.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// The same while a copy comes on another connection, whose thread is heard between two reads.
const QUICK_TICK: Duration = Duration::from_millis(10);
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes that may wait until they may be applied; what is more stays with the primary, which has bounds of its own.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Between two signs of life to a primary that has sent everything and waits for us to load it.
const ALIVE_MS: u64 = 1000;

struct Session {
    client: Client,
    applier: Applier,
    intake: Option<Intake>,
    /// The thread that fetches the copy on a connection of its own.
    copying: Option<Copying>,
    /// The socket is read with the shorter patience.
    quick: bool,
    moment: Option<Moment>,
    /// Bytes of the stream that wait until they may be applied.
    waiting: Vec<u8>,
    /// It stands in CLIENT LIST.
    listed: bool,
}

impl Link {
    fn introduction(&self, config: &Config) -> Introduction {
        let r = &config.replication;
        let own_port =
            if config.tls.replication || config.network.port == 0 { config.tls.port } else { config.network.port };
        let journal = self.host.keyspace().journal();
        let have = (!self.whole).then(|| (self.host.replication().identity.lock().id.clone(), journal.end() + 1));
        Introduction {
            user: r.primaryuser.as_ref().map(|u| u.as_bytes().to_vec()),
            password: (!r.primaryauth.is_empty()).then(|| r.primaryauth.expose().to_vec()),
            listening_port: if r.replica_announce_port != 0 { r.replica_announce_port } else { own_port },
            announced_address: r.replica_announce_ip.clone(),
            version: names::VALKEY_VERSION.into(),
            node: self.host.node_id(),
            have,
            failover: self.failover,
            two: r.dual_channel_replication_enabled,
            held_bytes_max: usize::try_from(config.limits.client_output_buffer_limit.replica.hard_bytes)
                .unwrap_or(usize::MAX),
            timeout_ms: timeout_ms(config),
        }
    }

    /// One connection, to its end.
    pub(super) fn session(&mut self, mut stream: Dialled, applied: &mut bool) -> Stop {
        let config = self.host.config().current();
        let (clients, now) = (Arc::clone(self.host.clients()), clock::wall_ms());
        let shared = Shared::new(clients.next_id(), 0, stream.peer_address(), stream.local_address(), -1, now);
        shared.primary.store(true, Ordering::Relaxed);
        if let Ok(Some(socket)) = stream.handle() {
            let _ = shared.socket.set(socket);
        }
        shared.text.lock().user = "(superuser)".into();
        let shared = Arc::new(shared);
        let mut session = Session {
            client: Client::internal(Arc::clone(&shared), self.host.acl(), Source::Primary),
            applier: Applier::new(self.host.keyspace().journal().selected().unwrap_or(0)),
            intake: None,
            moment: None,
            waiting: Vec::new(),
            listed: false,
            copying: None,
            quick: false,
        };
        session.client.db = self.host.keyspace().journal().selected().unwrap_or(0);
        let mut outputs = Vec::new();
        let mut machine = Machine::new(self.introduction(&config), clock::monotonic_ms(), &mut outputs);
        self.state(LinkState::Handshake);
        let stop = self.turns(&mut stream, &mut session, &mut machine, outputs, applied);
        if let Some(copying) = session.copying.take() {
            // One copy at a time: the next attempt may bring another.
            copying.stop();
        }
        let held = machine.take_held();
        if !held.is_empty() {
            self.host.freer().free(Garbage::Bytes(held));
        }
        self.host.replication().follower.update(self.epoch, |f| (f.held, f.unapplied) = (0, 0));
        if let Some(socket) = shared.socket.get() {
            // Whoever still knows this client must not keep the connection open.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        if session.listed {
            clients.remove(shared.id);
        }
        stop
    }

    fn turns(
        &mut self,
        stream: &mut Dialled,
        session: &mut Session,
        machine: &mut Machine,
        first: Vec<Output<'_>>,
        applied: &mut bool,
    ) -> Stop {
        for o in first {
            if let Err(stop) = self.act(o, stream, session, applied) {
                return stop;
            }
        }
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if !self.is_current() {
                return Stop::Over;
            }
            if session.client.shared.killed.load(Ordering::Relaxed) {
                return Stop::killed();
            }
            machine.set_timeout_ms(timeout_ms(&self.host.config().current()));
            let mut outputs = Vec::new();
            if let Err(stop) = self.hear_of_copy(session, machine, &mut outputs) {
                return stop;
            }
            for o in std::mem::take(&mut outputs) {
                if let Err(stop) = self.act(o, stream, session, applied) {
                    return stop;
                }
            }
            if let Err(stop) = self.end_wait(stream, session) {
                return stop;
            }
            if session.waiting.len() >= WAITING_BYTES_MAX {
                // As below, and a pause has an end.
                std::thread::sleep(QUICK_TICK);
                machine.hear(clock::monotonic_ms());
                continue;
            }
            self.be_quick(machine.is_apart(), stream, session);
            if machine.is_full() {
                // What comes now stays with the primary.
                std::thread::sleep(QUICK_TICK);
                continue;
            }
            let n = match stream.read(&mut buffer) {
                Ok(0) if session.client.shared.killed.load(Ordering::Relaxed) => return Stop::killed(),
                Ok(0) => return Stop::Failed("the PRIMARY closed the connection".into()),
                Ok(n) => n,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return e.into(),
            };
            let now = clock::monotonic_ms();
            let input = if n > 0 { Input::Bytes(&buffer[..n]) } else { Input::Tick };
            if let Err(ended) = machine.on(now, input, &mut outputs) {
                return self.ended(ended);
            }
            if n > 0 {
                self.host.replication().received(n);
                session.client.shared.net_in.fetch_add(n as u64, Ordering::Relaxed);
                session.client.shared.last_ms.store(clock::wall_ms(), Ordering::Relaxed);
                self.host.replication().follower.update(self.epoch, |f| f.heard_ms = now);
            }
            for o in outputs {
                if let Err(stop) = self.act(o, stream, session, applied) {
                    return stop;
                }
            }
            if n > 0 {
                // While we did that the primary could say nothing.
                machine.hear(clock::monotonic_ms());
            }
            self.host.keyspace().journal().ring();
        }
    }

    fn ended(&self, ended: Ended) -> Stop {
        match ended {
            Ended::Protocol(why) => Stop::Broken(why),
            Ended::Refused(why) => {
                self.host.replication().follower.update(self.epoch, |f| f.refused = true);
                Stop::Failed(why)
            }
            timeout => Stop::Failed(timeout.to_string()),
        }
    }

    /// While a copy comes on its own connection its thread is heard soon.
    fn be_quick(&self, quick: bool, stream: &Dialled, session: &mut Session) {
        if quick != session.quick && stream.set_read_timeout(Some(if quick { QUICK_TICK } else { TICK })).is_ok() {
            session.quick = quick;
        }
    }

    /// Takes what the copy's thread has to tell.
    fn hear_of_copy<'a>(
        &mut self,
        session: &mut Session,
        machine: &mut Machine,
        outputs: &mut Vec<Output<'a>>,
    ) -> Result<(), Stop> {
        let Some(copying) = &session.copying else { return Ok(()) };
        let now = clock::monotonic_ms();
        let told = match copying.news() {
            None => return Ok(()),
            Some(News::Offered(offer)) => {
                self.state(LinkState::Sync);
                self.progress(|p| p.last_ms = now);
                machine.on(now, Input::Offered(offer), outputs)
            }
            Some(News::Loaded { selected }) => {
                session.copying = None;
                self.take_up(session, selected);
                machine.on(now, Input::Loaded, outputs)
            }
            Some(News::Failed(stop)) => return Err(stop),
        };
        told.map_err(|ended| self.ended(ended))
    }

    /// The stream goes on with this database selected.
    fn take_up(&mut self, session: &mut Session, selected: u32) {
        session.applier = Applier::new(selected);
        session.client.db = selected;
        session.client.shared.db.store(selected, Ordering::Relaxed);
        self.whole = false;
    }

    fn act(
        &mut self,
        output: Output<'_>,
        stream: &mut Dialled,
        session: &mut Session,
        applied: &mut bool,
    ) -> Result<(), Stop> {
        match output {
            Output::Send(bytes) => send(stream, session, &bytes),
            Output::Ack => self.ack(stream, session),
            Output::Continue { id } => {
                self.go_on(id);
                self.accepted();
                self.online(session);
                *applied = true;
                Ok(())
            }
            Output::Full { id, offset } => {
                tracing::info!("Full resync from primary: {id}:{offset}");
                session.moment = Some(Moment { id, offset });
                self.accepted();
                self.state(LinkState::Sync);
                self.progress(|p| *p = Progress { last_ms: clock::monotonic_ms(), ..Progress::default() });
                Ok(())
            }
            Output::OpenCopy => {
                tracing::info!("Dual channel replication: PSYNC is not possible, initialize RDB channel.");
                self.accepted();
                self.host.replication().follower.update(self.epoch, |f| (f.held, f.held_peak) = (0, 0));
                let introduction = self.introduction(&self.host.config().current());
                let to = (self.address.clone(), self.port);
                session.copying = Some(Copying::start(Arc::clone(&self.host), self.epoch, to, introduction)?);
                Ok(())
            }
            Output::Held { bytes, full } => {
                if bytes == 0 {
                    tracing::info!(
                        "Dual channel replication: PRIMARY <-> REPLICA sync: Primary accepted a Partial Resynchronization, \
                         RDB load in background."
                    );
                }
                if full {
                    tracing::info!("Replication buffer limit reached ({bytes} bytes), stopping buffering");
                }
                self.host.replication().follower.update(self.epoch, |f| {
                    f.held = bytes as u64;
                    f.held_peak = f.held_peak.max(f.held);
                });
                Ok(())
            }
            Output::Joined { late } => {
                if late {
                    tracing::info!("Dual channel replication: Psync established after rdb load");
                }
                self.host.replication().follower.update(self.epoch, |f| f.held = 0);
                self.online(session);
                *applied = true;
                tracing::info!("PRIMARY <-> REPLICA sync: Finished with success");
                Ok(())
            }
            Output::HeldStream(bytes) => {
                self.take(&bytes, stream, session)?;
                if self.is_current() { Ok(()) } else { Err(Stop::Over) }
            }
            Output::Behind => {
                self.host.replication().pause_if_told();
                Ok(())
            }
            // Of the copy's own connection.
            Output::Offered(_) => Ok(()),
            Output::Payload { bytes } => {
                let moment = session.moment.take().ok_or_else(Stop::no_copy)?;
                session.intake = Some(Intake::begin(Arc::clone(&self.host), self.epoch, moment, bytes)?);
                Ok(())
            }
            Output::PayloadBytes(bytes) => {
                let mut intake = session.intake.take().ok_or_else(Stop::no_copy)?;
                let mut alive_ms = clock::monotonic_ms();
                intake.put(bytes, &mut || self.wait_on(stream, session, &mut alive_ms))?;
                session.intake = Some(intake);
                Ok(())
            }
            Output::PayloadEnd => {
                let intake = session.intake.take().ok_or_else(Stop::no_copy)?;
                let mut alive_ms = clock::monotonic_ms();
                let selected = intake.end(&mut || self.wait_on(stream, session, &mut alive_ms))?;
                self.take_up(session, selected);
                tracing::info!("PRIMARY <-> REPLICA sync: Finished with success");
                self.online(session);
                *applied = true;
                Ok(())
            }
            Output::Stream(bytes) => self.take(bytes, stream, session),
        }
    }

    /// Whether what the primary writes has to wait: while clients' writes are paused, or refused because the disk fails. A primary is a client
    /// in this, only that it is not told.
    fn is_held(&self) -> bool {
        let fails =
            || self.host.disk_fails() && !self.host.config().current().replication.replica_ignore_disk_write_errors;
        self.host.pauses_writes() || fails()
    }

    /// Takes bytes of the stream: they are applied, unless they have to wait.
    fn take(&mut self, bytes: &[u8], stream: &mut Dialled, session: &mut Session) -> Result<(), Stop> {
        if session.waiting.is_empty() {
            if !self.is_held() {
                return self.apply(bytes, stream, session);
            }
            if self.host.disk_fails() {
                tracing::warn!(
                    "What the PRIMARY sends cannot be written to disk: it is not applied until it can (replica-ignore-disk-write-errors no)"
                );
            }
        }
        session.waiting.extend_from_slice(bytes);
        let waiting = session.waiting.len() as u64;
        self.host.replication().follower.update(self.epoch, |f| f.unapplied = waiting);
        Ok(())
    }

    /// Applies what has waited, if it need not any more.
    fn end_wait(&mut self, stream: &mut Dialled, session: &mut Session) -> Result<(), Stop> {
        if session.waiting.is_empty() || self.is_held() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut session.waiting);
        let applied = self.apply(&waiting, stream, session);
        self.host.replication().follower.update(self.epoch, |f| f.unapplied = 0);
        applied
    }

    fn apply(&mut self, bytes: &[u8], stream: &mut Dialled, session: &mut Session) -> Result<(), Stop> {
        let mut executor = self.host.executor().lock();
        let Some(executor) = executor.as_mut() else { return Err(Stop::Over) };
        let asked = session.applier.take(bytes, &mut session.client, self.epoch, executor.as_mut());
        let asked = asked.map_err(|why| if self.is_current() { Stop::Broken(why) } else { Stop::Over })?;
        self.failures = 0;
        if asked.ack { self.ack(stream, session) } else { Ok(()) }
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        self.host.replication().follower.update(self.epoch, |f| change(f.sync.get_or_insert_default()));
    }

    fn ack(&self, stream: &mut Dialled, session: &mut Session) -> Result<(), Stop> {
        let offset = self.host.keyspace().journal().end().to_string();
        match self.host.synced() {
            None => send(stream, session, &command(&[b"REPLCONF", b"ACK", offset.as_bytes()])),
            Some(synced) => {
                let synced = synced.to_string();
                let words: [&[u8]; 5] = [b"REPLCONF", b"ACK", offset.as_bytes(), b"FACK", synced.as_bytes()];
                send(stream, session, &command(&words))
            }
        }
    }

    /// The history goes on here; it may have another name now.
    fn go_on(&self, id: Option<String>) {
        let replication = self.host.replication();
        let mut identity = replication.identity.lock();
        if let Some(id) = id.filter(|id| *id != identity.id) {
            tracing::info!("Primary replication ID changed to {id}");
            identity.shift(id, self.host.keyspace().journal().end());
            drop(identity);
            replication.replicas.drop_all(self.host.clients());
        }
        tracing::info!("Successful partial resynchronization with primary.");
    }

    /// The primary serves us: if it was to take over from us it has.
    fn accepted(&self) {
        if self.is_current() {
            failover::succeeded(&*self.host);
        }
    }

    fn online(&self, session: &mut Session) {
        if !session.listed {
            session.listed = true;
            // It takes a place nobody is refused for.
            self.host.clients().admit(u32::MAX);
            self.host.clients().add(Arc::clone(&session.client.shared));
        }
        self.state(LinkState::Connected);
    }

    /// What is done while a copy is waited for: looks whether it is still wanted, and tells the primary, which may have nothing more to
    /// say, that we are there.
    fn wait_on(&self, stream: &mut Dialled, session: &Session, alive_ms: &mut u64) -> Result<(), Stop> {
        if !self.is_current() {
            return Err(Stop::Over);
        }
        if session.client.shared.killed.load(Ordering::Relaxed) {
            return Err(Stop::killed());
        }
        let now = clock::monotonic_ms();
        if now.saturating_sub(*alive_ms) >= ALIVE_MS {
            *alive_ms = now;
            send(stream, session, b"\n")?;
        }
        Ok(())
    }
}

fn send(stream: &mut Dialled, session: &Session, bytes: &[u8]) -> Result<(), Stop> {
    stream.write_all(bytes)?;
    stream.flush()?;
    session.client.shared.net_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// How long a silent primary is believed in. Whole seconds count, as elsewhere: a ping every ten keeps a link whose patience is ten.
fn timeout_ms(config: &Config) -> u64 {
    u64::from(config.replication.repl_timeout_secs) * 1000 + 999
}
