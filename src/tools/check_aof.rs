//! `holdfast check-aof`: whether an append-only file, or all that a manifest names, can be loaded; and repairing its end.
//!
//! Prints and ends as `valkey-check-aof` does: 0 for a log that is valid (or was repaired), 1 otherwise.
//!
//! A log whose doublewrite buffer holds what it lacks, because its machine failed, is told to be incomplete and judged no further: what it says by
//! itself is not what a start will find. Who may change it (`--fix`, `--truncate-to-timestamp`) completes it first, and does not cut off what the
//! buffer could complete. A start does not touch a log that was changed later, as one that was copied seems to be; here there is somebody to ask.

use crate::base::progress::{self, Watched};
use crate::persist::aof::load::{check_identity, check_length};
use crate::persist::aof::manifest::{Manifest, Part};
use crate::persist::rdb::check::{Report, check};
use crate::storage::{self, DataFile, doublewrite};
use crate::tools::restore::take_keys;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "Usage: holdfast check-aof [--key-source file:PATH|env:NAME|command:PROGRAM] [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>";

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    fix: bool,
    until: Option<i64>,
}

/// How a file ended.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Valid,
    Empty,
    Truncated,
    Invalid,
}

/// Why the tool ends early; the message has been printed.
struct Ended(u8);

type Checked<T> = Result<T, Ended>;

fn fail<T>(out: &mut dyn Write, message: &str) -> Checked<T> {
    let _ = writeln!(out, "{message}");
    Err(Ended(1))
}

/// Runs the tool.
pub fn run(args: &[OsString], input: &mut dyn BufRead, out: &mut dyn Write) -> ExitCode {
    match start(args, input, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended(code)) => ExitCode::from(code),
    }
}

fn start(args: &[OsString], input: &mut dyn BufRead, out: &mut dyn Write) -> Checked<()> {
    let mut words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mut source = None;
    if words.first().is_some_and(|w| w == "--key-source") && words.len() > 1 {
        source = words.drain(..2).next_back();
    }
    if let Err(e) = take_keys(source.as_deref(), false) {
        return fail(out, &e);
    }
    let mut wanted = Wanted::default();
    let path = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version" | "-v"] => {
            let _ = writeln!(out, "holdfast check-aof v={}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        ["--help" | "-h"] => {
            let _ = writeln!(out, "{USAGE}");
            return Ok(());
        }
        [path] => path.to_owned(),
        ["--fix", path] => {
            wanted.fix = true;
            path.to_owned()
        }
        ["--truncate-to-timestamp", time, path] => {
            let Ok(time) = time.parse() else { return fail(out, "Invalid timestamp, aborting...") };
            wanted.until = Some(time);
            path.to_owned()
        }
        ["--fix", ..] | ["--truncate-to-timestamp", ..] => return fail(out, "Invalid argument"),
        _ => return fail(out, USAGE),
    };
    let path = PathBuf::from(path);
    let mut file = match open(&path) {
        Ok(file) => file,
        Err(e) => return fail(out, &format!("Cannot open file {}: {}", path.display(), words_of(&e))),
    };
    let mut begin = Vec::new();
    let _ = Read::by_ref(&mut file).take(1024).read_to_end(&mut begin);
    let is_manifest = is_manifest(&begin) || path.extension().is_some_and(|e| e == "manifest");
    complete(&path, is_manifest, wanted, input, out)?;
    if is_manifest {
        return of_manifest(&path, wanted, input, out);
    }
    let _ = writeln!(out, "Start checking Old-Style AOF");
    let snapshot = begins_with_snapshot(&begin);
    of_file(&path, &path.display().to_string(), true, snapshot, wanted, input, out)
}

