//! The messages of the cluster bus, as bytes. The layout is that of Valkey's protocol version 1; all numbers are big-endian.
//!
//! ```text
//!    0 "RCmb"          4 total length     8 version (1)    10 port           12 type            14 gossip sections
//!   16 current epoch  24 config epoch    32 offset         40 sender (40)    80 slots (2048)  2128 replica of (40)
//! 2168 ip (46)      2214 extensions    2216 unused (30)  2246 other port   2248 bus port      2250 flags
//! 2252 state        2253 message flags 2256 body
//!
//! gossip section (104): id 40, ping sent 4, pong received 4 (seconds), ip 46, port 2, bus port 2, flags 2, other port 2, unused 2
//! extension (multiple of 8): length 4 with this head, type 2, unused 2, data
//! ```
//!
//! A message with the highest bit of its type set has a head of 16 bytes (signature, length, version, unused 2, type, unused 2) and is one of
//! PUBLISH; it says nothing of its sender.
//!
//! # Invariants
//! * Nothing is believed of a length before it has been held against what is there, and nothing is reserved for what has not come.
//! * Ids are 40 hexadecimal digits, addresses and names printable characters without the file's separators: what is not ends the link. What
//!   comes out of here can be written to `cluster-config-file` as it is.

use super::node::NodeId;
use super::slots::{SLOT_BYTES, Slots};

/// Bytes before the body.
pub const HEAD_BYTES: usize = 2256;
const LIGHT_HEAD_BYTES: usize = 16;
const GOSSIP_BYTES: usize = 104;
const IP_BYTES: usize = 46;
const LIGHT: u16 = 0x8000;
const SIGNATURE: &[u8; 4] = b"RCmb";
const VERSION: u16 = 1;
/// A name or a host name, as `cluster-announce-hostname` limits it.
const TEXT_BYTES_MAX: usize = 255;
/// What a message of a node may be long: the longest value a client can publish, and its channel.
pub const MESSAGE_BYTES_MAX: usize = (512 << 20) + (1 << 20);
/// The same before a link has proved to be a node's: a PING with gossip about sixteen thousand nodes.
pub const STRANGER_BYTES_MAX: usize = 2 << 20;

/// No cluster comes to a later epoch by itself; one that is said to have would leave no room to count on.
pub const EPOCH_MAX: u64 = 1 << 62;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ping,
    Pong,
    Meet,
    Fail,
    Publish,
    AuthRequest,
    AuthAck,
    Update,
    ManualFailover,
    Module,
    PublishShard,
}

pub const KINDS: [Kind; 11] = [
    Kind::Ping,
    Kind::Pong,
    Kind::Meet,
    Kind::Fail,
    Kind::Publish,
    Kind::AuthRequest,
    Kind::AuthAck,
    Kind::Update,
    Kind::ManualFailover,
    Kind::Module,
    Kind::PublishShard,
];

impl Kind {
    pub fn index(self) -> usize {
        self as usize
    }

    /// As CLUSTER INFO names its counters.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ping => "ping",
            Kind::Pong => "pong",
            Kind::Meet => "meet",
            Kind::Fail => "fail",
            Kind::Publish => "publish",
            Kind::AuthRequest => "auth-req",
            Kind::AuthAck => "auth-ack",
            Kind::Update => "update",
            Kind::ManualFailover => "mfstart",
            Kind::Module => "module",
            Kind::PublishShard => "publishshard",
        }
    }
}

/// Bits of the message flags.
pub mod mark {
    /// The sender holds writers back for a manual failover.
    pub const PAUSED: u8 = 1;
    /// Vote though the primary has not failed.
    pub const FORCE_ACK: u8 = 2;
    /// Extensions stand behind the gossip.
    pub const EXTENSIONS: u8 = 4;
}

/// What every message but a light one says of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    pub port: u16,
    pub other_port: u16,
    pub bus_port: u16,
    pub current_epoch: u64,
    pub config_epoch: u64,
    pub offset: u64,
    pub sender: NodeId,
    pub slots: Slots,
    pub replica_of: Option<NodeId>,
    /// Empty: the address its connection comes from.
    pub ip: String,
    pub flags: u16,
    /// The cluster is up, as the sender sees it.
    pub is_up: bool,
    pub marks: u8,
}

/// One node as another sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gossip {
    pub id: NodeId,
    pub ping_sent_s: u32,
    pub pong_received_s: u32,
    pub ip: String,
    pub port: u16,
    pub bus_port: u16,
    pub flags: u16,
    pub other_port: u16,
}

