//! The words by which a replica says who it is.

use super::Asked;
use std::collections::VecDeque;

/// How this replica introduces itself.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub listening_port: u16,
    pub announced_address: Option<String>,
    pub version: String,
    /// Our name in the cluster.
    pub node: Option<String>,
    /// The history we have and the number of the byte we want next (counted from 1); `None` asks for everything.
    pub have: Option<(String, u64)>,
    /// This primary is to hand its role to us, or rather we to it: it must take over.
    pub failover: bool,
    /// Copy and stream may come on two connections.
    pub two: bool,
    /// Bytes of the stream that may wait for the copy; 0: as far as memory goes.
    pub held_bytes_max: usize,
    pub timeout_ms: u64,
}

impl Introduction {
    fn login(&self) -> Option<Vec<u8>> {
        let password = self.password.as_ref()?;
        Some(match &self.user {
            Some(user) => command(&[b"AUTH", user, password]),
            None => command(&[b"AUTH", password]),
        })
    }

    /// The words of the link, and what is answered to them.
    pub(super) fn for_link(&self) -> (Vec<u8>, VecDeque<Asked>) {
        let i = self;
        let mut asked = VecDeque::new();
        let mut bytes = Vec::new();
        if let Some(login) = i.login() {
            bytes.extend(login);
            asked.push_back(Asked::Auth);
        }
        let mut replconf = |words: &[&[u8]]| {
            bytes.extend(command(&[&[&b"REPLCONF"[..]], words].concat()));
            asked.push_back(Asked::Optional);
        };
        replconf(&[b"listening-port", i.listening_port.to_string().as_bytes()]);
        if let Some(address) = &i.announced_address {
            replconf(&[b"ip-address", address.as_bytes()]);
        }
        if i.two {
            replconf(&[b"capa", b"eof", b"capa", b"psync2", b"capa", b"dual-channel"]);
        } else {
            replconf(&[b"capa", b"eof", b"capa", b"psync2"]);
        }
        replconf(&[b"version", i.version.as_bytes()]);
        if let Some(node) = &i.node {
            replconf(&[b"set-cluster-node-id", node.as_bytes()]);
        }
        (bytes, asked)
    }

    /// The words of the copy's connection.
    pub(super) fn for_copy(&self) -> (Vec<u8>, VecDeque<Asked>) {
        let i = self;
        let (mut bytes, mut asked) = (Vec::new(), VecDeque::new());
        if let Some(login) = i.login() {
            bytes.extend(login);
            asked.push_back(Asked::Auth);
        }
        let port = i.listening_port.to_string();
        let mut words: Vec<&[u8]> = vec![b"REPLCONF", b"capa", b"eof", b"rdb-only", b"1", b"rdb-channel", b"1"];
        words.extend([b"listening-port", port.as_bytes()]);
        if let Some(address) = &i.announced_address {
            words.extend([&b"ip-address"[..], address.as_bytes()]);
        }
        words.extend([&b"version"[..], i.version.as_bytes()]);
        bytes.extend(command(&words));
        asked.push_back(Asked::CopyChannel);
        (bytes, asked)
    }
}

pub fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for a in args {
        out.extend_from_slice(format!("${}\r\n", a.len()).as_bytes());
        out.extend_from_slice(a);
        out.extend_from_slice(b"\r\n");
    }
    out
}
