//! Users as text: the ACL file, and `user` lines of the configuration.
//!
//! A line is `user NAME RULE ...`, words between single blanks, nothing quoted; what stands after a blank inside a selector belongs to
//! it. Blank lines are passed over, and lines that begin with `#`.
//!
//! Invariant: a file is read as a whole or refused as a whole, with every fault in it named.

use super::rule::{Policy, is_no_name, join_selectors};
use super::store::Acl;
use super::user::User;
use std::collections::BTreeSet;

/// A larger file is no ACL file.
pub const BYTES_MAX: u64 = 64 << 20;
/// Faults that are named; nobody reads on.
const FAULTS_MAX: usize = 50;
const UNCHANGED: &str = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// Reads the text of a file; `path` stands in the faults.
///
/// # Errors
/// All faults in one sentence each, and that nothing was changed.
pub fn parse(acl: &Acl, text: &[u8], path: &str, policy: &Policy) -> Result<Vec<User>, String> {
    let mut users: Vec<User> = Vec::new();
    let mut names = BTreeSet::new();
    let mut faults: Vec<String> = Vec::new();
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
        let number = at + 1;
        let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
        let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
            faults.push(format!("{path}:{number} should start with user keyword followed by the username."));
            continue;
        };
        if is_no_name(name) {
            faults.push(format!("'{path}:{number}: username '{}' contains invalid characters.", lossy(name)));
            continue;
        }
        if !names.insert(name.to_vec()) {
            faults.push(format!("WARNING: Duplicate user '{}' found on line {number}.", lossy(name)));
            continue;
        }
        let rules = match join_selectors(words) {
            Ok(rules) => rules,
            Err(first) => {
                faults.push(format!(
                    "{path}:{number}: Unmatched parenthesis in selector starting at '{}'.",
                    lossy(&first)
                ));
                continue;
            }
        };
        let mut user = acl.draft(name, policy);
        // Each rule by itself, so that all that are wrong are named at once.
        for rule in &rules {
            if let Err((word, error)) = user.apply(std::slice::from_ref(rule), acl.catalog(), policy) {
                faults.push(match word.first() {
                    Some(b'+' | b'-') => {
                        format!("{path}:{number}: Error in applying operation '{}': {error}.", lossy(word))
                    }
                    _ => format!("{path}:{number}: {error}."),
                });
            }
        }
        users.push(user);
    }
    if faults.is_empty() { Ok(users) } else { Err(format!("{} {UNCHANGED}", faults.join(" "))) }
}

/// A user of a `user` line of the configuration: its name and rules.
///
/// # Errors
/// What is wrong with it.
pub fn parse_line(acl: &Acl, words: &[Vec<u8>], policy: &Policy) -> Result<User, String> {
    let Some((name, rules)) = words.split_first() else { return Err("a user line needs a name".into()) };
    if is_no_name(name) {
        return Err("Spaces not allowed in ACL usernames".into());
    }
    let rules = join_selectors(rules.iter().map(Vec::as_slice))
        .map_err(|first| format!("Unmatched parenthesis in acl selector starting at '{}'.", lossy(&first)))?;
    let mut user = acl.draft(name, policy);
    user.apply(&rules, acl.catalog(), policy).map_err(|(word, error)| {
        format!("Error loading ACL rule '{}' for the user named '{}': {error}", shown(word), lossy(name))
    })?;
    Ok(user)
}

/// The text of a file with all users.
pub fn text(acl: &Acl) -> Vec<u8> {
    let mut out = Vec::new();
    for user in acl.all() {
        out.extend_from_slice(&user.describe());
        out.push(b'\n');
    }
    out
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(word: &[u8]) -> String {
    match word.first() {
        Some(b'>' | b'<') => format!("{}(redacted)", char::from(word[0])),
        _ => lossy(word),
    }
}
