//! The effects of one step, encoded as they arise: requests in RESP, back to back, in memory that is used again.
//!
//! Encoding happens under the stripes' locks but outside the journal's: what the journal does for a step is a copy.

use crate::base::number::put_line;
use crate::resp::args::Args;

/// Requests of one step in order, with the SELECTs between them but not the first.
#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    count: usize,
    /// How many of them are the server's own deletions, which have nothing to do with one another or with a command.
    apart: usize,
    /// Databases of the first and of the last.
    first: u32,
    last: u32,
}

/// Where effects stood once.
#[derive(Clone, Copy, Debug)]
pub struct EffectsMark {
    bytes: usize,
    count: usize,
    apart: usize,
    last: u32,
}

/// Memory that is kept for the next step.
const KEEP_BYTES: usize = 64 * 1024;

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many effects there are.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn push(&mut self, db: u32, args: &[&[u8]]) {
        self.select(db);
        put_command(&mut self.bytes, args);
    }

    /// A key's deletion by the server itself, for its deadline or for room.
    pub fn push_deletion(&mut self, db: u32, name: &[u8]) {
        self.push(db, &[b"UNLINK", name]);
        self.apart += 1;
    }

    /// Those so far are of one command that names its keys: they are seen together.
    pub fn bind(&mut self) {
        self.apart = 0;
    }

    /// Whether nobody may see, or keep, a part of them.
    pub(super) fn belong_together(&self) -> bool {
        self.count > 1 && self.apart < self.count
    }

    /// A command as it was called.
    pub fn push_args(&mut self, db: u32, args: Args<'_>) {
        self.select(db);
        if let Some(sent) = args.as_sent() {
            // What would be written is what is there.
            return self.bytes.extend_from_slice(sent);
        }
        put_line(&mut self.bytes, b'*', args.len() as i64);
        for a in args.iter() {
            put_bulk(&mut self.bytes, a);
        }
    }

    fn select(&mut self, db: u32) {
        if self.count == 0 {
            self.first = db;
        } else if self.last != db {
            put_select(&mut self.bytes, db);
        }
        self.last = db;
        self.count += 1;
    }

    /// A place to come back to.
    pub fn mark(&self) -> EffectsMark {
        EffectsMark { bytes: self.bytes.len(), count: self.count, apart: self.apart, last: self.last }
    }

    /// Takes back what was added since `mark`.
    pub fn rewind(&mut self, mark: EffectsMark) {
        self.bytes.truncate(mark.bytes);
        self.count = mark.count;
        self.apart = mark.apart;
        self.last = mark.last;
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.count = 0;
        self.apart = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The databases of the first and of the last effect.
    pub(super) fn databases(&self) -> (u32, u32) {
        (self.first, self.last)
    }

    /// The requests as words, for tests.
    pub fn words(&self) -> Vec<Vec<Vec<u8>>> {
        super::stream::requests(&self.bytes)
    }
}

pub(super) fn put_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put_line(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn put_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    put_line(out, b'*', args.len() as i64);
    for a in args {
        put_bulk(out, a);
    }
}

pub(super) fn put_select(out: &mut Vec<u8>, db: u32) {
    put_command(out, &[b"SELECT", db.to_string().as_bytes()]);
}
