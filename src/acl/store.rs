//! All users, and changing them.

use super::catalog::Catalog;
use super::log::AclLog;
use super::password::PasswordHash;
use super::rule::{Policy, RuleError, is_no_name, join_selectors};
use super::throttle::Throttle;
use super::user::User;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Users by name.
pub type Users = BTreeMap<Vec<u8>, Arc<User>>;

/// The user of connections that have not signed in.
pub const DEFAULT: &[u8] = b"default";

/// Why a user was not changed. `Display` is the text after `ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUserError {
    /// Blanks or control characters in the name.
    Name,
    /// A selector that never closes; the word that opens it.
    Unmatched(Vec<u8>),
    /// A rule and why it is refused. The rule of a password is shown without it.
    Rule { word: Vec<u8>, error: RuleError },
}

impl SetUserError {
    fn rule(word: &[u8], error: RuleError) -> SetUserError {
        let word = match word.first() {
            Some(b'>' | b'<') if error != RuleError::NoSuchPassword => [&word[..1], b"(redacted)"].concat(),
            _ => word.to_vec(),
        };
        SetUserError::Rule { word, error }
    }
}

impl SetUserError {
    /// The error reply, with the bytes of the rule as they came.
    pub fn reply(&self) -> Vec<u8> {
        format!("ERR {self}").into_bytes()
    }
}

impl std::fmt::Display for SetUserError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => f.write_str("Usernames can't contain spaces or null characters"),
            Self::Unmatched(word) => {
                write!(f, "Unmatched parenthesis in acl selector starting at '{}'.", String::from_utf8_lossy(word))
            }
            Self::Rule { word, error } => {
                write!(f, "Error in ACL SETUSER modifier '{}': {error}", String::from_utf8_lossy(word))
            }
        }
    }
}

impl std::error::Error for SetUserError {}

/// What a deletion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    Users(Vec<Vec<u8>>),
    /// The default user was among the names: nothing was deleted.
    Default,
}

/// All users.
#[derive(Debug)]
pub struct Acl {
    catalog: Catalog,
    users: RwLock<Users>,
    epoch: AtomicU64,
    next_serial: AtomicU64,
    /// One change at a time, so that none is lost.
    changing: Mutex<()>,
    pub log: AclLog,
    pub throttle: Throttle,
}

impl Acl {
    /// The default user alone, who may do everything.
    pub fn new(catalog: Catalog) -> Acl {
        let default = Arc::new(User::open(DEFAULT, 1, &catalog));
        Acl {
            catalog,
            users: RwLock::new(BTreeMap::from([(DEFAULT.to_vec(), default)])),
            epoch: AtomicU64::new(1),
            next_serial: AtomicU64::new(2),
            changing: Mutex::new(()),
            log: AclLog::default(),
            throttle: Throttle::default(),
        }
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A number that moves with every change, after the change can be seen.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.read().get(name).cloned()
    }

    pub fn default_user(&self) -> Arc<User> {
        self.get(DEFAULT).expect("the default user is never deleted")
    }

    /// Whether a new connection needs no password: the default user asks for none.
    pub fn is_open(&self) -> bool {
        let user = self.default_user();
        user.enabled && user.no_password && !user.needs_certificate
    }

    /// All users by name.
    pub fn all(&self) -> Vec<Arc<User>> {
        self.users.read().values().cloned().collect()
    }

    fn publish(&self, users: Users) {
        *self.users.write() = users;
        self.epoch.fetch_add(1, Ordering::Release);
    }

    fn serial(&self) -> u64 {
        self.next_serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Creates a user or changes its rules, all of them or none. Returns the user as it was before, and as it is.
    pub fn set_user(
        &self,
        name: &[u8],
        words: &[&[u8]],
        policy: &Policy,
    ) -> Result<(Option<Arc<User>>, Arc<User>), SetUserError> {
        let words = join_selectors(words.iter().copied()).map_err(SetUserError::Unmatched)?;
        let _one_at_a_time = self.changing.lock();
        let before = self.get(name);
        if before.is_none() && is_no_name(name) {
            return Err(SetUserError::Name);
        }
        let mut user = match &before {
            Some(user) => User::clone(user),
            None => User::new(name, self.serial(), &self.catalog, policy),
        };
        user.apply(&words, &self.catalog, policy).map_err(|(word, error)| SetUserError::rule(word, error))?;
        let user = Arc::new(user);
        let mut users = self.users.read().clone();
        users.insert(name.to_vec(), Arc::clone(&user));
        self.publish(users);
        Ok((before, user))
    }

    /// Sets the default user's only password, or none if it is empty: `requirepass`.
    ///
    /// # Errors
    /// The password is shorter than the policy wants.
    pub fn set_default_password(&self, password: &[u8], policy: &Policy) -> Result<(), RuleError> {
        let hash = if password.is_empty() { None } else { Some(PasswordHash::make(password, policy)?) };
        let _one_at_a_time = self.changing.lock();
        let mut user = User::clone(&self.default_user());
        user.set_only_password(hash);
        let mut users = self.users.read().clone();
        users.insert(DEFAULT.to_vec(), Arc::new(user));
        self.publish(users);
        Ok(())
    }

    /// Puts another hash in the place of one, if the user still has it.
    pub fn replace_password(&self, name: &[u8], old: &PasswordHash, new: PasswordHash) {
        let _one_at_a_time = self.changing.lock();
        let Some(user) = self.get(name) else { return };
        let Some(at) = user.passwords.iter().position(|p| p == old) else { return };
        let mut user = User::clone(&user);
        user.passwords[at] = new;
        let mut users = self.users.read().clone();
        users.insert(name.to_vec(), Arc::new(user));
        self.publish(users);
    }

    /// Deletes users; names nobody has are passed over.
    pub fn delete(&self, names: &[&[u8]]) -> Deleted {
        let _one_at_a_time = self.changing.lock();
        if names.contains(&DEFAULT) {
            return Deleted::Default;
        }
        let mut users = self.users.read().clone();
        let gone: Vec<Vec<u8>> = names.iter().filter(|n| users.remove(**n).is_some()).map(|n| n.to_vec()).collect();
        if !gone.is_empty() {
            self.publish(users);
        }
        Deleted::Users(gone)
    }

    /// Puts other users in the place of all there are. Returns those before. A user that keeps its name is the same user.
    pub fn replace_all(&self, new: Vec<User>) -> Users {
        let _one_at_a_time = self.changing.lock();
        let before = self.users.read().clone();
        let mut users = Users::new();
        for mut user in new {
            if let Some(old) = before.get(user.name()) {
                user.keep_serial(old.serial());
            }
            users.insert(user.name().to_vec(), Arc::new(user));
        }
        users.entry(DEFAULT.to_vec()).or_insert_with(|| Arc::new(User::open(DEFAULT, 1, &self.catalog)));
        self.publish(users);
        before
    }

    /// A user of no name yet in the list, made of rules; for files.
    pub(super) fn draft(&self, name: &[u8], policy: &Policy) -> User {
        User::new(name, self.serial(), &self.catalog, policy)
    }
}
