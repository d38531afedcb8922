//! Geographic indexes: sorted sets whose scores are places.
//!
//! Everything that works on sorted sets works on them; what is here turns coordinates into scores and searches among them.

mod add;
mod read;
mod search;
#[cfg(test)]
mod tests;

use super::arguments::float;
use super::{Command, CommandError};
use crate::base::number::IntText;
use crate::resp::reply::Reply;
use crate::value::geo::Place;

/// All commands on geographic indexes.
pub static COMMANDS: &[&Command] = &[
    &add::GEOADD,
    &read::GEODIST,
    &read::GEOHASH,
    &read::GEOPOS,
    &search::GEORADIUS,
    &search::GEORADIUS_RO,
    &search::GEORADIUSBYMEMBER,
    &search::GEORADIUSBYMEMBER_RO,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
];

/// A unit of length.
#[derive(Clone, Copy, Debug)]
struct Unit {
    metres: f64,
}

impl Unit {
    const METRES: Unit = Unit { metres: 1.0 };

    fn parse(text: &[u8]) -> Result<Unit, CommandError> {
        let metres = match text.to_ascii_lowercase().as_slice() {
            b"m" => 1.0,
            b"km" => 1000.0,
            b"ft" => 0.3048,
            b"mi" => 1609.34,
            _ => return Err(CommandError::fixed("ERR unsupported unit provided. please use M, KM, FT, MI")),
        };
        Ok(Unit { metres })
    }
}

/// A longitude and a latitude.
fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let (longitude, latitude) = (float(longitude)?, float(latitude)?);
    Place::new(longitude, latitude)
        .ok_or_else(|| CommandError::err(format_args!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

fn scores_text(scored: &[(u64, &[u8])]) -> Vec<Vec<u8>> {
    scored.iter().map(|(score, _)| IntText::unsigned(*score).as_bytes().to_vec()).collect()
}

/// A distance with four decimals.
fn write_distance(reply: &mut Reply, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// Longitude and latitude with as many of 17 decimals as they have.
fn write_place(reply: &mut Reply, place: Place) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { b"0" } else { text.as_bytes() });
    }
}
