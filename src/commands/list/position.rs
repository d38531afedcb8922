//! Looking for an element.

use super::access::list;
use crate::commands::arguments::{Options, integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::resp::args::Args;
use crate::spec::{CommandSpec, Group, KeySpec};

/// How LPOS looks.
struct Search {
    /// Which match is the first to count, from the left if positive, from the right if negative.
    rank: i64,
    /// With a number of matches the reply is an array; 0 is all.
    count: Option<usize>,
    /// Elements to look at; 0 is all.
    len_max: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, CommandError> {
        let mut search = Search { rank: 1, count: None, len_max: 0 };
        let mut options = Options::new(args, 3);
        while let Some(word) = options.next() {
            if options.left() == 0 {
                return Err(CommandError::Syntax);
            }
            if is(word, "RANK") {
                search.rank = symmetric(options.value()?)?;
                if search.rank == 0 {
                    return Err(CommandError::fixed(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                         negative to start from the end of the list",
                    ));
                }
            } else if is(word, "COUNT") {
                search.count = Some(natural(options.value()?, "ERR COUNT can't be negative")?);
            } else if is(word, "MAXLEN") {
                search.len_max = natural(options.value()?, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }
}

/// An integer whose negative is one too.
pub(super) fn symmetric(arg: &[u8]) -> Result<i64, CommandError> {
    match integer(arg)? {
        i64::MIN => Err(CommandError::fixed(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        n => Ok(n),
    }
}

fn natural(arg: &[u8], error: &'static str) -> Result<usize, CommandError> {
    integer(arg).ok().and_then(|n| usize::try_from(n).ok()).ok_or(CommandError::fixed(error))
}

const LPOS_SPEC: CommandSpec = CommandSpec::new("lpos", -3, Group::List, "readonly")
    .since("6.0.6")
    .keys(&[KeySpec::index(1, "RO access")])
    .args("key:key element [RANK=rank:integer] [COUNT=num-matches:integer] [MAXLEN=len:integer]")
    .doc("Finds where an element stands in a list.", "O(N), N: elements looked at");

pub static LPOS: Command = Command::data(LPOS_SPEC, lpos);
fn lpos(cx: &mut DataContext<'_, '_>) -> Outcome {
    let search = Search::parse(cx.args)?;
    let Some(record) = cx.space.find(cx.key(1)) else {
        match search.count {
            Some(_) => cx.reply.array(0),
            None => cx.reply.null(),
        }
        return Ok(());
    };
    let list = list(&record)?;
    cx.site.weigh(list.len() / 8)?;
    let mut positions = list.positions(cx.args.at(2), search.rank, search.len_max);
    match search.count {
        None => match positions.next() {
            Some(position) => cx.reply.integer(position as i64),
            None => cx.reply.null(),
        },
        Some(count) => {
            let header = cx.reply.deferred();
            let mut n = 0;
            for position in positions.take(if count == 0 { usize::MAX } else { count }) {
                cx.reply.integer(position as i64);
                n += 1;
            }
            cx.reply.finish_array(header, n);
        }
    }
    Ok(())
}
