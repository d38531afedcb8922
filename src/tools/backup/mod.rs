//! `holdfast backup`: a backup of a server that goes on working, checked by reading it back, as plain files with a manifest.
//!
//! The snapshot comes over the connection, the way a replica gets it (see [`super::cli::snapshot`]): it is one instant, it needs no access to
//! the server's disk, any server of this family gives it, and the memory it takes there is that of a replica's first sync. For a restore to a second
//! the log is needed, too: `--log DIR` takes the append-only folder of a server on this machine instead, up to its last whole step.
//!
//! # Invariants
//! * A backup has its name only when all of it is on disk and was read back.
//! * Only folders with a manifest are ever deleted, and only after a backup that succeeded; and what a backup left that was killed (see [`part`]).

pub mod manifest;
mod part;
mod retention;

use super::cli;
use super::restore::{self, take_keys};
use crate::base::calendar::utc_text;
use crate::base::clock;
use crate::base::progress::Bar;
use crate::crypto::Sha256;
use crate::persist::rdb::check::{Report, check};
use crate::storage;
use clap::{CommandFactory, Parser};
use manifest::{Entry, Manifest};
use part::Part;
use retention::Retention;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `holdfast backup ... FOLDER`
#[derive(Parser, Debug)]
#[command(
    name = "holdfast backup",
    override_usage = "holdfast backup [CONNECTION OPTIONS OF holdfast cli] [OPTIONS] <FOLDER>",
    about = "Backs a running server up into a folder of backups, and reads the backup back"
)]
struct Arguments {
    /// The folder of backups; each is a folder in it
    folder: PathBuf,
    /// Seal the backup under the first of these keys: file:PATH, env:NAME or command:PROGRAM ARGUMENTS
    #[arg(long, value_name = "SOURCE")]
    key_source: Option<String>,
    /// Take the append-only folder of this data folder instead of a snapshot, for restores to a second
    #[arg(long, value_name = "DATA FOLDER")]
    log: Option<PathBuf>,
    /// Name of the append-only folder in it
    #[arg(long, default_value = "appendonlydir")]
    appenddirname: String,
    /// Name of the append-only files in it
    #[arg(long, default_value = "appendonly.aof")]
    appendfilename: String,
    /// Days of which the newest backup is kept
    #[arg(long, default_value_t = 7)]
    keep_daily: usize,
    /// Weeks of which the newest backup is kept
    #[arg(long, default_value_t = 4)]
    keep_weekly: usize,
    /// Months of which the newest backup is kept
    #[arg(long, default_value_t = 12)]
    keep_monthly: usize,
    /// Delete no older backup
    #[arg(long)]
    keep_all: bool,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

const SNAPSHOT: &str = "dump.rdb";
/// A log is rewritten now and then while it is read; then it is read again.
const TRIES: usize = 5;

/// Runs the tool.
pub fn run(args: Vec<OsString>, out: &mut dyn Write) -> ExitCode {
    if args.iter().any(|a| a == "--help") {
        let _ = Arguments::parse_from(["holdfast backup", "--help"]);
    }
    let (own, connection) = own_and_others(args);
    let (mut client, words) = match cli::prepare("holdfast backup", connection) {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let words = words.into_iter().map(OsString::from_vec);
    let name = std::iter::once(OsString::from("holdfast backup"));
    let arguments = Arguments::parse_from(name.chain(own).chain(words));
    let began = clock::monotonic_ms();
    let result = back_up(&arguments, &mut client, out);
    let report = match &result {
        Ok(m) => ["ok".to_owned(), m.made.to_string(), m.bytes().to_string()],
        Err(_) => ["err".to_owned(), (clock::wall_ms() / 1000).to_string(), "0".to_owned()],
    };
    tell(&mut client, &report, (clock::monotonic_ms() - began) / 1000);
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            if !e.is_empty() {
                eprintln!("holdfast backup: {e}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Parts this tool's own options, wherever they stand, from those of the connection and from what follows them.
fn own_and_others(args: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let command = Arguments::command();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(word) = args.next() {
        let text = word.to_string_lossy().into_owned();
        let (flag, value) = text.split_once('=').map_or((text.as_str(), None), |(flag, value)| (flag, Some(value)));
        let found = command.get_arguments().find(|a| {
            let long = a.get_long().is_some_and(|l| flag.strip_prefix("--") == Some(l));
            long || a.get_short().is_some_and(|s| flag.strip_prefix('-').is_some_and(|f| f.chars().eq([s])))
        });
        match found {
            Some(option) => {
                own.push(word);
                if option.get_action().takes_values() && value.is_none() {
                    own.extend(args.next());
                }
            }
            None => others.push(word),
        }
    }
    (own, others)
}

/// Tells the server how it went, for its INFO and metrics. Another server than ours does not know the word, and need not.
fn tell(client: &mut cli::client::Client, report: &[String; 3], seconds: u64) {
    client.connection = None;
    if client.connect()
        && let Some(connection) = &mut client.connection
    {
        let text = format!("{}:{}:{}:{seconds}", report[0], report[1], report[2]);
        let _ = connection.ask(&["REPLCONF", "backup-result", &text]);
    }
}

fn at<'p>(what: &'p str, path: &'p Path) -> impl Fn(io::Error) -> String + 'p {
    move |e| format!("{what} {}: {e}", path.display())
}

fn back_up(a: &Arguments, client: &mut cli::client::Client, out: &mut dyn Write) -> Result<Manifest, String> {
    take_keys(a.key_source.as_deref(), true)?;
    fs::create_dir_all(&a.folder).map_err(at("making", &a.folder))?;
    if !client.connect() {
        return Err(String::new());
    }
    let made = clock::wall_ms() / 1000;
    let name = utc_text(made).replace(':', "-");
    let part = Part::begin(&a.folder, &name, out)?;
    let mut manifest = Manifest { made, sealed: storage::keyring().seals(), ..Manifest::default() };
    if let Some(connection) = &mut client.connection {
        let mut field = |section, name| cli::snapshot::info_field(connection, section, name).unwrap_or_default();
        manifest.version = field("server", "valkey_version");
        manifest.server = format!("{} (run {})", client.target.name(), field("server", "run_id"));
    }
    let result = fill(a, client, part.path(), &mut manifest, out).and_then(|()| {
        manifest.write(part.path()).map_err(at("writing the manifest in", part.path()))?;
        let path = part.name(&a.folder, &name)?;
        sync(&a.folder).map_err(at("syncing", &a.folder))?;
        Ok(path)
    });
    let path = match result {
        Ok(path) => path,
        Err(e) => {
            // What is left of the attempt is worth nothing.
            let _ = fs::remove_dir_all(part.path());
            return Err(e);
        }
    };
    drop(part);
    let _ = writeln!(
        out,
        "{}: {} keys, {} bytes in {} files, read back and whole.",
        path.display(),
        manifest.keys,
        manifest.bytes(),
        manifest.files.len()
    );
    if !a.keep_all {
        prune(a, made, out)?;
    }
    Ok(manifest)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn fill(
    a: &Arguments,
    client: &mut cli::client::Client,
    part: &Path,
    manifest: &mut Manifest,
    out: &mut dyn Write,
) -> Result<(), String> {
    let names = match &a.log {
        Some(data) => take_log(a, data, part, manifest, out)?,
        None => vec![take_snapshot(a, client, part, manifest)?],
    };
    for name in names {
        let path = part.join(&name);
        let (bytes, sha256) = manifest::sum_of(&path).map_err(at("reading back", &path))?;
        manifest.files.push(Entry { name, bytes, sha256 });
    }
    sync(part).map_err(at("syncing", part))
}

/// Takes a snapshot from the server, and reads it back.
fn take_snapshot(
    a: &Arguments,
    client: &mut cli::client::Client,
    part: &Path,
    manifest: &mut Manifest,
) -> Result<PathBuf, String> {
    let Some(connection) = &mut client.connection else { return Err("there is no connection".into()) };
    let path = part.join(SNAPSHOT);
    let mut bar = Bar::new("receiving", a.quiet);
    let mut sum = Sha256::new();
    let received = storage::create_snapshot(&path, true, |file| {
        let mut take = |bytes: &[u8]| {
            sum.update(bytes);
            file.write_all(bytes).map_err(|e| format!("writing {}: {e}", path.display()))
        };
        let mut show = |done, total| bar.show(done, total);
        cli::snapshot::receive(connection, &mut take, &mut show).map_err(io::Error::other)
    });
    drop(bar);
    received.map_err(|e| e.to_string())?;
    let sum = sum.finish();
    let data = storage::open_data(&path).map_err(at("reading back", &path))?;
    let mut back = Reread { from: data.ok_or("the backup has gone while it was made")?, sum: Sha256::new() };
    let mut report = Report::default();
    check(&mut back, &mut report, clock::wall_ms(), &mut |_| {})
        .map_err(|e| format!("the snapshot that was received is not whole: {e}"))?;
    io::copy(&mut back, &mut io::sink()).map_err(at("reading back", &path))?;
    if back.sum.finish() != sum {
        return Err(format!(
            "{} reads back differently from what was received: the disk is not to be trusted",
            path.display()
        ));
    }
    manifest.keys = report.keys;
    Ok(SNAPSHOT.into())
}

/// What is read, summed.
struct Reread<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Read for Reread<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(out)?;
        self.sum.update(&out[..n]);
        Ok(n)
    }
}

/// Takes the log of a server that goes on writing it. What is there when a file is looked at is a moment of the past, whole.
fn take_log(
    a: &Arguments,
    data: &Path,
    part: &Path,
    manifest: &mut Manifest,
    out: &mut dyn Write,
) -> Result<Vec<PathBuf>, String> {
    let source = restore::Source {
        folder: data.to_path_buf(),
        appenddirname: a.appenddirname.clone(),
        appendfilename: a.appendfilename.clone(),
        dbfilename: SNAPSHOT.into(),
    };
    let mut last = String::new();
    for _ in 0..TRIES {
        let _ = fs::remove_dir_all(part.join(&a.appenddirname));
        match restore::take(&source, None, part, out) {
            Ok(taken) if !taken.is_log => {
                return Err(format!("{} has no append-only folder named {}", data.display(), a.appenddirname));
            }
            Ok(taken) => {
                manifest.keys = taken.keys;
                return Ok(taken.names);
            }
            // A rewrite has just ended: what the manifest named is gone.
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn prune(a: &Arguments, now: i64, out: &mut dyn Write) -> Result<(), String> {
    let retention = Retention { daily: a.keep_daily, weekly: a.keep_weekly, monthly: a.keep_monthly };
    let there = manifest::list(&a.folder).map_err(at("reading", &a.folder))?;
    let made: Vec<i64> = there.iter().map(|(_, m)| m.made).collect();
    let kept = retention.keep(&made, now);
    for (path, m) in there {
        if !kept.contains(&m.made) {
            // The manifest first: what is left of it is no backup any more.
            let gone = fs::remove_file(path.join(manifest::NAME)).and_then(|()| fs::remove_dir_all(&path));
            gone.map_err(at("deleting", &path))?;
            let _ = writeln!(out, "{}: deleted, being older than what is kept.", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_options_stand_anywhere_among_those_of_the_connection() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for line in [
            "-p 1 --log data --keep-daily=3 -q --tls backups",
            "--log data -p 1 --keep-daily=3 --tls backups -q",
            "-p 1 --tls backups --log data --keep-daily=3 -q",
        ] {
            let (own, others) = own_and_others(words(line));
            assert_eq!(own, words("--log data --keep-daily=3 -q"), "{line}");
            assert_eq!(others, words("-p 1 --tls backups"), "{line}");
        }
    }
}
