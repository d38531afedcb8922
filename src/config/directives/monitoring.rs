//! Monitoring: the HTTP endpoint for probes and metrics.

use crate::config::codec::{OneOf, PORT, Password, TEXT, YesNo};
use crate::config::directives::network::everywhere;
use crate::config::row::{Standing, topic};
use crate::config::special::Bind;
use crate::config::types::{BindAddress, Secret, TlsAuthClients};

topic! {
    /// The HTTP endpoint for probes and metrics.
    Monitoring in monitoring, "Monitoring";

    /// Port of the HTTP endpoint: /livez, /readyz, /startupz, /primary, /replica, /metrics. 0 does not listen. It speaks
    /// TLS with the certificate of `tls-cert-file`.
    "http-port" => port: u16 = 0, PORT, Start, Open, Standing::Works;
    /// Addresses the HTTP endpoint listens on, written as those of `bind`.
    "http-bind" => bind: Vec<BindAddress> = everywhere(), Bind, Start, Open, Standing::Works;
    /// TLS on the HTTP endpoint. `no` needs `allow-plaintext`: with `local` it listens on loopback addresses only.
    "http-tls" => tls: bool = true, YesNo, Start, Open, Standing::Works;
    /// Whether clients of the HTTP endpoint must show a certificate of `tls-ca-cert-file`.
    "http-auth-clients" => auth_clients: TlsAuthClients = TlsAuthClients::No, OneOf, Start, Open, Standing::Works;
    /// User of the metrics, when they have a password.
    "http-user" => user: String = "metrics".into(), TEXT, Runtime, Open, Standing::Works;
    /// Password of the metrics (HTTP basic authentication); empty asks for none. Probes never ask.
    "http-password" => password: Secret = Secret::default(), Password, Runtime, Secret, Standing::Works;
}
