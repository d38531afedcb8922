//! LOLWUT: a picture, and the version.

use crate::base::names::{REDIS_VERSION, VALKEY_VERSION};
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const LOLWUT_SPEC: CommandSpec = CommandSpec::new("lolwut", -1, Group::Server, "readonly fast")
    .since("5.0.0")
    .args("[VERSION=version:integer]")
    .doc("Draws something and names the version.", "");
pub static LOLWUT: Command = Command::node(LOLWUT_SPEC, lolwut);

const COLUMNS: usize = 56;
const ROWS: usize = 11;

/// Three ropes, each over and under its neighbours in turn.
fn braid() -> String {
    let mut out = String::with_capacity((COLUMNS + 1) * ROWS);
    let height = |rope: usize, x: usize| {
        let turn = (x as f64 / 9.0 + rope as f64 / 3.0) * std::f64::consts::TAU / 2.0;
        ((turn.sin() + 1.0) / 2.0 * (ROWS - 1) as f64).round() as usize
    };
    for y in 0..ROWS {
        let line: String = (0..COLUMNS)
            .map(|x| {
                // The rope that is on its way up lies on top.
                let top = (0..3).filter(|r| height(*r, x) == y).max_by_key(|r| height(*r, x + 1) < y);
                top.map_or(' ', |r| ['#', '=', '+'][r])
            })
            .collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn lolwut(cx: &mut NodeContext<'_, '_>) -> Outcome {
    // There is one picture; a version that is asked for only has to be a number.
    if let (Some(word), Some(version)) = (cx.args.get(1), cx.args.get(2))
        && is(word, "VERSION")
    {
        integer(version)?;
    }
    let (as_whom, version) = match cx.config.general.extended_redis_compatibility {
        true => ("Redis", REDIS_VERSION),
        false => ("Valkey", VALKEY_VERSION),
    };
    let own = env!("CARGO_PKG_VERSION");
    let text = format!("{}\nHold fast. Holdfast ver. {own}, compatible with {as_whom} ver. {version}\n", braid());
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(())
}