/// Sees to what the doublewrite buffer holds and the log lacks, of one file or of all in the folder of a manifest.
fn complete(path: &Path, all: bool, wanted: Wanted, input: &mut dyn BufRead, out: &mut dyn Write) -> Checked<()> {
    let folder = storage::folder(path);
    let lacking = match doublewrite::lacking(folder) {
        Ok(lacking) => lacking,
        Err(e) => return fail(out, &format!("Cannot read folder {}: {}", folder.display(), words_of(&e))),
    };
    for lack in lacking.iter().filter(|l| all || l.file.file_name() == path.file_name()) {
        let (file, buffer) = (lack.file.display(), lack.buffer.display());
        let _ = writeln!(
            out,
            "The doublewrite buffer {buffer} holds {} acknowledged bytes that {file} lacks, as the machine failed.",
            lack.bytes()
        );
        let changes = wanted.fix || wanted.until.is_some();
        if lack.changed_later {
            let _ = writeln!(
                out,
                "{file} was changed since, or is a copy: a start removes the buffer and does not bring them back."
            );
        } else if !changes {
            return fail(out, "A start of the server brings them back, and so does --fix. Not checked without them.");
        }
        if !changes {
            return fail(out, "Use the --fix option to bring them back, or delete the buffer if they are not wanted.");
        }
        if lack.changed_later && !confirmed("Bring them back?", input, out) {
            return fail(out, "Aborting... Delete the buffer if they are not wanted.");
        }
        match lack.bring_back() {
            Ok(()) => writeln!(out, "Successfully brought them back"),
            Err(e) => return fail(out, &format!("Failed to bring them back: {}", words_of(&e))),
        }
        .unwrap_or_default();
    }
    Ok(())
}

fn confirmed(question: &str, input: &mut dyn BufRead, out: &mut dyn Write) -> bool {
    let _ = write!(out, "{question} [y/N]: ");
    let _ = out.flush();
    let mut answer = String::new();
    let _ = input.read_line(&mut answer);
    answer.to_ascii_lowercase().starts_with('y')
}

/// A file, sealed or not.
fn open(path: &Path) -> io::Result<DataFile> {
    DataFile::open(&storage::keyring(), path)
}

/// Bytes of text in a file: what a sealed one has on disk is more.
fn text_bytes(file: &mut DataFile) -> io::Result<u64> {
    let bytes = match file.is_sealed() {
        false => return file.disk_bytes(),
        true => io::copy(file, &mut io::sink())?,
    };
    // What is torn off in a sealed file is at least one byte of text that is not there.
    let torn = u64::from(file.is_torn());
    file.seek_to(0)?;
    Ok(bytes + torn)
}

/// The kernel's words, without its number.
fn words_of(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn begins_with_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(b"REDIS") || bytes.starts_with(b"VALKEY")
}

/// The first line that says anything looks like one of a manifest.
fn is_manifest(begin: &[u8]) -> bool {
    let text = String::from_utf8_lossy(begin);
    text.lines().find(|l| !l.starts_with('#')).is_some_and(|l| l.starts_with("file") && l.contains("seq"))
}

fn of_manifest(path: &Path, wanted: Wanted, input: &mut dyn BufRead, out: &mut dyn Write) -> Checked<()> {
    let _ = writeln!(out, "Start checking Multi Part AOF");
    let text = match storage::read_stamped(&storage::keyring(), path) {
        Ok((text, _)) => text,
        Err(e) if e.kind() == io::ErrorKind::InvalidData || e.kind() == io::ErrorKind::Other => {
            return fail(out, &format!("*** FATAL AOF MANIFEST FILE ERROR ***\n{e}"));
        }
        Err(e) => return fail(out, &format!("Cannot open file {}: {}", path.display(), words_of(&e))),
    };
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(e) => return fail(out, &format!("*** FATAL AOF MANIFEST FILE ERROR ***\n{e}")),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let parts: Vec<&Part> = manifest.parts().collect();
    for (n, part) in parts.iter().enumerate() {
        let file = folder.join(&part.name);
        let last = n + 1 == parts.len();
        let is_base = manifest.base.is_some() && n == 0;
        let mut begin = [0; 6];
        let snapshot =
            is_base && open(&file).and_then(|mut f| f.read_exact(&mut begin)).is_ok() && begins_with_snapshot(&begin);
        if is_base {
            let _ = writeln!(out, "Start to check BASE AOF ({} format).", if snapshot { "RDB" } else { "RESP" });
        } else if n == usize::from(manifest.base.is_some()) {
            let _ = writeln!(out, "Start to check INCR files.");
        }
        let kind = if is_base { "BASE AOF" } else { "INCR AOF" };
        if let Err(e) =
            check_identity(part, &file).and_then(|()| match open(&file).and_then(|mut f| text_bytes(&mut f)) {
                Ok(bytes) => check_length(part, bytes),
                // What cannot be read is said below.
                Err(_) => Ok(()),
            })
        {
            return fail(out, &e.to_string());
        }
        of_part(&file, &part.name, kind, last, snapshot, wanted, input, out)?;
    }
    let _ = writeln!(out, "All AOF files and manifest are valid");
    Ok(())
}

