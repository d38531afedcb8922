//! What follows a TLS handshake: its figures, and who the client's certificate says it is.

use super::connection::Connection;
use crate::acl::{Context, Reason};
use crate::audit::{Event, Outcome};
use crate::commands::connection::describe_client;
use crate::commands::{Node, audit_record};
use crate::config::Config;
use crate::config::types::TlsAuthClientsUser;
use crate::metrics::counters::Counter;
use crate::metrics::recorder::Recorder;
use crate::net::StreamError;
use crate::net::tls::{certificate, identity};
use rustls::PeerIncompatible as P;

/// Counts a handshake that succeeded by what was agreed on, and signs the client in by its certificate where that is asked for.
pub fn done(node: &Node, config: &Config, recorder: &mut Recorder, c: &mut Connection, now_ms: i64) {
    let Some(n) = c.stream.negotiated() else { return };
    let mut add = |counter| recorder.counters.add(counter, 1);
    add(if n.version == "TLSv1.3" { Counter::TlsHandshakes13 } else { Counter::TlsHandshakes12 });
    if n.resumed {
        add(Counter::TlsHandshakesResumed);
    }
    match n.suite {
        "TLS_AES_128_GCM_SHA256" => add(Counter::TlsSuite13Aes128),
        "TLS_AES_256_GCM_SHA384" => add(Counter::TlsSuite13Aes256),
        "ECDHE-ECDSA-AES128-GCM-SHA256" => add(Counter::TlsSuite12EcdsaAes128),
        "ECDHE-ECDSA-AES256-GCM-SHA384" => add(Counter::TlsSuite12EcdsaAes256),
        "ECDHE-RSA-AES128-GCM-SHA256" => add(Counter::TlsSuite12RsaAes128),
        "ECDHE-RSA-AES256-GCM-SHA384" => add(Counter::TlsSuite12RsaAes256),
        _ => {}
    }
    match n.group {
        "P-256" => add(Counter::TlsGroupP256),
        "P-384" => add(Counter::TlsGroupP384),
        "SecP256r1MLKEM768" => add(Counter::TlsGroupP256MlKem),
        "X25519MLKEM768" => add(Counter::TlsGroupX25519MlKem),
        _ => {}
    }
    let der = c.stream.peer_certificate().map(|der| der.to_vec());
    {
        let mut text = c.client.shared.text.lock();
        text.tls = [n.version, " ", n.suite].concat();
        text.certificate = der.as_ref().map(|der| certificate::fingerprint(der)).unwrap_or_default();
    }
    let Some(der) = der else { return };
    c.client.has_certificate = true;
    let names = match config.tls.auth_clients_user {
        TlsAuthClientsUser::Off => return,
        TlsAuthClientsUser::Cn => identity::common_name(&der),
        TlsAuthClientsUser::Uri => identity::uris(&der),
    };
    let user = names.names.iter().find_map(|name| node.acl.get(name).filter(|user| user.is_enabled()));
    if let Some(user) = user {
        let name = String::from_utf8_lossy(user.name()).into_owned();
        tracing::debug!("TLS: signed in as '{name}' by certificate (addr={})", c.client.shared.addr);
        c.client.sign_in(&node.acl, user);
        if node.audit.is_on() {
            let record = audit_record(Event::LoginOk, Outcome::Done, &c.client.shared);
            node.audit.record(record.with("by", "certificate"));
        }
        return;
    }
    let Some(shown) = names.refused.first().or(names.names.first()).cloned() else { return };
    recorder.counters.add(Counter::AclDeniedTlsCert, 1);
    tracing::info!(
        "TLS: the certificate of {} names '{}', which is no enabled user",
        c.client.shared.addr,
        shown.escape_ascii()
    );
    let line = describe_client(&c.client.shared, node.commands, now_ms);
    let len_max = usize::try_from(config.memory.acllog_max_len).unwrap_or(usize::MAX);
    node.acl.log.record(Reason::Certificate, Context::Toplevel, b"TLS", &shown, line, now_ms, len_max);
    if node.audit.is_on() {
        let record = audit_record(Event::LoginFailed, Outcome::Denied, &c.client.shared);
        node.audit.record(record.with("by", "certificate").with_bytes("names", &shown));
    }
}

/// Counts a handshake that failed, by its reason.
pub fn failed(recorder: &mut Recorder, error: &StreamError) {
    recorder.counters.add(Counter::TlsHandshakesFailed, 1);
    let reason = match error {
        StreamError::Tls(rustls::Error::PeerIncompatible(why)) => match why {
            P::NoCipherSuitesInCommon => Counter::TlsRefusedSuite,
            P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired | P::KeyShareExtensionRequired => {
                Counter::TlsRefusedGroup
            }
            P::NoSignatureSchemesInCommon
            | P::NoCertificateRequestSignatureSchemesInCommon
            | P::SignatureAlgorithmsExtensionRequired => Counter::TlsRefusedSignature,
            P::ExtendedMasterSecretExtensionRequired => Counter::TlsRefusedEms,
            P::ServerDoesNotSupportTls12Or13
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::SupportedVersionsExtensionRequired
            | P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled => Counter::TlsRefusedVersion,
            _ => Counter::TlsRefusedProtocol,
        },
        StreamError::Tls(
            rustls::Error::NoCertificatesPresented
            | rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidCertRevocationList(_)
            | rustls::Error::UnsupportedNameType,
        ) => Counter::TlsRefusedCertificate,
        StreamError::Tls(rustls::Error::AlertReceived(_)) | StreamError::Socket(_) => Counter::TlsRefusedByPeer,
        _ => Counter::TlsRefusedProtocol,
    };
    recorder.counters.add(reason, 1);
}
