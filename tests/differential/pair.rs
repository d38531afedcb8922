//! Both servers, what they are asked, and the differences found.

use super::words::{KEYS, Words};
use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A reply as it came: its first line, what follows it, and its elements.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reply {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
    pub elements: Vec<Reply>,
}

impl Reply {
    /// `None` at the end of what there is.
    pub fn read(from: &mut impl BufRead) -> Option<Reply> {
        let mut head = Vec::new();
        from.read_until(b'\n', &mut head).ok()?;
        if !head.ends_with(b"\r\n") {
            return None;
        }
        head.truncate(head.len() - 2);
        let n = std::str::from_utf8(&head[1..]).ok().and_then(|t| t.parse::<i64>().ok()).unwrap_or(-1);
        let mut reply = Reply { body: Vec::new(), elements: Vec::new(), head };
        match reply.head.first() {
            Some(b'$' | b'=' | b'!') if n >= 0 => {
                reply.body.resize(n as usize + 2, 0);
                from.read_exact(&mut reply.body).ok()?;
                reply.body.truncate(n as usize);
            }
            Some(b'*' | b'~' | b'>') => reply.elements = (0..n).map(|_| Reply::read(from)).collect::<Option<_>>()?,
            Some(b'%') => reply.elements = (0..n * 2).map(|_| Reply::read(from)).collect::<Option<_>>()?,
            _ => {}
        }
        Some(reply)
    }

    fn all(bytes: &[u8]) -> Vec<Reply> {
        let mut from = Cursor::new(bytes);
        std::iter::from_fn(|| Reply::read(&mut from)).collect()
    }

    /// HELLO names modules, and scripts are one there;
    /// and the number of a connection is its own; what COMMAND notes is in own words.
    fn forget_own(&mut self) {
        self.elements.iter_mut().for_each(Reply::forget_own);
        let at = |e: &Reply| matches!(e.body.as_slice(), b"modules" | b"notes" | b"id");
        let own: Vec<usize> = (0..self.elements.len()).filter(|i| at(&self.elements[*i])).collect();
        for i in own {
            if let Some(value) = self.elements.get_mut(i + 1) {
                *value = Reply { head: Vec::new(), body: Vec::new(), elements: Vec::new() };
            }
        }
    }

    fn is_farewell(&self) -> bool {
        self.elements.first().is_some_and(|kind| kind.body.ends_with(b"unsubscribe"))
    }

    fn is_message(&self) -> bool {
        self.elements.first().is_some_and(|kind| kind.body.ends_with(b"message"))
    }

    fn sort(&mut self) {
        self.elements.iter_mut().for_each(Reply::sort);
        self.elements.sort();
    }

    /// Moments lose what a slow test may add to them.
    fn blur(&mut self) {
        self.elements.iter_mut().for_each(Reply::blur);
        let number = std::str::from_utf8(&self.head).ok().and_then(|t| t.strip_prefix(':')?.parse::<i64>().ok());
        match number {
            Some(n) if n > 100_000 => self.head = format!(":about {} digits", n.to_string().len()).into_bytes(),
            Some(n) if n >= 0 => self.head = b":(short)".to_vec(),
            _ => {}
        }
    }

    /// Every text in it, for what is looked up by name.
    pub fn texts(&self) -> Vec<&[u8]> {
        let own = if self.body.is_empty() { self.head.get(1..).unwrap_or_default() } else { &self.body };
        std::iter::once(own).chain(self.elements.iter().flat_map(Reply::texts)).collect()
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.head.escape_ascii())?;
        if !self.body.is_empty() {
            write!(f, " {}", self.body[..self.body.len().min(300)].escape_ascii())?;
        }
        if !self.elements.is_empty() {
            f.debug_list().entries(&self.elements).finish()?;
        }
        Ok(())
    }
}

