//! `docs/configuration.md`: a table of all directives, and what each does here; made from the rows.

use super::directives::{Config, directives};
use super::row::{Change, Directive, Sensitivity, Standing};

/// The page's text.
pub fn text() -> String {
    let count = |f: fn(&Standing) -> bool| directives().filter(|row| f(&row.standing)).count();
    let mut out = format!(
        "# Configuration\n\n\
         This page is made from the table of directives: `holdfast check-config --print-table`. What a directive means stands in\n\
         `conf/holdfast.conf`. Of {} directives {} work; {} are kept without effect because they have no meaning here (a notice in the\n\
         log says so when one is set); {} have no effect yet; {} are refused with the reason, because to take them would be to promise\n\
         what is not done.\n",
        directives().count(),
        count(|s| matches!(s, Standing::Works)),
        count(|s| matches!(s, Standing::Inert(_))),
        count(|s| matches!(s, Standing::Later(_))),
        count(|s| matches!(s, Standing::Missing(_))),
    );
    let mut topic = "";
    for row in directives() {
        if row.topic != topic {
            topic = row.topic;
            out.push_str(&format!("\n## {topic}\n\n| Directive | Default | Changes | Here |\n|---|---|---|---|\n"));
        }
        let mut names = format!("`{}`", row.name);
        for alias in row.aliases {
            names.push_str(&format!(", `{alias}`"));
        }
        let changes = match (row.change, row.sensitivity) {
            (Change::Start, _) => "at start",
            (Change::Runtime, Sensitivity::Protected) => "CONFIG SET, where `enable-protected-configs` allows",
            (Change::Runtime, _) => "CONFIG SET",
        };
        let here = match row.standing {
            Standing::Works => "works".to_owned(),
            Standing::Later(why) => format!("no effect yet: {why}"),
            Standing::Missing(why) => format!("refused: {why}"),
            Standing::Inert(why) => format!("kept without effect: {why}"),
        };
        out.push_str(&format!("| {names} | {} | {changes} | {here} |\n", default(row)));
    }
    out
}

/// The default as it is written in a file.
fn default(row: &Directive) -> String {
    // These depend on the machine and the folder, and the page must not.
    match row.name {
        "io-threads" => return "the number of cores".into(),
        "dir" => return "the working folder".into(),
        _ => {}
    }
    match String::from_utf8_lossy(&(row.get)(Config::defaults())).as_ref() {
        "" => "empty".into(),
        value => format!("`{}`", value.replace('|', "\\|")),
    }
}
