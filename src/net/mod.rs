//! Listeners, streams (TCP, Unix, TLS), TLS configuration. Knows no RESP.
