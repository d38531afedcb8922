//! ACL LOG.

use crate::commands::arguments::{integer, is};
use crate::commands::{Command, NodeContext, Outcome};
use crate::spec::{CommandSpec, Group};

const ACL_LOG_SPEC: CommandSpec = CommandSpec::sub("acl", "log", -2, Group::Server, "admin noscript loading stale")
    .since("6.0.0")
    .history(&[("7.2.0", "Entry id, and the times of creation and last change.")])
    .args("[operation{count:integer|RESET}]")
    .doc("Shows or clears the refusals.", "O(N), N: entries shown");

pub static LOG: Command = Command::node(ACL_LOG_SPEC, log);

/// Entries shown when no number is given.
const SHOWN: usize = 10;

fn log(cx: &mut NodeContext<'_, '_>) -> Outcome {
    if cx.args.len() > 3 {
        return Err(cx.syntax_hint());
    }
    let count = match cx.args.get(2) {
        None => SHOWN,
        Some(word) if is(word, "RESET") => {
            cx.node.acl.log.clear();
            cx.reply.ok();
            return Ok(());
        }
        Some(number) => usize::try_from(integer(number)?).unwrap_or(0),
    };
    let now_ms = cx.now_ms();
    let entries = cx.node.acl.log.newest(count);
    let r = &mut *cx.reply;
    r.array(entries.len());
    for e in entries {
        let age = format!("{}", (now_ms - e.updated_ms).max(0) as f64 / 1000.0);
        r.map(10);
        r.bulk(b"count");
        r.integer(e.count as i64);
        for (name, value) in [
            ("reason", e.reason.word().as_bytes()),
            ("context", e.context.word().as_bytes()),
            ("object", &e.object),
            ("username", &e.user),
        ] {
            r.bulk(name.as_bytes());
            r.bulk(value);
        }
        r.bulk(b"age-seconds");
        r.double_text(age.as_bytes());
        r.bulk(b"client-info");
        r.bulk(e.client.as_bytes());
        for (name, value) in
            [("entry-id", e.id as i64), ("timestamp-created", e.created_ms), ("timestamp-last-updated", e.updated_ms)]
        {
            r.bulk(name.as_bytes());
            r.integer(value);
        }
    }
    Ok(())
}
