//! Libraries of functions: what FUNCTION LOAD brings, what FCALL finds.
//!
//! The registry holds texts and names. A thread's VM loads a library when one of its functions is called there for the first time, so the
//! variables a library keeps for itself are a thread's own.

use super::source::Rules;
use crate::base::glob;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A function, as its library registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    pub name: String,
    pub description: Option<Vec<u8>>,
    pub rules: Rules,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Which loading this is: a library that is replaced gets a new one.
    pub id: u64,
    pub name: String,
    pub source: Vec<u8>,
    pub functions: Vec<FunctionInfo>,
}

/// What to do with libraries that are there when others are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    Flush,
    Append,
    Replace,
}

/// Why a library cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryError {
    LibraryExists(String),
    FunctionExists(String),
    NoLibrary,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibraryExists(name) => write!(f, "Library '{name}' already exists"),
            Self::FunctionExists(name) => write!(f, "Function {name} already exists"),
            Self::NoLibrary => f.write_str("Library not found"),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Inner {
    libraries: BTreeMap<String, Arc<Library>>,
    /// By name in lower case: the library and the function's place in it.
    functions: HashMap<String, (Arc<Library>, usize)>,
    /// Those of the libraries.
    ids: HashSet<u64>,
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Functions {
    inner: Mutex<Inner>,
    next_id: AtomicU64,
    /// Grows when libraries go, so that VMs drop them too.
    epoch: AtomicU64,
}

/// Letters, digits and underscores, one at least.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_')
}

impl Inner {
    /// True if another had to go for it.
    fn add(&mut self, library: &Arc<Library>, replace: bool) -> Result<bool, RegistryError> {
        if !replace && self.libraries.contains_key(&library.name) {
            return Err(RegistryError::LibraryExists(library.name.clone()));
        }
        for f in &library.functions {
            if let Some((other, _)) = self.functions.get(&f.name.to_ascii_lowercase())
                && other.name != library.name
            {
                return Err(RegistryError::FunctionExists(f.name.clone()));
            }
        }
        let replaced = self.remove(&library.name).is_some();
        self.ids.insert(library.id);
        for (i, f) in library.functions.iter().enumerate() {
            self.functions.insert(f.name.to_ascii_lowercase(), (Arc::clone(library), i));
        }
        self.libraries.insert(library.name.clone(), Arc::clone(library));
        Ok(replaced)
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Library>> {
        let old = self.libraries.remove(name)?;
        self.ids.remove(&old.id);
        self.functions.retain(|_, (library, _)| library.id != old.id);
        Some(old)
    }
}

impl Functions {
    /// A number for a library that is being loaded.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn some_went(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps a library.
    ///
    /// # Errors
    /// A name that is taken. Nothing has changed then.
    pub fn add(&self, library: Library, replace: bool) -> Result<(), RegistryError> {
        let mut inner = self.inner.lock();
        if inner.add(&Arc::new(library), replace)? {
            self.some_went();
        }
        Ok(())
    }

    /// Keeps several libraries or none of them.
    ///
    /// # Errors
    /// A name that is taken. Nothing has changed then.
    pub fn restore(&self, libraries: Vec<Library>, policy: RestorePolicy) -> Result<(), RegistryError> {
        let mut inner = self.inner.lock();
        let mut new = if policy == RestorePolicy::Flush { Inner::default() } else { inner.clone() };
        for library in libraries {
            new.add(&Arc::new(library), policy == RestorePolicy::Replace)?;
        }
        *inner = new;
        self.some_went();
        Ok(())
    }

    /// Forgets a library.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn delete(&self, name: &str) -> Result<(), RegistryError> {
        let mut inner = self.inner.lock();
        inner.remove(name).ok_or(RegistryError::NoLibrary)?;
        self.some_went();
        Ok(())
    }

    /// Forgets all libraries.
    pub fn flush(&self) {
        let mut inner = self.inner.lock();
        *inner = Inner::default();
        self.some_went();
    }

    /// The library of a function, and its place there; names are the same in any case.
    pub fn find(&self, name: &[u8]) -> Option<(Arc<Library>, usize)> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        self.inner.lock().functions.get(&name).cloned()
    }

    /// True if there is a library of that name.
    pub fn has(&self, name: &str) -> bool {
        self.inner.lock().libraries.contains_key(name)
    }

    /// Libraries by name, those that match `pattern` if there is one.
    pub fn list(&self, pattern: Option<&[u8]>) -> Vec<Arc<Library>> {
        let inner = self.inner.lock();
        let matches = |l: &&Arc<Library>| pattern.is_none_or(|p| glob::matches_nocase(p, l.name.as_bytes()));
        inner.libraries.values().filter(matches).cloned().collect()
    }

    /// Numbers of libraries and functions.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.libraries.len(), inner.functions.len())
    }

    /// True if a library of that id is still the one of its name.
    pub fn is_current(&self, id: u64) -> bool {
        self.inner.lock().ids.contains(&id)
    }

    /// Bytes of texts and entries.
    pub fn bytes(&self) -> usize {
        let of = |l: &Arc<Library>| {
            size_of::<Library>() + l.source.len() + l.functions.len() * (size_of::<FunctionInfo>() + 64)
        };
        self.inner.lock().libraries.values().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(id: u64, name: &str, functions: &[&str]) -> Library {
        let info = |n: &&str| FunctionInfo { name: (*n).into(), description: None, rules: Rules::default() };
        Library { id, name: name.into(), source: vec![], functions: functions.iter().map(info).collect() }
    }

    #[test]
    fn a_name_belongs_to_one_library_and_a_failure_changes_nothing() {
        let f = Functions::default();
        f.add(library(1, "a", &["x", "y"]), false).unwrap();
        let taken = RegistryError::FunctionExists("X".into());
        assert_eq!(f.add(library(2, "b", &["z", "X"]), false), Err(taken));
        assert_eq!(f.counts(), (1, 2));
        f.add(library(3, "a", &["x"]), true).unwrap();
        assert_eq!(f.counts(), (1, 1));
        assert!(f.find(b"Y").is_none() && f.find(b"X").is_some_and(|(l, i)| l.id == 3 && i == 0));
        let both = || vec![library(4, "c", &["c"]), library(5, "a", &["q"])];
        let exists = RegistryError::LibraryExists("a".into());
        assert_eq!(f.restore(both(), RestorePolicy::Append), Err(exists));
        assert_eq!(f.counts(), (1, 1));
        f.restore(both(), RestorePolicy::Replace).unwrap();
        assert_eq!(f.counts(), (2, 2));
        f.restore(vec![library(6, "d", &["d"])], RestorePolicy::Flush).unwrap();
        assert_eq!(f.list(None).len(), 1);
        assert_eq!(f.delete("zz"), Err(RegistryError::NoLibrary));
    }
}
