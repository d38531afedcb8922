//! XADD.

use super::trim::TrimWords;
use super::{changed, limits, stream_of_mut, strict_id, write_id};
use crate::commands::arguments::is;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::keyspace::EventClass;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::object::Object;
use crate::value::record::Content;
use crate::value::stream::{Refused, Stream, StreamId};

const XADD_SPEC: CommandSpec = CommandSpec::new("xadd", -5, Group::Stream, "write denyoom fast")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW update").notes("Trimming may remove entries as well.")])
    .history(&[("6.2.0", "`NOMKSTREAM`, trimming by `MINID`, and `LIMIT`."), ("7.0.0", "Ids of the form `<ms>-*`.")])
    .args(
        "key:key [NOMKSTREAM@6.2.0] [trim(strategy{MAXLEN|MINID@6.2.0} \
        [operator{\"=\"=equal:token|\"~\"=approximately:token}] threshold \
        [LIMIT=count:integer@6.2.0])] id-selector{\"*\"=auto-id:token|id} data(field \
        value)...",
    )
    .doc("Appends an entry to a stream and may trim it.", "O(1), with trimming O(N), N: entries removed");

/// How the id is given.
#[derive(Clone, Copy)]
enum Wanted {
    /// `*`
    Auto,
    /// `ms-*`
    OfMs(u64),
    Given(StreamId),
}

pub static XADD: Command = Command::data(XADD_SPEC, xadd);
fn xadd(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (mut words, mut create, mut at) = (TrimWords::default(), true, 2);
    let wanted = loop {
        let Some(word) = cx.args.get(at) else { return Err(CommandError::wrong_arity(cx.command_name())) };
        if word == b"*" {
            break Wanted::Auto;
        } else if let Some(next) = words.take(cx, at)? {
            at = next;
        } else if is(word, "NOMKSTREAM") {
            create = false;
            at += 1;
        } else if let Some(ms) = StreamId::parse_open(word) {
            break Wanted::OfMs(ms);
        } else {
            break Wanted::Given(strict_id(word, 0)?);
        }
    };
    let trimming = words.finish(cx.config)?;
    let id_at = at;
    let pairs = cx.args.from(id_at + 1);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(cx.command_name()));
    }
    if matches!(wanted, Wanted::Given(StreamId::MIN)) {
        return Err(CommandError::fixed("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let fields: Vec<(&[u8], &[u8])> = (0..pairs.len() / 2).map(|i| (pairs.at(2 * i), pairs.at(2 * i + 1))).collect();

    let (key, now_ms, limits) = (cx.key(1), cx.now_ms(), limits(cx.config));
    let add = |stream: &mut Stream| -> Result<(StreamId, u64, Vec<u8>), CommandError> {
        const NOT_ABOVE: CommandError =
            CommandError::fixed("ERR The ID specified in XADD is equal or smaller than the target stream top item");
        let exhausted =
            CommandError::fixed("ERR The stream has exhausted the last possible ID, unable to add more items");
        if stream.last_id == StreamId::MAX {
            return Err(exhausted);
        }
        let id = match wanted {
            Wanted::Auto => stream.next_id(u64::try_from(now_ms).unwrap_or(0)).ok_or(exhausted)?,
            Wanted::OfMs(ms) => stream.next_id_of(ms).ok_or(NOT_ABOVE)?,
            Wanted::Given(id) => id,
        };
        stream.append(id, &fields, &limits).map_err(|refused| match refused {
            Refused::NotAbove => NOT_ABOVE,
            Refused::TooLarge => CommandError::fixed("ERR Elements are too large to be stored"),
        })?;
        let trimmed = trimming.as_ref().map_or(0, |t| t.run(stream));
        let threshold = trimming.as_ref().filter(|t| t.approximate).map(|t| t.exact_threshold(stream));
        Ok((id, trimmed, threshold.unwrap_or_default()))
    };
    let done = match cx.space.find_mut(key) {
        Some(mut record) => Some(add(stream_of_mut(&mut record)?)?),
        None => None,
    };
    let (id, trimmed, threshold) = match done {
        Some(done) => done,
        None if !create => {
            cx.reply.null();
            return Ok(());
        }
        None => {
            let mut stream = Stream::new();
            let done = add(&mut stream)?;
            cx.space.add(key, Content::Object(Box::new(Object::Stream(stream))), None);
            done
        }
    };
    changed(cx, key, 1, "xadd");
    if trimmed > 0 {
        cx.space.event(EventClass::STREAM, "xtrim", key);
    }
    let approximate = trimming.as_ref().filter(|t| t.approximate);
    let text = id.text();
    if approximate.is_some() || !matches!(wanted, Wanted::Given(_)) {
        let with_id = |(i, word)| if i == id_at { text.as_bytes() } else { word };
        let words: Vec<&[u8]> = match approximate {
            Some(t) => t.exact_words(cx, &threshold).map(with_id).collect(),
            None => cx.args.iter().enumerate().map(with_id).collect(),
        };
        cx.space.replace_effect(cx.db, &words);
    }
    write_id(cx.reply, id);
    Ok(())
}
