//! ZRANDMEMBER.

use super::{write_element, write_header, write_member, zset_of};
use crate::base::hash::Random;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::zset::Zset;
use std::collections::HashSet;

const ZRANDMEMBER_SPEC: CommandSpec = CommandSpec::new("zrandmember", -2, Group::SortedSet, "readonly")
    .since("6.2.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [options(count:integer [WITHSCORES])]")
    .doc("Picks members of a sorted set at random.", "O(N), N: members returned");

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub static ZRANDMEMBER: Command = Command::data(ZRANDMEMBER_SPEC, zrandmember);

/// Picks with repetition are at most this many: the reply is made in one piece, and more than a gigabyte serves nobody.
const PICKS_MAX: u64 = 1 << 27;

fn zrandmember(cx: &mut DataContext<'_, '_>) -> Outcome {
    if cx.args.len() > 4 {
        return Err(CommandError::Syntax);
    }
    let Some(count) = cx.args.get(2) else {
        let mut rng = Random::new(cx.space.rng().next_u64());
        match cx.space.find(cx.key(1)) {
            Some(record) => match zset_of(&record)?.random(&mut rng) {
                Some((member, _)) => write_member(cx.reply, member),
                None => cx.reply.null(),
            },
            None => cx.reply.null(),
        }
        return Ok(());
    };
    let count = integer(count)?;
    if count == i64::MIN {
        return Err(CommandError::fixed(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let scores = match cx.args.get(3) {
        Some(word) if is(word, "WITHSCORES") => true,
        Some(_) => return Err(CommandError::Syntax),
        None => false,
    };
    if scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::OutOfRange);
    }
    let mut rng = Random::new(cx.space.rng().next_u64());
    let Some(record) = cx.space.find(cx.key(1)) else {
        cx.reply.array(0);
        return Ok(());
    };
    let zset = zset_of(&record)?;
    let wanted = count.unsigned_abs();
    let len = zset.len();
    let picks = if count < 0 { wanted } else { wanted.min(len as u64) };
    cx.site.weigh(usize::try_from(picks).unwrap_or(usize::MAX))?;
    let out = &mut *cx.reply;
    if count < 0 {
        if wanted > PICKS_MAX {
            return Err(CommandError::OutOfRange);
        }
        write_header(out, wanted as usize, scores);
        for _ in 0..wanted {
            if let Some((m, s)) = zset.random(&mut rng) {
                write_element(out, m, s, scores);
            }
        }
        return Ok(());
    }
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(len);
    write_header(out, wanted, scores);
    if wanted.saturating_mul(8) < len {
        few(zset, wanted, &mut rng, |rank| {
            if let Some((m, s)) = zset.at(rank) {
                write_element(out, m, s, scores);
            }
        });
        return Ok(());
    }
    // One walk that takes each element with the odds that are left: so many of so many.
    let (mut left, mut of) = (wanted as u64, len as u64);
    zset.each(0..len, false, |m, s| {
        if rng.below(of) < left {
            left -= 1;
            write_element(out, m, s, scores);
        }
        of -= 1;
    });
    Ok(())
}

/// Calls `f` with `wanted` different ranks, where they are few among many (Floyd's sample).
fn few(zset: &Zset, wanted: usize, rng: &mut Random, mut f: impl FnMut(usize)) {
    let mut taken = HashSet::with_capacity(wanted);
    let len = zset.len();
    for last in len - wanted..len {
        let rank = rng.below(last as u64 + 1) as usize;
        let rank = if taken.insert(rank) { rank } else { last };
        taken.insert(rank);
        f(rank);
    }
}
