//! `docs/configuration.md`: a table of all directives, and what each does here; made from the rows.

use super::default_file::listed;
use super::directives::{Config, directives};
use super::row::{Change, Standing};
use super::words::quote_if_needed;

/// The page's text.
pub fn text() -> String {
    let count = |f: fn(&Standing) -> bool| directives().filter(|row| f(&row.standing)).count();
    let mut out = format!(
        "# Configuration\n\n\
         Made from the table of directives, as [conf/holdfast.conf](../conf/holdfast.conf) is. A directive stands in a file \
         (`holdfast server /etc/holdfast/holdfast.conf`), on the command line (`--maxmemory 1gb`, which wins over the file), in the \
         image as a variable (`HOLDFAST_MAXMEMORY=1gb`), or, where the last column says so, is changed while the server runs \
         (`CONFIG SET maxmemory 1gb`; `CONFIG REWRITE` keeps it). Sizes take units: 1k is 1000 bytes, 1kb is 1024. `include FILE` \
         reads another file in.\n\n\
         `holdfast check-config FILE` finds what is wrong with a file, line by line, without starting: also with the \
         configuration of a Valkey or a Redis. `holdfast doctor FILE` says what is unsafe or slow about it on this machine.\n\n\
         Of {} directives {} work; {} are kept without effect because they have no meaning here (a notice in the log says so when \
         one is set); {} have no effect yet; {} are refused with the reason, because to take them would be to promise what is not \
         done.\n",
        directives().count(),
        count(|s| matches!(s, Standing::Works)),
        count(|s| matches!(s, Standing::Inert(_))),
        count(|s| matches!(s, Standing::Later(_))),
        count(|s| matches!(s, Standing::Missing(_))),
    );
    let mut topic = "";
    for row in directives().filter(|row| listed(row)) {
        if row.topic != topic {
            topic = row.topic;
            out.push_str(&format!("\n## {topic}\n\n| directive | value | default | what it does | while running |\n|---|---|---|---|---|\n"));
        }
        let cell = |text: &str| text.replace('|', "\\|");
        let names = row.names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let default = match row.name {
            "io-threads" => "a worker for each core".to_owned(),
            "dir" => "the folder it was started in".to_owned(),
            name => {
                let lines = (row.lines)(Config::defaults());
                let words = |l: &Vec<Vec<u8>>| l.iter().map(|w| quote_if_needed(w)).collect::<Vec<_>>().join(" ");
                let all = lines.iter().map(|l| format!("`{name} {}`", words(l))).collect::<Vec<_>>().join("<br>");
                if all.is_empty() { "none".into() } else { all }
            }
        };
        let mut paragraph = row.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        match row.standing {
            Standing::Works => {}
            Standing::Later(why) => paragraph.push_str(&format!(" *No effect yet: {why}.*")),
            Standing::Missing(why) => paragraph.push_str(&format!(" *Refused: {why}.*")),
            Standing::Inert(why) => paragraph.push_str(&format!(" *Kept without effect: {why}.*")),
        }
        let changes = if row.change == Change::Start { "no" } else { "yes" };
        out.push_str(&format!(
            "| {names} | {} | {} | {} | {changes} |\n",
            cell(&(row.kind)().describe()),
            cell(&default),
            cell(&paragraph),
        ));
    }
    out
}
