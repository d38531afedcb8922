//! ZSCAN.

use super::{write_member, zset_of};
use crate::base::glob;
use crate::base::number::parse_u64;
use crate::commands::arguments::Options;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group, KeySpec};

const ZSCAN_SPEC: CommandSpec = CommandSpec::new("zscan", -3, Group::SortedSet, "readonly")
    .since("2.8.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RO access")])
    .history(&[("8.0.0", "Word `NOSCORES`.")])
    .args("key:key cursor:integer [MATCH=pattern:pattern] [COUNT=count:integer] [NOSCORES]")
    .doc(
        "Walks over the members of a sorted set and their scores in steps.",
        "O(1) a call, O(N) for the whole set of N members",
    );

/// `ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]`
pub static ZSCAN: Command = Command::data(ZSCAN_SPEC, zscan);

fn zscan(cx: &mut DataContext<'_, '_>) -> Outcome {
    let cursor = parse_u64(cx.args.at(2)).ok_or(CommandError::InvalidCursor)?;
    let mut space_key = None;
    if let Some(record) = cx.space.find(cx.key(1)) {
        zset_of(&record)?;
        space_key = Some(cx.key(1));
    }
    let Some(key) = space_key else {
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let (mut count, mut pattern, mut scores) = (10usize, None, true);
    let options = &mut Options::new(cx.args, 3);
    while options.left() > 0 {
        if options.left() > 1 && options.take("COUNT") {
            let n = options.integer()?;
            count = usize::try_from(n).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
        } else if options.left() > 1 && options.take("MATCH") {
            pattern = Some(options.value()?).filter(|p| !glob::is_match_all(p));
        } else if options.take("NOSCORES") {
            scores = false;
        } else if options.take("NOVALUES") {
            return Err(CommandError::fixed("ERR NOVALUES option can only be used in HSCAN"));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let Some(record) = cx.space.peek(key) else { return Ok(()) };
    let zset = zset_of(&record)?;
    let big = zset.as_listpack().is_none();
    let (mut found, mut body) = (0, Reply::new(cx.reply.version));
    let next = zset.scan(cursor, count, |member, score| {
        if pattern.is_some_and(|p| !member.with_bytes(|m| glob::matches(p, m))) {
            return;
        }
        write_member(&mut body, member);
        found += 1;
        if scores {
            found += 1;
            if big {
                body.bulk(&seventeen_digits(score));
            } else {
                body.bulk(crate::base::number::FloatText::new(score).as_bytes());
            }
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(found);
    cx.reply.append(body);
    Ok(())
}

/// The text of a double with seventeen significant digits, as C's `%.17g` writes it: this command alone answers so.
fn seventeen_digits(n: f64) -> Vec<u8> {
    if !n.is_finite() || n == 0.0 {
        return crate::base::number::FloatText::new(n).as_bytes().to_vec();
    }
    let text = format!("{n:.16e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let text = format!("{n:.*}", (16 - exponent).max(0) as usize);
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.as_bytes().to_vec();
    }
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()).into_bytes()
}
