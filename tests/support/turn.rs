//! A node and one client without sockets: requests go through the engine's turn as a worker hands them over.

#![allow(dead_code, reason = "each test that is built with this file uses a part of it")]

use holdfast::base::{clock, hash};
use holdfast::client::{Client, Shared, WaitList};
use holdfast::commands::{CommandTable, FAMILIES, Node};
use holdfast::config::{Config, ConfigHandle, Loaded};
use holdfast::engine::{Evictor, Turn};
use holdfast::fips::Booting;
use holdfast::journal::Journal;
use holdfast::keyspace::{Freer, KeyHash, Keyspace};
use holdfast::metrics::recorder::{Metrics, Recorder};
use holdfast::resp::args::Args;
use holdfast::resp::parser::{Limits, Parsed, Partial, Span, parse};
use holdfast::resp::reply::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// The node, and what a worker keeps from turn to turn.
pub struct Lab {
    pub node: Arc<Node>,
    config: Arc<Config>,
    client: Client,
    evictor: Evictor,
    recorder: Recorder,
    reply: Reply,
    spans: Vec<Span>,
}

impl Lab {
    pub fn new() -> Lab {
        clock::init();
        hash::seed(hash::HashKey(1, 2));
        let mut config = Config::default();
        // A command that the kernel interrupts is slow through no fault of its own.
        config.latency.commandlog_execution_slower_than_us = -1;
        let commands: &'static CommandTable = Box::leak(Box::new(CommandTable::new(FAMILIES, &[]).unwrap()));
        let (metrics, mut recorders) = Metrics::new(commands.len(), 1);
        let journal = Arc::new(Journal::default());
        let node = Arc::new(Node {
            keyspace: Keyspace::with_journal(16, Arc::clone(&journal)),
            config: ConfigHandle::new(Loaded {
                config: config.clone(),
                file: None,
                notices: Vec::new(),
                secret_files: Vec::new(),
            }),
            commands,
            clients: Default::default(),
            journal,
            started_ms: clock::wall_ms(),
            run_id: Default::default(),
            replication: Default::default(),
            cluster: None,
            executor: Default::default(),
            acl: Arc::new(holdfast::acl::Acl::new(commands.catalog())),
            audit: Default::default(),
            tls: Default::default(),
            background: holdfast::base::background::Background::start("background").expect("a thread"),
            pause: Default::default(),
            ending: Default::default(),
            paused: AtomicBool::new(false),
            saver: Default::default(),
            aof: Default::default(),
            loading: Default::default(),
            replay: Default::default(),
            shutdown: AtomicBool::new(false),
            insisted: AtomicBool::new(false),
            deaf: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            asleep_until_ms: Default::default(),
            active_expire: AtomicBool::new(true),
            waiting: WaitList::default(),
            migrations: Default::default(),
            pubsub: Default::default(),
            scripts: Default::default(),
            scripts_call_anything: Default::default(),
            tracking: Default::default(),
            monitors: Default::default(),
            freer: Freer::start().unwrap(),
            metrics,
            baseline_memory: AtomicU64::new(0),
            output_memory: AtomicU64::new(0),
            peak_memory: AtomicU64::new(0),
            fips: Booting::new().validate(None, None).unwrap_or_else(|e| panic!("{e}")),
        });
        let shared = Arc::new(Shared::new(1, 0, String::new(), String::new(), -1, clock::wall_ms()));
        let client = Client::new(shared, &node.acl, 0);
        Lab {
            config: node.config.current(),
            client,
            evictor: Evictor::new(1),
            recorder: recorders.pop().unwrap(),
            reply: Reply::default(),
            spans: Vec::new(),
            node,
        }
    }

    /// Runs one request as it is, whatever it says, and returns its reply. A client that has begun to wait does not go on waiting.
    pub fn ask(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let bytes = request(words);
        let limits = Limits { bulk_len_max: 512 << 20, authenticated: true };
        self.spans.clear();
        let Ok(Parsed::Request { .. }) = parse(&bytes, &mut Partial::default(), &mut self.spans, limits) else {
            panic!("a whole request")
        };
        let args = Args::new(&bytes, &self.spans);
        let entry = self.node.commands.resolve(args);
        let (version, config) = (self.node.config.version(), self.node.config.current());
        let reply = std::mem::take(&mut self.reply);
        let now = clock::wall_ms();
        let mut turn = Turn::begin(&self.node, config, version, now, reply, &mut self.evictor, &mut self.recorder);
        turn.run(&mut self.client, entry, args, None);
        self.reply = turn.end();
        if self.client.blocked.take().is_some() {
            self.node.waiting.cancel(&self.node.keyspace, self.client.id);
        }
        let said = self.reply.buf.clone();
        self.reply.clear();
        said
    }

    /// Parses and runs all requests in `bytes` in one turn; returns the bytes of the replies.
    pub fn turn(&mut self, bytes: &[u8]) -> usize {
        let limits = Limits { bulk_len_max: 512 << 20, authenticated: true };
        let reply = std::mem::take(&mut self.reply);
        let version = self.node.config.version();
        let config = Arc::clone(&self.config);
        let mut turn =
            Turn::begin(&self.node, config, version, clock::wall_ms(), reply, &mut self.evictor, &mut self.recorder);
        let (mut at, mut partial) = (0, Partial::default());
        while at < bytes.len() {
            self.spans.clear();
            let request = &bytes[at..];
            let Ok(Parsed::Request { bytes: n }) = parse(request, &mut partial, &mut self.spans, limits) else {
                panic!("whole requests are handed in")
            };
            at += n;
            let args = Args::new(request, &self.spans);
            let entry = self.node.commands.resolve(args);
            let hash = entry.as_ref().ok().and_then(|e| e.single_key).map(|i| KeyHash::of(args.at(i as usize)));
            turn.run(&mut self.client, entry, args, hash);
        }
        self.reply = turn.end();
        let said = self.reply.buf.len();
        assert!(!self.reply.buf.starts_with(b"-"), "{}", String::from_utf8_lossy(&self.reply.buf));
        self.reply.clear();
        said
    }
}

/// A request's bytes.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for w in words {
        out.extend_from_slice(format!("${}\r\n", w.len()).as_bytes());
        out.extend_from_slice(w);
        out.extend_from_slice(b"\r\n");
    }
    out
}
