//! What the product is made of: no other cryptography, known licences, one source. `cargo deny` says the same with the
//! advisories, which need a network; these tests need none.

use crate::{output, root};
use std::collections::BTreeSet;

/// Nothing else may compute, link or ship cryptography or randomness beside the module.
const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "openssl-src",
    "native-tls",
    "boring",
    "boring-sys",
    "ring",
    "sha1",
    "sha1_smol",
    "sha2",
    "sha3",
    "md-5",
    "md5",
    "blake2",
    "blake3",
    "rand",
    "rand_chacha",
    "chacha20",
    "aes",
    "aes-gcm",
    "hmac",
    "pbkdf2",
    "x25519-dalek",
    "ed25519-dalek",
    "curve25519-dalek",
    "libsodium-sys",
    "mbedtls",
    "wolfssl",
    "rustls-openssl",
];

const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Unicode-3.0",
    "Zlib",
    "OpenSSL",
    "MIT-0",
    "0BSD",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// `name version`, licence and features of every crate of the product, without what only tests use.
fn product() -> Vec<(String, String, String)> {
    let tree = output(
        env!("CARGO"),
        &["tree", "--locked", "--edges", "normal,build", "--no-dedupe", "--prefix", "none", "--format", "{p}|{l}|{f}"],
    );
    let all: BTreeSet<&str> = tree.lines().filter(|l| !l.is_empty()).collect();
    all.into_iter()
        .map(|l| {
            let mut parts = l.split('|').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            (next(), next(), next())
        })
        .collect()
}

/// A licence expression holds if one branch of each OR, and each part of an AND, is on the list.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    let split = |word: &str| -> Option<Vec<String>> {
        let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
        for (i, c) in expression.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 0 && i >= begin && expression[i..].starts_with(word) => {
                    parts.push(expression[begin..i].to_owned());
                    begin = i + word.len();
                }
                _ => {}
            }
        }
        (!parts.is_empty()).then(|| {
            parts.push(expression[begin..].to_owned());
            parts
        })
    };
    if let Some(any) = split(" OR ").or_else(|| split("/")) {
        return any.iter().any(|e| is_allowed(e));
    }
    if let Some(all) = split(" AND ") {
        return all.iter().all(|e| is_allowed(e));
    }
    match expression.strip_prefix('(').and_then(|e| e.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => LICENCES.contains(&expression),
    }
}

#[test]
fn no_other_cryptography_is_in_the_product() {
    let found: Vec<_> = product().into_iter().map(|(p, ..)| p).collect();
    assert!(found.iter().any(|p| p.starts_with("aws-lc-fips-sys v")), "the tree was not understood: {found:?}");
    let bad: Vec<_> = found.iter().filter(|p| BANNED.contains(&p.split(' ').next().unwrap_or(""))).collect();
    assert!(bad.is_empty(), "banned: {bad:?}");
}

#[test]
fn licences_are_on_the_list() {
    let bad: Vec<_> = product().into_iter().filter(|(_, licence, _)| !is_allowed(licence)).collect();
    assert!(bad.is_empty(), "licences that are not on the list: {bad:?}");
    assert!(is_allowed("ISC AND (Apache-2.0 OR GPL-3.0)"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed(""));
}

#[test]
fn crates_come_from_the_registry_alone() {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        match package.get("source").and_then(|s| s.as_str()) {
            None => assert_eq!(name, "holdfast", "{name} comes from a path"),
            Some(source) => {
                assert_eq!(source, REGISTRY, "{name}");
                assert!(package.get("checksum").is_some(), "{name} has no checksum");
            }
        }
    }
}

#[test]
fn the_modules_set_is_pinned() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let version = |name: &str| {
        let d = &manifest["dependencies"][name];
        d.as_str().or_else(|| d.get("version").and_then(|v| v.as_str())).unwrap().to_owned()
    };
    assert_eq!(version("aws-lc-fips-sys"), "=0.13.11", "certificate #5314 is of the module this version carries");
    for pinned in ["aws-lc-rs", "rustls"] {
        assert!(version(pinned).starts_with('='), "{pinned} moves with the module or not at all");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains('=') && !line.starts_with('#') {
            assert!(line.contains(" # "), "no reason beside: {line}");
        }
    }
}
