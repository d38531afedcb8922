//! Asking for what the keys hold that patterns lead to.

use super::pattern::Pattern;
use super::texts::{Text, Texts};
use crate::commands::Outcome;
use crate::keyspace::{Key, Space};

/// Keys of which the cache is asked for at once: about as many misses as a core has under way.
pub(super) const KEYS_AHEAD: usize = 12;
/// Keys whose names are made at once.
const NAMES: usize = 60;

/// Where other keys are looked up.
pub trait LookUp {
    /// Calls `found`, in any order, for each of the elements with the numbers in `which`: with its place there, and with what the
    /// pattern leads to. The pattern comes with its number in the request.
    ///
    /// # Errors
    /// Those of whoever cannot go on.
    fn look_up(
        &mut self,
        pattern: (usize, &Pattern),
        elements: &Texts,
        which: &[usize],
        found: &mut dyn FnMut(usize, Option<Text<'_>>),
    ) -> Outcome;

    /// Nothing is asked any more.
    fn is_done(&mut self) {}
}

/// The names of some elements' keys, made again and again in the same memory.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    pub fn make<'e>(&mut self, pattern: &Pattern, elements: impl Iterator<Item = &'e [u8]>) {
        self.bytes.clear();
        self.ends.clear();
        for element in elements {
            pattern.name(element, &mut self.bytes);
            self.ends.push(self.bytes.len());
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end])
    }
}

/// Under locks that are held.
pub(super) struct Here<'s, 'k> {
    pub space: &'s mut Space<'k>,
    pub db: u32,
}

impl LookUp for Here<'_, '_> {
    fn look_up(
        &mut self,
        (_, pattern): (usize, &Pattern),
        elements: &Texts,
        which: &[usize],
        found: &mut dyn FnMut(usize, Option<Text<'_>>),
    ) -> Outcome {
        let (now_ms, mut names, mut at) = (self.space.now_ms(), Names::default(), 0);
        for some in which.chunks(NAMES) {
            names.make(pattern, some.iter().map(|n| elements.bytes(*n)));
            let keys: Vec<Key<'_>> = names.iter().map(|name| Key::new(self.db, name)).collect();
            for keys in keys.chunks(KEYS_AHEAD) {
                self.space.prefetch(keys.iter().copied());
                for key in keys {
                    let record = self.space.find(*key);
                    pattern.read(record.as_deref(), now_ms, |value| found(at, value));
                    at += 1;
                }
            }
        }
        Ok(())
    }
}