fn of_file(
    path: &Path,
    name: &str,
    last: bool,
    snapshot: bool,
    wanted: Wanted,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Checked<()> {
    of_part(path, name, "AOF", last, snapshot, wanted, input, out)
}

#[expect(clippy::too_many_arguments, reason = "the facts of one file")]
fn of_part(
    path: &Path,
    name: &str,
    kind: &str,
    last: bool,
    snapshot: bool,
    wanted: Wanted,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Checked<()> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(e) => return fail(out, &format!("Cannot open file {name}: {}", words_of(&e))),
    };
    let size = match text_bytes(&mut file) {
        Ok(size) => size,
        Err(e) => return fail(out, &format!("Cannot stat file: {name}, aborting...: {}", words_of(&e))),
    };
    if size == 0 {
        let _ = writeln!(out, "{kind} {name} is empty");
        return Ok(());
    }
    let mut begin = 0;
    if snapshot {
        let mut report = Report::default();
        let watched = Watched::new(&mut file, format!("checking {name}"), 0, Some(size));
        match check(watched, &mut report, crate::base::clock::wall_ms(), &mut |_| {}) {
            Ok(()) => {
                begin = report.bytes;
                let _ = writeln!(out, "RDB preamble is OK, proceeding with AOF tail...");
            }
            Err(e) => return fail(out, &format!("RDB preamble of AOF file is not sane, aborting.\n{e}")),
        }
    }
    let mut scan = Scan::new(file, name, begin, size, wanted.until);
    let verdict = match scan.run(size) {
        Ok(verdict) => {
            progress::clear();
            verdict
        }
        Err(e) => return fail(out, &format!("Cannot read file {name}: {}", words_of(&e))),
    };
    if let (Some(until), Some(at)) = (wanted.until, scan.late_at) {
        if !last {
            return fail(
                out,
                &format!(
                    "Failed to truncate AOF {name} to timestamp {until} to offset {at} because it is not the last file.\n\
                 If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then re-run check-aof."
                ),
            );
        }
        if at == 0 {
            return fail(out, &format!("AOF {name} has nothing before timestamp {until}, aborting..."));
        }
        return match cut(path, at) {
            Ok(()) => {
                let _ = writeln!(out, "Successfully truncated AOF {name} to timestamp {until}");
                Ok(())
            }
            Err(e) => fail(out, &format!("Failed to truncate AOF {name} to timestamp {until}: {}", words_of(&e))),
        };
    }
    if let Some(e) = &scan.error {
        let _ = writeln!(out, "{e}");
    }
    if verdict == Verdict::Invalid {
        let _ = writeln!(out, "{kind} {name} format error");
    }
    let ok = scan.whole;
    let diff = size - ok;
    let _ = writeln!(
        out,
        "AOF analyzed: filename={name}, size={size}, ok_up_to={ok}, ok_up_to_line={}, diff={diff}",
        scan.line
    );
    if diff == 0 {
        let _ = writeln!(out, "{kind} {name} is valid");
        return Ok(());
    }
    if !wanted.fix {
        return fail(out, &format!("{kind} {name} is not valid. Use the --fix option to try fixing it."));
    }
    if !last {
        return fail(out, &format!("Failed to truncate AOF {name} because it is not the last file"));
    }
    let _ = writeln!(out, "This will shrink the AOF {name} from {size} bytes, with {diff} bytes, to {ok} bytes");
    if !confirmed("Continue?", input, out) {
        return fail(out, "Aborting...");
    }
    match cut(path, ok) {
        Ok(()) => {
            let _ = writeln!(out, "Successfully truncated AOF {name}");
            Ok(())
        }
        Err(e) => fail(out, &format!("Failed to truncate AOF {name}: {}", words_of(&e))),
    }
}

