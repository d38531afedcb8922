//! `# TLS`: certificates in use and how long they last.

use super::{Facts, Out};
use crate::metrics::Value::{Signed, Text, Unsigned};
use crate::net::tls::certificate::Identity;

pub(super) fn rows(f: &Facts<'_>, out: Out<'_>) {
    let t = f.tls;
    let now_s = f.now_us / 1_000_000;
    let serial = |i: &Option<Identity>| i.as_ref().map_or_else(|| "none".to_owned(), |i| i.serial.clone());
    let expires = |i: &Option<Identity>| i.as_ref().map_or(0, |i| i.not_after_s - now_s);
    for (name, identity) in [("server", &t.server), ("client", &t.client), ("ca", &t.ca)] {
        out(&format!("tls_{name}_cert_serial"), Text(&serial(identity)));
        out(&format!("tls_{name}_cert_expires_in_seconds"), Signed(expires(identity)));
    }
    if let Some(i) = &t.server {
        out("tls_server_cert_subject", Text(&i.subject));
        out("tls_server_cert_issuer", Text(&i.issuer));
        out("tls_server_cert_key", Text(&i.key));
        out("tls_server_cert_fingerprint", Text(&i.fingerprint));
        out("tls_loaded_time", Signed(t.loaded_ms / 1000));
    }
    out("tls_files_on_disk", Text(t.on_disk()));
    out("tls_reloads", Unsigned(t.reloads));
    out("tls_failed_reloads", Unsigned(t.failed_reloads));
    let one_line: String = t.last_error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    out("tls_last_reload_error", Text(&one_line));
}
