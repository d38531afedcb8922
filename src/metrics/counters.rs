//! The server's running totals, each worker counting in cells of its own.
//!
//! The list below is the one place that names a counter: its variant, and the row it has in INFO and in the metrics.

use super::cells::{Cells, Count, Registry, Writer};
use super::{Section, Value};
use std::sync::Arc;

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// A running total.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $variant,)* }

        impl Counter {
            /// All counters, in the order INFO prints them.
            pub const ALL: &[Counter] = &[$(Counter::$variant,)*];

            /// The counter's row.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    ConnectionsReceived => "total_connections_received",
    /// Commands run.
    CommandsProcessed => "total_commands_processed",
    /// Bytes read from clients, after TLS.
    NetInputBytes => "total_net_input_bytes",
    /// Bytes written to clients, before TLS.
    NetOutputBytes => "total_net_output_bytes",
    /// Bytes read from a primary or replicas.
    NetReplInputBytes => "total_net_repl_input_bytes",
    /// Bytes written to replicas.
    NetReplOutputBytes => "total_net_repl_output_bytes",
    /// Connections refused for maxclients.
    RejectedConnections => "rejected_connections",
    /// Full synchronisations with replicas.
    SyncFull => "sync_full",
    /// Partial synchronisations granted.
    SyncPartialOk => "sync_partial_ok",
    /// Partial synchronisations refused.
    SyncPartialErr => "sync_partial_err",
    /// Keys removed because their time was over.
    ExpiredKeys => "expired_keys",
    /// Hash fields removed because their time was over.
    ExpiredFields => "expired_fields",
    /// Expiry cycles that ran out of their share of time.
    ExpiredTimeCapReached => "expired_time_cap_reached_count",
    /// Keys removed for maxmemory.
    EvictedKeys => "evicted_keys",
    /// Clients disconnected for maxmemory-clients.
    EvictedClients => "evicted_clients",
    /// Cached scripts removed for room.
    EvictedScripts => "evicted_scripts",
    /// Reads that found their key.
    KeyspaceHits => "keyspace_hits",
    /// Reads that did not.
    KeyspaceMisses => "keyspace_misses",
    /// Error replies where none may be: to a primary, or while loading a file.
    UnexpectedErrorReplies => "unexpected_error_replies",
    /// Error replies.
    ErrorReplies => "total_error_replies",
    /// Values checked in depth on RESTORE or load.
    DumpPayloadSanitizations => "dump_payload_sanitizations",
    /// Receive calls that brought bytes.
    ReadsProcessed => "total_reads_processed",
    /// Send calls that took bytes.
    WritesProcessed => "total_writes_processed",
    /// Clients disconnected for client-query-buffer-limit.
    QueryBufferLimitDisconnections => "client_query_buffer_limit_disconnections",
    /// Clients disconnected for client-output-buffer-limit.
    OutputBufferLimitDisconnections => "client_output_buffer_limit_disconnections",
    /// Turns of the workers' loops.
    EventloopCycles => "eventloop_cycles",
    /// Microseconds in turns.
    EventloopDurationUsec => "eventloop_duration_sum",
    /// Microseconds in turns spent running commands.
    EventloopDurationCmdUsec => "eventloop_duration_cmd_sum",
    /// Refused logins.
    AclDeniedAuth => "acl_access_denied_auth",
    /// Commands refused by permission.
    AclDeniedCmd => "acl_access_denied_cmd",
    /// Keys refused by permission.
    AclDeniedKey => "acl_access_denied_key",
    /// Channels refused by permission.
    AclDeniedChannel => "acl_access_denied_channel",
    /// Client certificates that name no usable user.
    AclDeniedTlsCert => "acl_access_denied_tls_cert",
    /// Databases refused by permission.
    AclDeniedDb => "acl_access_denied_db",
    /// Completed TLS 1.2 handshakes.
    TlsHandshakes12 => "tls_handshakes_tls12",
    /// Completed TLS 1.3 handshakes.
    TlsHandshakes13 => "tls_handshakes_tls13",
    /// Completed handshakes that resumed a session.
    TlsHandshakesResumed => "tls_handshakes_resumed",
    /// Handshakes that failed.
    TlsHandshakesFailed => "tls_handshakes_failed",
    /// Completed handshakes with this group.
    TlsGroupP256 => "tls_group_p256",
    /// Completed handshakes with this group.
    TlsGroupP384 => "tls_group_p384",
    /// Completed handshakes with this group.
    TlsGroupP256MlKem => "tls_group_secp256r1mlkem768",
    /// Completed handshakes with this group.
    TlsGroupX25519MlKem => "tls_group_x25519mlkem768",
    /// Refused: no version in common.
    TlsRefusedVersion => "tls_refused_version",
    /// Refused: no approved cipher suite in common.
    TlsRefusedSuite => "tls_refused_suite",
    /// Refused: no approved group in common.
    TlsRefusedGroup => "tls_refused_group",
    /// Refused: no approved signature scheme in common.
    TlsRefusedSignature => "tls_refused_signature_scheme",
    /// Refused: no extended master secret in TLS 1.2.
    TlsRefusedEms => "tls_refused_extended_master_secret",
    /// Refused: no client certificate, or one that does not verify.
    TlsRefusedCertificate => "tls_refused_certificate",
    /// Refused: what came was not TLS, or against its rules.
    TlsRefusedProtocol => "tls_refused_protocol",
    /// Ended by the other side: by its alert, or by going away.
    TlsRefusedByPeer => "tls_refused_by_peer",
    /// Completed handshakes with this suite.
    TlsSuite13Aes128 => "tls_suite_tls13_aes_128_gcm_sha256",
    /// Completed handshakes with this suite.
    TlsSuite13Aes256 => "tls_suite_tls13_aes_256_gcm_sha384",
    /// Completed handshakes with this suite.
    TlsSuite12EcdsaAes128 => "tls_suite_ecdhe_ecdsa_with_aes_128_gcm_sha256",
    /// Completed handshakes with this suite.
    TlsSuite12EcdsaAes256 => "tls_suite_ecdhe_ecdsa_with_aes_256_gcm_sha384",
    /// Completed handshakes with this suite.
    TlsSuite12RsaAes128 => "tls_suite_ecdhe_rsa_with_aes_128_gcm_sha256",
    /// Completed handshakes with this suite.
    TlsSuite12RsaAes256 => "tls_suite_ecdhe_rsa_with_aes_256_gcm_sha384",
}