/// What a sender says of itself beside the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    pub hostname: String,
    pub nodename: String,
    pub forgotten: Vec<(NodeId, u64)>,
    pub shard: Option<NodeId>,
    pub client_ipv4: String,
    pub client_ipv6: String,
    pub client_port: u16,
    pub client_tls_port: u16,
    pub zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// PING, PONG, MEET; no extensions if the sender knows of none.
    Talk(Vec<Gossip>, Option<Box<Extensions>>),
    Fail(NodeId),
    Publish {
        channel: Vec<u8>,
        message: Vec<u8>,
    },
    Update {
        epoch: u64,
        node: NodeId,
        slots: Slots,
    },
    /// Kinds that are a head alone, and modules' messages, which nobody here reads.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    /// None of a light message.
    pub head: Option<Head>,
    pub body: Body,
    pub bytes: usize,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    Signature,
    Version(u16),
    Kind(u16),
    /// The length it gives, and the least or most that it can be.
    Length {
        kind: u16,
        given: usize,
        expected: usize,
    },
    Id,
    Epoch(u64),
    Text(&'static str),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WireError::Signature => f.write_str("it does not begin as a message of the cluster bus"),
            WireError::Version(n) => write!(f, "it is of version {n} of the bus, and only {VERSION} is spoken"),
            WireError::Kind(n) => write!(f, "a message of an unknown type {n}"),
            WireError::Length { kind, given, expected } => {
                write!(f, "a message of type {kind} of {given} bytes, where {expected} were expected")
            }
            WireError::Id => f.write_str("a node id that is not 40 hexadecimal digits"),
            WireError::Epoch(n) => write!(f, "an epoch of {n}, which no cluster comes to"),
            WireError::Text(what) => write!(f, "a {what} with characters that are not allowed, or without an end"),
        }
    }
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

fn epoch_at(b: &[u8], at: usize) -> Result<u64, WireError> {
    let epoch = u64_at(b, at).unwrap_or(0);
    if epoch > EPOCH_MAX { Err(WireError::Epoch(epoch)) } else { Ok(epoch) }
}

/// True for text that may stand in lists with spaces and commas between their members, as Valkey's rule for such values is.
pub fn is_plain_text(text: &[u8]) -> bool {
    let plain = |b: u8| b >= 0x80 || (b.is_ascii_graphic() && !b"!#$%&()*+,;<>?@[]^{|}~'\"\\=`".contains(&b));
    text.iter().all(|b| plain(*b))
}

