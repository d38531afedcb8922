//! The multi-call binary: `argv[0]` or the first word chooses the tool.

use clap::Parser;
use holdfast::base::names;
use holdfast::tools::container::Next;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: holdfast::base::memory::Counting = holdfast::base::memory::Counting;

/// What `holdfast` alone prints.
const USAGE: &str = "\
Holdfast: a FIPS-mode in-memory key-value server, compatible with Valkey and Redis.

Usage: holdfast <tool> [arguments]

  server [CONF|-] [--directive value ...]   run the server
  server --check-system                     what of this machine a server should not run on
  server --test-memory MEGABYTES [PASSES]   fill memory and read it back
  cli [options] [command ...]               talk to a server
  check-rdb FILE [--stats]                  look a snapshot through
  check-aof [--fix] FILE                    look an append-only file through, and repair its end
  backup [connection] FOLDER                back a running server up, and read the backup back
  restore [--to-time SECONDS] FROM TO       make a data folder from a backup or another data folder
  check-config FILE [--directive ...]       check a configuration without starting
  fips status [--json]                      run the start-up gate and print what it found
  fips evidence --out DIR | --json          gather what a reviewer of FIPS mode asks for
  audit verify FILE [--key FILE] [--json]   check the chain of an audit log
  doctor [CONF] [--directive ...]           what is unsafe, slow or unsupported on this machine
  container [words ...]                     the entry point of the image: the server by environment variables
  version                                   print the version
  help [TOOL]                               this, or what a tool takes

Called by the name valkey-server, valkey-cli, valkey-check-rdb or valkey-check-aof, or redis- for valkey- (a link), it is that tool.
";

/// What there is to be misspelt.
const TOOLS: &[&str] = &[
    "server",
    "cli",
    "check-rdb",
    "check-aof",
    "backup",
    "restore",
    "check-config",
    "fips",
    "audit",
    "doctor",
    "container",
    "version",
    "help",
];

/// `holdfast fips ...`
#[derive(Parser)]
#[command(name = "holdfast fips", bin_name = "holdfast fips", about = "What the cryptographic module says of itself")]
struct Fips {
    #[command(flatten)]
    args: holdfast::tools::fips::FipsArgs,
}

/// `holdfast audit ...`
#[derive(Parser)]
#[command(name = "holdfast audit", bin_name = "holdfast audit", about = "Checks audit logs")]
struct Audit {
    #[command(flatten)]
    args: holdfast::tools::audit::AuditArgs,
}

/// The tool that a link of this name is.
fn called_as(name: &str) -> Option<&'static str> {
    Some(match name {
        "valkey-server" | "redis-server" => "server",
        "valkey-cli" | "redis-cli" => "cli",
        "valkey-sentinel" | "redis-sentinel" => "sentinel",
        "valkey-check-rdb" | "redis-check-rdb" => "check-rdb",
        "valkey-check-aof" | "redis-check-aof" => "check-aof",
        _ => return None,
    })
}

fn main() -> ExitCode {
    if let Err(e) = holdfast::base::cpu::require() {
        eprintln!("holdfast: {e}");
        return ExitCode::from(78);
    }
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().and_then(|a| Path::new(a).file_name()).map(|n| n.to_string_lossy().into_owned());
    let tool = match name.as_deref() {
        Some(called) if called_as(called).is_some() => called_as(called).unwrap_or_default().to_owned(),
        _ if args.len() > 1 => args.remove(1).to_string_lossy().into_owned(),
        _ => String::new(),
    };
    let rest: Vec<OsString> = args.drain(1..).collect();
    let name = name.filter(|n| called_as(n).is_some()).unwrap_or_else(|| "holdfast cli".to_owned());
    run(&tool, &name, rest)
}

