//! Runs handlers in unit tests without a server: one client, one thread, real locks.

use super::{Command, CommandError, CommandTable, DataContext, Handler, Node, NodeContext};
use crate::client::{BlockRequest, Client, Registry, Shared, WaitList};
use crate::config::{Config, ConfigHandle};
use crate::fips::Booting;
use crate::journal::Journal;
use crate::keyspace::Freer;
use crate::keyspace::{Access, AccessPolicy, EventClass, Key, Keyspace, Plan};
use crate::metrics::recorder::{Metrics, Recorder};
use crate::resp::args::OwnedArgs;
use crate::resp::parser::split_words;
use crate::resp::reply::{Reply, Version};
use crate::spec::KeyScope;
use std::sync::Arc;

/// A key space with a clock that stands where the test puts it.
pub struct Bench {
    pub keyspace: Keyspace,
    pub table: CommandTable,
    pub config: Config,
    pub now_ms: i64,
    pub version: Version,
    pub db: u32,
    /// As the log or the primary has it done.
    pub obeys: bool,
    /// Effects of the commands so far, as lines.
    pub effects: Vec<String>,
    /// Keyspace events of the commands so far: `set k`.
    pub events: Vec<String>,
    pub blocked: Option<BlockRequest>,
    /// Keys of the commands so far that were looked up, and that were changed.
    pub touched: Vec<(u32, Vec<u8>, bool)>,
    /// Commands run as they do aside, again as long as they ask for it; this is done with the key space before each time but the first.
    pub aside: Option<fn(&Keyspace)>,
}

