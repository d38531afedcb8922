//! The gate of permissions: may this user make this call?
//!
//! # Invariants
//! * Nobody but a trusted client (signed in, as a user who may do everything) gets past [`Turn::admit`](super::Turn) without
//!   passing here, and what was queued passes again when it runs: rights may have gone in between.
//! * A command that waits for a key is looked at again before it is served.
//! * Every refusal is counted, logged and answered, in this file.

use super::Turn;
use crate::acl::{Call, Context, Denied, Reason, User};
use crate::audit::{Event, Outcome};
use crate::client::{Client, Shared};
use crate::commands::audit_record;
use crate::commands::{CommandError, Entry};
use crate::metrics::counters::Counter;
use crate::resp::args::Args;
use crate::spec::CommandFlags;

/// A refused call: what, and the text clients know, without its code.
pub(super) struct Refusal {
    reason: Reason,
    text: String,
}

impl Turn<'_> {
    /// Takes over what has changed about a client's user since its last turn.
    #[inline]
    pub fn meet(&mut self, client: &mut Client) {
        if client.acl_epoch != self.acl_epoch {
            client.refresh_user(&self.node.acl);
        }
        self.look_at(client);
    }

    /// Whether a client that is not trusted may make a call.
    #[inline(never)]
    pub(super) fn permit(
        &mut self,
        client: &mut Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if !client.authenticated {
            if self.node.acl.is_open() {
                // The password it would have needed is gone.
                client.sign_out(&self.node.acl);
            } else if !entry.is(CommandFlags::NO_AUTH) {
                return Err(CommandError::fixed("NOAUTH Authentication required."));
            }
        }
        let queues = client.in_multi();
        let db = if queues { client.transaction.db.unwrap_or(client.db) } else { client.db };
        let context = if queues { Context::Multi } else { Context::Toplevel };
        let user = std::sync::Arc::clone(&client.user);
        let refused = self.judge(&user, entry, args, db);
        if refused.is_some() {
            // The log shows the refused command as the client's, also where it was to be queued.
            client.last_command(entry.id);
        }
        let Some(refusal) = refused.map(|denied| self.refused(&user, &client.shared, entry, &denied, context)) else {
            return Ok(());
        };
        Err(CommandError::Bytes(format!("NOPERM {}", refusal.text).into_bytes()))
    }

    /// Looks again at a queued command, now that it runs.
    pub(super) fn permit_queued(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if client.trusted {
            return Ok(());
        }
        let user = std::sync::Arc::clone(&client.user);
        let Some(denied) = self.judge(&user, entry, args, client.db) else { return Ok(()) };
        let refusal = self.refused(&user, &client.shared, entry, &denied, Context::Multi);
        let why = match refusal.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
            _ => "no permission",
        };
        Err(CommandError::Bytes(
            format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                 command is no longer allowed for the following reason: {why}"
            )
            .into_bytes(),
        ))
    }

    /// Whether a call that a script makes for its client is allowed. The text has no code: `ACL failure in script: ...`.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn permit_nested(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
        db: u32,
    ) -> Result<(), String> {
        if client.trusted {
            return Ok(());
        }
        let user = std::sync::Arc::clone(&client.user);
        let Some(denied) = self.judge(&user, entry, args, db) else { return Ok(()) };
        let refusal = self.refused(&user, &client.shared, entry, &denied, Context::Script);
        Err(format!("ACL failure in script: {}", refusal.text))
    }

    /// Whether a call would be allowed; nothing is counted or logged.
    pub(super) fn would_permit(&self, client: &Client, entry: &'static Entry, args: Args<'_>) -> bool {
        client.trusted || self.judge(&client.user, entry, args, client.db).is_none()
    }

    /// Whether the user of a waiting command may still run it.
    pub(super) fn permit_waiter(
        &mut self,
        user: &User,
        client: &Shared,
        entry: &'static Entry,
        args: Args<'_>,
        db: u32,
    ) -> Result<(), CommandError> {
        let acl = &self.node.acl;
        let now = acl.get(user.name()).filter(|now| now.serial() == user.serial());
        let refusal = match &now {
            Some(now) => {
                let Some(denied) = self.judge(now, entry, args, db) else { return Ok(()) };
                self.refused(now, client, entry, &denied, Context::Toplevel)
            }
            // Its connections are being closed.
            None => self.refused(user, client, entry, &Denied::Command, Context::Toplevel),
        };
        Err(CommandError::Bytes(format!("NOPERM {}", refusal.text).into_bytes()))
    }

    /// Whether the user may read keys that the arguments of this call do not name.
    #[inline]
    pub(super) fn reads_any_key(&self, client: &Client, entry: &'static Entry, args: Args<'_>) -> bool {
        client.trusted
            || !entry.is(CommandFlags::ARBITRARY_KEYS)
            || client.user.may_read_all(&self.call(entry, args, client.db))
    }

    fn call<'a>(&self, entry: &'static Entry, args: Args<'a>, db: u32) -> Call<'a> {
        Call { id: entry.id, spec: entry.spec(), args, db, databases: self.space.databases() }
    }

    fn judge<'a>(&self, user: &User, entry: &'static Entry, args: Args<'a>, db: u32) -> Option<Denied<'a>> {
        user.check(&self.call(entry, args, db)).err()
    }

    /// Counts and logs a refusal, and finds its words.
    #[cold]
    fn refused(
        &mut self,
        user: &User,
        client: &Shared,
        entry: &'static Entry,
        denied: &Denied<'_>,
        context: Context,
    ) -> Refusal {
        let name = entry.spec().full_name();
        let (reason, counter, object, text) = match denied {
            Denied::Command => {
                let who = String::from_utf8_lossy(user.name());
                let text = format!("User {who} has no permissions to run the '{name}' command");
                (Reason::Command, Counter::AclDeniedCmd, name.as_bytes(), text)
            }
            Denied::Key(key) => (Reason::Key, Counter::AclDeniedKey, *key, "No permissions to access a key".to_owned()),
            Denied::Channel(channel) => {
                (Reason::Channel, Counter::AclDeniedChannel, *channel, "No permissions to access a channel".to_owned())
            }
            Denied::Database(db) => {
                (Reason::Database, Counter::AclDeniedDb, *db, "No permissions to access database".to_owned())
            }
            Denied::OwnDatabase(_) => {
                let text = "No permissions to access database".to_owned();
                (Reason::Database, Counter::AclDeniedDb, name.as_bytes(), text)
            }
        };
        self.recorder.counters.add(counter, 1);
        if self.node.audit.is_on() {
            let record = audit_record(Event::Denied, Outcome::Denied, client)
                .with("reason", reason.word())
                .with("context", context.word())
                .with("command", name.clone())
                .with_bytes("object", object);
            self.node.audit.record(record);
        }
        // That of a waiter too; but of what was queued, EXEC.
        if context == Context::Toplevel {
            client.last_command.store(u32::from(entry.id), std::sync::atomic::Ordering::Relaxed);
        }
        let line = crate::commands::connection::describe_client(client, self.node.commands, self.space.now_ms());
        let len_max = usize::try_from(self.config.memory.acllog_max_len).unwrap_or(usize::MAX);
        self.node.acl.log.record(reason, context, object, user.name(), line, self.space.now_ms(), len_max);
        Refusal { reason, text }
    }
}
