//! GEODIST, GEOHASH, GEOPOS.

use super::{Unit, write_distance, write_place};
use crate::commands::zset::zset_of;
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::reply::Reply;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::geo::Place;

const GEODIST_SPEC: CommandSpec = CommandSpec::new("geodist", -4, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key member1 member2 [unit{M|KM|FT|MI}]")
    .doc("Tells the distance between two places.", "O(1)");

pub static GEODIST: Command = Command::data(GEODIST_SPEC, geodist);
fn geodist(cx: &mut DataContext<'_, '_>) -> Outcome {
    let unit = match cx.args.len() {
        4 => Unit::METRES,
        5 => Unit::parse(cx.args.at(4))?,
        _ => return Err(CommandError::Syntax),
    };
    let key = cx.key(1);
    let (mut from, mut to) = (None, None);
    if let Some(record) = cx.space.find(key) {
        let zset = zset_of(&record)?;
        (from, to) = (zset.score(cx.args.at(2)), zset.score(cx.args.at(3)));
    }
    match (from, to) {
        (Some(from), Some(to)) => {
            write_distance(cx.reply, Place::of_score(from).distance(Place::of_score(to)) / unit.metres);
        }
        _ => cx.reply.null(),
    }
    Ok(())
}

/// Replies for each member with what `write` makes of its score.
fn each(cx: &mut DataContext<'_, '_>, write: fn(&mut Reply, Option<f64>)) -> Outcome {
    let (key, members) = (cx.key(1), cx.args.from(2));
    let record = cx.space.find(key);
    let zset = record.as_deref().map(zset_of).transpose()?;
    cx.reply.array(members.len());
    for member in members.iter() {
        write(cx.reply, zset.and_then(|z| z.score(member)));
    }
    Ok(())
}

const GEOHASH_SPEC: CommandSpec = CommandSpec::new("geohash", -2, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [member...]")
    .doc("Gives places as geohash strings.", "O(1) per place");

pub static GEOHASH: Command = Command::data(GEOHASH_SPEC, geohash);
fn geohash(cx: &mut DataContext<'_, '_>) -> Outcome {
    each(cx, |reply, score| match score {
        Some(score) => reply.bulk(&Place::of_score(score).letters()),
        None => reply.null(),
    })
}

const GEOPOS_SPEC: CommandSpec = CommandSpec::new("geopos", -2, Group::Geo, "readonly")
    .since("3.2.0")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key [member...]")
    .doc("Gives the longitude and latitude of places.", "O(1) per place");

pub static GEOPOS: Command = Command::data(GEOPOS_SPEC, geopos);
fn geopos(cx: &mut DataContext<'_, '_>) -> Outcome {
    each(cx, |reply, score| match score {
        Some(score) => write_place(reply, Place::of_score(score)),
        None => reply.null_array(),
    })
}