pub struct Server {
    name: String,
    protocol: u8,
    process: Child,
    port: u16,
    stream: BufReader<TcpStream>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(binary: &str, arguments: &[&str], more: &[&str]) -> Server {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port();
        let process = Command::new(binary)
            .args(arguments)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"])
            .args(["--dir", &folder.path().display().to_string()])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match connect(port) {
                Ok(stream) => {
                    return Server {
                        name: binary.into(),
                        protocol: 2,
                        process,
                        port,
                        stream: BufReader::new(stream),
                        _folder: folder,
                    };
                }
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => panic!("{binary} does not listen: {e}"),
            }
        }
    }

    pub fn call(&mut self, words: &[Vec<u8>]) -> Reply {
        self.stream.get_mut().write_all(&encode(words)).expect("the server reads");
        Reply::read(&mut self.stream).unwrap_or_else(|| {
            // One that crashes is seen to have ended once it has written why.
            std::thread::sleep(Duration::from_secs(1));
            let state = self.process.try_wait();
            panic!("{} ended the connection or waits after {}; its process: {state:?}", self.name, show(words))
        })
    }

    /// Whether the connection is still there; if not, there is a new one.
    fn revive(&mut self) -> bool {
        let sent = self.stream.get_mut().write_all(&encode(&[b"PING".to_vec()]));
        let lives = sent.is_ok() && Reply::read(&mut self.stream).is_some();
        if !lives {
            self.stream = BufReader::new(connect(self.port).expect("a connection"));
            self.hello(self.protocol);
        }
        lives
    }

    /// Goes on in this protocol.
    pub fn hello(&mut self, protocol: u8) {
        self.protocol = protocol;
        let hello = self.line(&format!("HELLO {protocol}"));
        assert!(!hello.head.starts_with(b"-"), "{hello:?}");
    }

    pub fn line(&mut self, words: &str) -> Reply {
        self.call(&words.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    /// All that is answered on a connection of its own to `bytes`, which end what is sent.
    fn talk(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.port).expect("a connection");
        let mut answer = Vec::new();
        let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        // What was answered before the server closed counts; a reset says only that it had not read everything.
        let read = stream.read_to_end(&mut answer);
        if sent.is_ok() && read.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock) {
            answer.extend_from_slice(b"-(and waits for ever)\r\n");
        }
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

pub fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

pub fn show(words: &[Vec<u8>]) -> String {
    let shown: Vec<_> = words.iter().map(|w| format!("\"{}\"", w[..w.len().min(400)].escape_ascii())).collect();
    shown.join(" ")
}

const RECENT_MAX: usize = 40;

pub struct Pair {
    pub ours: Server,
    pub theirs: Server,
    pub differences: Vec<String>,
    seen: HashSet<String>,
    /// The last commands with their replies, where more than the difference is to be seen.
    recent: VecDeque<String>,
    /// What a command has to have in it to be among them.
    traced: Option<String>,
    pub asked: u64,
}

impl Pair {
    /// Starts both with the same directives.
    pub fn start(valkey: &str, more: &[&str]) -> Pair {
        Pair {
            ours: Server::start(env!("CARGO_BIN_EXE_holdfast"), &["server", "--allow-plaintext", "yes"], more),
            theirs: Server::start(valkey, &[], more),
            differences: Vec::new(),
            seen: HashSet::new(),
            recent: VecDeque::new(),
            traced: std::env::var("DIFFERENTIAL_TRACE").ok(),
            asked: 0,
        }
    }

    /// Notes a difference, unless one like it has been met.
    fn differ(&mut self, kind: String, told: String) {
        if self.seen.insert(kind) {
            self.differences.push(told);
        }
    }

    fn compare(&mut self, marks: &str, words: &[Vec<u8>], replies: [Option<Reply>; 2], place: &str) -> bool {
        self.asked += 1;
        let [ours, theirs] = replies.map(|reply| {
            reply.map(|mut reply| {
                reply.forget_own();
                if marks.contains('%') {
                    reply.blur();
                }
                if marks.contains('~') {
                    reply.sort();
                }
                reply
            })
        });
        if ours != theirs {
            let head = |r: &Option<Reply>| r.as_ref().map_or(String::new(), |r| r.head.escape_ascii().to_string());
            let kind = format!("{}|{}|{}", words[0].to_ascii_uppercase().escape_ascii(), head(&ours), head(&theirs));
            let before = self.recent.iter().fold(String::new(), |all, one| format!("{all}    {one}\n"));
            self.differ(kind, format!("{before}{place}: {}\n  ours   {ours:?}\n  theirs {theirs:?}", show(words)));
            return false;
        }
        if let Some(traced) = &self.traced
            && show(words).contains(traced)
        {
            self.recent.push_back(format!("{} -> {ours:?}", show(words)));
            if self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
        }
        true
    }

    /// Sends a command to both; true if they agree.
    pub fn agree(&mut self, words: &[Vec<u8>], marks: &str, place: &str) -> bool {
        let replies = [Some(self.ours.call(words)), Some(self.theirs.call(words))];
        self.compare(marks, words, replies, place)
    }

    /// The same for commands that are sent all at once on a connection of their own.
    pub fn agree_on_all(&mut self, commands: &[(&str, Words)], place: &str) -> bool {
        let bytes: Vec<u8> = commands.iter().flat_map(|(_, words)| encode(words)).collect();
        // A message to oneself comes between the replies, sooner or later.
        let sorted = |bytes: &[u8]| {
            let (pushed, mut all): (Vec<_>, Vec<_>) =
                Reply::all(bytes).into_iter().partition(|r| r.head.starts_with(b">") && r.is_message());
            all.extend(pushed);
            // Nor have the channels of one UNSUBSCRIBE that names none an order.
            all.chunk_by_mut(|a, b| a.is_farewell() && b.is_farewell()).for_each(<[Reply]>::sort);
            all
        };
        let (ours, theirs) = (sorted(&self.ours.talk(&bytes)), sorted(&self.theirs.talk(&bytes)));
        // A command may close others' connections, or have those closed that say nothing for long.
        let alive = [self.ours.revive(), self.theirs.revive()];
        if alive[0] != alive[1] {
            let all: Vec<_> = commands.iter().map(|(_, w)| show(w)).collect();
            let told = format!("{place}: of another connection after {}: lives {alive:?}", all.join("; "));
            self.differ("lives".into(), told);
        }
        // Where each command has one reply, it is known which is whose; otherwise all stand together.
        let single = theirs.len() == commands.len();
        for i in 0..ours.len().max(theirs.len()) {
            let (marks, words) = &commands[i.min(commands.len() - 1)];
            let place = if single {
                let before: Vec<_> = commands[..i].iter().map(|(_, w)| show(w)).collect();
                format!("{place}, after {}", before.join("; "))
            } else {
                let all: Vec<_> = commands.iter().map(|(_, w)| show(w)).collect();
                format!("{place}, reply {i} to {}", all.join("; "))
            };
            let marks = if single { marks } else { "~%" };
            if !self.compare(marks, words, [ours.get(i).cloned(), theirs.get(i).cloned()], &place) {
                return false;
            }
        }
        true
    }

    /// The same for bytes as they are.
    pub fn agree_on_bytes(&mut self, bytes: &[u8], place: &str) -> bool {
        let (ours, theirs) = (self.ours.talk(bytes), self.theirs.talk(bytes));
        self.asked += 1;
        if ours != theirs {
            let shown = |b: &[u8]| b[..b.len().min(600)].escape_ascii().to_string();
            let told = format!("{place}: {}\n  ours   {}\n  theirs {}", shown(bytes), shown(&ours), shown(&theirs));
            self.differ(told.clone(), told);
        }
        ours == theirs
    }

    pub fn empty(&mut self) {
        // A limit of memory that a random word has set is met by one of the two first.
        const ANEW: &str = "CONFIG SET maxmemory 0 maxmemory-policy noeviction";
        for line in ["REPLICAOF NO ONE", "FLUSHALL", "FUNCTION FLUSH", "SCRIPT FLUSH", "ACL DELUSER u1 u2 u3", ANEW] {
            self.ours.line(line);
            self.theirs.line(line);
        }
    }

    /// Compares what every key of the first databases holds.
    pub fn compare_keys(&mut self, families: &[&str], place: &str) {
        let words = |line: String| line.split(' ').map(|w| w.as_bytes().to_vec()).collect::<Words>();
        for family in families {
            for i in 0..KEYS {
                let key = format!("{family}:{i}");
                self.agree(&words(format!("TYPE {key}")), "", place);
                // SORT leaves a sorted set in the other encoding there, APPEND and scripts a text in one of three.
                let kind = self.theirs.line(&format!("TYPE {key}")).head;
                if kind != b"+zset" && kind != b"+string" {
                    self.agree(&words(format!("OBJECT ENCODING {key}")), "", place);
                }
                self.agree(&words(format!("PEXPIRETIME {key}")), "%", place);
                self.agree(&words(format!("DEBUG DIGEST-VALUE {key}")), "", place);
            }
        }
        self.agree(&words("DEBUG DIGEST".to_owned()), "", place);
    }
}
