//! `holdfast check-rdb`: whether a snapshot can be loaded, and what is in it.
//!
//! Prints and ends as `valkey-check-rdb` does: 0 for a file that is whole, 1 otherwise.

use crate::base::clock;
use crate::base::progress::{self, Watched};
use crate::persist::rdb::check::{Report, TYPES, Tally, check};
use crate::persist::rdb::{Fault, RdbError};
use crate::storage::{self, DataFile};
use crate::tools::restore::take_keys;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "Usage: holdfast check-rdb <rdb-file-name> [--format table|info|csv] [--stats] [--output <file>] \
                     [--key-source file:PATH|env:NAME|command:PROGRAM]";

/// How statistics are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Format {
    #[default]
    Table,
    Info,
    Csv,
}

#[derive(Debug, Default)]
struct Wanted {
    path: OsString,
    stats: bool,
    format: Format,
    output: Option<OsString>,
    keys: Option<String>,
}

fn parse(args: &[OsString]) -> Option<Wanted> {
    let mut args = args.iter();
    let mut wanted = Wanted { path: args.next()?.clone(), ..Wanted::default() };
    while let Some(word) = args.next() {
        match &*word.to_string_lossy() {
            "--stats" => wanted.stats = true,
            "--format" => {
                wanted.format = match &*args.next()?.to_string_lossy() {
                    "table" | "form" => Format::Table,
                    "info" => Format::Info,
                    "csv" => Format::Csv,
                    _ => return None,
                };
            }
            "--key-source" => wanted.keys = Some(args.next()?.to_string_lossy().into_owned()),
            "--output" => wanted.output = Some(args.next()?.clone()),
            _ => return None,
        }
    }
    Some(wanted)
}

