//! `-u`: `valkey://user:password@host:port/database`, `valkeys://` for TLS, `redis://` and `rediss://` as the same.

use super::options::Options;
use super::words::leading_number;

/// Writes what a URI says into the options.
///
/// # Errors
/// The scheme is not one of the four, or the port is not a port.
pub fn apply(uri: &str, options: &mut Options) -> Result<(), String> {
    let scheme = |name: &str| uri.get(..name.len()).filter(|s| s.eq_ignore_ascii_case(name)).and(uri.get(name.len()..));
    let rest = if let Some(rest) = scheme("valkeys://").or_else(|| scheme("rediss://")) {
        options.tls = true;
        rest
    } else {
        scheme("valkey://").or_else(|| scheme("redis://")).ok_or("Invalid URI scheme")?
    };

    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host_and_port = match authority.rsplit_once('@') {
        None => authority,
        Some((credentials, host_and_port)) => {
            let password = match credentials.split_once(':') {
                Some((user, password)) => {
                    options.user = Some(String::from_utf8_lossy(&percent_decoded(user)).into_owned());
                    password
                }
                // A lonely word is the password.
                None => credentials,
            };
            options.password = Some(percent_decoded(password));
            options.password_exposed = true;
            host_and_port
        }
    };

    let (host, port) = match host_and_port.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match host_and_port.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_and_port, None),
        },
    };
    if !host.is_empty() {
        options.host = Some(host.to_string());
    }
    if let Some(port) = port {
        options.port = Some(port.parse().map_err(|_| "Invalid server port.")?);
    }
    let database = path.split(['?', '#']).next().unwrap_or_default();
    if !database.is_empty() {
        options.database = leading_number(database);
    }
    Ok(())
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let mut ahead = bytes.clone();
        let mut digit = || ahead.next().and_then(|b| char::from(b).to_digit(16));
        if b == b'%'
            && let (Some(high), Some(low)) = (digit(), digit())
        {
            out.push((high * 16 + low) as u8);
            bytes = ahead;
        } else {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_uri_is_taken() {
        let mut o = Options::default();
        apply("valkeys://us%41er:p%40ss@example.org:7000/5", &mut o).unwrap();
        assert!(o.tls);
        assert_eq!(o.user.as_deref(), Some("usAer"));
        assert_eq!(o.password.as_deref(), Some(&b"p@ss"[..]));
        assert_eq!((o.host.as_deref(), o.port, o.database), (Some("example.org"), Some(7000), 5));
    }

    #[test]
    fn parts_may_be_missing_and_addresses_may_be_ipv6() {
        let mut o = Options::default();
        apply("redis://secret@[::1]:7000", &mut o).unwrap();
        assert_eq!((o.host.as_deref(), o.port, o.user.as_deref()), (Some("::1"), Some(7000), None));
        assert_eq!(o.password.as_deref(), Some(&b"secret"[..]));
        let mut o = Options::default();
        apply("VALKEY://", &mut o).unwrap();
        assert_eq!((o.host, o.port, o.password, o.tls), (None, None, None, false));
        assert!(apply("valkey://h:x", &mut Options::default()).is_err());
        assert_eq!(percent_decoded("%zz%4"), b"%zz%4");
    }
}