fn cut(path: &Path, len: u64) -> io::Result<()> {
    storage::cut(&storage::keyring(), path, len)?;
    doublewrite::forget(path)
}

/// Reads requests one after the other, noting where the last whole step ended.
struct Scan {
    from: BufReader<Watched<DataFile>>,
    at: u64,
    /// Behind the last whole step.
    whole: u64,
    line: u64,
    until: Option<i64>,
    /// Where the first note of a later time begins.
    late_at: Option<u64>,
    error: Option<String>,
}

/// What a part of a request came to.
enum Piece {
    Number(u64),
    End,
    Bad,
}

/// Longest argument: the bound of the loader.
const ARGUMENT_MAX: u64 = crate::resp::parser::BULK_LEN_MAX;

impl Scan {
    fn new(mut file: DataFile, name: &str, begin: u64, size: u64, until: Option<i64>) -> Scan {
        // A file that cannot be sought reads as one that is cut off.
        let _ = file.seek_to(begin);
        let from = BufReader::new(Watched::new(file, format!("checking {name}"), begin, Some(size)));
        Scan { from, at: begin, whole: begin, line: 1, until, late_at: None, error: None }
    }

    fn fault(&mut self, message: &str) {
        self.error = Some(format!("0x{:16x}: {message}", self.at));
    }

