//! The runtime hint: a small file by which a running server tells tools of the same machine how to reach it.
//!
//! A server writes `<dir>/holdfast.runtime` into its data folder and registers a copy as `<port>.runtime`, once for each
//! port it listens on, in the first of these folders that it may write: `/run/holdfast`, `$XDG_RUNTIME_DIR/holdfast`,
//! `/tmp/holdfast-<uid>`. The text is one `key=value` a line:
//!
//! ```text
//! # holdfast runtime
//! tls-port=6379
//! port=0
//! unixsocket=/run/holdfast/holdfast.sock
//! ca=/var/lib/holdfast/tls/ca.crt
//! pid=4711
//! ```
//!
//! Invariants: it never holds a secret. A reader believes a file only if it is a regular file, not a link, that belongs
//! to the reader or to root and that nobody else may write, in a folder of which the same is true: otherwise another
//! user of the machine could plant one, name his own CA, and be handed the password. `/run/holdfast` may belong to a third
//! user, the service's: only root can have made him its owner, and then what is his in it is believed too. Unknown keys are
//! skipped, so that an older tool reads a newer server's file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The name of the file in a server's data folder.
pub const FILE_NAME: &str = "holdfast.runtime";
const EXTENSION: &str = "runtime";
/// A hint has five short lines; nothing beyond this is read.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Registered files looked at when no port is named.
const FILES_MAX: usize = 256;

/// How to reach a running server. A port of 0 means that it does not listen in that way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeHint {
    pub tls_port: u16,
    /// The plaintext port.
    pub port: u16,
    pub unixsocket: Option<PathBuf>,
    /// The certificate authority that vouches for the server, PEM.
    pub ca: Option<PathBuf>,
    /// The process that wrote it; 0 if it did not say.
    pub pid: u32,
}

impl RuntimeHint {
    /// The file's text. A path with a line break in it cannot be told and is left out.
    fn render(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let mut out = format!("# holdfast runtime\ntls-port={}\nport={}\n", self.tls_port, self.port).into_bytes();
        for (key, path) in [("unixsocket", &self.unixsocket), ("ca", &self.ca)] {
            if let Some(path) = path
                && !path.as_os_str().as_bytes().iter().any(|b| matches!(b, b'\n' | b'\r' | 0))
            {
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                out.extend_from_slice(path.as_os_str().as_bytes());
                out.push(b'\n');
            }
        }
        out.extend_from_slice(format!("pid={}\n", self.pid).as_bytes());
        out
    }

    fn parse(text: &[u8]) -> RuntimeHint {
        use std::os::unix::ffi::OsStrExt;
        let mut hint = RuntimeHint::default();
        for line in text.split(|b| *b == b'\n') {
            let Some(equals) = memchr::memchr(b'=', line) else { continue };
            let (key, value) = (&line[..equals], &line[equals + 1..]);
            let number = || std::str::from_utf8(value).ok().and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
            let path = || (value.first() == Some(&b'/')).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(value)));
            match key {
                b"tls-port" => hint.tls_port = u16::try_from(number()).unwrap_or(0),
                b"port" => hint.port = u16::try_from(number()).unwrap_or(0),
                b"unixsocket" => hint.unixsocket = path(),
                b"ca" => hint.ca = path(),
                b"pid" => hint.pid = number(),
                _ => {}
            }
        }
        hint
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        [self.tls_port, self.port].into_iter().filter(|p| *p != 0)
    }
}

/// Writes the hint into a server's data folder and registers it for its ports.
///
/// Gives back the files that were written, for [`withdraw`]. That no folder can be registered in is not an error: a tool
/// then needs its flags, or `<dir>/holdfast.runtime`.
///
/// # Errors
/// The data folder cannot be written.
pub fn write(dir: &Path, hint: &RuntimeHint) -> io::Result<Vec<PathBuf>> {
    write_in(dir, hint, &folders())
}

fn write_in(dir: &Path, hint: &RuntimeHint, folders: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let own = dir.join(FILE_NAME);
    replace(&own, &hint.render())?;
    let mut written = vec![own];
    for folder in folders {
        if prepare(folder).is_err() {
            continue;
        }
        let files: Vec<PathBuf> = hint.ports().map(|p| folder.join(format!("{p}.{EXTENSION}"))).collect();
        if files.iter().all(|f| replace(f, &hint.render()).is_ok()) {
            written.extend(files);
            break;
        }
    }
    Ok(written)
}

/// Removes what [`write`] wrote, if it still is this process's; another server may have taken the port since.
pub fn withdraw(files: &[PathBuf], pid: u32) {
    for file in files {
        if read(file).is_ok_and(|hint| hint.pid == pid) {
            let _ = fs::remove_file(file);
        }
    }
}

/// The hint of the server on `port`; without a port, the one on 6379, else that of the only server registered.
/// Files that may not be believed are passed over.
pub fn find(port: Option<u16>) -> Option<RuntimeHint> {
    find_in(port, &folders())
}

fn find_in(port: Option<u16>, folders: &[PathBuf]) -> Option<RuntimeHint> {
    let named = |port: u16| {
        folders
            .iter()
            .filter_map(|f| Some((f, believable_folder(f)?)))
            .filter_map(|(f, owner)| read_of(&f.join(format!("{port}.{EXTENSION}")), owner).ok())
            .find(|hint| hint.ports().any(|p| p == port))
    };
    if let Some(port) = port {
        return named(port);
    }
    if let Some(hint) = named(6379) {
        return Some(hint);
    }
    let mut found: Option<RuntimeHint> = None;
    for (folder, owner) in folders.iter().filter_map(|f| Some((f, believable_folder(f)?))) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(FILES_MAX) {
            let path = entry.path();
            if path.extension().is_none_or(|e| e != EXTENSION) {
                continue;
            }
            let Ok(hint) = read_of(&path, owner) else { continue };
            match &found {
                Some(other) if *other != hint => return None,
                _ => found = Some(hint),
            }
        }
    }
    found
}

