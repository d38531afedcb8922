//! A user: how it signs in, and its selectors.

use super::catalog::Catalog;
use super::password::PasswordHash;
use super::rule::{self, Policy, RuleError};
use super::selector::Selector;

/// A user as it is now. Never changed in place: a change makes another one.
#[derive(Clone, Debug)]
pub struct User {
    name: Vec<u8>,
    /// Tells a user from another one that was given its name after it was deleted.
    serial: u64,
    pub(super) enabled: bool,
    pub(super) no_password: bool,
    /// Signs in only over a connection whose certificate was verified.
    pub(super) needs_certificate: bool,
    pub(super) passwords: Vec<PasswordHash>,
    /// Those of before, newest first, as far as the policy asks for them.
    pub(super) past: Vec<PasswordHash>,
    pub(super) root: Selector,
    pub(super) selectors: Vec<Selector>,
    /// Nothing is ever refused.
    full: bool,
}

impl User {
    /// A user who cannot sign in and may do nothing.
    pub(super) fn new(name: &[u8], serial: u64, catalog: &Catalog, policy: &Policy) -> User {
        User {
            name: name.to_vec(),
            serial,
            enabled: false,
            no_password: false,
            needs_certificate: false,
            passwords: Vec::new(),
            past: Vec::new(),
            root: Selector::none(catalog, policy.all_channels),
            selectors: Vec::new(),
            full: false,
        }
    }

    /// The user of a server that was told of none: everybody, who may do everything.
    pub(super) fn open(name: &[u8], serial: u64, catalog: &Catalog) -> User {
        let mut user = User::new(name, serial, catalog, &Policy::default());
        user.enabled = true;
        user.no_password = true;
        user.root = Selector::all(catalog);
        user.full = true;
        user
    }

    /// Applies rules in order.
    ///
    /// # Errors
    /// The first rule that is refused, and why; the user is then half changed and must not be used.
    pub(super) fn apply<'w>(
        &mut self,
        words: &'w [Vec<u8>],
        catalog: &Catalog,
        policy: &Policy,
    ) -> Result<(), (&'w [u8], RuleError)> {
        for word in words {
            rule::apply(self, word, catalog, policy).map_err(|e| (word.as_slice(), e))?;
        }
        self.full = std::iter::once(&self.root).chain(&self.selectors).any(|s| s.is_full(catalog));
        Ok(())
    }

    /// As it was made, but for its name and the passwords it may not have again.
    pub(super) fn reset(&mut self, catalog: &Catalog, policy: &Policy) {
        self.forget_passwords(.., policy);
        let past = std::mem::take(&mut self.past);
        *self = User { past, ..User::new(&self.name, self.serial, catalog, policy) };
    }

    /// Takes passwords away, and remembers them if the policy asks for it.
    pub(super) fn forget_passwords(&mut self, which: impl std::ops::RangeBounds<usize>, policy: &Policy) {
        self.past.splice(..0, self.passwords.drain(which).rev());
        self.past.truncate(policy.passwords_remembered);
    }

    /// Sets the only password, or none for an empty one: what `requirepass` says.
    pub(super) fn set_only_password(&mut self, hash: Option<PasswordHash>) {
        self.no_password = hash.is_none();
        self.passwords = hash.into_iter().collect();
    }

    /// Makes it the same user as one of before.
    pub(super) fn keep_serial(&mut self, serial: u64) {
        self.serial = serial;
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether it may sign in at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password does.
    pub fn has_no_password(&self) -> bool {
        self.no_password
    }

    /// Whether it signs in only with a certificate.
    pub fn needs_certificate(&self) -> bool {
        self.needs_certificate
    }

    /// Whether nothing is ever refused.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether it may run a command at all, on some keys.
    pub fn may_run(&self, id: u16) -> bool {
        self.full || self.all_selectors().any(|s| s.allows_command(id))
    }

    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// The selectors beside the user's own permissions.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Its own permissions first, then the selectors.
    pub fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether a channel or pattern it is subscribed to is still allowed.
    pub fn keeps_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_selectors().any(|s| s.allows_channel(channel, is_pattern))
    }

    /// The words after its name that make it again.
    pub fn rules(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = vec![if self.enabled { b"on".to_vec() } else { b"off".to_vec() }];
        if self.no_password {
            words.push(b"nopass".to_vec());
        }
        if self.needs_certificate {
            words.push(b"certificate".to_vec());
        }
        words.extend(self.passwords.iter().map(|p| format!("#{p}").into_bytes()));
        words.extend(self.past.iter().map(|p| [rule::PAST, p.to_string().as_bytes()].concat()));
        words.push(self.root.describe());
        for s in &self.selectors {
            words.push([b"(", s.describe().as_slice(), b")"].concat());
        }
        words
    }

    /// `user NAME RULES`: a line of the ACL file, and of ACL LIST.
    pub fn describe(&self) -> Vec<u8> {
        [b"user ", self.name.as_slice(), b" ", self.rules().join(&b' ').as_slice()].concat()
    }
}
