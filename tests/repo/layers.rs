//! A folder imports only folders of a lower number. The numbers are the comments between the `mod` lines of `src/lib.rs`.

use crate::root;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Folder to layer, as `src/lib.rs` says it.
fn layers() -> BTreeMap<String, u32> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut layer = None;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(n) = line.strip_prefix("// [").and_then(|l| l.strip_suffix(']')) {
            let n = n.parse::<u32>().unwrap_or_else(|_| panic!("not a layer: {line}"));
            assert!(layer.is_none_or(|before| before < n), "layers stand in ascending order: {line}");
            layer = Some(n);
        }
        let name = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod "));
        if let Some(name) = name.and_then(|l| l.strip_suffix(';')) {
            let layer = layer.unwrap_or_else(|| panic!("{name} stands above the first layer"));
            found.insert(name.to_owned(), layer);
        }
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The folders a line of code names: `crate::x::`, and each member of `use crate::{x::.., y}`.
fn named(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut begin = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begin = true,
                        c if begin && !c.is_whitespace() => {
                            found.push(word(&list[i..]));
                            begin = false;
                        }
                        _ => {}
                    }
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn no_import_points_up() {
    let layers = layers();
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let mut wrong = String::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let Some(folder) = relative.components().next().and_then(|c| c.as_os_str().to_str()) else { continue };
        // The binary and the crate's root stand above all layers.
        let Some(own) = layers.get(folder) else {
            assert!(relative.components().count() == 1, "{} is in no layer of src/lib.rs", file.display());
            continue;
        };
        for (n, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for name in named(code) {
                let Some(other) = layers.get(&name).filter(|_| name != folder) else { continue };
                if other >= own {
                    let (n, shown) = (n + 1, relative.display());
                    let _ = writeln!(wrong, "src/{shown}:{n}: {folder} [{own}] imports {name} [{other}]");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{wrong}");
}

#[test]
fn every_folder_has_a_layer_and_every_layer_a_folder() {
    let layers = layers();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(layers.contains_key(&name), "src/{name} has no `mod` line under a layer in src/lib.rs");
        }
    }
    for name in layers.keys() {
        assert!(root().join("src").join(name).is_dir(), "src/lib.rs names {name}, which is no folder");
    }
}

#[test]
fn a_module_says_first_what_it_is() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let silent: Vec<_> = files
        .into_iter()
        .filter(|f| !f.file_name().is_some_and(|n| n.to_string_lossy().ends_with("tests.rs")))
        .filter(|f| !std::fs::read_to_string(f).unwrap().trim_start().starts_with("//!"))
        .map(|f| f.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    assert!(silent.is_empty(), "modules without a first line of documentation: {silent:?}");
}

#[test]
fn names_are_found_in_lists() {
    assert_eq!(named("use crate::{base::{clock, hash}, config, net::Stream};"), ["base", "config", "net"]);
    assert_eq!(named("let x = crate::net::dial::tcp(); // $crate::y"), ["net"]);
}
