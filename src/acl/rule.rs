//! One rule of ACL SETUSER: what it says, and what is wrong with it.

use super::catalog::Catalog;
use super::password::{HashKind, PasswordHash};
use super::selector::{KeyPattern, Pattern, Selector};
use super::user::User;
use crate::config::Config;
use crate::config::types::{AclPasswordHash, AclPubsubDefault};

/// Patterns and passwords one user may have; the check walks the patterns, so there has to be a bound.
const LIST_MAX: usize = 4096;
/// Passwords of before that are kept at the most: what `acl-password-history` may ask for.
const HISTORY_MAX: usize = 24;
/// What stands before the hash of a password of before.
pub(super) const PAST: &[u8] = b"past#";
/// Selectors one user may have.
const SELECTORS_MAX: usize = 256;

/// What the configuration says about new rules and passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `acl-pubsub-default allchannels`.
    pub all_channels: bool,
    /// How a clear password is kept.
    pub hash: HashKind,
    /// Bytes a new password has at least.
    pub password_bytes_min: usize,
    /// Passwords of before that are not taken again.
    pub passwords_remembered: usize,
}

impl Policy {
    /// What a configuration says.
    pub fn of(config: &Config) -> Policy {
        let s = &config.security;
        Policy {
            all_channels: s.acl_pubsub_default == AclPubsubDefault::Allchannels,
            hash: match s.acl_password_hash {
                AclPasswordHash::Sha256 => HashKind::Sha256,
                AclPasswordHash::Pbkdf2 => HashKind::Pbkdf2,
            },
            password_bytes_min: s.acl_password_min_length as usize,
            passwords_remembered: s.acl_password_history as usize,
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { all_channels: false, hash: HashKind::Sha256, password_bytes_min: 0, passwords_remembered: 0 }
    }
}

/// Why a rule is refused. `Display` is the text clients know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    Syntax,
    /// No such command or category.
    Unknown,
    FirstArgumentOfSubcommand,
    AfterAllKeys,
    AfterAllChannels,
    NoSuchPassword,
    BadHash,
    DatabaseOutOfRange,
    /// More patterns, passwords or selectors than are kept.
    TooMany,
    PasswordTooShort {
        bytes_min: usize,
    },
    /// It was this user's before.
    PasswordOfBefore,
    /// PBKDF2 is approved only from this length on.
    PasswordTooShortForPbkdf2,
    /// The module made no random bytes.
    NoRandom,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Syntax => "Syntax error",
            Self::Unknown => "Unknown command or category name in ACL",
            Self::FirstArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            Self::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
                 Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::DatabaseOutOfRange => "The provided database ID is out of range",
            Self::TooMany => "too many of these rules for one user",
            Self::PasswordTooShort { bytes_min } => {
                return write!(f, "the password is shorter than acl-password-min-length ({bytes_min} bytes)");
            }
            Self::PasswordOfBefore => "the password was this user's before (acl-password-history)",
            Self::PasswordTooShortForPbkdf2 => {
                "the password is shorter than 14 bytes, below which PBKDF2 is not approved: use a longer one, or give its \
                 SHA-256 as #<hash>"
            }
            Self::NoRandom => "the cryptographic module produced no random bytes for the salt",
        })
    }
}

impl std::error::Error for RuleError {}

/// Blanks and NUL would end a rule in a file, and so smuggle in another one.
pub fn has_separator(text: &[u8]) -> bool {
    text.iter().any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0))
}

/// Names go into files, logs and terminals, where a control character could pass for something else.
pub fn is_no_name(name: &[u8]) -> bool {
    has_separator(name) || name.iter().any(u8::is_ascii_control)
}

