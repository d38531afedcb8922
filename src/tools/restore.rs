//! `holdfast restore`: a data folder made from a backup or from another data folder, whole or as it was at a second.
//!
//! The source is only read. Of a folder of backups the newest is taken that is old enough; what a backup says of itself is compared with its
//! files first. Its append-only folder is taken if it has one, else its snapshot; everything is checked before a byte is written, and the target has
//! to be empty. A moment is found by the notes of time in the log (`aof-timestamp-enabled yes`): what was written up to and in that second is kept. A
//! log whose base is younger than the moment cannot go back that far. Sealed files are opened with their key, and stay sealed.
//!
//! A log whose doublewrite buffer holds what it lacks is not taken: it belongs to a server that has not been started since its machine failed, and
//! a copy without what was acknowledged would pass for a whole one. To write into the source is not for who only reads it.

use super::backup::manifest as backups;
use crate::base::calendar::{unix_of_utc_text, utc_text};
use crate::base::clock;
use crate::base::progress::Watched;
use crate::persist::aof::load::{begins_with_snapshot, check_identity, check_length};
use crate::persist::aof::log::manifest_name;
use crate::persist::aof::manifest::{Manifest, Part};
use crate::persist::aof::reader::{Fault, Item, Reader, Steps};
use crate::persist::rdb::check::{Report, check};
use crate::storage::{self, DataFile, Keyring, Sealing, doublewrite};
use clap::Parser;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `holdfast restore ...`
#[derive(Parser, Debug)]
#[command(
    name = "holdfast restore",
    about = "Makes a data folder from a backup or another data folder, whole or as it was at a moment"
)]
struct Arguments {
    /// The second to stop at: seconds since the epoch, or as in 2026-11-21T06:15:25Z
    #[arg(long, value_name = "TIME", value_parser = second)]
    to_time: Option<i64>,
    /// Check and tell, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the keys of sealed files are: file:PATH, env:NAME or command:PROGRAM ARGUMENTS
    #[arg(long, value_name = "SOURCE")]
    key_source: Option<String>,
    /// Folder of the append-only files in the source
    #[arg(long, default_value = "appendonlydir")]
    appenddirname: String,
    /// Name of the append-only files
    #[arg(long, default_value = "appendonly.aof")]
    appendfilename: String,
    /// Name of the snapshot file
    #[arg(long, default_value = "dump.rdb")]
    dbfilename: String,
    /// A backup, a folder of backups, or a data folder
    source: PathBuf,
    /// The folder to make
    target: PathBuf,
}

/// Takes the keys that sealed files are opened with: those of `source`, or of the variable HOLDFAST_KEY_SOURCE. With `seal` new files are
/// sealed under the first.
///
/// # Errors
/// They cannot be read.
pub fn take_keys(source: Option<&str>, seal: bool) -> Result<(), String> {
    let variable = std::env::var("HOLDFAST_KEY_SOURCE").ok();
    let Some(source) = source.or(variable.as_deref()).filter(|s| !s.is_empty()) else { return Ok(()) };
    let sealing = if seal { Sealing::Migrate } else { Sealing::Off };
    let ring = Keyring::read(source, sealing).map_err(|e| format!("the key source '{source}': {e}"))?;
    storage::install(ring);
    Ok(())
}

/// What data are taken from.
#[derive(Clone, Debug)]
pub struct Source {
    pub folder: PathBuf,
    pub appenddirname: String,
    pub appendfilename: String,
    pub dbfilename: String,
}

/// What was taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Files, by their names in the target.
    pub names: Vec<PathBuf>,
    pub is_log: bool,
    /// Keys of the snapshot, or of the log's base.
    pub keys: u64,
}

/// A file to copy, and how much text of it.
#[derive(Debug)]
struct Copied {
    from: PathBuf,
    name: PathBuf,
    bytes: u64,
}

/// What a source comes to, checked.
struct Plan {
    files: Vec<Copied>,
    /// A log's manifest, and whether the source's proves itself.
    manifest: Option<Manifest>,
    stamped: bool,
    keys: u64,
}

