//! The types of directives' values that need more than a number or a word.
//!
//! Invariant: a value of these types is one the server can obey; there is no second check after parsing.

use zeroize::Zeroizing;

/// An enumeration whose values have words in the configuration file. Several words may stand for one value; the first
/// one is printed.
pub trait Choice: Copy + PartialEq + 'static {
    /// Words and values, in the order error texts list them.
    const WORDS: &'static [(&'static str, Self)];
}

/// Defines an enumeration with its words.
macro_rules! choice {
    ($(#[doc = $about:literal])* $name:ident { $( $(#[doc = $doc:literal])* $value:ident = $word:literal ),+ $(,)? }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $doc])* $value ),+ }
        impl Choice for $name {
            const WORDS: &'static [(&'static str, Self)] =
                &[ $( ($word, $name::$value) ),+ ];
        }
        impl $name {
            /// Its word in the configuration.
            pub fn word(self) -> &'static str {
                Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(word, _)| word)
            }
        }
    };
}

choice! {
    /// Whether plaintext may be spoken.
    AllowPlaintext {
        /// Never: `port` and `unixsocket` are refused.
        No = "no",
        /// On loopback addresses and unix sockets.
        Local = "local",
        /// Everywhere.
        Yes = "yes",
    }
}
choice! {
    /// Who may use something dangerous.
    Permission { No = "no", Yes = "yes", Local = "local" }
}
choice! {
    /// Whether TLS clients show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
}
choice! {
    /// Which field of a client's certificate names its user.
    TlsAuthClientsUser { Cn = "CN", Uri = "URI", Off = "off" }
}
choice! {
    /// Least severe line that is logged.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing" }
}
choice! {
    /// Shape of a log line.
    LogFormat { Legacy = "legacy", Logfmt = "logfmt", Json = "json" }
}
choice! {
    /// Shape of a log line's time.
    LogTimestampFormat { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }
}
choice! {
    /// Facility of lines sent to syslog.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3", Local4 = "local4",
        Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
}
choice! {
    /// What is evicted when `maxmemory` is reached.
    EvictionPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl", AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", Noeviction = "noeviction",
    }
}
choice! {
    /// When the append-only file is forced to disk.
    AppendFsync { Everysec = "everysec", Always = "always", No = "no" }
}
choice! {
    /// Who supervises the process.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
}
/// How `oom-score-adj-values` are applied. Written out because two words are one value: `yes` is printed for `relative`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomScoreAdj {
    /// The kernel's score is left alone.
    No,
    /// Added to the score the process started with.
    Relative,
    /// The score itself.
    Absolute,
}

impl Choice for OomScoreAdj {
    const WORDS: &'static [(&'static str, Self)] =
        &[("no", Self::No), ("yes", Self::Relative), ("relative", Self::Relative), ("absolute", Self::Absolute)];
}

choice! {
    /// What happens when an audit record cannot be written.
    AuditFailure { Continue = "continue", Block = "block" }
}
choice! {
    /// Whether the process gives up what it does not need: not, where the kernel lets it, or else it does not start.
    Limit { No = "no", Try = "try", Yes = "yes" }
}
choice! {
    /// How clear passwords of users are kept.
    AclPasswordHash { Sha256 = "sha256", Pbkdf2 = "pbkdf2" }
}
choice! {
    /// Channels a new user may use.
    AclPubsubDefault { Allchannels = "allchannels", Resetchannels = "resetchannels" }
}
choice! {
    /// How strictly the version of an RDB file is held against ours.
    RdbVersionCheck { Strict = "strict", Relaxed = "relaxed" }
}
choice! {
    /// Whether data on disk are sealed.
    EncryptionAtRest { No = "no", Migrate = "migrate", Yes = "yes" }
}
choice! {
    /// Which server has to be able to load the RDB files that are written.
    RdbVersion { V9 = "9.1", V8_1 = "8.1" }
}
choice! {
    /// How a replica loads a full synchronisation that came without a file.
    ReplDisklessLoad {
        Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb", FlushBeforeLoad = "flush-before-load",
    }
}
choice! {
    /// What happens when a replicated command fails.
    PropagationErrorBehavior { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
}
choice! {
    /// What cluster clients are told to connect to.
    ClusterPreferredEndpoint { Ip = "ip", Hostname = "hostname", UnknownEndpoint = "unknown-endpoint" }
}
choice! {
    /// Whether a failure to save the cluster's file stops the node.
    ClusterConfigSave { Sync = "sync", BestEffort = "best-effort" }
}

/// A size in bytes, or a share of `maxmemory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// Percent of `maxmemory`, 1 to 100.
    Percent(u8),
}

impl MemoryLimit {
    /// The limit in bytes for a `maxmemory` in bytes; 0 is no limit.
    pub fn bytes(self, maxmemory: u64) -> u64 {
        match self {
            MemoryLimit::Bytes(bytes) => bytes,
            MemoryLimit::Percent(percent) => {
                u64::try_from(u128::from(maxmemory) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

/// A password or pass phrase: wiped when dropped, absent from `Debug`. Empty means unset.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
    /// The secret itself; never to be logged.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// Whether it is unset.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.is_empty() { "Secret(unset)" } else { "Secret(***)" })
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    /// An address or host name, `*` (all IPv4) or `::*` (all IPv6).
    pub address: String,
    /// With a `-` before it: not being available is no error.
    pub optional: bool,
}

/// `after_secs` with at least `changes`: take a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    pub after_secs: u64,
    pub changes: u32,
}

/// Output buffer limits of one class of clients; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimit {
    /// A client above it is closed at once.
    pub hard_bytes: u64,
    /// A client above it for `soft_seconds` is closed.
    pub soft_bytes: u64,
    pub soft_seconds: u32,
}

/// Output buffer limits of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    pub replica: OutputLimit,
    pub pubsub: OutputLimit,
}

/// Keyspace event classes as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyspaceEvents(pub u32);

impl KeyspaceEvents {
    pub const KEYSPACE: u32 = 1 << 0;
    pub const KEYEVENT: u32 = 1 << 1;
    pub const GENERIC: u32 = 1 << 2;
    pub const STRING: u32 = 1 << 3;
    pub const LIST: u32 = 1 << 4;
    pub const SET: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const ZSET: u32 = 1 << 7;
    pub const EXPIRED: u32 = 1 << 8;
    pub const EVICTED: u32 = 1 << 9;
    pub const STREAM: u32 = 1 << 10;
    pub const KEY_MISS: u32 = 1 << 11;
    pub const MODULE: u32 = 1 << 13;
    pub const NEW: u32 = 1 << 14;
    /// What `A` stands for: every class but key misses and new keys.
    pub const ALL: u32 = Self::GENERIC
        | Self::STRING
        | Self::LIST
        | Self::SET
        | Self::HASH
        | Self::ZSET
        | Self::EXPIRED
        | Self::EVICTED
        | Self::STREAM
        | Self::MODULE;

    /// Letters and bits, in the order CONFIG GET prints them.
    pub const LETTERS: &'static [(u8, u32)] = &[
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
    ];

    /// Whether any of `bits` is wanted.
    pub fn contains(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// What a signal's shutdown does; all false is `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownOptions {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
    pub safe: bool,
    pub failover: bool,
}

/// Percentiles INFO latencystats shows, each 0 to 100.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Percentiles(pub Vec<f64>);

/// A command that is renamed, or taken away when `to` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    pub from: String,
    pub to: String,
}
