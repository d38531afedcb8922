//! What the tree keeps of an element: the address of its record.
//!
//! Invariant: a handle in the tree of a sorted set points at a record in the table of the same set. Blocks of members never move
//! while they are in the table: their scores are set in place and they are given neither deadline nor other content. An element
//! leaves the tree first and the table, which frees it, afterwards. Handles are not handed out of this folder.

use super::super::order::Member;
use super::super::record::Record;
use super::super::table::{MemberPath, Table};
use std::mem::ManuallyDrop;

/// The address of a record that a table owns.
#[derive(Clone, Copy)]
pub(super) struct Handle(*mut u8);

// SAFETY: a handle is used only by the owner of tree and table, through references to them, which carry the rules of sharing.
unsafe impl Send for Handle {}
// SAFETY: as above; through a shared handle the record is only read.
unsafe impl Sync for Handle {}

impl Handle {
    /// The handle of a record that is in the table, or goes there next: moving a `Record` does not move its block.
    #[inline]
    pub(super) fn of(record: &Record) -> Handle {
        Handle(record.as_raw())
    }

    /// The member's bytes, for as long as the table that owns the record is borrowed.
    #[inline]
    pub(super) fn bytes_in(self, _table: &Table<MemberPath>) -> &[u8] {
        // SAFETY: by the module's invariant the record is in the table, which is borrowed for the result's lifetime; its name lies in
        // the block and does not change. `ManuallyDrop` leaves the record to the table.
        unsafe {
            let record = ManuallyDrop::new(Record::from_raw(self.0));
            let name = record.name();
            std::slice::from_raw_parts(name.as_ptr(), name.len())
        }
    }

    /// Takes the record out of the table; the handle has left the tree.
    pub(super) fn take_from(self, table: &mut Table<MemberPath>) -> Option<Record> {
        table.remove(self.bytes())
    }
}

impl Member for Handle {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: as in `bytes_in`. The tree reads bytes only of handles that are in it and lets go of them before it returns;
        // `take_from` reads them while the table looks for the record, whose block outlives that search.
        unsafe {
            let record = ManuallyDrop::new(Record::from_raw(self.0));
            let name = record.name();
            std::slice::from_raw_parts(name.as_ptr(), name.len())
        }
    }
}