/// Runs the tool.
pub fn run(args: Vec<OsString>, out: &mut dyn Write) -> ExitCode {
    let arguments = Arguments::parse_from(std::iter::once(OsString::from("holdfast restore")).chain(args));
    match restore(&arguments, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("holdfast restore: {e}");
            ExitCode::FAILURE
        }
    }
}

fn second(text: &str) -> Result<i64, String> {
    let second = text.parse().ok().or_else(|| unix_of_utc_text(text));
    second.ok_or_else(|| "a time is in seconds since the epoch, or as in 2026-11-21T06:15:25Z".into())
}

fn at<'p>(what: &'p str, path: &'p Path) -> impl Fn(io::Error) -> String + 'p {
    move |e| format!("{what} {}: {e}", path.display())
}

fn restore(a: &Arguments, out: &mut dyn Write) -> Result<(), String> {
    if fs::read_dir(&a.target).is_ok_and(|mut d| d.next().is_some()) {
        return Err(format!("{} is not empty: name a new folder", a.target.display()));
    }
    take_keys(a.key_source.as_deref(), false)?;
    let source = Source {
        folder: chosen(&a.source, a.to_time, out)?,
        appenddirname: a.appenddirname.clone(),
        appendfilename: a.appendfilename.clone(),
        dbfilename: a.dbfilename.clone(),
    };
    let plan = plan(&source, a.to_time, out)?;
    for f in &plan.files {
        let _ = writeln!(out, "{}: {} bytes", f.name.display(), f.bytes);
    }
    if a.dry_run {
        let _ = writeln!(out, "Nothing was written: this was a dry run.");
        return Ok(());
    }
    fs::create_dir_all(&a.target).map_err(at("making", &a.target))?;
    whole_or_nothing(&source, &plan, &a.target)?;
    let _ = writeln!(out, "Restored to {}.", a.target.display());
    Ok(())
}

/// The backup to take, its files being what they were; a folder that is none is taken as it is.
fn chosen(folder: &Path, to_time: Option<i64>, out: &mut dyn Write) -> Result<PathBuf, String> {
    let mut backup = backups::Manifest::read(folder)?.map(|m| (folder.to_path_buf(), m));
    if backup.is_none() {
        let there = backups::list(folder).map_err(at("reading", folder))?;
        if there.is_empty() {
            return Ok(folder.to_path_buf());
        }
        let held = there.len();
        backup = newest(there, to_time);
        let moment =
            to_time.map_or("that".to_owned(), |t| format!("made before, or with a log up to, {}", utc_text(t)));
        if backup.is_none() {
            return Err(format!("none of the {held} backups in {} is one {moment}", folder.display()));
        }
    }
    let Some((path, manifest)) = backup else { return Ok(folder.to_path_buf()) };
    manifest.verify(&path)?;
    let _ = writeln!(
        out,
        "{}: a backup of {} at {}; its files are what they were.",
        path.display(),
        manifest.server,
        utc_text(manifest.made)
    );
    Ok(path)
}

/// The backup that leads to a moment: the oldest log that was taken after it, else the newest made before it.
fn newest(there: Vec<(PathBuf, backups::Manifest)>, to_time: Option<i64>) -> Option<(PathBuf, backups::Manifest)> {
    let Some(to) = to_time else { return there.into_iter().next_back() };
    let is_log = |m: &backups::Manifest| m.files.iter().any(|f| f.name.components().count() > 1);
    let (before, after): (Vec<_>, Vec<_>) = there.into_iter().partition(|(_, m)| m.made <= to);
    after.into_iter().find(|(_, m)| is_log(m)).or_else(|| before.into_iter().next_back())
}

/// Copies what a source has, up to a second if one is named, into a folder that is there.
///
/// # Errors
/// What is damaged, or cannot be read or written.
pub fn take(source: &Source, to_time: Option<i64>, target: &Path, out: &mut dyn Write) -> Result<Taken, String> {
    let plan = plan(source, to_time, out)?;
    carry_out(source, &plan, target)?;
    let mut names: Vec<PathBuf> = plan.files.iter().map(|f| f.name.clone()).collect();
    let is_log = plan.manifest.is_some();
    if is_log {
        names.push(Path::new(&source.appenddirname).join(manifest_name(&source.appendfilename)));
    }
    Ok(Taken { names, is_log, keys: plan.keys })
}

