//! `holdfast restore`: a data folder made from another one, whole or as it was at a second.
//!
//! The source is only read. Its append-only folder is taken if it has one, else its snapshot; everything is checked before a byte is
//! written, and the target has to be empty. A moment is found by the notes of time in the log (`aof-timestamp-enabled yes`): what was
//! written up to and in that second is kept. A log whose base is younger than the moment cannot go back that far.

use crate::base::clock;
use crate::persist::aof::log::manifest_name;
use crate::persist::aof::manifest::{Manifest, Part};
use crate::persist::aof::reader::{Fault, Item, Reader};
use crate::persist::rdb::check::{Report, check};
use clap::Parser;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `holdfast restore ...`
#[derive(Parser, Debug)]
#[command(name = "holdfast restore", about = "Makes a data folder from another one, whole or as it was at a moment")]
struct Arguments {
    /// The second to stop at: seconds since the epoch
    #[arg(long, value_name = "SECONDS")]
    to_time: Option<i64>,
    /// Check and tell, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Folder of the append-only files in the source
    #[arg(long, default_value = "appendonlydir")]
    appenddirname: String,
    /// Name of the append-only files
    #[arg(long, default_value = "appendonly.aof")]
    appendfilename: String,
    /// Name of the snapshot file
    #[arg(long, default_value = "dump.rdb")]
    dbfilename: String,
    /// The data folder to read
    source: PathBuf,
    /// The folder to make
    target: PathBuf,
}

