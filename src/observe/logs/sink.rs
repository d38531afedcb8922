//! Where lines go: standard output or a file, and syslog.
//!
//! Invariants: a file is appended to, and made again when it was moved away; no error of a destination reaches the
//! caller; syslog never blocks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::line::Line;
use super::time::Local;
use crate::base::crash;
use crate::config::directives::Logging;
use crate::config::types::{LogFormat, LogLevel, SyslogFacility};

/// The socket of the system's log service.
const SYSLOG_SOCKET: &str = "/dev/log";

/// Where lines go.
pub(super) struct Sink {
    file: Option<LogFile>,
    syslog: Option<Syslog>,
}

struct LogFile {
    path: PathBuf,
    file: File,
    /// Device and inode: a different one at the path means that the file was rotated away.
    identity: (u64, u64),
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
        let metadata = file.metadata()?;
        // What a signal handler writes cannot go through a lock: it is told where the lines go. A file that takes this one's place tells it anew.
        crash::report_to(file.as_raw_fd());
        Ok(Self { path: path.to_path_buf(), file, identity: (metadata.dev(), metadata.ino()) })
    }

    fn write(&mut self, line: &str) {
        let there = std::fs::metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if there.ok() != Some(self.identity)
            && let Ok(opened) = Self::open(&self.path)
        {
            *self = opened;
        }
        // A full disk must not stop the server, and there is nowhere left to complain.
        let _ = self.file.write_all(line.as_bytes());
    }
}

struct Syslog {
    ident: String,
    facility: u8,
    /// The service's socket; a field so that a test can listen in its place.
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn write(&mut self, line: &Line<'_>, now: &Local) {
        let severity = match line.level {
            LogLevel::Debug => 7,
            LogLevel::Verbose => 6,
            LogLevel::Notice => 5,
            LogLevel::Warning | LogLevel::Nothing => 4,
        };
        let mut text =
            format!("<{}>{} {}[{}]: ", u32::from(self.facility) * 8 + severity, now.syslog(), self.ident, line.pid);
        line.plain(&mut text);
        if self.socket.as_ref().is_some_and(|socket| socket.send(text.as_bytes()).is_ok()) {
            return;
        }
        // The first line, or the service was restarted.
        self.socket = connect(&self.path).ok();
        if let Some(socket) = &self.socket {
            let _ = socket.send(text.as_bytes());
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

fn facility_code(facility: SyslogFacility) -> u8 {
    match facility {
        SyslogFacility::User => 1,
        SyslogFacility::Local0 => 16,
        SyslogFacility::Local1 => 17,
        SyslogFacility::Local2 => 18,
        SyslogFacility::Local3 => 19,
        SyslogFacility::Local4 => 20,
        SyslogFacility::Local5 => 21,
        SyslogFacility::Local6 => 22,
        SyslogFacility::Local7 => 23,
    }
}

impl Sink {
    /// Opens the file, if there is one.
    pub(super) fn open(config: &Logging) -> io::Result<Self> {
        let file = config.logfile.as_deref().map(LogFile::open).transpose()?;
        let syslog = config.syslog_enabled.then(|| Syslog {
            ident: config.syslog_ident.chars().filter(|char| !char.is_control()).take(64).collect(),
            facility: facility_code(config.syslog_facility),
            path: SYSLOG_SOCKET.into(),
            socket: None,
        });
        Ok(Self { file, syslog })
    }

    /// Writes to every destination, at once: a line that was logged is there when the process dies.
    pub(super) fn write(&mut self, line: &Line<'_>, format: LogFormat, now: &Local) {
        let text = line.text(format);
        match &mut self.file {
            Some(file) => file.write(&text),
            None => {
                // `println!` would panic when nobody reads.
                let mut out = io::stdout().lock();
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.write(line, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_priority_name_and_text_and_is_found_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut syslog = Syslog { ident: "holdfast".into(), facility: 16, path: path.clone(), socket: None };
        let line = Line {
            pid: 7,
            role: b'M',
            timestamp: "",
            level: LogLevel::Warning,
            message: "a\nb",
            fields: &[("port", "1".into())],
        };
        // Nobody listens: the line is lost, quietly.
        syslog.write(&line, &Local::now());
        for _ in 0..2 {
            let service = UnixDatagram::bind(&path).unwrap();
            syslog.write(&line, &Local::now());
            let mut buffer = [0; 256];
            let length = service.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(text.starts_with("<132>") && text.ends_with(" holdfast[7]: a\\nb port=1"), "{text}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}
