//! `conf/holdfast.conf`: every directive with its paragraph and default, commented; made from the rows.

use super::directives::{Config, directives};
use super::row::{Change, Directive, Sensitivity, Standing};
use super::words::quote_if_needed;

/// Columns of the file's paragraphs.
const WIDTH: usize = 100;

/// The file's text.
pub fn text() -> String {
    let mut out = String::from(
        "# Holdfast's configuration. Every directive stands here with its default, commented.\n\
         # This file is made from the table of directives: `holdfast check-config --print-default`.\n\
         #\n\
         # Sizes take units: 1k is 1000 bytes, 1kb is 1024; likewise m, mb, g, gb; in any case.\n\
         # Secrets can stand in files of their own: `requirepass-file /run/secrets/password`, and so for each of them.\n\
         # Other files can be read in: `include /etc/holdfast/local.conf`, `include conf.d/*.conf`.\n",
    );
    let mut topic = "";
    for row in directives().filter(|row| listed(row)) {
        if row.topic != topic {
            topic = row.topic;
            out.push_str(&format!("\n{}\n# {topic}\n{}\n", "#".repeat(WIDTH), "#".repeat(WIDTH)));
        }
        let mut paragraph = row.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        match row.standing {
            Standing::Works => {}
            Standing::Later(why) => paragraph.push_str(&format!(" (No effect yet: {why}.)")),
            Standing::Missing(why) => paragraph.push_str(&format!(" (Refused: {why}.)")),
            Standing::Inert(why) => paragraph.push_str(&format!(" (Kept without effect: {why}.)")),
        }
        out.push('\n');
        wrap(&mut out, &paragraph);
        let changes = if row.change == Change::Start { "; set at start only" } else { "" };
        wrap(&mut out, &format!("Value: {}{changes}.", (row.kind)().describe()));
        if !row.aliases.is_empty() {
            wrap(&mut out, &format!("Also: {}.", row.aliases.join(", ")));
        }
        let mut lines = (row.lines)(Config::defaults());
        if lines.is_empty() {
            lines.push(vec![Vec::new()]);
        }
        match row.name {
            // These two depend on the machine and the folder, and the file must not.
            "io-threads" => out.push_str("# io-threads 4\n"),
            "dir" => out.push_str("# dir ./\n"),
            name => {
                for words in lines {
                    let words: Vec<String> = words.iter().map(|word| quote_if_needed(word)).collect();
                    out.push_str(&format!("# {name} {}\n", words.join(" ")));
                }
            }
        }
    }
    out
}

/// Whether people are meant to find it: not what only tests use, nor names kept for old files.
pub(super) fn listed(row: &Directive) -> bool {
    let kept_for_old_files = row.sensitivity == Sensitivity::Unlisted && matches!(row.standing, Standing::Inert(_));
    row.sensitivity != Sensitivity::Hidden && !kept_for_old_files
}

fn wrap(out: &mut String, paragraph: &str) {
    let mut column = 0;
    for word in paragraph.split_ascii_whitespace() {
        if column == 0 || column + 1 + word.len() > WIDTH {
            out.push_str(if column == 0 { "# " } else { "\n# " });
            column = 2;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_conf_and_the_page_in_docs_are_what_the_table_makes() {
        let files = [
            (concat!(env!("CARGO_MANIFEST_DIR"), "/conf/holdfast.conf"), text()),
            (concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"), crate::config::reference::text()),
        ];
        if std::env::var_os("HOLDFAST_UPDATE_CONF").is_some() {
            for (path, text) in &files {
                std::fs::write(path, text).unwrap();
            }
        }
        for (path, text) in files {
            let found = std::fs::read_to_string(path).unwrap_or_default();
            assert!(found == text, "run the tests once with HOLDFAST_UPDATE_CONF=1 to write {path} again");
        }
    }

    #[test]
    fn every_commented_default_is_accepted() {
        use crate::config::{Source, words::split};
        let mut config = Config::default();
        for row in directives().filter(|row| !matches!(row.name, "user" | "loadmodule" | "rename-command")) {
            for words in (row.lines)(Config::defaults()) {
                let line: Vec<String> = words.iter().map(|word| quote_if_needed(word)).collect();
                let words = split(line.join(" ").as_bytes()).unwrap();
                assert_eq!(row.apply(&mut config, &words, Source::Load), Ok(()), "{}", row.name);
            }
        }
        config.general.dir = None;
        assert_eq!(&config, Config::defaults());
    }
}
