//! `check-config [FILE|-] [--directive value ...]`: every problem of a configuration, before a server is started with it.
//!
//! It reads as the server does, so what it accepts the server accepts. `--print-default` prints the default file, `--print-table` the page
//! that says what each directive does here.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::config::default_file;
use crate::config::load::{LoadError, Problem, examine};
use crate::config::reference;
use crate::config::words::split;

const USAGE: &str = "Usage: holdfast check-config [FILE|-] [--directive value ...]\n       \
                     holdfast check-config --print-default | --print-table\n";

/// Runs the tool with the arguments behind its name; returns the exit code: 0 sound, 1 with problems, 2 misused.
///
/// # Errors
/// `out` cannot be written to.
pub fn run(args: &[OsString], out: &mut dyn Write) -> io::Result<i32> {
    match args {
        [] => {
            out.write_all(USAGE.as_bytes())?;
            return Ok(2);
        }
        [only] if only == "--help" || only == "-h" => {
            out.write_all(USAGE.as_bytes())?;
            return Ok(0);
        }
        [only] if only == "--print-default" => {
            out.write_all(default_file::text().as_bytes())?;
            return Ok(0);
        }
        [only] if only == "--print-table" => {
            out.write_all(reference::text().as_bytes())?;
            return Ok(0);
        }
        _ => {}
    }
    let (loaded, errors) = examine(args);
    for error in &errors {
        match error {
            LoadError::Open { path, reason } => writeln!(out, "{}: cannot be read: {reason}", path.display())?,
            LoadError::Line(problem) => writeln!(out, "{}", described(problem))?,
        }
    }
    for notice in &loaded.notices {
        writeln!(out, "note: {notice}")?;
    }
    match errors.len() {
        0 => writeln!(out, "The configuration is sound.")?,
        1 => writeln!(out, "1 problem.")?,
        count => writeln!(out, "{count} problems.")?,
    }
    Ok(i32::from(!errors.is_empty()))
}

/// `FILE:LINE: 'word': reason (did you mean 'other'?)`, control characters hidden.
fn described(problem: &Problem) -> String {
    let words = split(problem.text.as_bytes()).unwrap_or_default();
    let name = words.first().map(|word| String::from_utf8_lossy(word).escape_debug().to_string()).unwrap_or_default();
    let about = match words.get(problem.word).filter(|_| problem.word > 0) {
        Some(word) => format!("{name} '{}'", String::from_utf8_lossy(word).escape_debug()),
        None => format!("'{name}'"),
    };
    let place = if problem.line == 0 { String::new() } else { format!(":{}", problem.line) };
    let nearest = problem.nearest.map(|other| format!(" (did you mean '{other}'?)")).unwrap_or_default();
    format!("{}{place}: {about}: {}{nearest}", problem.origin, problem.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> (i32, String) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let mut out = Vec::new();
        let code = run(&args, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_problem_is_named_with_file_line_word_and_nearest_directive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        std::fs::write(&path, "hz x\n\nmaxmemroy 1\ncluster-slot-stats-enabled yes\nport 7000\n").unwrap();
        let path = path.to_str().unwrap();
        let (code, text) = check(&[path, "--loglevel", "loud"]);
        assert_eq!(code, 1);
        assert!(text.contains(&format!("{path}:1: hz 'x': argument couldn't be parsed into an integer\n")), "{text}");
        assert!(text.contains(&format!(
            "{path}:3: 'maxmemroy': Bad directive or wrong number of arguments (did you mean 'maxmemory'?)\n"
        )));
        assert!(text.contains(&format!("{path}:5: port '7000': plaintext is not allowed")));
        assert!(text.contains("command line:7: loglevel 'loud'"), "{text}");
        assert!(
            text.contains("note: 'cluster-slot-stats-enabled' has no effect") && text.ends_with("4 problems.\n"),
            "{text}"
        );
    }

    #[test]
    fn a_sound_configuration_ends_with_zero_and_the_default_file_is_one() {
        assert_eq!(check(&["--hz", "20"]), (0, "The configuration is sound.\n".to_string()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default.conf");
        let (code, text) = check(&["--print-default"]);
        assert_eq!(code, 0);
        std::fs::write(&path, text).unwrap();
        assert_eq!(check(&[path.to_str().unwrap()]).0, 0);
    }
}
