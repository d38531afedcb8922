//! Which history of changes this server has, and up to where it shares an older one.
//!
//! A history is named by 40 hexadecimal digits. A server that is promoted goes on under a new name, and remembers the old one with the
//! offset up to which both are the same: a replica of the old primary that is not ahead of that offset can go on with the new one.

/// No history.
pub const NONE: &str = "0000000000000000000000000000000000000000";

/// The names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    /// The history before this one, and the first offset (counted from 1, as PSYNC does) at which they may differ.
    pub before: Option<(String, u64)>,
}

impl Default for Identity {
    fn default() -> Self {
        Identity { id: NONE.into(), before: None }
    }
}

impl Identity {
    pub fn new(id: String) -> Identity {
        Identity { id, before: None }
    }

    /// Goes on under a new name after `end` bytes of the old history.
    pub fn shift(&mut self, id: String, end: u64) {
        let old = std::mem::replace(&mut self.id, id);
        self.before = Some((old, end + 1));
    }

    /// Takes over another history, data and all.
    pub fn adopt(&mut self, id: String) {
        *self = Identity::new(id);
    }

    /// True if byte number `next` (counted from 1) of the history `id` is one of ours.
    pub fn shares(&self, id: &str, next: u64) -> bool {
        self.id.eq_ignore_ascii_case(id)
            || self.before.as_ref().is_some_and(|(old, until)| old.eq_ignore_ascii_case(id) && next <= *until)
    }

    /// The older history and its offset as INFO prints them.
    pub fn before_or_none(&self) -> (&str, i64) {
        self.before.as_ref().map_or((NONE, -1), |(id, offset)| (id, *offset as i64))
    }
}

/// True if a peer's word can be the name of a history.
pub fn is_id(word: &str) -> bool {
    word.len() == NONE.len() && word.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_history_is_shared_up_to_the_promotion_and_no_further() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let mut i = Identity::new(a.clone());
        assert!(i.shares(&a, 1_000_000) && !i.shares(&b, 1));
        i.shift(b.clone(), 100);
        assert!(i.shares(&b, 1000));
        assert!(i.shares(&a, 101), "byte 101 is the first that the old history does not have: nothing differs yet");
        assert!(!i.shares(&a, 102));
        i.adopt(a.clone());
        assert!(!i.shares(&b, 1) && is_id(&a) && !is_id("x") && !is_id(&"g".repeat(40)));
    }
}
