//! The audit log.

use std::path::PathBuf;

use crate::config::codec::{File, INT, MEM, OneOf, TEXT, YesNo};
use crate::config::row::{Standing, topic};
use crate::config::types::AuditFailure;

topic! {
    /// The audit log: where, under which key, for how long.
    Audit in audit, "Audit log";

    /// File to append records to; empty is no audit log. `holdfast audit verify` checks it.
    "audit-file" => file: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// Key of the records' chain: at least 14 bytes, best `openssl rand -hex 32`. When it is not set one is made beside the log, which
    /// protects only against those who cannot read it.
    "audit-key-file" => key_file: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// What happens when a record cannot be written: `continue` counts it as lost and records that, `block` runs no command until it can.
    "audit-failure" => failure: AuditFailure = AuditFailure::Continue, OneOf, Start, Open, Standing::Works;
    /// A file that reached this size is put aside and another begun; 0 never.
    "audit-max-bytes" => bytes_max: u64 = 64 << 20, MEM, Start, Open, Standing::Works;
    /// Days a file that was put aside is kept; 0 for ever.
    "audit-retention-days" => retention_days: u32 = 0, INT, Start, Open, Standing::Works;
    /// Send records to the system's log service as well (facility authpriv).
    "audit-syslog" => syslog: bool = false, YesNo, Start, Open, Standing::Works;
    /// Collector to send records to as well, `host:port`: syslog over TLS (RFC 5425, whose port is 6514). Its certificate is verified and ours
    /// shown as on the link to a primary. Nobody waits for it: records beyond some thousands that it has not taken are counted, not kept.
    "audit-syslog-tls" => syslog_tls: String = String::new(), TEXT, Start, Open, Standing::Works;
    /// Authorities that the collector's certificate is held against, instead of tls-ca-cert-file and tls-ca-cert-dir.
    "audit-syslog-ca-cert-file" => syslog_ca_cert_file: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// Patterns of keys, with blanks between them, whose every use is recorded.
    "audit-keys" => keys: String = String::new(), TEXT, Start, Open, Standing::Works;
}
