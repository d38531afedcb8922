//! GEOADD.

use super::{place, scores_text};
use crate::commands::arguments::Options;
use crate::commands::zset::{changed, limits, zset_of_mut};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::object::Object;
use crate::value::record::Content;
use crate::value::zset::Zset;

const GEOADD_SPEC: CommandSpec = CommandSpec::new("geoadd", -5, Group::Geo, "write denyoom")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RW update")])
    .history(&[("6.2.0", "Options `CH`, `NX`, `XX`.")])
    .args(
        "key:key [condition{NX|XX}@6.2.0] [CH=change:token@6.2.0] data(longitude:double \
        latitude:double member)...",
    )
    .doc("Adds places to a geographic index.", "O(log(N)) per place, N: places in the index");

pub static GEOADD: Command = Command::data(GEOADD_SPEC, geoadd);
fn geoadd(cx: &mut DataContext<'_, '_>) -> Outcome {
    let (mut only_new, mut only_old, mut count_changes) = (false, false, false);
    let options = &mut Options::new(cx.args, 2);
    loop {
        if options.take("NX") {
            only_new = true;
        } else if options.take("XX") {
            only_old = true;
        } else if options.take("CH") {
            count_changes = true;
        } else {
            break;
        }
    }
    let first = cx.args.len() - options.left();
    let places = cx.args.from(first);
    if places.is_empty() || !places.len().is_multiple_of(3) || (only_new && only_old) {
        return Err(CommandError::Syntax);
    }
    // All places are read before anything is changed.
    let mut scored: Vec<(u64, &[u8])> = Vec::with_capacity(places.len() / 3);
    for i in (0..places.len()).step_by(3) {
        scored.push((place(places.at(i), places.at(i + 1))?.score(), places.at(i + 2)));
    }
    let (key, limits) = (cx.key(1), limits(cx.config));
    let (mut added, mut updated) = (0, 0);
    let mut fill = |zset: &mut Zset| {
        for (score, member) in &scored {
            let edit = zset.edit(member, limits, |old| match old {
                Some(_) if only_new => None,
                None if only_old => None,
                _ => Some(*score as f64),
            });
            added += usize::from(edit.added());
            updated += usize::from(edit.updated());
        }
    };
    let there = match cx.space.find_mut(key) {
        Some(mut record) => {
            let zset = zset_of_mut(&mut record)?;
            zset.grow_for(scored.len(), limits);
            fill(zset);
            true
        }
        None => false,
    };
    if !there && !only_old {
        let mut zset = Zset::for_size(scored.len(), scored.first().map_or(0, |(_, m)| m.len()), limits);
        fill(&mut zset);
        cx.space.add(key, Content::Object(Box::new(Object::Zset(zset))), None);
    }
    if added + updated > 0 {
        // Told as what it is: scores of a sorted set, the same wherever they are replayed.
        let texts = scores_text(&scored);
        let mut words: Vec<&[u8]> = vec![b"ZADD", key.name];
        words.extend((2..first).map(|i| cx.args.at(i)));
        for (text, (_, member)) in texts.iter().zip(&scored) {
            words.extend([text.as_slice(), *member]);
        }
        cx.space.replace_effect(cx.db, &words);
    }
    changed(cx, key, added + updated, "zadd", false);
    cx.reply.integer((if count_changes { added + updated } else { added }) as i64);
    Ok(())
}