/// Runs a tool. `name` is what the client calls itself, or by which other name a tool was called.
fn run(tool: &str, name: &str, mut rest: Vec<OsString>) -> ExitCode {
    match tool {
        "server" => server(name, rest, &[]),
        "container" => match holdfast::tools::container::start(&rest) {
            Next::Server { words, notices, beside } => {
                if let Some(work) = beside {
                    std::thread::spawn(work);
                }
                server(name, words, &notices)
            }
            Next::Tool { mut words } => {
                let first = words.remove(0).to_string_lossy().into_owned();
                match first.as_str() {
                    "holdfast" if words.is_empty() => run("", name, words),
                    "holdfast" => {
                        let tool = words.remove(0).to_string_lossy().into_owned();
                        run(&tool, name, words)
                    }
                    "cli" => run("cli", "holdfast cli", words),
                    called => run(called_as(called).unwrap_or(called), called, words),
                }
            }
            Next::Done(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Next::Failed(e) => {
                eprintln!("holdfast: {e}");
                ExitCode::FAILURE
            }
        },
        "cli" => holdfast::tools::cli::run(name, std::mem::take(&mut rest)),
        "backup" => holdfast::tools::backup::run(rest, &mut std::io::stdout()),
        "restore" => holdfast::tools::restore::run(rest, &mut std::io::stdout()),
        "check-rdb" => holdfast::tools::check_rdb::run(&rest, &mut std::io::stdout()),
        "check-aof" => holdfast::tools::check_aof::run(&rest, &mut std::io::stdin().lock(), &mut std::io::stdout()),
        "check-config" => match holdfast::tools::check_config::run(&rest, &mut std::io::stdout()) {
            Ok(status) => ExitCode::from(status as u8),
            Err(_) => ExitCode::from(2),
        },
        "fips" => {
            let fips = Fips::parse_from(std::iter::once("fips".into()).chain(rest));
            holdfast::tools::fips::run(&fips.args, &mut std::io::stdout())
        }
        "audit" => {
            let audit = Audit::parse_from(std::iter::once("audit".into()).chain(rest));
            holdfast::tools::audit::run(&audit.args, &mut std::io::stdout())
        }
        "version" | "--version" | "-v" | "-V" => {
            println!("{}", version(name));
            ExitCode::SUCCESS
        }
        "doctor" => match holdfast::tools::doctor::run(&rest, &mut std::io::stdout()) {
            Ok(status) => ExitCode::from(status as u8),
            Err(_) => ExitCode::from(2),
        },
        "help" if !rest.is_empty() => {
            let tool = rest.remove(0).to_string_lossy().into_owned();
            run(&tool, name, vec!["--help".into()])
        }
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        "sentinel" | "valkey-benchmark" | "redis-benchmark" => {
            eprintln!("holdfast: {tool}: not there yet");
            ExitCode::from(2)
        }
        other => {
            let near = holdfast::config::nearest_of(other, TOOLS.iter().copied());
            let near = near.map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
            eprintln!("holdfast: '{other}' is no tool of mine.{near}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Called by another server's name it says that server's version, as INFO does: scripts read it to learn which commands there are.
fn version(name: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let (who, version, more) = match name {
        "valkey-server" => ("Valkey", names::VALKEY_VERSION, format!(" holdfast={own}")),
        "redis-server" => ("Redis", names::REDIS_VERSION, format!(" holdfast={own}")),
        _ => ("Holdfast", own, String::new()),
    };
    format!(
        "{who} server v={version} sha=00000000:0 malloc=jemalloc bits=64 build=0{more} module={}",
        holdfast::crypto::MODULE_VERSION
    )
}

fn server(name: &str, args: Vec<OsString>, notices: &[String]) -> ExitCode {
    match args.first().map(|a| a.to_string_lossy()).as_deref() {
        Some("-v" | "--version") => {
            println!("{}", version(name));
            return ExitCode::SUCCESS;
        }
        Some("-h" | "--help") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--check-system") => {
            return ExitCode::from(u8::from(!holdfast::tools::check_system::run(&mut std::io::stdout())));
        }
        Some("--test-memory") => {
            let fine = holdfast::tools::check_system::test_memory(&args[1..], &mut std::io::stdout());
            return ExitCode::from(u8::from(!fine));
        }
        _ => {}
    }
    let mut loaded = match holdfast::config::load(&args) {
        Ok(l) => l,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "{e}");
            return ExitCode::FAILURE;
        }
    };
    loaded.notices.splice(0..0, notices.iter().cloned());
    match holdfast::server::run(loaded) {
        Ok(status) => ExitCode::from(status as u8),
        Err(e) => {
            tracing::error!("{e}");
            eprintln!("holdfast: {e}");
            ExitCode::FAILURE
        }
    }
}
