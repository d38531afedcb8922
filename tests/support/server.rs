//! A server of its own for a test.

use super::client::Connection;
use super::process::kill;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");
/// A start takes well below a second; machines under load take longer.
const START: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 5;

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    /// Where TLS is served.
    pub port: u16,
    /// Where plaintext is, if it was asked for.
    pub plain_port: u16,
    folder: TempDir,
    /// What it writes goes into a file without a pipe between: what it has logged before it answers is there when it has answered.
    log: File,
}

impl Server {
    /// TLS with generated certificates; clients need none of their own.
    pub fn start() -> Server {
        Server::with(&[])
    }

    /// The same with further words on the command line.
    pub fn with(words: &[&str]) -> Server {
        Server::launch(words, false)
    }

    /// With a configuration file before the other words.
    pub fn with_file(words: &[&str]) -> Server {
        Server::launch(words, false)
    }

    /// Plaintext on loopback as well.
    pub fn plain(words: &[&str]) -> Server {
        Server::launch(words, true)
    }

    fn launch(words: &[&str], plain: bool) -> Server {
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir().expect("a folder");
            let (port, plain_port) = (free_port(), if plain { free_port() } else { 0 });
            if port == plain_port {
                continue;
            }
            let mut command = Command::new(BINARY);
            command.arg("server");
            // A file comes first, before all options.
            let (file, words) = words.split_at(usize::from(words.first().is_some_and(|w| !w.starts_with('-'))));
            command.args(file).args(["--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--io-threads", "2"]);
            command.args(["--tls-auth-clients", "no", "--dir"]).arg(folder.path());
            if plain {
                command.args(["--allow-plaintext", "local", "--port", &plain_port.to_string()]);
            }
            let log = tempfile::tempfile().expect("a file");
            let out = || Stdio::from(log.try_clone().expect("a handle"));
            command.args(words).stdin(Stdio::null()).stdout(out()).stderr(out());
            let mut child = command.spawn().expect("the server starts");
            let end = Instant::now() + START;
            while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
                if read(&log).contains("Ready to accept connections") {
                    return Server { child, port, plain_port, folder, log };
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = child.kill();
            let _ = child.wait();
            let said = read(&log);
            // Somebody else took the port between our look and the server's bind.
            assert!(said.contains("in use"), "the server did not start:\n{said}");
        }
        panic!("no free port in {ATTEMPTS} attempts");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the generated CA.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("tls/ca.crt")
    }

    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::tls(self.port, &self.ca()).unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    #[track_caller]
    pub fn connect_plain(&self) -> Connection {
        assert_ne!(self.plain_port, 0, "this server has no plaintext port");
        Connection::plain(self.plain_port).unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < end, "it did not end in {patience:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, name: &str) {
        kill(self.pid(), name);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}\n---", self.log());
        }
    }
}

/// Runs `holdfast server` with exactly these words in `folder`, expecting it to end by itself.
#[track_caller]
pub fn refused(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("server").args(words).arg("--dir").arg(folder).current_dir(folder);
    super::process::run(&mut command, b"", START)
}

/// All that is in a file somebody else writes to.
fn read(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().map_or(0, |m| m.len()) as usize];
    let n = file.read_at(&mut bytes, 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..n]).trim_end().to_owned()
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}
