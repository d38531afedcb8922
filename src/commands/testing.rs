//! Runs handlers in unit tests without a server: one client, one thread, real locks.

use super::{Command, CommandTable, DataContext, Handler};
use crate::client::BlockRequest;
use crate::config::Config;
use crate::keyspace::{Access, AccessPolicy, EventClass, Key, Keyspace, Plan};
use crate::resp::args::OwnedArgs;
use crate::resp::parser::split_words;
use crate::resp::reply::{Reply, Version};

/// A key space with a clock that stands where the test puts it.
pub struct Bench {
    pub keyspace: Keyspace,
    pub table: CommandTable,
    pub config: Config,
    pub now_ms: i64,
    pub version: Version,
    pub db: u32,
    /// Effects of the commands so far, as lines.
    pub effects: Vec<String>,
    /// Keyspace events of the commands so far: `set k`.
    pub events: Vec<String>,
    pub blocked: Option<BlockRequest>,
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
            effects: vec![],
            events: vec![],
            blocked: None,
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
            Handler::Data(f) => {
                let list: Vec<&[u8]> = args.iter().collect();
                // As the engine does: without keys that can be told the handler runs without locks and says what is wrong.
                if let Ok(ranges) = entry.spec().extract_keys(&list) {
                    for (i, _) in ranges.iter() {
                        plan.add(Key::new(self.db, args.at(i)).hash.stripe);
                    }
                }
                f
            }
            _ => panic!("the bench runs data commands"),
        };
        let access = Access { policy: AccessPolicy::Lru, now_ms: self.now_ms };
        let mut space = self.keyspace.lock(&plan, access);
        space.events_wanted = EventClass(u32::MAX);
        space.journaled = true;
        let mut cx = DataContext {
            args,
            space: &mut space,
            reply: &mut reply,
            config: &self.config,
            db: self.db,
            entry,
            hash: None,
            may_block: true,
            block: None,
        };
        let outcome = f(&mut cx);
        self.blocked = cx.block.take();
        if let Err(e) = outcome {
            reply.clear();
            reply.error(&e.text());
        }
        let changes = std::mem::take(&mut space.changes);
        self.events.extend(changes.events.iter().map(|e| format!("{} {}", e.name, String::from_utf8_lossy(&e.key))));
        let line = |args: &[Vec<u8>]| args.iter().map(|a| String::from_utf8_lossy(a)).collect::<Vec<_>>().join(" ");
        self.effects.extend(changes.effects.iter().map(|e| line(&e.args)));
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