/// Applies a rule to a user: of passwords and state, of selectors, or of its own permissions.
pub(super) fn apply(user: &mut User, word: &[u8], catalog: &Catalog, policy: &Policy) -> Result<(), RuleError> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    // An empty rule changes nothing.
    let Some((first, rest)) = word.split_first() else { return Ok(()) };
    match first {
        b'>' => {
            if user.past.iter().take(policy.passwords_remembered).any(|p| p.verifies(rest)) {
                return Err(RuleError::PasswordOfBefore);
            }
            return add_password(user, PasswordHash::make(rest, policy)?);
        }
        b'<' => {
            let at = user.passwords.iter().position(|p| p.verifies(rest)).ok_or(RuleError::NoSuchPassword)?;
            user.forget_passwords(at..at + 1, policy);
            return Ok(());
        }
        b'#' => {
            let hash = PasswordHash::parse(rest).ok_or(RuleError::BadHash)?;
            if user.past.iter().take(policy.passwords_remembered).any(|p| *p == hash) {
                return Err(RuleError::PasswordOfBefore);
            }
            return add_password(user, hash);
        }
        b'!' => {
            let hash = PasswordHash::parse(rest).ok_or(RuleError::BadHash)?;
            let at = user.passwords.iter().position(|p| *p == hash).ok_or(RuleError::NoSuchPassword)?;
            user.forget_passwords(at..at + 1, policy);
            return Ok(());
        }
        b'(' => {
            let inner = rest.strip_suffix(b")").ok_or(RuleError::Syntax)?;
            if user.selectors.len() >= SELECTORS_MAX {
                return Err(RuleError::TooMany);
            }
            let mut selector = Selector::none(catalog, policy.all_channels);
            for word in inner.split(|b| *b == b' ').filter(|w| !w.is_empty()) {
                apply_permission(&mut selector, word, catalog)?;
            }
            user.selectors.push(selector);
            return Ok(());
        }
        _ => {}
    }
    if is("on") {
        user.enabled = true;
    } else if is("off") {
        user.enabled = false;
    } else if is("nopass") {
        user.no_password = true;
        user.forget_passwords(.., policy);
    } else if is("resetpass") {
        user.no_password = false;
        user.forget_passwords(.., policy);
    } else if is("certificate") {
        user.needs_certificate = true;
    } else if is("nocertificate") {
        user.needs_certificate = false;
    } else if is("clearselectors") {
        user.selectors.clear();
    } else if is("reset") {
        user.reset(catalog, policy);
    } else if let Some(hash) = word.strip_prefix(PAST) {
        // As it stands in a file: the newest first.
        user.past.push(PasswordHash::parse(hash).ok_or(RuleError::BadHash)?);
        user.past.truncate(HISTORY_MAX);
    } else if is("sanitize-payload") || is("skip-sanitize-payload") {
        // Payloads are always checked in full; the words are accepted because files of other servers have them.
    } else {
        apply_permission(&mut user.root, word, catalog)?;
    }
    Ok(())
}

fn add_password(user: &mut User, hash: PasswordHash) -> Result<(), RuleError> {
    user.no_password = false;
    if user.passwords.contains(&hash) {
        return Ok(());
    }
    if user.passwords.len() >= LIST_MAX {
        return Err(RuleError::TooMany);
    }
    user.passwords.push(hash);
    Ok(())
}