impl Bench {
    pub fn new(families: &[&[&'static Command]]) -> Bench {
        Bench {
            keyspace: Keyspace::new(16),
            table: CommandTable::new(families, &[]).expect("no renames"),
            config: Config::default(),
            now_ms: 1_000_000,
            version: Version::Resp2,
            db: 0,
            obeys: false,
            effects: vec![],
            events: vec![],
            blocked: None,
            touched: vec![],
            aside: None,
        }
    }

    /// Runs a line of words (quoted as in a terminal) and returns the reply's bytes.
    pub fn run(&mut self, line: &str) -> String {
        let words = split_words(line.as_bytes()).expect("balanced quotes");
        let reply = self.run_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        String::from_utf8_lossy(&reply).into_owned()
    }

    pub fn run_words(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let own = OwnedArgs::new(words.iter().copied());
        let args = own.args();
        let mut reply = Reply::new(self.version);
        let entry = match self.table.resolve(args) {
            Ok(e) => e,
            Err(e) => {
                reply.error(&e.text());
                return reply.buf;
            }
        };
        let mut plan = Plan::None;
        let f = match entry.command.handler {
            Handler::Whole(f) => {
                plan = Plan::All;
                f
            }
            Handler::Data(f) if entry.reaches_any_key(args) => {
                plan = Plan::All;
                f
            }
            Handler::Data(f) => {
                let list: Vec<&[u8]> = args.iter().collect();
                // As the engine does: only the keys that can be told are locked, and the handler says what is wrong with the others.
                for (i, _) in entry.spec().found_keys(&list, KeyScope::Keys).iter() {
                    plan.add(Key::new(self.db, args.at(i)).hash.stripe);
                }
                f
            }
            _ => panic!("the bench runs data commands"),
        };
        let access = Access { policy: AccessPolicy::Lru, now_ms: self.now_ms };
        let mut space = self.keyspace.lock(&plan, access);
        space.events_wanted = EventClass(u32::MAX);
        space.journaled = true;
        let mut prepared = None;
        let mut site = if self.aside.is_some() { super::Site::Aside } else { super::Site::default() };
        let outcome = loop {
            let mut cx = DataContext {
                args,
                space: &mut space,
                reply: &mut reply,
                config: &self.config,
                db: self.db,
                entry,
                reads_any_key: true,
                obeys: self.obeys,
                hash: None,
                may_block: true,
                block: None,
                site,
                prepared: &mut prepared,
            };
            let outcome = f(&mut cx);
            self.blocked = cx.block.take();
            site = cx.site;
            match (outcome, self.aside) {
                (Err(CommandError::Aside), Some(meanwhile)) => {
                    reply.clear();
                    space.unlock();
                    meanwhile(&self.keyspace);
                    space.lock(&plan);
                    space.journaled = true;
                }
                (outcome, _) => break outcome,
            }
        };
        if site == super::Site::AsideForLong {
            self.keyspace.end_long();
        }
        space.unlock();
        drop(prepared);
        if let Err(e) = outcome {
            reply.clear();
            reply.error(&e.text());
        }
        let changes = std::mem::take(&mut space.changes);
        self.touched.extend(changes.touched);
        self.events.extend(changes.events.iter().map(|e| format!("{} {}", e.name, String::from_utf8_lossy(&e.key))));
        let line = |args: &Vec<Vec<u8>>| args.iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" ");
        self.effects.extend(changes.effects.words().iter().map(line));
        if changes.dirty > 0 && !changes.replaced {
            self.effects.push(line(&words.iter().map(|w| w.to_vec()).collect::<Vec<_>>()));
        }
        let mut bytes = Vec::new();
        let mut at = 0;
        for s in &reply.shared {
            bytes.extend_from_slice(&reply.buf[at..s.at]);
            bytes.extend_from_slice(&s.value);
            at = s.at;
        }
        bytes.extend_from_slice(&reply.buf[at..]);
        bytes
    }

    /// Asserts the replies of several lines, one after the other.
    pub fn check(&mut self, steps: &[(&str, &str)]) {
        for (line, want) in steps {
            assert_eq!(self.run(line), *want, "{line}");
        }
    }
}

/// Runs commands of the connection and the server in unit tests: one client that nobody serves.
pub struct NodeBench {
    pub node: Arc<Node>,
    pub client: Client,
    recorder: Recorder,
}

impl NodeBench {
    pub fn new(families: &[&[&'static Command]]) -> NodeBench {
        let commands: &'static CommandTable =
            Box::leak(Box::new(CommandTable::new(families, &[]).expect("no renames")));
        let (metrics, mut recorders) = Metrics::new(commands.len(), 1);
        let journal = Arc::new(Journal::default());
        let node = Arc::new(Node {
            keyspace: Keyspace::with_journal(16, Arc::clone(&journal)),
            config: ConfigHandle::with_defaults(),
            commands,
            clients: Arc::new(Registry::default()),
            replication: Arc::default(),
            cluster: None,
            acl: Arc::new(crate::acl::Acl::new(commands.catalog())),
            audit: Default::default(),
            tls: Default::default(),
            background: crate::base::background::Background::start("background").expect("a thread"),
            journal,
            started_ms: 0,
            run_id: String::new(),
            executor: Default::default(),
            pause: Default::default(),
            ending: Default::default(),
            paused: Default::default(),
            saver: Default::default(),
            aof: Default::default(),
            loading: Default::default(),
            replay: Default::default(),
            shutdown: Default::default(),
            insisted: Default::default(),
            // Nothing listens: the end waits for nobody.
            deaf: true.into(),
            asleep_until_ms: Default::default(),
            active_expire: Default::default(),
            cron_paused: Default::default(),
            waiting: WaitList::default(),
            migrations: Default::default(),
            pubsub: Default::default(),
            scripts: Default::default(),
            scripts_call_anything: Default::default(),
            tracking: Default::default(),
            monitors: Default::default(),
            freer: Freer::start().expect("a thread"),
            metrics,
            baseline_memory: Default::default(),
            output_memory: Default::default(),
            peak_memory: Default::default(),
            fips: Booting::new().validate(None, None).expect("the gate passes"),
        });
        let shared = Arc::new(Shared::new(1, 0, "127.0.0.1:1000".into(), "127.0.0.1:6379".into(), 9, 0));
        assert!(node.clients.admit(10));
        node.clients.add(Arc::clone(&shared));
        let client = Client::new(shared, &node.acl, 0);
        NodeBench { node, client, recorder: recorders.remove(0) }
    }

    /// Another client, as the others see it.
    pub fn neighbour(&self, id: u64) -> Arc<Shared> {
        let shared = Arc::new(Shared::new(id, 0, format!("10.0.0.{id}:1"), "127.0.0.1:6379".into(), 9, 0));
        assert!(self.node.clients.admit(10));
        self.node.clients.add(Arc::clone(&shared));
        shared
    }

    /// Runs a line of words and returns the reply.
    pub fn run(&mut self, line: &str) -> String {
        let words = split_words(line.as_bytes()).expect("balanced quotes");
        let own = OwnedArgs::new(words.iter().map(Vec::as_slice));
        let mut reply = Reply::new(self.client.version);
        let config = self.node.config.current();
        let access = Access { policy: AccessPolicy::Lru, now_ms: 1_000_000 };
        let mut space = self.node.keyspace.space(access);
        let entry = match self.node.commands.resolve(own.args()) {
            Ok(e) => e,
            Err(e) => return String::from_utf8_lossy(&e.text()).into_owned(),
        };
        let (Handler::Node(f) | Handler::Span(f)) = entry.command.handler else { panic!("not a node's command") };
        let mut cx = NodeContext {
            args: own.args(),
            node: &self.node,
            client: &mut self.client,
            reply: &mut reply,
            config: &config,
            space: &mut space,
            entry,
            nested: false,
            recorder: &mut self.recorder,
            block: None,
            site: super::Site::default(),
        };
        if let Err(e) = f(&mut cx) {
            return String::from_utf8_lossy(&e.text()).into_owned();
        }
        String::from_utf8_lossy(&reply.buf).into_owned()
    }

    /// Asserts the replies of several lines; errors without their dash and line end.
    pub fn check(&mut self, steps: &[(&str, &str)]) {
        for (line, want) in steps {
            assert_eq!(self.run(line), *want, "{line}");
        }
    }
}