/// One writing thread's totals.
pub struct Totals([Count; Counter::ALL.len()]);

impl Totals {
    const fn new() -> Self {
        Totals([const { Count::new() }; Counter::ALL.len()])
    }
}

impl Cells for Totals {
    fn clear(&self) {
        self.0.iter().for_each(Count::clear);
    }
}

/// The right to add to one thread's totals.
pub struct CounterRecorder(Writer<Totals>);

impl CounterRecorder {
    /// Adds to a total.
    #[inline]
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(count) = self.0.cells().0.get(counter as usize) {
            count.add(n);
        }
    }
}

/// The totals of all threads. As a [`Section`] it is `stats`: every counter in order.
#[derive(Clone)]
pub struct Counters(Arc<Registry<Totals>>);

impl Counters {
    /// Totals for `writers` threads (the workers, and one for each other thread that counts), and each one's recorder.
    pub fn new(writers: usize) -> (Self, Vec<CounterRecorder>) {
        let (registry, writers) = Registry::new(writers, Totals::new);
        (Counters(registry), writers.into_iter().map(CounterRecorder).collect())
    }

    /// One more thread's recorder, as long as there is room for one.
    pub fn add(&self) -> Option<CounterRecorder> {
        self.0.add().map(CounterRecorder)
    }

    /// A total over all threads since the last reset.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.sum(|totals| totals.0.get(counter as usize).map_or(0, Count::get))
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        self.0.reset();
    }
}

impl Section for Counters {
    fn name(&self) -> &str {
        "stats"
    }

    fn rows(&self, out: &mut dyn FnMut(&str, Value<'_>)) {
        Counter::ALL.iter().for_each(|counter| out(counter.name(), Value::Unsigned(self.get(*counter))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn totals_sum_over_threads_and_reset() {
        let (counters, mut threads) = Counters::new(3);
        threads[0].add(Counter::KeyspaceHits, 2);
        threads[2].add(Counter::KeyspaceHits, 3);
        assert_eq!(counters.get(Counter::KeyspaceHits), 5);
        counters.reset();
        assert_eq!(counters.get(Counter::KeyspaceHits), 0);
    }

    #[test]
    fn each_counter_has_one_row_of_its_own() {
        let (counters, _threads) = Counters::new(1);
        let mut names = BTreeSet::new();
        counters.rows(&mut |name, _| assert!(names.insert(name.to_owned()), "{name} twice"));
        assert_eq!(names.len(), Counter::ALL.len());
        assert!(Counter::ALL.iter().enumerate().all(|(i, c)| *c as usize == i));
    }
}
