//! What monitors are sent of a command.

use super::Turn;
use crate::base::clock;
use crate::client::Client;
use crate::commands::{Entry, node};
use crate::config::words;
use crate::resp::args::Args;
use crate::spec::CommandFlags;

impl Turn<'_> {
    /// Sends a command to the monitors; where it works on keys, their locks are held. Administrators' commands are not shown: what they
    /// do is nobody's business but theirs.
    #[cold]
    pub(super) fn show(&mut self, client: &Client, entry: &'static Entry, args: Args<'_>) {
        if entry.is(CommandFlags::ADMIN) {
            return;
        }
        let s = &client.shared;
        let by = if self.by_script {
            "lua".to_owned()
        } else if s.unix.load(std::sync::atomic::Ordering::Relaxed) {
            format!("unix:{}", s.laddr.trim_end_matches(":0"))
        } else {
            s.addr.clone()
        };
        self.show_as(client.db, &by, entry, args);
    }

    /// The same for a command of a script, or of anybody else whom `by` names.
    pub(super) fn show_as(&mut self, db: u32, by: &str, entry: &'static Entry, args: Args<'_>) {
        let us = clock::wall_us();
        let mut line = format!("+{}.{:06} [{db} {by}]", us / 1_000_000, us % 1_000_000);
        for a in node::redacted(entry, args) {
            line.push(' ');
            line.push_str(&words::quote(a));
        }
        line.push_str("\r\n");
        self.node.monitors.feed(&self.node.clients, line.into_bytes());
    }
}
