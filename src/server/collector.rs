//! The connection to the collector of audit records: syslog over TLS.

use crate::audit::{Collector, Link};
use crate::config::Config;
use crate::engine::client_tls;
use crate::net::dial::{self, Dialled};
use std::io::{self, Write};
use std::time::Duration;

/// How long a connection, and each message, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `audit-syslog-tls` names, if anything.
///
/// # Errors
/// It is no `host:port`.
pub fn of(config: &Config) -> Result<Option<Collector>, String> {
    let named = config.audit.syslog_tls.trim();
    if named.is_empty() {
        return Ok(None);
    }
    let parts =
        named.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|p| *p != 0)?)));
    let Some((host, port)) = parts.filter(|(host, _)| !host.is_empty()) else {
        return Err(format!("audit-syslog-tls '{named}' is no host:port, such as logs.example.com:6514"));
    };
    // The files are read anew for each connection; whether they can be used is told now.
    client_tls(config, config.audit.syslog_ca_cert_file.as_deref()).map_err(|e| format!("audit-syslog-tls: {e}"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let config = config.clone();
    let dial = move || {
        // The files are read anew for each connection: certificates are replaced while the server runs.
        let tls = client_tls(&config, config.audit.syslog_ca_cert_file.as_deref())?;
        let socket = dial::tls(&host, port, Some(PATIENCE), tls, None, None).map_err(|e| e.to_string())?;
        Ok(Box::new(Connection(socket)) as Box<dyn Link>)
    };
    Ok(Some(Collector { name: named.to_owned(), host: super::tls::hostname(), dial: Box::new(dial) }))
}

struct Connection(Dialled);

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_within(bytes, PATIENCE).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Link for Connection {
    fn is_open(&mut self) -> bool {
        // A collector says nothing but that it ends, and what a new session brings at its beginning.
        self.0.has_ended().is_ok_and(|ended| !ended)
    }
}
