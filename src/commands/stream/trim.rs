//! Trimming: the words XADD and XTRIM share, and XTRIM.

use super::{changed, stream_of_mut, strict_id};
use crate::base::number::IntText;
use crate::commands::arguments::{integer, is};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::config::Config;
use crate::spec::{CommandSpec, Group, KeySpec};
use crate::value::stream::{Direction, Stream, StreamId, Trim};

const XTRIM_SPEC: CommandSpec = CommandSpec::new("xtrim", -4, Group::Stream, "write")
    .since("5.0.0")
    .tips("nondeterministic_output")
    .keys(&[KeySpec::index(1, "RW delete")])
    .history(&[("6.2.0", "Trimming by `MINID`, and `LIMIT`.")])
    .args(
        "key:key trim(strategy{MAXLEN|MINID@6.2.0} \
        [operator{\"=\"=equal:token|\"~\"=approximately:token}] threshold \
        [LIMIT=count:integer@6.2.0])",
    )
    .doc("Removes the oldest entries of a stream.", "O(N), N: entries removed");

pub static XTRIM: Command = Command::data(XTRIM_SPEC, xtrim);
fn xtrim(cx: &mut DataContext<'_, '_>) -> Outcome {
    let mut words = TrimWords::default();
    let mut at = 2;
    while at < cx.args.len() {
        at = words.take(cx, at)?.ok_or(CommandError::Syntax)?;
    }
    let Some(trimming) = words.finish(cx.config)? else {
        return Err(CommandError::fixed("ERR syntax error, XTRIM must be called with a trimming strategy"));
    };
    let key = cx.key(1);
    let Some(mut record) = cx.space.find_mut(key) else {
        cx.reply.integer(0);
        return Ok(());
    };
    let stream = stream_of_mut(&mut record)?;
    let removed = trimming.run(stream);
    let exact = trimming.exact_threshold(stream);
    drop(record);
    if removed > 0 {
        if trimming.approximate {
            let own: Vec<&[u8]> = trimming.exact_words(cx, &exact).map(|(_, word)| word).collect();
            cx.space.replace_effect(cx.db, &own);
        }
        changed(cx, key, removed, "xtrim");
    }
    cx.reply.integer(removed as i64);
    Ok(())
}

/// The words as they are read, one after the other.
#[derive(Default)]
pub(super) struct TrimWords {
    trim: Option<Trim>,
    approximate: bool,
    limit: Option<u64>,
    /// Where the threshold stands.
    threshold_at: usize,
    /// Where LIMIT stands.
    limit_at: Option<usize>,
}

impl TrimWords {
    /// Reads the word at `at` and what belongs to it; where the next one is, or `None` if it is no word of trimming.
    pub fn take(&mut self, cx: &DataContext<'_, '_>, at: usize) -> Result<Option<usize>, CommandError> {
        let (word, left) = (cx.args.at(at), cx.args.len() - 1 - at);
        let (maxlen, minid) = (is(word, "MAXLEN"), is(word, "MINID"));
        if left > 0 && (maxlen || minid) {
            if self.trim.is_some() {
                return Err(CommandError::fixed(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let operator = left > 1 && matches!(cx.args.at(at + 1), b"~" | b"=");
            self.approximate = operator && cx.args.at(at + 1) == b"~";
            self.threshold_at = at + 1 + usize::from(operator);
            let threshold = cx.args.at(self.threshold_at);
            self.trim = Some(if maxlen {
                let wrong = CommandError::fixed("ERR The MAXLEN argument must be >= 0.");
                Trim::MaxLen(u64::try_from(integer(threshold)?).map_err(|_| wrong)?)
            } else {
                Trim::MinId(strict_id(threshold, 0)?)
            });
            return Ok(Some(self.threshold_at + 1));
        }
        if left > 0 && is(word, "LIMIT") {
            let wrong = CommandError::fixed("ERR The LIMIT argument must be >= 0.");
            self.limit = Some(u64::try_from(integer(cx.args.at(at + 1))?).map_err(|_| wrong)?);
            self.limit_at = Some(at);
            return Ok(Some(at + 2));
        }
        Ok(None)
    }

    /// What they say together; `None` if nothing is to be trimmed.
    pub fn finish(self, config: &Config) -> Result<Option<Trimming>, CommandError> {
        if self.limit.is_some_and(|n| n > 0) && self.trim.is_none() {
            return Err(CommandError::fixed(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.limit.is_some() && !self.approximate {
            return Err(CommandError::fixed("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        let Some(trim) = self.trim else { return Ok(None) };
        let limit = match self.limit {
            Some(n) => n,
            None if self.approximate => match config.encoding.stream_node_max_entries.saturating_mul(100) {
                0 => LIMIT_WITHOUT_NODES,
                n => n.min(LIMIT_MAX),
            },
            None => 0,
        };
        Ok(Some(Trimming {
            trim,
            approximate: self.approximate,
            limit,
            threshold_at: self.threshold_at,
            limit_at: self.limit_at,
        }))
    }
}

/// Entries that trimming by `~` removes at most where nothing else is said: a hundred nodes, so that nobody waits long.
const LIMIT_MAX: u64 = 1_000_000;
const LIMIT_WITHOUT_NODES: u64 = 10_000;

/// What is to be trimmed.
pub(super) struct Trimming {
    trim: Trim,
    pub approximate: bool,
    limit: u64,
    threshold_at: usize,
    limit_at: Option<usize>,
}

impl Trimming {
    pub fn run(&self, stream: &mut Stream) -> u64 {
        stream.trim(self.trim, self.approximate, self.limit)
    }

    /// The threshold that brings a stream to where this one is now.
    pub fn exact_threshold(&self, stream: &Stream) -> Vec<u8> {
        match self.trim {
            Trim::MaxLen(_) => IntText::unsigned(stream.len()).as_bytes().to_vec(),
            Trim::MinId(_) => {
                let first = stream.range(StreamId::MIN, StreamId::MAX, Direction::Forward).next();
                first.map_or(StreamId::MAX, |e| e.id).text().as_bytes().to_vec()
            }
        }
    }

    /// The command's words with `=` and this threshold in place of `~` and its own, and without LIMIT, which `=` does not go with:
    /// whoever follows removes the same entries, whatever the size of its nodes. Each with the place it had.
    pub fn exact_words<'w>(
        &self,
        cx: &DataContext<'w, '_>,
        threshold: &'w [u8],
    ) -> impl Iterator<Item = (usize, &'w [u8])> + use<'w> {
        let (at, limit) = (self.threshold_at, self.limit_at);
        let stays = move |i: usize| !limit.is_some_and(|l| i == l || i == l + 1);
        cx.args.iter().enumerate().filter(move |(i, _)| stays(*i)).map(move |(i, word)| match i {
            i if i + 1 == at => (i, &b"="[..]),
            i if i == at => (i, threshold),
            _ => (i, word),
        })
    }
}
