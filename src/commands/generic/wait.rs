//! Waiting for replicas and for the disk. There are neither replicas nor a log yet: zero of them have what was written.

use crate::client::TimeoutReply;
use crate::commands::arguments::{integer, integer_in};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group};

/// A timeout in milliseconds, whose end the clock can still tell.
fn timeout_ms(cx: &DataContext<'_, '_>, arg: &[u8]) -> Result<u64, CommandError> {
    let ms = integer(arg).map_err(|_| CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if ms.checked_add(cx.now_ms()).is_none() {
        return Err(CommandError::fixed("ERR timeout is out of range"));
    }
    u64::try_from(ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))
}

const WAIT_SPEC: CommandSpec = CommandSpec::new("wait", 3, Group::Generic, "blocking")
    .acl("connection")
    .since("3.0.0")
    .tips("request_policy:all_shards response_policy:agg_min")
    .args("numreplicas:integer timeout:integer")
    .doc("Waits until replicas have the writes of this connection.", "O(1)");

pub static WAIT: Command = Command::data(WAIT_SPEC, wait);
fn wait(cx: &mut DataContext<'_, '_>) -> Outcome {
    let replicas = integer(cx.args.at(1))?;
    let timeout_ms = timeout_ms(cx, cx.args.at(2))?;
    if replicas <= 0 {
        cx.reply.integer(0);
    } else {
        cx.block_on(&[], timeout_ms, TimeoutReply::Integer(0));
    }
    Ok(())
}

const WAITAOF_SPEC: CommandSpec = CommandSpec::new("waitaof", 4, Group::Generic, "blocking")
    .acl("connection")
    .since("7.2.0")
    .tips("request_policy:all_shards response_policy:agg_min")
    .args("numlocal:integer numreplicas:integer timeout:integer")
    .doc("Waits until the writes of this connection are on disk, here and on replicas.", "O(1)");

pub static WAITAOF: Command = Command::data(WAITAOF_SPEC, waitaof);
fn waitaof(cx: &mut DataContext<'_, '_>) -> Outcome {
    let range = CommandError::fixed("ERR value is out of range, value must between 0 and 1");
    let local = integer_in(cx.args.at(1), 0, 1, range)?;
    let replicas = integer_in(cx.args.at(2), 0, i64::MAX, CommandError::MustBePositive)?;
    timeout_ms(cx, cx.args.at(3))?;
    if local > 0 {
        return Err(CommandError::fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    if replicas > 0 && cx.may_block {
        return Err(CommandError::fixed("ERR 'waitaof' is not there yet for replicas: they come with replication"));
    }
    cx.reply.array(2);
    cx.reply.integer(0);
    cx.reply.integer(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::FAMILIES;
    use crate::commands::testing::Bench;

    use crate::client::TimeoutReply;

    #[test]
    fn waiting_for_no_replica_ends_at_once_and_for_one_with_the_timeout() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("WAIT 0 0", ":0\r\n"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range\r\n"),
            ("WAIT 0 -1", "-ERR timeout is negative\r\n"),
            ("WAIT 0 9223372036854775807", "-ERR timeout is out of range\r\n"),
            ("WAITAOF 0 0 0", "*2\r\n:0\r\n:0\r\n"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1\r\n"),
            ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive\r\n"),
        ]);
        assert_eq!(b.run("WAIT 1 50"), "");
        let request = b.blocked.take().expect("WAIT waits");
        assert_eq!((request.timeout_ms, request.timeout_reply), (50, TimeoutReply::Integer(0)));
    }
}
