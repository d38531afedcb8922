//! The options SET, GETEX and MSETEX share: when the key expires, and on what condition it is written.

use crate::base::number::IntText;
use crate::commands::arguments::{Options, integer};
use crate::commands::{CommandError, DataContext};
use crate::keyspace::{EventClass, Key};
use crate::resp::args::Args;

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub seconds: bool,
    /// From now on, not since the epoch.
    pub relative: bool,
}

impl Unit {
    pub const EX: Unit = Unit { seconds: true, relative: true };
    pub const PX: Unit = Unit { seconds: false, relative: true };
    pub const EXAT: Unit = Unit { seconds: true, relative: false };
    pub const PXAT: Unit = Unit { seconds: false, relative: false };

    /// The instant `given` says, in ms since the epoch.
    ///
    /// # Errors
    /// Not an integer; not above 0 or past the 64-bit range (`command` stands in that text).
    pub fn deadline(self, given: &[u8], now_ms: i64, command: &str) -> Result<i64, CommandError> {
        let n = integer(given)?;
        if n <= 0 {
            return Err(CommandError::invalid_expire(command));
        }
        let ms = if self.seconds { n.checked_mul(1000) } else { Some(n) };
        let ms = if self.relative { ms.and_then(|ms| ms.checked_add(now_ms)) } else { ms };
        ms.ok_or_else(|| CommandError::invalid_expire(command))
    }
}

/// What becomes of the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry<'a> {
    /// Nothing was said: SET takes it away, GETEX leaves it.
    Unsaid,
    Keep,
    Persist,
    At {
        unit: Unit,
        given: &'a [u8],
        /// The argument that names the unit; the time follows it.
        position: usize,
    },
}

/// On what condition a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    Always,
    Absent,
    Present,
    Equal(&'a [u8]),
}

/// Whose options they are: each command takes some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Set,
    Getex,
    Msetex,
}

/// Options, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringOptions<'a> {
    pub expiry: Expiry<'a>,
    pub condition: Condition<'a>,
    /// The old value is the reply.
    pub get: bool,
}

impl<'a> StringOptions<'a> {
    /// Reads the options from argument `at` on.
    ///
    /// # Errors
    /// A syntax error for words `of` does not know and for two that exclude each other.
    pub fn parse(args: Args<'a>, at: usize, of: Of) -> Result<StringOptions<'a>, CommandError> {
        let mut o = StringOptions { expiry: Expiry::Unsaid, condition: Condition::Always, get: false };
        let words = &mut Options::new(args, at);
        while words.left() > 0 {
            let position = Options::position(words);
            let unit = |unit| Expiry::At { unit, given: b"", position };
            let (condition, expiry) = if of != Of::Getex && words.take("NX") {
                (Some(Condition::Absent), None)
            } else if of != Of::Getex && words.take("XX") {
                (Some(Condition::Present), None)
            } else if of == Of::Set && words.take("IFEQ") {
                (Some(Condition::Equal(words.value()?)), None)
            } else if of == Of::Set && words.take("GET") {
                o.get = true;
                continue;
            } else if of != Of::Getex && words.take("KEEPTTL") {
                (None, Some(Expiry::Keep))
            } else if of == Of::Getex && words.take("PERSIST") {
                (None, Some(Expiry::Persist))
            } else if words.take("EX") {
                (None, Some(unit(Unit::EX)))
            } else if words.take("PX") {
                (None, Some(unit(Unit::PX)))
            } else if words.take("EXAT") {
                (None, Some(unit(Unit::EXAT)))
            } else if words.take("PXAT") {
                (None, Some(unit(Unit::PXAT)))
            } else {
                return Err(CommandError::Syntax);
            };
            // NX, XX and the units may be said twice, the later one counts; IFEQ may not, nor two that differ.
            if let Some(new) = condition {
                let repeats = o.condition == new && !matches!(new, Condition::Equal(_));
                if o.condition != Condition::Always && !repeats {
                    return Err(CommandError::Syntax);
                }
                o.condition = new;
            }
            match (o.expiry, expiry) {
                (_, None) => {}
                (Expiry::Unsaid, Some(new)) => o.expiry = new,
                (Expiry::At { unit: a, .. }, Some(Expiry::At { unit: b, position, .. })) if a == b => {
                    o.expiry = Expiry::At { unit: b, given: b"", position };
                }
                (old, Some(new)) if old == new => {}
                _ => return Err(CommandError::Syntax),
            }
            if let (Some(Expiry::At { .. }), Expiry::At { given, .. }) = (expiry, &mut o.expiry) {
                *given = words.value()?;
            }
        }
        Ok(o)
    }

    /// The new deadline; `None` if the options give none.
    pub fn deadline(&self, now_ms: i64, command: &str) -> Result<Option<i64>, CommandError> {
        match self.expiry {
            Expiry::At { unit, given, .. } => unit.deadline(given, now_ms, command).map(Some),
            _ => Ok(None),
        }
    }
}

/// Takes a key away because its new deadline has passed already: an expiry, said as UNLINK.
pub fn expire_at_once(cx: &mut DataContext<'_, '_>, key: Key<'_>) {
    if cx.space.delete(key) {
        cx.space.changes.expired += 1;
        cx.space.changed(key, EventClass::EXPIRED, "expired");
        cx.space.replace_effect(key.db, &[b"UNLINK", key.name]);
    }
}

/// True if a deadline that is being set means that the key goes now. Where keys past their deadline stay (a replica, an import)
/// it is set as it is.
pub fn has_passed(cx: &DataContext<'_, '_>, deadline: i64) -> bool {
    cx.space.deletes_expired() && deadline <= cx.now_ms()
}

/// The effect of giving a string and a deadline.
pub fn effect_set(cx: &mut DataContext<'_, '_>, key: Key<'_>, value: &[u8], deadline: i64) {
    cx.space.replace_effect(key.db, &[b"SET", key.name, value, b"PXAT", IntText::new(deadline).as_bytes()]);
}
