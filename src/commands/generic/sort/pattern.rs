//! Where a pattern leads to: `#` is the element itself, `*` stands for it in the name of a string's key, and after that `->` leads on to a
//! field of a hash.

use super::texts::Text;
use crate::base::number::IntText;
use crate::base::slot::{SlotId, slot_of};
use crate::value::hash::Value;
use crate::value::object::Object;
use crate::value::record::{ContentRef, Record};

#[derive(Clone, Debug)]
pub enum Pattern {
    Element,
    /// It has no `*`: there is nothing.
    Nowhere,
    Key {
        before: Box<[u8]>,
        after: Box<[u8]>,
        field: Option<Box<[u8]>>,
        /// That of all keys it leads to, if they have one.
        slot: Option<SlotId>,
    },
}

impl Pattern {
    pub fn new(pattern: &[u8]) -> Pattern {
        if pattern == b"#" {
            return Pattern::Element;
        }
        let Some(star) = pattern.iter().position(|b| *b == b'*') else { return Pattern::Nowhere };
        let (before, after) = (&pattern[..star], &pattern[star + 1..]);
        // An arrow with nothing behind it belongs to the name.
        let arrow = after.windows(2).position(|w| w == b"->").filter(|at| at + 2 < after.len());
        let (after, field) = match arrow {
            Some(at) => (&after[..at], Some(&after[at + 2..])),
            None => (after, None),
        };
        Pattern::Key {
            before: before.into(),
            after: after.into(),
            field: field.map(Into::into),
            slot: slot_of_pattern(pattern),
        }
    }

    /// The slot of all keys that it leads to, where that is one.
    pub fn slot(&self) -> Option<SlotId> {
        if let Pattern::Key { slot, .. } = self { *slot } else { None }
    }

    /// It names keys.
    pub fn leads_anywhere(&self) -> bool {
        matches!(self, Pattern::Key { .. })
    }

    /// Appends the name of the key for an element; false if there is none.
    pub fn name(&self, element: &[u8], name: &mut Vec<u8>) -> bool {
        let Pattern::Key { before, after, .. } = self else { return false };
        name.extend_from_slice(before);
        name.extend_from_slice(element);
        name.extend_from_slice(after);
        true
    }

    /// Whether some element leads to a key of this name.
    pub fn leads_to(&self, name: &[u8]) -> bool {
        let Pattern::Key { before, after, .. } = self else { return false };
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    }

    /// Calls `f` with what the key holds that the pattern leads to. Fields with an earlier deadline than `now_ms` are not there.
    #[inline]
    pub fn read<R>(&self, record: Option<&Record>, now_ms: i64, f: impl FnOnce(Option<Text<'_>>) -> R) -> R {
        let (Some(record), Pattern::Key { field, .. }) = (record, self) else { return f(None) };
        match (field, record.content()) {
            (None, ContentRef::Inline(bytes)) => f(Some(Text::Bytes(bytes))),
            (None, ContentRef::Int(n)) => f(Some(Text::Bytes(IntText::new(n).as_bytes()))),
            (None, ContentRef::Big(value)) => f(Some(Text::Shared(value))),
            (Some(field), ContentRef::Object(Object::Hash(hash))) => hash.get(field, now_ms, |value| match value {
                None => f(None),
                Some(Value::Shared(value)) => f(Some(Text::Shared(value))),
                Some(value) => value.with_bytes(|bytes| f(Some(Text::Bytes(bytes)))),
            }),
            _ => f(None),
        }
    }
}

/// The slot of every key that a pattern can become, where that is one: what is put in for `*` must not decide it.
pub fn slot_of_pattern(pattern: &[u8]) -> Option<SlotId> {
    let Some(star) = pattern.iter().position(|b| *b == b'*') else { return Some(slot_of(pattern)) };
    let open = pattern.iter().position(|b| *b == b'{').filter(|open| *open < star)?;
    let tag = pattern[open + 1..].iter().position(|b| *b == b'}')?;
    (tag > 0 && open + 1 + tag < star).then(|| slot_of(pattern))
}