/// Text up to the first NUL.
fn text(bytes: &[u8], what: &'static str) -> Result<String, WireError> {
    let end = bytes.iter().position(|b| *b == 0).ok_or(WireError::Text(what))?;
    let text = &bytes[..end];
    if text.len() > TEXT_BYTES_MAX || !is_plain_text(text) {
        return Err(WireError::Text(what));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// How long the message at the front is; `None` while that cannot be told. `most` is what a message on this link may be long.
pub fn length(buffer: &[u8], most: usize) -> Result<Option<usize>, WireError> {
    let known = buffer.len().min(SIGNATURE.len());
    if buffer[..known] != SIGNATURE[..known] {
        return Err(WireError::Signature);
    }
    let Some(given) = u32_at(buffer, 4) else { return Ok(None) };
    let given = given as usize;
    if given < LIGHT_HEAD_BYTES || given > most {
        let expected = if given > most { most } else { LIGHT_HEAD_BYTES };
        return Err(WireError::Length { kind: 0, given, expected });
    }
    Ok(Some(given))
}

/// Reads one message, of the length that [`length`] has told.
pub fn parse(b: &[u8]) -> Result<Message, WireError> {
    let short = |kind: u16, expected: usize| WireError::Length { kind, given: b.len(), expected };
    let version = u16_at(b, 8).ok_or_else(|| short(0, LIGHT_HEAD_BYTES))?;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    let code = u16_at(b, 12).ok_or_else(|| short(0, LIGHT_HEAD_BYTES))?;
    let kind = *KINDS.get(usize::from(code & !LIGHT)).ok_or(WireError::Kind(code))?;
    if code & LIGHT != 0 {
        return match kind {
            Kind::Publish | Kind::PublishShard => {
                let body = published(code, b, LIGHT_HEAD_BYTES)?;
                Ok(Message { kind, head: None, body, bytes: b.len() })
            }
            Kind::Module => Ok(Message { kind, head: None, body: Body::Nothing, bytes: b.len() }),
            _ => Err(WireError::Kind(code)),
        };
    }
    let rest = b.get(HEAD_BYTES..).ok_or_else(|| short(code, HEAD_BYTES))?;
    let sections = usize::from(u16_at(b, 14).unwrap_or(0));
    let id = |at: usize| NodeId::parse(&b[at..at + 40]).ok_or(WireError::Id);
    let head = Head {
        kind,
        port: u16_at(b, 10).unwrap_or(0),
        other_port: u16_at(b, 2246).unwrap_or(0),
        bus_port: u16_at(b, 2248).unwrap_or(0),
        current_epoch: epoch_at(b, 16)?,
        config_epoch: epoch_at(b, 24)?,
        offset: u64_at(b, 32).unwrap_or(0),
        sender: id(40)?,
        slots: Slots::from_bytes(&b[80..80 + SLOT_BYTES]).unwrap_or_default(),
        replica_of: if b[2128..2168].iter().all(|c| *c == 0) { None } else { Some(id(2128)?) },
        ip: text(&b[2168..2168 + IP_BYTES], "sender's address")?,
        flags: u16_at(b, 2250).unwrap_or(0),
        is_up: b[2252] == 0,
        marks: b[2253],
    };
    let exact = |len: usize| if rest.len() == len { Ok(()) } else { Err(short(code, HEAD_BYTES + len)) };
    let body = match kind {
        Kind::Ping | Kind::Pong | Kind::Meet => {
            let gossip_bytes = sections * GOSSIP_BYTES;
            let (gossip, extensions) =
                rest.split_at_checked(gossip_bytes).ok_or_else(|| short(code, HEAD_BYTES + gossip_bytes))?;
            let gossip = gossip.chunks_exact(GOSSIP_BYTES).map(section).collect::<Result<_, _>>()?;
            let extensions = if head.marks & mark::EXTENSIONS != 0 {
                Some(Box::new(read_extensions(code, u16_at(b, 2214).unwrap_or(0), extensions)?))
            } else {
                exact(gossip_bytes)?;
                None
            };
            Body::Talk(gossip, extensions)
        }
        Kind::Fail => {
            exact(40)?;
            Body::Fail(NodeId::parse(rest).ok_or(WireError::Id)?)
        }
        Kind::Publish | Kind::PublishShard => published(code, b, HEAD_BYTES)?,
        Kind::Update => {
            exact(8 + 40 + SLOT_BYTES)?;
            Body::Update {
                epoch: epoch_at(rest, 0)?,
                node: NodeId::parse(&rest[8..48]).ok_or(WireError::Id)?,
                slots: Slots::from_bytes(&rest[48..]).unwrap_or_default(),
            }
        }
        Kind::AuthRequest | Kind::AuthAck | Kind::ManualFailover => {
            exact(0)?;
            Body::Nothing
        }
        Kind::Module => Body::Nothing,
    };
    Ok(Message { kind, head: Some(head), body, bytes: b.len() })
}

fn section(b: &[u8]) -> Result<Gossip, WireError> {
    Ok(Gossip {
        id: NodeId::parse(&b[..40]).ok_or(WireError::Id)?,
        ping_sent_s: u32_at(b, 40).unwrap_or(0),
        pong_received_s: u32_at(b, 44).unwrap_or(0),
        ip: text(&b[48..48 + IP_BYTES], "node's address")?,
        port: u16_at(b, 94).unwrap_or(0),
        bus_port: u16_at(b, 96).unwrap_or(0),
        flags: u16_at(b, 98).unwrap_or(0),
        other_port: u16_at(b, 100).unwrap_or(0),
    })
}

fn published(code: u16, b: &[u8], at: usize) -> Result<Body, WireError> {
    let wrong = |expected: usize| WireError::Length { kind: code, given: b.len(), expected };
    let (Some(channel), Some(message)) = (u32_at(b, at), u32_at(b, at + 4)) else { return Err(wrong(at + 8)) };
    let (channel, message) = (channel as usize, message as usize);
    let expected = at + 8 + channel + message;
    if b.len() != expected {
        return Err(wrong(expected));
    }
    let (channel, message) = b[at + 8..].split_at(channel);
    Ok(Body::Publish { channel: channel.to_vec(), message: message.to_vec() })
}

fn read_extensions(code: u16, count: u16, mut b: &[u8]) -> Result<Extensions, WireError> {
    let mut found = Extensions::default();
    for _ in 0..count {
        let wrong = WireError::Length { kind: code, given: b.len(), expected: 8 };
        let (Some(len), Some(kind)) = (u32_at(b, 0), u16_at(b, 4)) else { return Err(wrong) };
        let len = len as usize;
        if len < 8 || !len.is_multiple_of(8) || len > b.len() {
            return Err(WireError::Length { kind: code, given: len, expected: b.len() });
        }
        let data = &b[8..len];
        match kind {
            0 => found.hostname = text(data, "host name")?,
            1 => found.nodename = text(data, "node name")?,
            2 => {
                let id = data.get(..40).and_then(NodeId::parse).ok_or(WireError::Id)?;
                found.forgotten.push((id, u64_at(data, 40).unwrap_or(0)));
            }
            3 => found.shard = Some(data.get(..40).and_then(NodeId::parse).ok_or(WireError::Id)?),
            4 => found.client_ipv4 = text(data, "client's address")?,
            5 => found.client_ipv6 = text(data, "client's address")?,
            6 => found.client_port = u16_at(data, 0).unwrap_or(0),
            7 => found.client_tls_port = u16_at(data, 0).unwrap_or(0),
            8 => found.zone = text(data, "availability zone")?,
            // Of a later version.
            _ => {}
        }
        b = &b[len..];
    }
    if b.is_empty() { Ok(found) } else { Err(WireError::Length { kind: code, given: b.len(), expected: 0 }) }
}

fn push_padded(out: &mut Vec<u8>, bytes: &[u8], room: usize) {
    let taken = bytes.len().min(room);
    out.extend_from_slice(&bytes[..taken]);
    out.resize(out.len() + room - taken, 0);
}

/// Writes a message.
pub fn encode(head: &Head, body: &Body) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + 512);
    let (sections, extensions) = match body {
        Body::Talk(gossip, extensions) => (gossip.len() as u16, extensions.as_ref().map_or(0, |e| count(e))),
        _ => (0, 0),
    };
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 4]);
    for n in [VERSION, head.port, head.kind.index() as u16, sections] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    for n in [head.current_epoch, head.config_epoch, head.offset] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    out.extend_from_slice(head.sender.bytes());
    head.slots.push_to(&mut out);
    out.extend_from_slice(head.replica_of.as_ref().map_or(&[0; 40], |id| id.bytes()));
    // The last byte stays NUL.
    push_padded(&mut out, &head.ip.as_bytes()[..head.ip.len().min(IP_BYTES - 1)], IP_BYTES);
    out.extend_from_slice(&extensions.to_be_bytes());
    out.resize(out.len() + 30, 0);
    for n in [head.other_port, head.bus_port, head.flags] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    out.push(u8::from(!head.is_up));
    out.extend_from_slice(&[head.marks, 0, 0]);
    debug_assert_eq!(out.len(), HEAD_BYTES);
    match body {
        Body::Talk(gossip, extensions) => {
            gossip.iter().for_each(|g| push_section(&mut out, g));
            if let Some(e) = extensions {
                push_extensions(&mut out, e);
            }
        }
        Body::Fail(id) => out.extend_from_slice(id.bytes()),
        Body::Publish { channel, message } => {
            for part in [channel, message] {
                out.extend_from_slice(&(part.len() as u32).to_be_bytes());
            }
            out.extend_from_slice(channel);
            out.extend_from_slice(message);
        }
        Body::Update { epoch, node, slots } => {
            out.extend_from_slice(&epoch.to_be_bytes());
            out.extend_from_slice(node.bytes());
            slots.push_to(&mut out);
        }
        Body::Nothing => {}
    }
    let total = out.len() as u32;
    out[4..8].copy_from_slice(&total.to_be_bytes());
    out
}

