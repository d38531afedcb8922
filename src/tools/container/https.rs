//! One HTTPS request and its answer: what the sidecar of a pod needs to look at its server and to speak to Kubernetes. A
//! connection for each; TLS is the client's approved one.

use crate::tools::cli::connection::say;
use crate::tools::cli::options::TlsOptions;
use crate::tools::cli::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// For connecting, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers to a patch are the patched object: some kilobytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Host {
    pub address: String,
    pub port: u16,
    /// What its certificate has to name.
    pub name: String,
    /// Who has to vouch for it.
    pub authority: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks.
///
/// # Errors
/// What failed, for people.
pub fn ask(host: &Host, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> Result<Answer, String> {
    let of_host = |e: String| format!("{}:{}: {e}", host.address, host.port);
    let options = TlsOptions { ca_file: Some(host.authority.clone()), ..TlsOptions::default() };
    let name = ServerName::try_from(host.name.clone()).map_err(|_| of_host("no name for TLS".into()))?;
    let connection = ClientConnection::new(tls::configuration(&options)?, name).map_err(|e| of_host(e.to_string()))?;
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: application/json\r\nContent-Length: {}\r\n",
        host.name,
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut addresses = (host.address.as_str(), host.port).to_socket_addrs()?;
        let address = addresses.next().ok_or(std::io::ErrorKind::NotFound)?;
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            // Without a goodbye: whether the answer is whole shows in it.
            Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Err(e),
            _ => Ok(answer),
        }
    };
    parse(&exchange().map_err(|e| of_host(say(&e)))?).ok_or_else(|| of_host("not an HTTP answer".into()))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nreplica\n").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "replica\n".into() });
        assert!(parse(b"SSH-2.0").is_none() && parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
