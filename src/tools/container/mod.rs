//! `holdfast container [words ...]`: the entry point of the image. There is no script: what other images do in shell before
//! they start the server is done here.
//!
//! `derive` decides, from environment, arguments and what other servers say; this file does what it decided. Two more words are
//! for pods: `step-down` is the hook before one is stopped, `label` the sidecar that tells Kubernetes the primary's place.

mod ask;
mod create;
mod derive;
mod https;
mod label;
mod pods;
mod step_down;
mod variables;

use derive::{Derived, Start, World, derive};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Tools of the binary that the image may be asked for by name; everything else is a program of the image.
pub const TOOLS: &[&str] = &[
    "valkey-cli",
    "redis-cli",
    "cli",
    "check-config",
    "doctor",
    "fips",
    "version",
    "help",
    "holdfast",
    "valkey-sentinel",
    "redis-sentinel",
    "valkey-check-rdb",
    "redis-check-rdb",
    "valkey-check-aof",
    "redis-check-aof",
    "valkey-benchmark",
    "redis-benchmark",
    "sentinel",
    "check-rdb",
    "check-aof",
    "backup",
    "restore",
    "audit",
];

/// What the multi-call binary does next.
pub enum Next {
    /// Run the server with these words, and `beside` on a thread of its own; the notices come first in its log.
    Server { words: Vec<OsString>, notices: Vec<String>, beside: Option<Box<dyn FnOnce() + Send>> },
    /// Run another tool with these words, its name first.
    Tool { words: Vec<OsString> },
    /// It is done; the text says what.
    Done(String),
    /// It cannot start; the text says why.
    Failed(String),
}

/// Decides, prepares the data folder, and replaces the process where a program of the image is asked for.
pub fn start(arguments: &[OsString]) -> Next {
    let arguments: Vec<String> = arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match arguments.first().map(String::as_str) {
        Some("--help" | "-h") => return Next::Done(help()),
        Some("step-down") => return step_down(environment),
        Some("label") => return label(arguments.get(1).map_or(label::ACCOUNT, String::as_str)),
        _ => {}
    }
    let world = World { read: &read, exists: &|path| path.exists(), others: &ask::Network };
    let Derived { start, notices, create } = match derive(environment, &arguments, &world) {
        Ok(derived) => derived,
        Err(e) => return Next::Failed(e),
    };
    let os = |words: Vec<String>| words.into_iter().map(OsString::from).collect();
    match start {
        Start::Server { words, data } => match data.map_or(Ok(()), |d| prepare(&d)) {
            Ok(()) => {
                let beside = create.map(|plan| -> Box<dyn FnOnce() + Send> { Box::new(move || plan.run()) });
                Next::Server { words: os(words), notices, beside }
            }
            Err(e) => Next::Failed(e),
        },
        Start::Tool { words } => Next::Tool { words: os(words) },
        Start::Program { words } => {
            let Some((program, rest)) = words.split_first() else { return Next::Failed("nothing to run".into()) };
            let e = std::process::Command::new(program).args(rest).exec();
            Next::Failed(format!(
                "'{program}' cannot be run: {e}; this image has no shell and no other programs, the one whose tag ends in \
                 -shell has"
            ))
        }
    }
}

fn help() -> String {
    let lines: Vec<String> = variables::KNOWN.chunks(3).map(|names| format!("  {}", names.join("  "))).collect();
    format!(
        "Usage: holdfast container [CONF] [--directive value ...]   the server, by these variables of the environment\n       \
         holdfast container TOOL [...]                      another tool of the binary, or a program of the image\n       \
         holdfast container step-down                       before a pod is stopped: its primary hands over to a replica\n       \
         holdfast container label [ACCOUNT FOLDER]          beside a pod's server: labels the pod by its role\n\n{}\n\n\
         Each also as NAME_FILE, the path of a file with the value; HOLDFAST_X is the directive x. See docs/install.md.",
        lines.join("\n")
    )
}

/// The hook before a pod is stopped.
fn step_down(environment: impl Iterator<Item = (String, String)>) -> Next {
    let variables = variables::Variables::new(environment, &read, &mut Vec::new());
    match derive::access(&variables).and_then(|access| step_down::run(&access)) {
        Ok(done) => Next::Done(done),
        Err(e) => Next::Failed(format!("step-down: {e}")),
    }
}

/// The sidecar of a pod. `account` is where Kubernetes puts the token.
fn label(account: &str) -> Next {
    match label::of(&|name| std::env::var(name).ok(), Path::new(account)).and_then(|labels| labels.run()) {
        Ok(done) => Next::Done(done),
        Err(e) => Next::Failed(format!("label: {e}")),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // A configuration file may be larger than a secret; the server itself takes 16 MiB.
    std::fs::File::open(path)?.take(16 << 20).read_to_end(&mut content)?;
    Ok(content)
}

/// Makes the data folder, and says at once what would else fail later and less clearly.
fn prepare(data: &Path) -> Result<(), String> {
    let who = format!("uid {}, gid {}", nix::unistd::geteuid(), nix::unistd::getegid());
    std::fs::create_dir_all(data).map_err(|e| {
        format!("the data folder {} cannot be made ({e}): mount a volume there that {who} may write", data.display())
    })?;
    let probe = data.join(format!(".holdfast-{}", std::process::id()));
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(|e| {
        format!(
            "the data folder {} cannot be written by {who} ({e}): change the volume's owner, or set fsGroup",
            data.display()
        )
    })
}
