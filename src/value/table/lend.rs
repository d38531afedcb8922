//! A record lent out to be changed.

use super::super::record::Record;
use super::Segment;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

/// A record of a table, to be changed; it may move, and the table learns of it when this ends.
pub struct RecordMut<'t> {
    record: ManuallyDrop<Record>,
    segment: *mut Segment,
    bucket: u16,
    place: u8,
    had_deadline: bool,
    mark: u8,
    deadlines: *mut usize,
    _table: PhantomData<&'t mut Record>,
}

impl RecordMut<'_> {
    /// Sets the record's mark for good, whatever is done to it while it is lent out.
    pub fn set_table_mark(&mut self, mark: u8) {
        self.mark = mark;
        self.record.set_mark(mark);
    }

    /// # Safety
    /// The place is occupied, and segment and counter are held exclusively for the result's lifetime.
    #[inline(always)]
    pub(super) unsafe fn lend<'t>(s: *mut Segment, b: usize, i: usize, deadlines: *mut usize) -> RecordMut<'t> {
        // SAFETY: the caller's word.
        let record = ManuallyDrop::new(unsafe { Record::from_raw((*s).bucket(b).pointer(i)) });
        let had_deadline = record.deadline().is_some();
        RecordMut {
            mark: record.mark(),
            record,
            segment: s,
            bucket: b as u16,
            place: i as u8,
            had_deadline,
            deadlines,
            _table: PhantomData,
        }
    }
}

impl Deref for RecordMut<'_> {
    type Target = Record;
    #[inline(always)]
    fn deref(&self) -> &Record {
        &self.record
    }
}

impl DerefMut for RecordMut<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

impl Drop for RecordMut<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `lend`'s caller holds segment and counter exclusively for our lifetime; the place is still occupied.
        unsafe {
            let bucket = (*self.segment).bucket_mut(self.bucket as usize);
            let i = self.place as usize;
            if bucket.pointer(i) != self.record.as_raw() {
                bucket.set_pointer(i, self.record.as_raw());
            }
            // The block may have been made anew without the mark, and stand where the old one stood: an address says nothing.
            if self.record.mark() != self.mark {
                self.record.set_mark(self.mark);
            }
            let deadline = self.record.deadline();
            if let Some(d) = deadline {
                (*self.segment).earliest = (*self.segment).earliest.min(d);
            }
            match (self.had_deadline, deadline.is_some()) {
                (false, true) => *self.deadlines += 1,
                (true, false) => *self.deadlines -= 1,
                _ => {}
            }
        }
    }
}