fn plan(source: &Source, to_time: Option<i64>, out: &mut dyn Write) -> Result<Plan, String> {
    let folder = source.folder.join(&source.appenddirname);
    let manifest = folder.join(manifest_name(&source.appendfilename));
    if manifest.is_file() {
        if source.folder.join(&source.dbfilename).is_file() {
            let _ = writeln!(out, "The append-only folder is taken; {} is left aside.", source.dbfilename);
        }
        has_all(&folder)?;
        let (text, stamped) =
            storage::read_stamped(&storage::keyring(), &manifest).map_err(at("reading", &manifest))?;
        let manifest = Manifest::parse(&text).map_err(|e| format!("{}: {e}", manifest.display()))?;
        of_log(source, to_time, &folder, &manifest, out).map(|plan| Plan { stamped, ..plan })
    } else {
        of_snapshot(source, to_time, out)
    }
}

/// An error if the machine of this log failed and its buffer has not been looked at since.
fn has_all(folder: &Path) -> Result<(), String> {
    match doublewrite::lacking(folder).map_err(at("reading", folder))?.first() {
        None => Ok(()),
        Some(lack) => Err(format!(
            "the doublewrite buffer {} holds {} acknowledged bytes that {} lacks, as the machine failed: start the server on that folder \
             once, or run holdfast check-aof --fix on its manifest, which brings them back",
            lack.buffer.display(),
            lack.bytes(),
            lack.file.display()
        )),
    }
}

/// Fills an empty folder. A server must not take a part for the whole, and the next attempt needs an empty one again.
fn whole_or_nothing(source: &Source, plan: &Plan, target: &Path) -> Result<(), String> {
    let carried_out = carry_out(source, plan, target).and_then(|()| sync(plan, target));
    carried_out.inspect_err(|_| take_back(source, plan, target))
}

/// Forces the names to disk, as the files are already.
fn sync(plan: &Plan, target: &Path) -> Result<(), String> {
    let mut folders: Vec<PathBuf> =
        plan.files.iter().map(|f| storage::folder(&target.join(&f.name)).to_owned()).collect();
    folders.push(target.to_owned());
    folders.dedup();
    folders
        .iter()
        .try_for_each(|folder| File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("syncing", folder)))
}

/// Deletes what an attempt has made that failed.
fn take_back(source: &Source, plan: &Plan, target: &Path) {
    for f in &plan.files {
        storage::remove(&target.join(&f.name));
    }
    if plan.manifest.is_some() {
        let folder = target.join(&source.appenddirname);
        storage::remove(&folder.join(manifest_name(&source.appendfilename)));
        let _ = fs::remove_dir(folder);
    }
}