/// Reads one file, if it may be believed.
///
/// # Errors
/// `PermissionDenied` when somebody else could have written it; else what the file system says.
pub fn read(path: &Path) -> io::Result<RuntimeHint> {
    read_of(path, 0)
}

/// The same of a file that may be this user's too.
fn read_of(path: &Path, owner: u32) -> io::Result<RuntimeHint> {
    // The descriptor is checked, not the path: what was checked is what is read. NONBLOCK: a planted FIFO must not hang us.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || !trusted(&meta, owner) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else could have written this file"));
    }
    let mut text = vec![];
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(RuntimeHint::parse(&text))
}

/// Where a service registers.
const SERVICES: &str = "/run/holdfast";

fn folders() -> Vec<PathBuf> {
    let mut out = vec![PathBuf::from(SERVICES)];
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| d.as_encoded_bytes().first() == Some(&b'/')) {
        out.push(PathBuf::from(dir).join("holdfast"));
    }
    out.push(PathBuf::from(format!("/tmp/holdfast-{}", nix::unistd::geteuid())));
    out
}

/// The folders a server may register in, made if they can be.
pub fn prepared_folders() -> Vec<PathBuf> {
    folders().into_iter().filter(|f| prepare(f).is_ok()).collect()
}

fn trusted(meta: &fs::Metadata, owner: u32) -> bool {
    [0, nix::unistd::geteuid().as_raw(), owner].contains(&meta.uid()) && meta.mode() & 0o022 == 0
}

/// Whose files in the folder are believed beside root's and our own, if any are.
fn believable_folder(folder: &Path) -> Option<u32> {
    let meta = fs::symlink_metadata(folder).ok().filter(fs::Metadata::is_dir)?;
    if trusted(&meta, 0) {
        return Some(0);
    }
    let granted = folder == Path::new(SERVICES) && is_granted(folder);
    (granted && trusted(&meta, meta.uid())).then(|| meta.uid())
}

/// Nobody but root can have put the folder there, or said whose it is.
fn is_granted(folder: &Path) -> bool {
    let parent = folder.parent().and_then(|p| fs::symlink_metadata(p).ok());
    parent.is_some_and(|m| m.is_dir() && m.uid() == 0 && m.mode() & 0o022 == 0)
}

/// Makes the last component of `folder` if it is missing, and refuses one that others control.
fn prepare(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let ours = fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir() && trusted(&m, 0));
    if ours { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// A reader sees the old text or the new one, never half of it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{EXTENSION}.{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    // create_new does not follow a link that stands in the way.
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
    let result = file.write_all(text).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn hint() -> RuntimeHint {
        RuntimeHint {
            tls_port: 7001,
            port: 7002,
            unixsocket: Some("/tmp/a.sock".into()),
            ca: Some("/tmp/tls/ca.crt".into()),
            pid: 42,
        }
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_written_hint_is_found_by_either_port_and_alone_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [dir.path().join("missing/deep"), dir.path().join("run")];
        let written = write_in(dir.path(), &hint(), &folders).unwrap();
        assert_eq!(written.len(), 3);
        for port in [Some(7001), Some(7002), None] {
            assert_eq!(find_in(port, &folders), Some(hint()), "{port:?}");
        }
        assert_eq!(find_in(Some(7003), &folders), None);
        write_in(dir.path(), &RuntimeHint { tls_port: 7009, pid: 43, ..hint() }, &folders).unwrap();
        assert_eq!(find_in(None, &folders), None, "two servers: nobody is guessed");
        withdraw(&written, 42);
        assert_eq!(find_in(Some(7001), &folders), None);
    }

    #[test]
    fn what_others_could_have_written_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        let written = write_in(dir.path(), &hint(), std::slice::from_ref(&folder)).unwrap();
        chmod(&written[1], 0o666);
        assert_eq!(read(&written[1]).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        chmod(&written[1], 0o644);
        assert!(find_in(Some(7001), std::slice::from_ref(&folder)).is_some());
        chmod(&folder, 0o777);
        assert!(find_in(Some(7001), std::slice::from_ref(&folder)).is_none());
        chmod(&folder, 0o755);
        let link = folder.join("7005.runtime");
        std::os::unix::fs::symlink(&written[1], &link).unwrap();
        assert!(read(&link).is_err(), "a link is not followed");
    }

    #[test]
    fn a_folder_is_granted_only_by_a_parent_that_is_roots_alone() {
        assert!(is_granted(Path::new("/etc/holdfast")));
        assert!(!is_granted(Path::new("/tmp/holdfast")), "everybody may make folders there");
        assert!(!is_granted(Path::new("/no/such")));
    }

    #[test]
    fn odd_text_gives_an_empty_hint_and_relative_paths_are_refused() {
        assert_eq!(
            RuntimeHint::parse(b"\xff\n=\nport=99999\ntls-port=x\nca=evil\nnew-key=1\n"),
            RuntimeHint::default()
        );
        let odd = RuntimeHint { ca: Some("/a\nport=1".into()), ..hint() };
        assert_eq!(RuntimeHint::parse(&odd.render()).port, 7002);
    }
}
