//! Waiting for the disk. There is no log yet: nobody has what was written on it.

use crate::commands::arguments::{integer, integer_in};
use crate::commands::{Command, CommandError, DataContext, Outcome};
use crate::spec::{CommandSpec, Group};

/// A timeout in milliseconds, whose end the clock can still tell.
pub fn timeout_ms(now_ms: i64, arg: &[u8]) -> Result<u64, CommandError> {
    let ms = integer(arg).map_err(|_| CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if ms.checked_add(now_ms).is_none() {
        return Err(CommandError::fixed("ERR timeout is out of range"));
    }
    u64::try_from(ms).map_err(|_| CommandError::fixed("ERR timeout is negative"))
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
    timeout_ms(cx.now_ms(), cx.args.at(3))?;
    if local > 0 {
        return Err(CommandError::fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    if replicas > 0 && cx.may_block {
        return Err(CommandError::fixed("ERR 'waitaof' is not there yet for replicas"));
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

    #[test]
    fn without_a_log_nobody_is_waited_for() {
        let mut b = Bench::new(FAMILIES);
        b.check(&[
            ("WAITAOF 0 0 0", "*2\r\n:0\r\n:0\r\n"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1\r\n"),
            ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive\r\n"),
        ]);
    }
}