fn carry_out(source: &Source, plan: &Plan, target: &Path) -> Result<(), String> {
    for f in &plan.files {
        copy(f, target)?;
    }
    if let Some(manifest) = &plan.manifest {
        // Last: a folder that lacks it is not taken for a log.
        let folder = target.join(&source.appenddirname);
        let path = folder.join(manifest_name(&source.appendfilename));
        let ring = storage::keyring();
        let text = if plan.stamped || ring.seals() {
            let text = known(manifest, &folder, plan).map_err(at("reading back", &folder))?.to_string();
            storage::stamp(&ring, &path, &text).map_err(at("sealing", &path))?
        } else {
            manifest.to_string()
        };
        let mut file = create(&path).map_err(at("making", &path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at("writing", &path))?;
    }
    Ok(())
}

/// The manifest with what the copies are.
fn known(manifest: &Manifest, folder: &Path, plan: &Plan) -> io::Result<Manifest> {
    let mut manifest = manifest.clone();
    let know = |part: &mut Part, last: bool| -> io::Result<()> {
        part.id = storage::identity_of(&folder.join(&part.name))?;
        let copied = plan.files.iter().find(|f| f.name.file_name() == Some(part.name.as_ref()));
        part.bytes = copied.filter(|_| !last && part.id.is_some()).map(|f| f.bytes);
        Ok(())
    };
    if let Some(base) = &mut manifest.base {
        know(base, true)?;
    }
    let n = manifest.increments.len();
    manifest.increments.iter_mut().enumerate().try_for_each(|(i, part)| know(part, i + 1 == n))?;
    Ok(manifest)
}

/// Copies a file as it is on disk, then cuts the copy to the text that is wanted: so what is sealed stays sealed. Where new files are sealed,
/// and this one is not, or under an older key, its text is copied.
fn copy(f: &Copied, target: &Path) -> Result<(), String> {
    let path = target.join(&f.name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at("making", parent))?;
    }
    let title = format!("copying {}", f.name.display());
    let key = storage::key_of(&f.from).map_err(at("reading", &f.from))?;
    if storage::keyring().would_seal(key.as_ref()) {
        let from = Watched::new(open(&f.from)?, title, 0, Some(f.bytes));
        let mut from = from.take(f.bytes);
        storage::create_part(&path, |to| io::copy(&mut from, to)).map_err(at("writing", &path))?;
    } else {
        let from = File::open(&f.from).map_err(at("reading", &f.from))?;
        let total = from.metadata().ok().map(|m| m.len());
        let mut from = Watched::new(from, title, 0, total);
        let mut to = create(&path).map_err(at("making", &path))?;
        io::copy(&mut from, &mut to).and_then(|_| to.sync_all()).map_err(at("writing", &path))?;
    }
    let read = || open(&path).and_then(|mut f| io::copy(&mut f, &mut io::sink()).map_err(at("reading back", &path)));
    let mut there = read()?;
    if there > f.bytes {
        storage::cut(&storage::keyring(), &path, f.bytes).map_err(at("cutting", &path))?;
        there = read()?;
    }
    if there != f.bytes {
        return Err(format!("{} has become shorter meanwhile", f.from.display()));
    }
    Ok(())
}

/// Data are nobody's but the server's.
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn open(path: &Path) -> Result<DataFile, String> {
    DataFile::open(&storage::keyring(), path).map_err(at("opening", path))
}

fn of_snapshot(source: &Source, to_time: Option<i64>, out: &mut dyn Write) -> Result<Plan, String> {
    let from = source.folder.join(&source.dbfilename);
    if !from.exists() {
        let folder = source.folder.display();
        return Err(format!(
            "in {folder} there is neither an append-only folder named {} nor a snapshot named {}",
            source.appenddirname, source.dbfilename
        ));
    }
    let file = open(&from)?;
    let sealed = file.is_sealed();
    let total = file.disk_bytes().ok();
    let (report, made) = look(Watched::new(file, format!("checking {}", source.dbfilename), 0, total))
        .map_err(|e| format!("{}: {e}", from.display()))?;
    if let (Some(to), Some(made)) = (to_time, made)
        && made > to
    {
        let (made, to) = (utc_text(made), utc_text(to));
        return Err(format!("the snapshot was made at {made}, after {to}: take an older one"));
    }
    let keys = report.keys;
    let _ = writeln!(out, "The snapshot is whole: {keys} keys{}.", if sealed { ", sealed" } else { "" });
    if let (Some(to), Some(made)) = (to_time, made)
        && made < to
    {
        let (made, to) = (utc_text(made), utc_text(to));
        let _ =
            writeln!(out, "It is of {made}: what was written from then to {to} is not in it. A log would have that.");
    }
    let file = Copied { from, name: source.dbfilename.clone().into(), bytes: report.bytes };
    Ok(Plan { files: vec![file], manifest: None, stamped: false, keys })
}

/// Checks a snapshot; its report, and when it was made.
fn look(file: impl io::Read) -> Result<(Report, Option<i64>), String> {
    let (mut report, mut made) = (Report::default(), None);
    let result = check(file, &mut report, clock::wall_ms(), &mut |note| {
        if let Some(time) = note.text.strip_prefix("AUX FIELD ctime = '") {
            made = time.trim_end_matches('\'').parse().ok();
        }
    });
    result.map(|()| (report, made)).map_err(|e| e.to_string())
}

