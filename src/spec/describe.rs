//! What COMMAND INFO and COMMAND DOCS say of a row, as a neutral tree that the handler writes in either protocol.
//!
//! Must never know: RESP. A set is written as a set or an array, a map as a map or a flat array, by whoever writes it.

use super::key_spec::{BeginSearch, FindKeys, KeySpec};
use super::syntax::Argument;
use super::{CommandSpec, SyntaxError};
use std::borrow::Cow;

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An integer.
    Integer(i64),
    /// A simple string.
    Status(Cow<'static, str>),
    /// A bulk string.
    Bulk(Cow<'static, str>),
    /// An array.
    Array(Vec<Node>),
    /// A set.
    Set(Vec<Node>),
    /// A map; the keys are bulk strings.
    Map(Vec<(Cow<'static, str>, Node)>),
}

impl Node {
    fn bulk(text: impl Into<Cow<'static, str>>) -> Self {
        Node::Bulk(text.into())
    }

    fn status(word: &'static str) -> Self {
        Node::Status(word.into())
    }

    fn map<const N: usize>(pairs: [(&'static str, Node); N]) -> Self {
        Node::Map(pairs.into_iter().map(|(name, node)| (name.into(), node)).collect())
    }
}

/// The entry of COMMAND INFO: name, arity, flags, first key, last key, step, categories, tips, key specs, subcommands.
pub fn info(spec: &CommandSpec, subcommands: &[&CommandSpec]) -> Node {
    let (first, last, step) = spec.key_triple;
    Node::Array(vec![
        Node::bulk(spec.full_name()),
        Node::Integer(spec.arity.into()),
        Node::Set(spec.flags.words().map(Node::status).collect()),
        Node::Integer(first.into()),
        Node::Integer(last.into()),
        Node::Integer(step.into()),
        Node::Set(spec.categories.words().map(category).collect()),
        Node::Set(spec.tips.split(' ').filter(|tip| !tip.is_empty()).map(Node::bulk).collect()),
        Node::Set(spec.key_specs.iter().map(key_spec).collect()),
        Node::Array(subcommands.iter().map(|sub| info(sub, &[])).collect()),
    ])
}

fn category(word: &'static str) -> Node {
    Node::Status(format!("@{word}").into())
}

fn key_spec(spec: &KeySpec) -> Node {
    let mut pairs = Vec::with_capacity(4);
    if !spec.notes.is_empty() {
        pairs.push(("notes".into(), Node::bulk(spec.notes)));
    }
    pairs.push(("flags".into(), Node::Set(spec.flags.words().map(Node::status).collect())));
    let begin = match spec.begin {
        BeginSearch::Index(index) => ("index", Node::map([("index", Node::Integer(index.into()))])),
        BeginSearch::Keyword(word, from) => {
            ("keyword", Node::map([("keyword", Node::bulk(word)), ("startfrom", Node::Integer(from.into()))]))
        }
        BeginSearch::Unknown => ("unknown", Node::map([])),
    };
    let find = match spec.find {
        FindKeys::Range { last, step, limit } => (
            "range",
            Node::map([
                ("lastkey", Node::Integer(last.into())),
                ("keystep", Node::Integer(step.into())),
                ("limit", Node::Integer(limit.into())),
            ]),
        ),
        FindKeys::Keynum { at, first, step } => (
            "keynum",
            Node::map([
                ("keynumidx", Node::Integer(at.into())),
                ("firstkey", Node::Integer(first.into())),
                ("keystep", Node::Integer(step.into())),
            ]),
        ),
        FindKeys::Unknown => ("unknown", Node::map([])),
    };
    pairs.push(("begin_search".into(), Node::map([("type", Node::bulk(begin.0)), ("spec", begin.1)])));
    pairs.push(("find_keys".into(), Node::map([("type", Node::bulk(find.0)), ("spec", find.1)])));
    Node::Map(pairs)
}

/// The entry of COMMAND DOCS, without the name before it.
///
/// # Errors
/// Only for a row whose arguments cannot be read.
pub fn docs(spec: &CommandSpec, subcommands: &[&CommandSpec]) -> Result<Node, SyntaxError> {
    let mut pairs: Vec<(Cow<'static, str>, Node)> = vec![
        ("summary".into(), Node::bulk(spec.summary)),
        ("since".into(), Node::bulk(spec.since)),
        ("group".into(), Node::bulk(spec.group.name())),
    ];
    if !spec.complexity.is_empty() {
        pairs.push(("complexity".into(), Node::bulk(spec.complexity)));
    }
    if spec.system || spec.deprecated.is_some() {
        let words = spec.deprecated.map(|_| "deprecated").into_iter().chain(spec.system.then_some("syscmd"));
        pairs.push(("doc_flags".into(), Node::Set(words.map(Node::status).collect())));
    }
    if let Some((since, replaced_by)) = spec.deprecated {
        pairs.push(("deprecated_since".into(), Node::bulk(since)));
        pairs.push(("replaced_by".into(), Node::bulk(replaced_by)));
    }
    if !spec.history.is_empty() {
        let changes =
            spec.history.iter().map(|(since, change)| Node::Array(vec![Node::bulk(*since), Node::bulk(*change)]));
        pairs.push(("history".into(), Node::Set(changes.collect())));
    }
    let arguments = spec.argument_tree()?;
    if !arguments.is_empty() {
        pairs.push(("arguments".into(), Node::Array(arguments.iter().map(argument).collect())));
    }
    if !subcommands.is_empty() {
        let entries: Result<Vec<_>, _> =
            subcommands.iter().map(|sub| Ok((Cow::Owned(sub.full_name()), docs(sub, &[])?))).collect();
        pairs.push(("subcommands".into(), Node::Map(entries?)));
    }
    Ok(Node::Map(pairs))
}

fn argument(argument: &Argument<'static>) -> Node {
    let mut pairs: Vec<(Cow<'static, str>, Node)> =
        vec![("name".into(), Node::bulk(argument.name.clone())), ("type".into(), Node::bulk(argument.kind.name()))];
    if argument.arguments.is_empty() {
        pairs.push(("display_text".into(), Node::bulk(argument.shown().to_owned())));
    }
    if let Some(spec) = argument.key_spec {
        pairs.push(("key_spec_index".into(), Node::Integer(spec.into())));
    }
    let texts = [
        ("token", argument.token),
        ("summary", argument.summary),
        ("since", argument.since),
        ("deprecated_since", argument.deprecated_since),
    ];
    pairs.extend(texts.into_iter().filter_map(|(name, text)| Some((name.into(), Node::bulk(text?)))));
    let flags =
        [(argument.optional, "optional"), (argument.multiple, "multiple"), (argument.multiple_token, "multiple_token")];
    let flags: Vec<_> = flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| Node::status(word)).collect();
    if !flags.is_empty() {
        pairs.push(("flags".into(), Node::Set(flags)));
    }
    if !argument.arguments.is_empty() {
        pairs.push(("arguments".into(), Node::Array(argument.arguments.iter().map(self::argument).collect())));
    }
    Node::Map(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;

    const OBJECT: CommandSpec =
        CommandSpec::container("object", Group::Generic, "").since("2.2.3").doc("Looks inside.", "");
    const FREQ: CommandSpec = CommandSpec::sub("object", "freq", 3, Group::Generic, "readonly")
        .acl("keyspace")
        .since("4.0.0")
        .keys(&[KeySpec::index(2, "RO")])
        .args("key:key")
        .doc("Counts.", "O(1)");

    #[test]
    fn info_nests_subcommands_under_their_full_name() {
        let Node::Array(fields) = info(&OBJECT, &[&FREQ]) else { panic!("not an array") };
        assert_eq!(fields.len(), 10);
        assert_eq!(fields[0], Node::bulk("object"));
        let Node::Array(subs) = &fields[9] else { panic!("not an array") };
        let Node::Array(sub) = &subs[0] else { panic!("not an array") };
        assert_eq!(sub[0], Node::bulk("object|freq"));
        assert_eq!(sub[3..6], [Node::Integer(2), Node::Integer(2), Node::Integer(1)]);
        assert_eq!(sub[6], Node::Set(["@keyspace", "@read", "@slow"].map(Node::status).to_vec()));
    }

    #[test]
    fn docs_leave_out_what_a_row_does_not_say() {
        let Ok(Node::Map(pairs)) = docs(&OBJECT, &[&FREQ]) else { panic!("not a map") };
        let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["summary", "since", "group", "subcommands"]);
        let Ok(Node::Map(pairs)) = docs(&FREQ, &[]) else { panic!("not a map") };
        let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["summary", "since", "group", "complexity", "arguments"]);
    }
}
