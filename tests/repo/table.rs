//! Every row of the table of commands.

use holdfast::commands::{CommandTable, Entry, FAMILIES};
use holdfast::spec::{Argument, ArgumentKind, BeginSearch, CommandFlags};
use std::collections::BTreeSet;

fn entries() -> Vec<&'static Entry> {
    CommandTable::new(FAMILIES, &[]).unwrap().all().to_vec()
}

#[test]
fn no_command_stands_twice() {
    let mut seen = BTreeSet::new();
    for e in entries() {
        assert!(seen.insert(e.spec().full_name()), "{} stands twice", e.name);
    }
}

#[test]
fn names_are_lower_case_and_found_in_any() {
    let table = CommandTable::new(FAMILIES, &[]).unwrap();
    for e in table.all() {
        assert_eq!(e.name, e.name.to_ascii_lowercase());
        let found = table.find_full(e.name.to_ascii_uppercase().as_bytes());
        assert!(found.is_some_and(|f| f.id == e.id), "{} is not found", e.name);
    }
}

#[test]
fn a_subcommand_names_its_container() {
    for e in entries() {
        for sub in &e.subcommands {
            assert_eq!(sub.spec().parent, Some(e.spec().name), "{}", sub.name);
        }
        assert!(e.name.contains('|') == e.spec().is_subcommand(), "{}", e.name);
    }
}

#[test]
fn write_excludes_readonly() {
    for e in entries() {
        assert!(!(e.is(CommandFlags::WRITE) && e.is(CommandFlags::READONLY)), "{} is both", e.name);
    }
}

#[test]
fn denyoom_is_said_only_of_writes() {
    for e in entries() {
        let memory = e.is(CommandFlags::DENYOOM) && !e.is(CommandFlags::WRITE);
        let scripts = matches!(e.spec().group, holdfast::spec::Group::Scripting | holdfast::spec::Group::Transactions);
        assert!(!memory || scripts, "{} is refused for memory but writes nothing", e.name);
    }
}

#[test]
fn keys_stand_inside_the_arity() {
    for e in entries() {
        let least = i64::from(e.spec().arity.unsigned_abs());
        for spec in e.spec().key_specs {
            if let BeginSearch::Index(at) = spec.begin {
                assert!(i64::from(at) >= 1, "{}: a key at {at}", e.name);
                // A key that need not be there stands behind a word or a count.
                assert!(i64::from(at) < least || e.spec().arity < 0, "{}: a key at {at} of {least}", e.name);
            }
        }
        let (first, last, step) = e.spec().key_triple;
        assert_eq!(first > 0, step > 0 || last != 0, "{}: {:?}", e.name, e.spec().key_triple);
    }
}

#[test]
fn keys_can_be_told_of_the_shortest_call() {
    for e in entries() {
        // CLUSTERSCAN's key is a slot's tag that its cursor carries; the shortest call has none.
        if e.single_key.is_none() || e.name == "clusterscan" {
            continue;
        }
        let words = vec![&b"1"[..]; e.spec().arity.unsigned_abs() as usize];
        let keys = e.spec().extract_keys(&words);
        assert!(keys.is_ok(), "{}: {keys:?}", e.name);
    }
}

#[test]
fn every_row_has_summary_version_and_arguments_that_parse() {
    for e in entries() {
        let spec = e.spec();
        // What is not there yet describes itself when it comes.
        if matches!(e.command.handler, holdfast::commands::Handler::Missing(_)) || e.name.starts_with("cluster|") {
            continue;
        }
        // A container is described by its subcommands.
        let described = e.subcommands.is_empty() || !spec.summary.is_empty();
        assert!(
            !described || spec.summary.ends_with('.') && spec.summary.len() > 8,
            "{}: summary '{}'",
            e.name,
            spec.summary
        );
        assert!(!described || !spec.since.is_empty(), "{}: since when?", e.name);
        let tree = spec.argument_tree().unwrap_or_else(|err| panic!("{}: {err}", e.name));
        assert!(spec.syntax_line().is_ok(), "{}", e.name);
        // A command that takes nothing has no arguments to describe, and the other way round.
        let own_words = if spec.is_subcommand() { 2 } else { 1 };
        if spec.arity == own_words {
            assert!(tree.is_empty(), "{} takes nothing but describes {tree:?}", e.name);
        } else if e.subcommands.is_empty() && spec.arity != -own_words && e.name != "debug" {
            // DEBUG describes itself in its HELP, as Valkey's does.
            // QUIT and its like take words that mean nothing, and describe none.
            assert!(!tree.is_empty(), "{} takes arguments but describes none", e.name);
        }
        let least = own_words + tree.iter().map(least_words).sum::<i16>();
        // CLUSTER MIGRATESLOTS repeats a block of which the arity counts only the first words.
        if e.name != "cluster|migrateslots" {
            assert!(least <= spec.arity.abs(), "{}: {least} words described, arity {}", e.name, spec.arity);
        }
    }
}

/// The fewest words an argument takes.
fn least_words(argument: &Argument<'_>) -> i16 {
    if argument.optional {
        return 0;
    }
    let inner: i16 = match argument.kind {
        ArgumentKind::OneOf => argument.arguments.iter().map(least_words).min().unwrap_or(0),
        ArgumentKind::Block => argument.arguments.iter().map(least_words).sum(),
        ArgumentKind::PureToken => return 1,
        _ => 1,
    };
    inner + i16::from(argument.token.is_some())
}