/// The files of a log up to the moment, and the manifest that names them.
fn of_log(
    source: &Source,
    to_time: Option<i64>,
    folder: &Path,
    manifest: &Manifest,
    out: &mut dyn Write,
) -> Result<Plan, String> {
    let (mut files, mut kept, mut keys) = (Vec::new(), Manifest::default(), 0);
    let parts: Vec<&Part> = manifest.parts().collect();
    let (mut stopped, mut dates) = (None, Dates::default());
    for (n, part) in parts.iter().enumerate() {
        if stopped.is_some() {
            break;
        }
        let path = folder.join(&part.name);
        let last = n + 1 == parts.len();
        check_identity(part, &path).map_err(|e| e.to_string())?;
        let scanned = scan(to_time, &path, last, &mut dates)?;
        if scanned.stopped.is_none() {
            check_length(part, scanned.bytes).map_err(|e| e.to_string())?;
        }
        stopped = scanned.stopped;
        keys += scanned.keys;
        let is_base = manifest.base.as_ref() == Some(*part);
        if let (true, 0, Some(begun), Some(to)) = (is_base, scanned.bytes, stopped, to_time) {
            let (begun, to) = (utc_text(begun), utc_text(to));
            return Err(format!("the log's base was made at {begun}, after {to}: restore from an older copy"));
        }
        if is_base {
            kept.base = Some((*part).clone());
        } else {
            kept.add_increment((*part).clone());
        }
        files.push(Copied {
            from: path,
            name: Path::new(&source.appenddirname).join(&part.name),
            bytes: scanned.bytes,
        });
    }
    if let Some(to) = to_time
        && dates.undated
        && !dates.dated
    {
        return Err(format!(
            "the log does not say when its first writes were made, so that it cannot be taken up to {}: it was written without \
             aof-timestamp-enabled. Without --to-time all of it is taken",
            utc_text(to)
        ));
    }
    match (to_time, stopped) {
        (Some(to), None) => {
            let _ = writeln!(out, "The log has no note of a time after {}: all of it is taken.", utc_text(to));
        }
        (_, Some(time)) => {
            let _ = writeln!(out, "The log is taken up to its last write before {}.", utc_text(time));
        }
        (None, None) => {}
    }
    Ok(Plan { files, manifest: Some(kept), stamped: false, keys })
}

/// How much text of a file is taken, and the time of the first thing that is not.
#[derive(Default)]
struct Scanned {
    bytes: u64,
    stopped: Option<i64>,
    keys: u64,
}

/// What is known of the times of a log's writes up to the moment.
#[derive(Default)]
struct Dates {
    /// A note of a time was there.
    dated: bool,
    /// Something was written before the first.
    undated: bool,
}