    fn take_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let n = Read::by_ref(&mut self.from).take(1024).read_until(b'\n', &mut line)?;
        self.at += n as u64;
        Ok(line)
    }

    /// A length behind its mark.
    fn number(&mut self, mark: u8) -> io::Result<Piece> {
        let line = self.take_line()?;
        if line.last() != Some(&b'\n') {
            return Ok(if line.is_empty() || line[0] == mark { Piece::End } else { Piece::Bad });
        }
        if line[0] != mark {
            let got = line[0] as char;
            self.at -= line.len() as u64;
            self.fault(&format!("Expected prefix '{}', got: '{got}'", mark as char));
            return Ok(Piece::Bad);
        }
        self.line += 1;
        let digits = line[1..].strip_suffix(b"\r\n").unwrap_or(&[]);
        let n = std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok()).filter(|n| *n <= ARGUMENT_MAX);
        Ok(n.map_or(Piece::Bad, Piece::Number))
    }

    /// An argument. `None` at the end of the file.
    fn argument(&mut self) -> io::Result<Result<Vec<u8>, Verdict>> {
        let len = match self.number(b'$')? {
            Piece::Number(n) => n,
            Piece::End => return Ok(Err(Verdict::Truncated)),
            Piece::Bad => return Ok(Err(Verdict::Invalid)),
        };
        // Only the head is kept: words matter, values do not.
        let mut head = Vec::new();
        let got = Read::by_ref(&mut self.from).take(len.min(16)).read_to_end(&mut head)? as u64;
        let skipped = if got == len.min(16) {
            io::copy(&mut Read::by_ref(&mut self.from).take(len - got), &mut io::sink())?
        } else {
            0
        };
        let mut end = Vec::new();
        Read::by_ref(&mut self.from).take(2).read_to_end(&mut end)?;
        let read = got + skipped + end.len() as u64;
        if read < len + 2 {
            let at = self.at + read;
            self.at = at;
            self.fault(&format!("Expected to read {} bytes, got {read} bytes", len + 2));
            return Ok(Err(Verdict::Truncated));
        }
        self.at += read;
        if end != b"\r\n" {
            self.at -= 2;
            self.fault(&format!("Expected \\r\\n, got: {:02x}{:02x}", end[0], end[1]));
            return Ok(Err(Verdict::Invalid));
        }
        self.line += 1;
        Ok(Ok(head))
    }

    fn run(&mut self, size: u64) -> io::Result<Verdict> {
        let mut open = false;
        while let Some(first) = self.from.fill_buf()?.first().copied() {
            let before = self.at;
            if first == b'#' {
                let line = self.take_line()?;
                if line.last() != Some(&b'\n') {
                    return Ok(Verdict::Truncated);
                }
                self.line += 1;
                let time = line.strip_prefix(b"#TS:").and_then(|t| std::str::from_utf8(t).ok());
                if let Some(until) = self.until
                    && let Some(time) = time.and_then(|t| t.trim().parse::<i64>().ok())
                    && time > until
                {
                    self.late_at = Some(before);
                    return Ok(Verdict::Valid);
                }
                if !open {
                    self.whole = self.at;
                }
                continue;
            }
            if first != b'*' {
                return Ok(Verdict::Invalid);
            }
            let count = match self.number(b'*')? {
                Piece::Number(n) => n,
                Piece::End => return Ok(Verdict::Truncated),
                Piece::Bad => return Ok(Verdict::Invalid),
            };
            let mut word = Vec::new();
            for n in 0..count {
                match self.argument()? {
                    Ok(head) if n == 0 => word = head,
                    Ok(_) => {}
                    Err(verdict) => return Ok(verdict),
                }
            }
            match word.to_ascii_lowercase().as_slice() {
                b"multi" if open => {
                    self.fault("Unexpected MULTI");
                    return Ok(Verdict::Invalid);
                }
                b"multi" => open = true,
                b"exec" if !open => {
                    self.fault("Unexpected EXEC");
                    return Ok(Verdict::Invalid);
                }
                b"exec" => open = false,
                _ => {}
            }
            if !open {
                self.whole = self.at;
            }
        }
        if open {
            self.fault("Reached EOF before reading EXEC for MULTI");
            return Ok(Verdict::Truncated);
        }
        Ok(if size == 0 { Verdict::Empty } else { Verdict::Valid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &[u8], args: &[&str], answer: &str) -> (String, bool, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.aof");
        std::fs::write(&path, text).unwrap();
        let mut words: Vec<OsString> = args.iter().map(Into::into).collect();
        words.push(path.clone().into());
        let mut out = Vec::new();
        let ok = start(&words, &mut answer.as_bytes(), &mut out).is_ok();
        let text = String::from_utf8(out).unwrap().replace(&path.display().to_string(), "F");
        (text, ok, std::fs::read(&path).unwrap())
    }

    const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";

    #[test]
    fn a_log_is_judged_in_the_words_tools_look_for() {
        let whole = [SELECT, SET].concat();
        let (text, ok, _) = checked(&whole, &[], "");
        assert_eq!(
            text,
            "Start checking Old-Style AOF\nAOF analyzed: filename=F, size=50, ok_up_to=50, ok_up_to_line=13, diff=0\nAOF F is valid\n"
        );
        assert!(ok);
        let (text, ok, _) = checked(&whole[..40], &[], "");
        assert!(text.contains("0x              28: Expected to read 3 bytes, got 0 bytes\n"), "{text}");
        assert!(text.contains("ok_up_to=23, ok_up_to_line=10, diff=17"), "{text}");
        assert!(!ok && text.contains("F is not valid. Use the --fix option to try fixing it."));
        let open = [SELECT, b"*1\r\n$5\r\nMULTI\r\n", SET].concat();
        let (text, ok, _) = checked(&open, &[], "");
        assert!(!ok && text.contains("Reached EOF before reading EXEC for MULTI"), "{text}");
        let (text, ok, _) = checked(&[SELECT, b"!hello"].concat(), &[], "");
        assert!(!ok && text.contains("AOF F format error\n") && text.contains("ok_up_to_line=6"), "{text}");
    }

    #[test]
    fn the_end_is_cut_off_if_asked_and_answered_with_yes() {
        let whole = [SELECT, SET].concat();
        let (text, ok, left) = checked(&whole[..40], &["--fix"], "y\n");
        assert!(ok && text.contains("Successfully truncated AOF F") && left == SELECT, "{text}");
        let (_, ok, left) = checked(&whole[..40], &["--fix"], "n\n");
        assert!(!ok && left.len() == 40);
        let timed = [b"#TS:100\r\n", SELECT, b"#TS:200\r\n", SET].concat();
        let (_, ok, left) = checked(&timed, &["--truncate-to-timestamp", "150"], "");
        assert!(ok && left.len() == 9 + SELECT.len());
        let (text, ok, _) = checked(&timed, &["--truncate-to-timestamp", "50"], "");
        assert!(!ok && text.contains("has nothing before timestamp 50, aborting..."));
    }
}