fn push_section(out: &mut Vec<u8>, g: &Gossip) {
    out.extend_from_slice(g.id.bytes());
    out.extend_from_slice(&g.ping_sent_s.to_be_bytes());
    out.extend_from_slice(&g.pong_received_s.to_be_bytes());
    push_padded(out, &g.ip.as_bytes()[..g.ip.len().min(IP_BYTES - 1)], IP_BYTES);
    for n in [g.port, g.bus_port, g.flags, g.other_port, 0] {
        out.extend_from_slice(&n.to_be_bytes());
    }
}

fn texts(e: &Extensions) -> [(u16, &str); 5] {
    [(0, &e.hostname), (1, &e.nodename), (4, &e.client_ipv4), (5, &e.client_ipv6), (8, &e.zone)]
}

fn ports(e: &Extensions) -> [(u16, u16); 2] {
    [(6, e.client_port), (7, e.client_tls_port)]
}

fn count(e: &Extensions) -> u16 {
    let texts = texts(e).iter().filter(|(_, t)| !t.is_empty()).count();
    let ports = ports(e).iter().filter(|(_, p)| *p != 0).count();
    (texts + ports + e.forgotten.len() + usize::from(e.shard.is_some())) as u16
}

fn push_extensions(out: &mut Vec<u8>, e: &Extensions) {
    let mut one = |kind: u16, data: &[u8]| {
        let room = data.len().next_multiple_of(8);
        out.extend_from_slice(&(8 + room as u32).to_be_bytes());
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        push_padded(out, data, room);
    };
    for (kind, text) in texts(e).into_iter().filter(|(_, t)| !t.is_empty()) {
        one(kind, &[text.as_bytes(), &[0]].concat());
    }
    for (kind, port) in ports(e).into_iter().filter(|(_, p)| *p != 0) {
        one(kind, &port.to_be_bytes());
    }
    for (id, ttl) in &e.forgotten {
        one(2, &[&id.bytes()[..], &ttl.to_be_bytes()].concat());
    }
    if let Some(shard) = &e.shard {
        one(3, shard.bytes());
    }
}

#[cfg(test)]
mod tests;
