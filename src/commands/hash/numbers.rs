//! Fields as numbers: HINCRBY and HINCRBYFLOAT.

use super::{edit, hash_of, limits, note, note_expired};
use crate::base::extended::Extended;
use crate::base::number::{IntText, parse_i64};
use crate::commands::arguments::integer;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::hash::{Before, FieldTtl};

/// Reads the field, has `next` make the new text of the old one, and writes it; `own` where the command's own words replay the same.
fn change(
    cx: &mut DataContext<'_, '_>,
    event: &'static str,
    own: bool,
    next: impl FnOnce(Option<&[u8]>) -> Result<Vec<u8>, CommandError>,
) -> Result<Vec<u8>, CommandError> {
    let (key, field, now, limits) = (cx.key(1), cx.args.at(2), cx.now_ms(), limits(cx.config));
    let (text, deadline) = match cx.space.peek(key) {
        None => (next(None)?, None),
        Some(record) => {
            let hash = hash_of(&record)?;
            let text = hash.get(field, now, |v| match v {
                Some(v) => v.with_bytes(|old| next(Some(old))),
                None => next(None),
            })?;
            (text, hash.deadline(field, now).flatten())
        }
    };
    let before = edit(cx.space, key, |hash| hash.set(field, &text, FieldTtl::Keep, now, &limits))?;
    note_expired(cx.space, key, usize::from(before == Before::Expired));
    note(cx.space, key, event, 1);
    match deadline {
        Some(d) => {
            let at = IntText::new(d);
            let effect: [&[u8]; 8] = [b"HSETEX", key.name, b"PXAT", at.as_bytes(), b"FIELDS", b"1", field, &text];
            cx.space.replace_effect(cx.db, &effect);
        }
        None if !own || before == Before::Expired => {
            cx.space.replace_effect(cx.db, &[b"HSET", key.name, field, &text]);
        }
        None => {}
    }
    Ok(text)
}

pub static HINCRBY: Command = Command::data(
    CommandSpec::new("hincrby", 4, Group::Hash, "write denyoom fast")
        .since("2.0.0")
        .keys(&[KeySpec::index(1, "RW access update")])
        .args("key:key field increment:integer")
        .doc("Adds an integer to a field; a missing field counts as 0.", "O(1)"),
    hincrby,
);

fn hincrby(cx: &mut DataContext<'_, '_>) -> Outcome {
    let by = integer(cx.args.at(3))?;
    let mut sum = 0;
    change(cx, "hincrby", true, |old| {
        let old = match old {
            None => 0,
            Some(text) => parse_i64(text).ok_or(CommandError::fixed("ERR hash value is not an integer"))?,
        };
        sum = old.checked_add(by).ok_or(CommandError::Overflow)?;
        Ok(IntText::new(sum).as_bytes().to_vec())
    })?;
    cx.reply.integer(sum);
    Ok(())
}

pub static HINCRBYFLOAT: Command = Command::data(
    CommandSpec::new("hincrbyfloat", 4, Group::Hash, "write denyoom fast")
        .since("2.6.0")
        .keys(&[KeySpec::index(1, "RW access update")])
        .args("key:key field increment:double")
        .doc("Adds a fraction to a field; a missing field counts as 0.", "O(1)"),
    hincrbyfloat,
);

fn hincrbyfloat(cx: &mut DataContext<'_, '_>) -> Outcome {
    let by = Extended::parse(cx.args.at(3)).ok_or(CommandError::NotFloat)?;
    if by.is_infinite() {
        return Err(CommandError::fixed("ERR value is NaN or Infinity"));
    }
    let text = change(cx, "hincrbyfloat", false, |old| {
        let mut text = Vec::new();
        let sum = match old {
            None => by,
            Some(old) => {
                let old = Extended::parse(old).ok_or(CommandError::fixed("ERR hash value is not a float"))?;
                old.checked_add(by).ok_or(CommandError::NotFinite)?
            }
        };
        sum.print(&mut text);
        Ok(text)
    })?;
    cx.reply.bulk(&text);
    Ok(())
}
