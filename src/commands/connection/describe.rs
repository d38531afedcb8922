//! The line that describes a client in CLIENT INFO and CLIENT LIST.
//!
//! Fields and their order are those clients parse. Figures that a worker refreshes once in a while are as old as that.

use crate::client::Shared;
use crate::commands::CommandTable;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// The letters of a client's state.
pub fn flags(c: &Shared) -> String {
    let mut out = String::new();
    let subscribed =
        c.subscriptions.load(Relaxed) + c.pattern_subscriptions.load(Relaxed) + c.shard_subscriptions.load(Relaxed) > 0;
    for (set, letter) in [
        (c.monitor.load(Relaxed), 'O'),
        (c.replica.load(Relaxed), 'S'),
        (c.primary.load(Relaxed), 'M'),
        (subscribed, 'P'),
        (c.multi.load(Relaxed) >= 0, 'x'),
        (c.blocked.load(Relaxed) || c.paused.load(Relaxed), 'b'),
        (c.is_tracking(), 't'),
        (c.is_tracking_broken(), 'R'),
        (c.tracks_all(), 'B'),
        (c.unix.load(Relaxed), 'U'),
        (c.readonly.load(Relaxed), 'r'),
        (c.no_evict.load(Relaxed), 'e'),
        (c.no_touch.load(Relaxed), 'T'),
        (c.import_source.load(Relaxed), 'I'),
    ] {
        if set {
            out.push(letter);
        }
    }
    if out.is_empty() {
        out.push('N');
    }
    out
}

/// The line, without its end.
pub fn line(c: &Shared, table: &CommandTable, now_ms: i64) -> String {
    let seconds_since = |ms: i64| (now_ms - ms).max(0) / 1000;
    let text = c.text.lock().clone();
    let get = |n: &std::sync::atomic::AtomicU64| n.load(Relaxed);
    let query = get(&c.query_bytes);
    let query_free = get(&c.query_capacity).saturating_sub(query);
    let memory = get(&c.memory);
    let command = u16::try_from(c.last_command.load(Relaxed)).ok().and_then(|id| table.by_id(id));
    let mut out = String::with_capacity(400);
    let _ = write!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} capa={} db={} sub={} psub={} ssub={} multi={} \
         watch={} qbuf={query} qbuf-free={query_free} argv-mem={} multi-mem={} rbs={} rbp={} obl=0 oll={} omem={} \
         tot-mem={memory} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={} tot-net-in={} tot-net-out={} \
         tot-cmds={}",
        c.id,
        c.addr,
        c.laddr,
        c.fd,
        text.name,
        seconds_since(c.created_ms),
        seconds_since(c.last_ms.load(Relaxed)),
        flags(c),
        if c.capa_redirect.load(Relaxed) { "r" } else { "" },
        c.db.load(Relaxed),
        c.subscriptions.load(Relaxed),
        c.pattern_subscriptions.load(Relaxed),
        c.shard_subscriptions.load(Relaxed),
        c.multi.load(Relaxed),
        c.watching.load(Relaxed),
        get(&c.args_bytes),
        get(&c.multi_bytes),
        get(&c.reply_capacity),
        get(&c.reply_capacity),
        get(&c.output_chunks),
        get(&c.output_bytes),
        if get(&c.output_bytes) > 0 { "rw" } else { "r" },
        command.map_or("NULL", |e| &e.name),
        text.user,
        c.redirect.load(Relaxed),
        c.resp.load(Relaxed),
        text.lib_name,
        text.lib_ver,
        get(&c.net_in),
        get(&c.net_out),
        get(&c.commands),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_in_the_order_clients_know() {
        let table = CommandTable::new(&[], &[]).expect("no renames");
        let c = Shared::new(7, 0, "1.2.3.4:5".into(), "6.7.8.9:10".into(), 11, 1_000);
        c.no_touch.store(true, Relaxed);
        c.capa_redirect.store(true, Relaxed);
        let line = line(&c, &table, 5_500);
        let names: Vec<&str> = line.split(' ').filter_map(|f| f.split_once('=').map(|(n, _)| n)).collect();
        assert_eq!(
            names.join(" "),
            "id addr laddr fd name age idle flags capa db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs \
             rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver tot-net-in tot-net-out tot-cmds"
        );
        assert!(line.starts_with("id=7 addr=1.2.3.4:5 laddr=6.7.8.9:10 fd=11 name= age=4 idle=4 flags=T capa=r db=0 "));
    }
}
