//! The key of the chain: read from a file, or made on the first start.

use crate::crypto::{HmacSha256, hex, random_array};
use crate::storage;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// A key file is a line of hexadecimal digits; more is something else.
const FILE_BYTES_MAX: u64 = 4096;
/// Bytes of a key that is made here.
const BYTES: usize = 32;

/// The key of a chain.
pub struct Key(HmacSha256);

impl Key {
    /// From the bytes of a file, without the blanks around them.
    ///
    /// # Errors
    /// They are too few for an approved HMAC.
    pub fn from_bytes(bytes: &[u8]) -> Result<Key, String> {
        HmacSha256::new(bytes.trim_ascii()).map(Key).ok_or_else(|| {
            format!(
                "an audit key has at least {} bytes: make one with `openssl rand -hex 32`",
                HmacSha256::KEY_BYTES_MIN
            )
        })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// It cannot be read or is too short.
    pub fn read(path: &Path) -> Result<Key, String> {
        let name = path.display();
        let bytes = match storage::read_regular(path, FILE_BYTES_MAX) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(e) if e.kind() == ErrorKind::FileTooLarge => {
                return Err(format!("audit key {name}: more than {FILE_BYTES_MAX} bytes are no key"));
            }
            Err(e) => return Err(format!("audit key {name}: {e}")),
        };
        Key::from_bytes(&bytes).map_err(|e| format!("audit key {name}: {e}"))
    }

    /// Reads a key file, or makes one of random bytes if there is none.
    ///
    /// # Errors
    /// As [`Key::read`]; or it cannot be written.
    pub fn read_or_make(path: &Path) -> Result<Key, String> {
        if path.exists() {
            return Key::read(path);
        }
        let bytes = Zeroizing::new(random_array::<BYTES>().map_err(|e| e.to_string())?);
        let text = Zeroizing::new(format!("{}\n", hex(&*bytes)));
        let failed = |e: std::io::Error| {
            format!(
                "audit key {}: {e}. Its folder must exist and be writable; a path that does not begin with / begins in dir",
                path.display()
            )
        };
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        tracing::warn!(
            "An audit key was made at {}: move it to another place than the log, set audit-key-file",
            path.display()
        );
        Key::from_bytes(text.as_bytes())
    }

    /// The mac of a text, as it is written.
    pub fn mac(&self, text: &[u8]) -> String {
        hex(&self.0.sign(text))
    }
}
