//! The gate of the audit log: what is recorded before it runs, and what stops while nothing can be recorded.

use super::Turn;
use crate::audit::{Event, Outcome};
use crate::base::glob;
use crate::client::{Client, Source};
use crate::commands::node::redacted;
use crate::commands::table::AUDITED;
use crate::commands::{CommandError, Entry, audit_record};
use crate::resp::args::Args;
use crate::spec::{CommandFlags, KeyScope};

/// Arguments of a recorded command that are shown.
const ARGUMENTS_SHOWN: usize = 8;

impl Turn<'_> {
    /// The same for a command that a script calls: what is recorded of a user does not depend on the way it is run.
    #[inline]
    pub(super) fn record_nested(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        if self.node.audit.is_on() && client.source == Source::Connection {
            self.record(client, entry, args)?;
        }
        Ok(())
    }

    /// Records a command that is administrative or dangerous, or that uses a key that is watched over.
    #[inline(never)]
    pub(super) fn record(
        &mut self,
        client: &Client,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Result<(), CommandError> {
        let audit = &self.node.audit;
        if audit.refuses() && !entry.is(CommandFlags::NO_AUTH) {
            return Err(CommandError::fixed(
                "AUDITFAIL the audit log cannot be written and audit-failure is 'block': nothing is run until it can",
            ));
        }
        // INFO is dangerous by its category and is what monitoring asks every few seconds: it changes nothing.
        if entry.spec().categories.intersects(AUDITED) && entry.spec().name != "info" {
            let event = match entry.spec().name {
                "sync" | "psync" => Event::ReplicaAttach,
                "save" | "bgsave" | "bgrewriteaof" => Event::Backup,
                "restore" | "restore-asking" => Event::Restore,
                _ => Event::Admin,
            };
            let shown = redacted(entry, args);
            let words: Vec<_> =
                shown.iter().take(ARGUMENTS_SHOWN).map(|a| String::from_utf8_lossy(&a[..a.len().min(128)])).collect();
            let record = audit_record(event, Outcome::Admitted, &client.shared).with("command", words.join(" "));
            audit.record(record);
        }
        if !audit.key_patterns().is_empty() && !entry.spec().key_specs.is_empty() {
            let list: Vec<&[u8]> = args.iter().collect();
            for (at, _) in entry.spec().found_keys(&list, KeyScope::Keys).iter() {
                if audit.key_patterns().iter().any(|p| glob::matches(p, list[at])) {
                    let record = audit_record(Event::KeyAccess, Outcome::Admitted, &client.shared)
                        .with("command", entry.spec().full_name())
                        .with_bytes("key", list[at]);
                    audit.record(record);
                }
            }
        }
        Ok(())
    }
}