fn scan(to_time: Option<i64>, path: &Path, last: bool, dates: &mut Dates) -> Result<Scanned, String> {
    let mut file = open(path)?;
    let total = file.disk_bytes().ok();
    let name = format!("checking {}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut scanned = Scanned::default();
    if begins_with_snapshot(&mut file).map_err(at("reading", path))? {
        let watched = Watched::new(&mut file, name.as_str(), 0, total);
        let (report, made) = look(watched).map_err(|e| format!("{}: {e}", path.display()))?;
        if let (Some(to), Some(made)) = (to_time, made)
            && made > to
        {
            let (made, to) = (utc_text(made), utc_text(to));
            return Err(format!("the log's base was made at {made}, after {to}: restore from an older copy"));
        }
        (scanned.bytes, scanned.keys) = (report.bytes, report.keys);
        file.seek_to(scanned.bytes).map_err(at("reading", path))?;
    }
    let mut reader = Reader::new(Watched::new(file, name, scanned.bytes, total), scanned.bytes);
    let mut steps = Steps::new(scanned.bytes);
    loop {
        scanned.bytes = steps.whole;
        let fault = match reader.advance() {
            Ok(true) => None,
            Ok(false) if steps.open => Some(Fault::OpenTransaction),
            // A sealed file may end inside a record where its text ends with a step.
            Ok(false) if reader.from().inner().is_torn() => Some(Fault::Truncated),
            Ok(false) => return Ok(scanned),
            Err(fault) => Some(fault),
        };
        match fault {
            None => {}
            Some(Fault::Truncated | Fault::OpenTransaction) if last => return Ok(scanned),
            Some(fault) => {
                return Err(format!("{} is damaged at byte {}: {fault:?}", path.display(), reader.offset()));
            }
        }
        for (item, args, from, to) in reader.items() {
            match item {
                Item::Time(time) if to_time.is_some_and(|wanted| *time > wanted) => {
                    scanned.bytes = if steps.open { steps.whole } else { from };
                    scanned.stopped = Some(*time);
                    return Ok(scanned);
                }
                Item::Time(_) => {
                    dates.dated = true;
                    steps.note(to);
                }
                Item::Moment(_) => steps.note(to),
                Item::Request => {
                    dates.undated |= !dates.dated;
                    steps.request(args.at(0), to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_fails_leaves_the_folder_empty() {
        let (from, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let text = from.path().join("text");
        fs::write(&text, "abc").unwrap();
        let copied = |name: &str, bytes| Copied { from: text.clone(), name: Path::new("log").join(name), bytes };
        let source = Source {
            folder: from.path().into(),
            appenddirname: "log".into(),
            appendfilename: "a.aof".into(),
            dbfilename: "dump.rdb".into(),
        };
        let plan = |files| Plan { files, manifest: Some(Manifest::default()), stamped: false, keys: 0 };
        let made = |plan| whole_or_nothing(&source, &plan, target.path());
        assert!(made(plan(vec![copied("a", 3), copied("b", 5)])).unwrap_err().contains("has become shorter"));
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        made(plan(vec![copied("a", 3), copied("b", 2)])).unwrap();
        assert_eq!(fs::read(target.path().join("log/b")).unwrap(), b"ab");
        assert!(target.path().join("log/a.aof.manifest").is_file());
    }

    #[test]
    fn a_log_is_taken_up_to_the_second_that_is_asked_for() {
        let source = tempfile::tempdir().unwrap();
        let folder = source.path().join("appendonlydir");
        fs::create_dir(&folder).unwrap();
        let set = |n: u32| format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n{n}\r\n");
        let first = format!("#TS:100\r\n{}#TS:200\r\n{}", set(1), set(2));
        let second = format!("#TS:300\r\n{}", set(3));
        fs::write(folder.join("appendonly.aof.1.incr.aof"), &first).unwrap();
        fs::write(folder.join("appendonly.aof.2.incr.aof"), &second).unwrap();
        let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
        fs::write(folder.join("appendonly.aof.manifest"), manifest).unwrap();
        for (time, want) in [
            (Some(150), vec![first[..first.find("#TS:200").unwrap()].to_owned()]),
            (Some(250), vec![first.clone(), String::new()]),
            (None, vec![first.clone(), second.clone()]),
        ] {
            let target = tempfile::tempdir().unwrap();
            let a = Arguments {
                to_time: time,
                dry_run: false,
                key_source: None,
                appenddirname: "appendonlydir".into(),
                appendfilename: "appendonly.aof".into(),
                dbfilename: "dump.rdb".into(),
                source: source.path().into(),
                target: target.path().join("new"),
            };
            restore(&a, &mut Vec::new()).unwrap();
            let made = a.target.join("appendonlydir");
            for (n, want) in want.iter().enumerate() {
                let name = format!("appendonly.aof.{}.incr.aof", n + 1);
                assert_eq!(&fs::read_to_string(made.join(name)).unwrap(), want, "{time:?}");
            }
            let text = fs::read_to_string(made.join("appendonly.aof.manifest")).unwrap();
            assert_eq!(text.lines().count(), want.len());
            assert!(restore(&a, &mut Vec::new()).is_err(), "a folder that is there is left alone");
        }
    }
}