/// Runs the tool.
pub fn run(args: &[OsString], out: &mut dyn Write) -> ExitCode {
    if matches!(args, [one] if *one == "--version" || *one == "-v") {
        let _ = writeln!(out, "holdfast check-rdb v={}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if matches!(args, [one] if *one == "--help" || *one == "-h") {
        let _ = writeln!(out, "{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(wanted) = parse(args) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut file;
    let out = match &wanted.output {
        None => out,
        Some(path) => match File::create(path) {
            Ok(f) => {
                file = f;
                &mut file as &mut dyn Write
            }
            Err(e) => {
                eprintln!("Cannot open {}: {e}", path.to_string_lossy());
                return ExitCode::FAILURE;
            }
        },
    };
    if look(&wanted, out) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look(wanted: &Wanted, out: &mut dyn Write) -> bool {
    let path = wanted.path.to_string_lossy();
    let _ = writeln!(out, "[offset 0] Checking RDB file {path}");
    let mut report = Report::default();
    let opened = take_keys(wanted.keys.as_deref(), false)
        .map_err(std::io::Error::other)
        .and_then(|()| DataFile::open(&storage::keyring(), wanted.path.as_ref()));
    let file = match opened {
        Ok(file) => file,
        Err(e) => {
            let _ = writeln!(out, "Cannot open {path}: {e}");
            let _ = writeln!(out, "[offset 0] Check RDB returned error code 1 (0 means success)");
            return false;
        }
    };
    let total = file.disk_bytes().ok();
    let watched = Watched::new(file, "checking", 0, total);
    let result = check(watched, &mut report, clock::wall_ms(), &mut |note| {
        progress::clear();
        let _ = writeln!(out, "[offset {}] {}", note.offset, note.text);
    });
    let (end, ok) = match &result {
        Ok(()) => (report.bytes, true),
        Err(e) => (e.offset, false),
    };
    if let Err(e) = &result {
        let _ = writeln!(out, "--- RDB ERROR DETECTED ---");
        let _ = writeln!(out, "[offset {}] {}", e.offset, words(e, &report));
        let _ = writeln!(out, "[additional info] While doing: {}", report.doing);
        if let Some(key) = &report.key {
            let _ = writeln!(out, "[additional info] Reading key '{}'", String::from_utf8_lossy(key));
        }
        if let Some(kind) = report.kind {
            let _ = writeln!(out, "[additional info] Reading type {kind} ({})", kind_name(kind));
        }
    } else {
        let _ = writeln!(out, "[offset {end}] Check RDB returned error code 0 (0 means success)");
        let looks = match report.foreign() {
            None => "\\o/ RDB looks OK! \\o/".to_owned(),
            Some(_) => "\\o/ RDB looks OK, but loading requires config 'rdb-version-check relaxed'".to_owned(),
        };
        let _ = writeln!(out, "[offset {end}] {looks}");
    }
    for (n, what) in [
        (report.keys, "keys read"),
        (report.with_deadline, "expires"),
        (report.expired, "already expired"),
        (report.functions, "functions"),
    ] {
        let _ = writeln!(out, "[info] {n} {what}");
    }
    if !ok {
        let _ = writeln!(out, "[offset {end}] Check RDB returned error code 1 (0 means success)");
    }
    if wanted.stats {
        statistics(&report, wanted.format, out);
    }
    ok
}

fn words(e: &RdbError, report: &Report) -> String {
    match &e.fault {
        Fault::Truncated => "Unexpected EOF reading RDB file".into(),
        Fault::Magic => "Wrong signature trying to load DB from file".into(),
        Fault::Checksum => "RDB CRC error".into(),
        Fault::Kind(kind) => match report.foreign() {
            Some(whose) => format!(
                "Unknown object type {kind} in RDB file with {} version {}",
                whose.to_lowercase(),
                report.version
            ),
            None => format!("Invalid object type: {kind}"),
        },
        _ => e.to_string(),
    }
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        0 => "string",
        1 => "list-linked",
        2 => "set-hashtable",
        3 => "zset-v1",
        4 => "hash-hashtable",
        5 => "zset-v2",
        9 => "hash-zipmap",
        10 => "list-ziplist",
        11 => "set-intset",
        12 => "zset-ziplist",
        13 => "hash-ziplist",
        14 => "quicklist",
        15 => "stream",
        16 => "hash-listpack",
        17 => "zset-listpack",
        18 => "quicklist-v2",
        19 => "stream-v2",
        20 => "set-listpack",
        21 => "stream-v3",
        22 => "hash-hashtable-v2",
        _ => "unknown",
    }
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0)
}

/// Name and value of each row for one type.
fn rows(t: &Tally) -> Vec<(&'static str, String)> {
    let average = |v: &[u64]| if v.is_empty() { 0.0 } else { v.iter().sum::<u64>() as f64 / v.len() as f64 };
    let (mut lengths, mut sizes) = (t.lengths.clone(), t.sizes.clone());
    lengths.sort_unstable();
    sizes.sort_unstable();
    let whole = |n: u64| n.to_string();
    let part = |n: f64| format!("{n:.2}");
    let mut out = vec![
        ("keys.total", whole(t.keys)),
        ("expire_keys.total", whole(t.with_deadline)),
        ("already_expired.total", whole(t.expired)),
        ("keys.size", whole(t.key_bytes)),
        ("keys.value_size", whole(t.value_bytes)),
        ("elements.total", whole(t.lengths.iter().sum())),
        ("elements.size", whole(t.sizes.iter().sum())),
    ];
    for (max, avg, p99, p90, p50, v) in [
        ("elements.num.max", "elements.num.avg", "elements.num.p99", "elements.num.p90", "elements.num.p50", &lengths),
        (
            "elements.size.max",
            "elements.size.avg",
            "elements.size.p99",
            "elements.size.p90",
            "elements.size.p50",
            &sizes,
        ),
    ] {
        out.push((max, whole(v.last().copied().unwrap_or(0))));
        out.push((avg, part(average(v))));
        for (name, percent) in [(p99, 99), (p90, 90), (p50, 50)] {
            out.push((name, part(percentile(v, percent) as f64)));
        }
    }
    out
}

fn statistics(report: &Report, format: Format, out: &mut dyn Write) {
    let none: [Tally; 7] = Default::default();
    let all = if report.tallies.is_empty() { std::slice::from_ref(&none) } else { &report.tallies };
    for (db, tallies) in all.iter().enumerate() {
        if db > 0 && tallies.iter().all(|t| t.keys == 0) {
            continue;
        }
        let columns: Vec<_> = tallies.iter().map(rows).collect();
        if format == Format::Info {
            for (name, column) in TYPES.iter().zip(&columns) {
                for (row, value) in column {
                    let _ = writeln!(out, "db.{db}.type.{name}.{row}:{value}");
                }
            }
            continue;
        }
        let table = format == Format::Table;
        let mut line = |head: String, cells: Vec<String>| {
            let _ = if table {
                let cells: String = cells.iter().map(|c| format!("\t{c:<5}")).collect();
                writeln!(out, "{head:<30}{cells}")
            } else {
                writeln!(out, "{head},{}", cells.join(","))
            };
        };
        line(format!("db.{db}.type.name"), TYPES.iter().map(|t| (*t).to_owned()).collect());
        for n in 0..columns.first().map_or(0, Vec::len) {
            line(format!("db.{db}.{}", columns[0][n].0), columns.iter().map(|c| c[n].1.clone()).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_whole_or_with_what_is_wrong() {
        let mut file = b"VALKEY080\xfe\x00\x00\x01a\x01b\xff".to_vec();
        let crc = crate::base::crc64::crc64(0, &file);
        file.extend_from_slice(&crc.to_le_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.rdb");
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let wanted = Wanted { path: path.clone().into(), stats: true, format: Format::Info, ..Wanted::default() };
            let mut out = Vec::new();
            (look(&wanted, &mut out), String::from_utf8(out).unwrap())
        };
        let (ok, text) = told(&file);
        assert!(ok && text.contains("[offset 25] \\o/ RDB looks OK! \\o/"), "{text}");
        assert!(text.contains("[info] 1 keys read") && text.contains("db.0.type.string.keys.total:1"), "{text}");
        let (ok, text) = told(&file[..15]);
        assert!(!ok && text.contains("Unexpected EOF reading RDB file") && text.contains("Reading key 'a'"), "{text}");
        for len in 0..file.len() {
            assert!(!told(&file[..len]).0, "{len}");
        }
    }
}
