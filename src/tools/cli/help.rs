//! `help` at the prompt: commands by name or by group, from the server's own descriptions.

use super::hints::{CommandDoc, Docs};

/// The answer to `help` and its words. `docs` is asked for only when it is needed.
pub fn answer(program: &str, words: &[String], docs: impl FnOnce() -> Option<Docs>) -> String {
    let Some(first) = words.first() else { return general(program) };
    let Some(docs) = docs() else {
        return "No help without a server that describes its commands.\n".to_string();
    };
    let mut out = String::from("\r\n");
    if let Some(group) = first.strip_prefix('@') {
        // Servers say `sorted-set` and people type `sorted_set`.
        let same = |g: &str| g.replace('_', "-").eq_ignore_ascii_case(&group.replace('_', "-"));
        for doc in docs.iter().filter(|d| same(&d.group)) {
            describe(&mut out, doc, false);
        }
    } else {
        let wanted = words.join(" ").to_ascii_uppercase();
        for doc in docs.iter() {
            let subcommand = doc.name.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with(' '));
            if doc.name == wanted || subcommand {
                describe(&mut out, doc, true);
            }
        }
    }
    out
}

fn describe(out: &mut String, doc: &CommandDoc, with_group: bool) {
    let field = |name: &str, value: &str| format!("  \x1b[33m{name}:\x1b[0m {value}\r\n");
    out.push_str(&format!("  \x1b[1m{}\x1b[0m \x1b[90m{}\x1b[0m\r\n", doc.name, doc.syntax()));
    out.push_str(&field("summary", &doc.summary));
    out.push_str(&field("since", &doc.since));
    if with_group {
        out.push_str(&field("group", &doc.group));
    }
    out.push_str("\r\n");
}

fn general(program: &str) -> String {
    format!(
        "{program} {version}
What you can type besides commands of the server:
      \"help @GROUP\"      the commands of a group: @string, @list, @server ...
      \"help COMMAND\"     one command
      \"N COMMAND ...\"    the command N times
      \"connect HOST PORT\" another server
      \"clear\"            an empty screen
      \":set hints\"       hints while typing; \":set nohints\" for none
      \"quit\", \"exit\"     the end
Lines that begin with \":set\" are also read from ~/.valkeyclirc at the start.
",
        version = env!("CARGO_PKG_VERSION")
    )
}
