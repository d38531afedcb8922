//! What the entry point asks other servers before it starts its own: ROLE of its peers, the primary's address of a sentinel.
//! Everything has an end: a peer that does not answer in time is silent.

use super::pods::{Peer, Role};
use crate::base::clock;
use crate::resp::client::Value;
use crate::tools::cli::connection::{Connection, Target};
use crate::tools::cli::options::{AddressFamily, TlsOptions};
use std::sync::mpsc;
use std::time::Duration;

/// For connecting, and for the handshake.
const CONNECT: Duration = Duration::from_secs(2);
/// For everything that is asked at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How other servers are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    pub user: Option<String>,
    pub password: Option<String>,
    /// `None`: plaintext.
    pub tls: Option<TlsOptions>,
}

/// Other servers, handed in, so that tests need none.
pub trait Others {
    /// What each answers to ROLE; `None` is silent.
    fn roles(&self, peers: &[Peer], access: &Access) -> Vec<Option<Role>>;
    /// Where a sentinel says the primary is.
    ///
    /// # Errors
    /// It does not answer, or knows no such name.
    fn primary_of(&self, sentinel: &Peer, name: &str, access: &Access) -> Result<Peer, String>;
}

/// Those of the network.
pub struct Network;

impl Others for Network {
    fn roles(&self, peers: &[Peer], access: &Access) -> Vec<Option<Role>> {
        let asked: Vec<_> = peers
            .iter()
            .map(|peer| {
                let (peer, access) = (peer.clone(), access.clone());
                in_time(move || role_of(&mut open(&peer, &access)?))
            })
            .collect();
        let end_ms = clock::monotonic_ms() + PATIENCE.as_millis() as u64;
        let left = || Duration::from_millis(end_ms.saturating_sub(clock::monotonic_ms()));
        asked.into_iter().map(|answer| answer.recv_timeout(left()).ok()?.ok()).collect()
    }

    fn primary_of(&self, sentinel: &Peer, name: &str, access: &Access) -> Result<Peer, String> {
        let (peer, access, name) = (sentinel.clone(), access.clone(), name.to_owned());
        let answer = in_time(move || {
            let reply = open(&peer, &access)?.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &name])?;
            let fields: Vec<&[u8]> = reply.elements().unwrap_or_default().iter().filter_map(Value::text).collect();
            match (fields.as_slice(), &reply) {
                ([host, port], _) => Peer::parse(&String::from_utf8_lossy(port), 0)
                    .and_then(|p| p.host.parse().map_err(|_| "it answers a port that is no number".to_owned()))
                    .map(|port| Peer { host: String::from_utf8_lossy(host).into_owned(), port }),
                (_, Value::Error(e)) => Err(String::from_utf8_lossy(e).into_owned()),
                _ => Err(format!("it knows no primary called '{name}'")),
            }
        });
        answer.recv_timeout(PATIENCE).map_err(|_| "no answer in time".to_owned())?
    }
}

/// Runs `ask` on a thread of its own, which nobody waits for longer than they like.
fn in_time<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> mpsc::Receiver<Result<T, String>> {
    let (tell, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(ask());
    });
    answer
}

/// A connection that has logged in.
///
/// # Errors
/// What failed, for people.
pub fn open(peer: &Peer, access: &Access) -> Result<Connection, String> {
    let target = Target {
        host: peer.host.clone(),
        port: peer.port,
        socket: None,
        tls: access.tls.clone(),
        family: AddressFamily::Any,
        connect_timeout: Some(CONNECT),
    };
    let mut connection = Connection::open(&target)?;
    if let Some(password) = &access.password {
        let words = ["AUTH"].into_iter().chain(access.user.as_deref()).chain([password.as_str()]);
        if let Value::Error(e) = connection.ask(&words.collect::<Vec<_>>())? {
            return Err(String::from_utf8_lossy(&e).into_owned());
        }
    }
    Ok(connection)
}

/// ROLE.
///
/// # Errors
/// What failed, for people.
pub fn role_of(connection: &mut Connection) -> Result<Role, String> {
    let reply = connection.ask(&["ROLE"])?;
    let fields = reply.elements().unwrap_or_default();
    let text = |i: usize| fields.get(i).and_then(Value::text).map(|t| String::from_utf8_lossy(t).into_owned());
    match (text(0).as_deref(), text(1), fields.get(2).and_then(Value::integer)) {
        (Some("master"), ..) => Ok(Role::Primary),
        (Some("slave"), Some(host), Some(port)) => {
            Ok(Role::Replica(Peer { host, port: u16::try_from(port).unwrap_or(0) }))
        }
        _ => Err(reply.text().map_or("not an answer to ROLE".into(), |e| String::from_utf8_lossy(e).into_owned())),
    }
}