/// A file to copy, and how much of it.
#[derive(Debug)]
struct Taken {
    from: PathBuf,
    name: PathBuf,
    bytes: u64,
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

fn at<'p>(what: &'p str, path: &'p Path) -> impl Fn(io::Error) -> String + 'p {
    move |e| format!("{what} {}: {e}", path.display())
}

fn restore(a: &Arguments, out: &mut dyn Write) -> Result<(), String> {
    if fs::read_dir(&a.target).is_ok_and(|mut d| d.next().is_some()) {
        return Err(format!("{} is not empty: name a new folder", a.target.display()));
    }
    let folder = a.source.join(&a.appenddirname);
    let manifest = folder.join(manifest_name(&a.appendfilename));
    let (files, text) = if manifest.is_file() {
        let text = fs::read_to_string(&manifest).map_err(at("reading", &manifest))?;
        let manifest = Manifest::parse(&text).map_err(|e| format!("{}: {e}", manifest.display()))?;
        of_log(a, &folder, &manifest, out)?
    } else {
        (vec![of_snapshot(a, out)?], None)
    };
    for f in &files {
        let _ = writeln!(out, "{}: {} bytes", f.name.display(), f.bytes);
    }
    if a.dry_run {
        let _ = writeln!(out, "Nothing was written: this was a dry run.");
        return Ok(());
    }
    fs::create_dir_all(&a.target).map_err(at("making", &a.target))?;
    for f in &files {
        copy(f, &a.target)?;
    }
    if let Some(text) = text {
        // Last: a folder that lacks it is not taken for a log.
        let path = a.target.join(&a.appenddirname).join(manifest_name(&a.appendfilename));
        let mut file = File::create(&path).map_err(at("making", &path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at("writing", &path))?;
    }
    let _ = writeln!(out, "Restored to {}.", a.target.display());
    Ok(())
}

fn copy(f: &Taken, target: &Path) -> Result<(), String> {
    let path = target.join(&f.name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at("making", parent))?;
    }
    let from = File::open(&f.from).map_err(at("reading", &f.from))?;
    let mut to = File::create(&path).map_err(at("making", &path))?;
    let n = io::copy(&mut from.take(f.bytes), &mut to).map_err(at("writing", &path))?;
    if n != f.bytes {
        return Err(format!("{} has become shorter meanwhile", f.from.display()));
    }
    to.sync_all().map_err(at("writing", &path))
}

fn of_snapshot(a: &Arguments, out: &mut dyn Write) -> Result<Taken, String> {
    let from = a.source.join(&a.dbfilename);
    let file =
        File::open(&from).map_err(at("there is neither an append-only folder nor a snapshot: opening", &from))?;
    let (report, made) = look(&file).map_err(|e| format!("{}: {e}", from.display()))?;
    if let (Some(to), Some(made)) = (a.to_time, made)
        && made > to
    {
        return Err(format!("the snapshot was made at {made}, after {to}: take an older one"));
    }
    let _ = writeln!(out, "The snapshot is whole: {} keys.", report.keys);
    Ok(Taken { from, name: a.dbfilename.clone().into(), bytes: report.bytes })
}

/// Checks a snapshot; its report, and when it was made.
fn look(file: &File) -> Result<(Report, Option<i64>), String> {
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
    a: &Arguments,
    folder: &Path,
    manifest: &Manifest,
    out: &mut dyn Write,
) -> Result<(Vec<Taken>, Option<String>), String> {
    let (mut files, mut kept) = (Vec::new(), Manifest::default());
    let parts: Vec<&Part> = manifest.parts().collect();
    let mut stopped = None;
    for (n, part) in parts.iter().enumerate() {
        if stopped.is_some() {
            break;
        }
        let path = folder.join(&part.name);
        let last = n + 1 == parts.len();
        let (bytes, stop) = scan(a, &path, last)?;
        stopped = stop;
        let is_base = manifest.base.as_ref() == Some(*part);
        if is_base {
            kept.base = Some((*part).clone());
        } else {
            kept.add_increment((*part).clone());
        }
        files.push(Taken { from: path, name: Path::new(&a.appenddirname).join(&part.name), bytes });
    }
    match (a.to_time, stopped) {
        (Some(to), None) => {
            let _ = writeln!(out, "The log has no note of a time after {to}: all of it is taken.");
        }
        (_, Some(time)) => {
            let _ = writeln!(out, "The log is taken up to its last write before the second {time}.");
        }
        (None, None) => {}
    }
    Ok((files, Some(kept.to_string())))
}

/// How much of a file is taken, and the time of the first thing that is not.
fn scan(a: &Arguments, path: &Path, last: bool) -> Result<(u64, Option<i64>), String> {
    let mut file = File::open(path).map_err(at("reading", path))?;
    let mut magic = [0; 6];
    let mut begin = 0;
    let got = file.read(&mut magic).map_err(at("reading", path))?;
    file.seek(SeekFrom::Start(0)).map_err(at("reading", path))?;
    if magic[..got].starts_with(b"REDIS") || magic == *b"VALKEY" {
        let (report, made) = look(&file).map_err(|e| format!("{}: {e}", path.display()))?;
        if let (Some(to), Some(made)) = (a.to_time, made)
            && made > to
        {
            return Err(format!("the log's base was made at {made}, after {to}: restore from an older copy"));
        }
        begin = report.bytes;
        file.seek(SeekFrom::Start(begin)).map_err(at("reading", path))?;
    }
    let mut reader = Reader::new(file, begin);
    let (mut whole, mut open) = (begin, false);
    loop {
        let fault = match reader.advance() {
            Ok(true) => None,
            Ok(false) if open => Some(Fault::OpenTransaction),
            Ok(false) => return Ok((whole, None)),
            Err(fault) => Some(fault),
        };
        match fault {
            None => {}
            Some(Fault::Truncated | Fault::OpenTransaction) if last => return Ok((whole, None)),
            Some(fault) => {
                return Err(format!("{} is damaged at byte {}: {fault:?}", path.display(), reader.offset()));
            }
        }
        for (item, args, from, to) in reader.items() {
            match item {
                Item::Time(time) if a.to_time.is_some_and(|wanted| *time > wanted) => {
                    return Ok((if open { whole } else { from }, Some(*time)));
                }
                Item::Time(_) => {}
                Item::Request => {
                    let word = args.at(0);
                    if word.eq_ignore_ascii_case(b"multi") {
                        open = true;
                    } else if word.eq_ignore_ascii_case(b"exec") {
                        open = false;
                    }
                }
            }
            if !open {
                whole = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
