//! README and docs: each block marked `sh` is run as it stands, page by page, in a network, a process space and a folder of its own.
//! A block that is not run carries its reason in the line above: `<!-- not run: ... -->`.

use crate::support::process::{find, run, skipped};
use crate::support::server::BINARY;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

struct Block {
    line: usize,
    language: String,
    text: String,
    /// Why it is not run.
    excused: Option<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut excuse = None;
    let mut lines = page.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        if let Some(reason) = line.trim().strip_prefix("<!-- not run:") {
            excuse = Some(reason.trim_end_matches("-->").trim().to_owned());
            continue;
        }
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                excuse = None;
            }
            continue;
        };
        let text: Vec<&str> =
            lines.by_ref().map(|(_, l)| l).take_while(|l| !l.trim_start().starts_with("```")).collect();
        found.push(Block { line: n + 1, language: language.into(), text: text.join("\n"), excused: excuse.take() });
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    all.extend(docs.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    all.sort();
    all
}

#[test]
fn every_block_is_of_a_language_and_what_is_not_run_says_why() {
    for page in pages() {
        for b in blocks(&std::fs::read_to_string(&page).unwrap()) {
            let at = format!("{}:{}", page.display(), b.line);
            assert!(!b.language.is_empty(), "{at}: of which language?");
            assert!(
                b.language == "sh" || b.language == "text" || b.excused.is_some(),
                "{at}: '{}' is not run",
                b.language
            );
            assert!(b.excused.is_none_or(|r| r.len() > 10), "{at}: why is it not run?");
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or("").split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap_or(Path::new("")).join(target);
            assert!(path.exists(), "{}: {target} is not there", page.display());
        }
    }
}

#[test]
fn every_block_runs_as_it_stands() {
    let Some(unshare) = find("unshare") else { return };
    for tool in ["bash", "openssl", "curl"] {
        if find(tool).is_none() {
            return;
        }
    }
    let alone = ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let loopback = if find("ip").is_some() { "ip link set lo up" } else { "ifconfig lo up" };
    let prelude = format!("{loopback} && mount -t tmpfs none /run");
    let usable = Command::new(&unshare).args(alone).args(["bash", "-c", &prelude]).output();
    if !usable.is_ok_and(|o| o.status.success()) {
        skipped("no network and process space of its own can be made here (unshare, ip)");
        return;
    }
    let names = tempfile::tempdir().unwrap();
    for name in ["holdfast", "valkey-cli", "redis-cli", "valkey-server", "redis-server"] {
        std::os::unix::fs::symlink(BINARY, names.path().join(name)).unwrap();
    }
    let path = format!("{}:{}", names.path().display(), std::env::var("PATH").unwrap());
    for page in pages() {
        let mut script = format!("set -euo pipefail\n{prelude}\n");
        let mut any = false;
        for b in blocks(&std::fs::read_to_string(&page).unwrap()) {
            if b.language == "sh" && b.excused.is_none() {
                any = true;
                script.push_str(&format!("echo '== line {}' >&2\n{}\n", b.line, b.text));
            }
        }
        if !any {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&unshare);
        command.args(alone).args(["bash", "-c", &script]).current_dir(folder.path()).env("PATH", &path);
        command.env("HOME", folder.path()).env_remove("HOLDFAST_CONF");
        let out = run(&mut command, b"", Duration::from_secs(120));
        let server = std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
        assert!(
            out.status.success(),
            "{}: {}\n{}\n{}\n--- the server's log\n{server}",
            page.display(),
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr),
        );
    }
}