/// Applies a rule that says what is allowed.
fn apply_permission(selector: &mut Selector, word: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("allkeys") || word == b"~*" {
        selector.all_keys = true;
        selector.keys.clear();
    } else if is("resetkeys") {
        selector.all_keys = false;
        selector.keys.clear();
    } else if is("allchannels") || word == b"&*" {
        selector.all_channels = true;
        selector.channels.clear();
    } else if is("resetchannels") {
        selector.all_channels = false;
        selector.channels.clear();
    } else if is("allcommands") {
        selector.set_all_commands(catalog, true);
    } else if is("nocommands") {
        selector.set_all_commands(catalog, false);
    } else if is("alldbs") {
        selector.databases = None;
    } else if is("resetdbs") {
        selector.databases = Some(Vec::new());
    } else if word.len() >= 3 && word[..3].eq_ignore_ascii_case(b"db=") {
        selector.databases = Some(databases(&word[3..])?);
    } else {
        match word {
            [b'~', pattern @ ..] => add_keys(selector, pattern, true, true)?,
            // Whatever else may be wrong with it.
            [b'%', ..] if selector.all_keys => return Err(RuleError::AfterAllKeys),
            [b'%', rest @ ..] => {
                let end = rest.iter().position(|b| *b == b'~').unwrap_or(rest.len());
                let (mut read, mut write) = (false, false);
                for letter in &rest[..end] {
                    let already = match letter.to_ascii_uppercase() {
                        b'R' => std::mem::replace(&mut read, true),
                        b'W' => std::mem::replace(&mut write, true),
                        _ => return Err(RuleError::Syntax),
                    };
                    if already {
                        return Err(RuleError::Syntax);
                    }
                }
                if !read && !write {
                    return Err(RuleError::Syntax);
                }
                // Without a tilde it is the pattern of the empty key: not what was meant, but what others make of it.
                add_keys(selector, rest.get(end + 1..).unwrap_or_default(), read, write)?;
            }
            [b'&', pattern @ ..] => {
                if has_separator(pattern) {
                    return Err(RuleError::Syntax);
                }
                if selector.all_channels {
                    return Err(RuleError::AfterAllChannels);
                }
                let pattern = Pattern::new(pattern);
                if !selector.channels.contains(&pattern) {
                    if selector.channels.len() >= LIST_MAX {
                        return Err(RuleError::TooMany);
                    }
                    selector.channels.push(pattern);
                }
            }
            [sign @ (b'+' | b'-'), name @ ..] => {
                if has_separator(name) {
                    return Err(RuleError::Unknown);
                }
                match name.strip_prefix(b"@") {
                    Some(category) => {
                        let category = std::str::from_utf8(category).map_err(|_| RuleError::Unknown)?;
                        selector.set_category(catalog, category, *sign == b'+')?;
                    }
                    None => selector.set_named(catalog, name, *sign == b'+')?,
                }
            }
            _ => return Err(RuleError::Syntax),
        }
    }
    Ok(())
}

fn add_keys(selector: &mut Selector, pattern: &[u8], read: bool, write: bool) -> Result<(), RuleError> {
    if has_separator(pattern) {
        return Err(RuleError::Syntax);
    }
    if selector.all_keys {
        return Err(RuleError::AfterAllKeys);
    }
    let pattern = Pattern::new(pattern);
    if let Some(own) = selector.keys.iter_mut().find(|k| k.pattern == pattern) {
        own.read |= read;
        own.write |= write;
        return Ok(());
    }
    if selector.keys.len() >= LIST_MAX {
        return Err(RuleError::TooMany);
    }
    selector.keys.push(KeyPattern { pattern, read, write });
    Ok(())
}

/// `0,1,2`: sorted, each once. Databases the server does not have may be named: it may have them after a restart.
fn databases(text: &[u8]) -> Result<Vec<u32>, RuleError> {
    let mut list = Vec::new();
    for item in text.split(|b| *b == b',') {
        let item = item.trim_ascii_start();
        let (negative, digits) = match item {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, item),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RuleError::Syntax);
        }
        let value = digits.iter().try_fold(0u32, |n, d| n.checked_mul(10)?.checked_add(u32::from(d - b'0')));
        let value =
            value.filter(|n| *n <= i32::MAX as u32 && (!negative || *n == 0)).ok_or(RuleError::DatabaseOutOfRange)?;
        list.push(value);
    }
    list.sort_unstable();
    list.dedup();
    if list.len() > LIST_MAX {
        return Err(RuleError::TooMany);
    }
    Ok(list)
}

/// Joins the words of selectors that were cut at their blanks: `(+get`, `~a*)` becomes `(+get ~a*)`.
///
/// # Errors
/// The word that opens a selector which never closes.
pub fn join_selectors<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(Vec<u8>, Vec<u8>)> = None;
    for word in words {
        match &mut open {
            None if word.first() == Some(&b'(') && word.last() != Some(&b')') => {
                open = Some((word.to_vec(), word.to_vec()));
            }
            None => out.push(word.to_vec()),
            Some((_, joined)) => {
                joined.push(b' ');
                joined.extend_from_slice(word);
                if word.last() == Some(&b')') {
                    out.extend(open.take().map(|(_, joined)| joined));
                }
            }
        }
    }
    match open {
        None => Ok(out),
        Some((first, _)) => Err(first),
    }
}
