//! Replies as text. Four forms: for people (numbered, nested, quoted), raw, CSV and JSON, each as `valkey-cli` prints it.
//! Pure: a value and a form in, bytes out.

use super::words;
use crate::resp::client::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Standard,
    /// For pipes: texts as they are.
    Raw,
    Csv,
    Json,
    /// JSON in ASCII: every text is first quoted as for people.
    QuotedJson,
}

/// What stands between the texts of a raw reply, and after the reply.
#[derive(Clone, Debug)]
pub struct Delimiters {
    pub elements: Vec<u8>,
    pub replies: Vec<u8>,
}

impl Default for Delimiters {
    fn default() -> Self {
        Delimiters { elements: b"\n".to_vec(), replies: b"\n".to_vec() }
    }
}

/// The whole text of one reply, its line end too.
pub fn render(value: &Value, form: Form, delimiters: &Delimiters) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Form::Standard => standard(&mut out, value, &mut Vec::new()),
        Form::Raw => {
            raw(&mut out, value, &delimiters.elements);
            out.extend_from_slice(&delimiters.replies);
        }
        Form::Csv => {
            csv(&mut out, value);
            out.push(b'\n');
        }
        Form::Json | Form::QuotedJson => {
            json(&mut out, value, form);
            out.push(b'\n');
        }
    }
    out
}

/// `prefix` is the indentation of every line but the first, which stands behind the number of its element.
fn standard(out: &mut Vec<u8>, value: &Value, prefix: &mut Vec<u8>) {
    match value {
        Value::Error(text) => line(out, &[b"(error) ", text]),
        Value::Status(text) | Value::Verbatim { text, .. } => line(out, &[text]),
        Value::Integer(n) => line(out, &[b"(integer) ", n.to_string().as_bytes()]),
        Value::Double(text) => line(out, &[b"(double) ", text]),
        Value::BigNumber(text) => line(out, &[b"(big number) ", text]),
        Value::Null => line(out, &[b"(nil)"]),
        Value::Bool(yes) => line(out, &[if *yes { b"(true)" } else { b"(false)" }]),
        Value::Bulk(text) => {
            words::quote(out, text);
            out.push(b'\n');
        }
        Value::Array(items) => numbered(out, items, b')', b"(empty array)", prefix),
        Value::Set(items) => numbered(out, items, b'~', b"(empty set)", prefix),
        Value::Push(items) => numbered(out, items, b')', b"(empty push)", prefix),
        Value::Map(pairs) => numbered_pairs(out, pairs, b'#', prefix),
        Value::Attribute(pairs) => numbered_pairs(out, pairs, b'|', prefix),
    }
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(b'\n');
}

/// Runs `element` for 0..count, each behind its right-aligned number and indented by the number's width.
fn enumerate(
    out: &mut Vec<u8>,
    count: usize,
    mark: u8,
    prefix: &mut Vec<u8>,
    mut element: impl FnMut(&mut Vec<u8>, usize, &mut Vec<u8>),
) {
    let width = count.to_string().len();
    let outer = prefix.len();
    for i in 0..count {
        if i > 0 {
            out.extend_from_slice(prefix.get(..outer).unwrap_or_default());
        }
        out.extend_from_slice(format!("{:>width$}", i + 1).as_bytes());
        out.extend_from_slice(&[mark, b' ']);
        prefix.resize(outer + width + 2, b' ');
        element(out, i, prefix);
        prefix.truncate(outer);
    }
}

fn numbered(out: &mut Vec<u8>, items: &[Value], mark: u8, empty: &[u8], prefix: &mut Vec<u8>) {
    if items.is_empty() {
        return line(out, &[empty]);
    }
    enumerate(out, items.len(), mark, prefix, |out, i, prefix| {
        if let Some(item) = items.get(i) {
            standard(out, item, prefix);
        }
    });
}

fn numbered_pairs(out: &mut Vec<u8>, pairs: &[(Value, Value)], mark: u8, prefix: &mut Vec<u8>) {
    if pairs.is_empty() {
        return line(out, &[b"(empty hash)"]);
    }
    enumerate(out, pairs.len(), mark, prefix, |out, i, prefix| {
        let Some((key, value)) = pairs.get(i) else { return };
        standard(out, key, prefix);
        // The key's line goes on with its value.
        if out.last() == Some(&b'\n') {
            out.pop();
        }
        out.extend_from_slice(b" => ");
        if opens_lines_of_its_own(value) {
            out.push(b'\n');
            out.extend_from_slice(prefix);
        }
        standard(out, value, prefix);
    });
}

/// A set goes on behind the arrow, as its lines have always been printed.
fn opens_lines_of_its_own(value: &Value) -> bool {
    match value {
        Value::Array(v) | Value::Push(v) => !v.is_empty(),
        Value::Map(v) | Value::Attribute(v) => !v.is_empty(),
        _ => false,
    }
}

fn raw(out: &mut Vec<u8>, value: &Value, delimiter: &[u8]) {
    match value {
        Value::Null => {}
        Value::Error(text) => line(out, &[text]),
        Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"(true)" } else { b"(false)" }),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            separated(out, items, delimiter, |out, item| raw(out, item, delimiter));
        }
        Value::Map(pairs) | Value::Attribute(pairs) => separated(out, pairs, delimiter, |out, (key, value)| {
            raw(out, key, delimiter);
            out.push(b' ');
            raw(out, value, delimiter);
        }),
        _ => out.extend_from_slice(value.text().unwrap_or_default()),
    }
}

fn separated<T>(out: &mut Vec<u8>, items: &[T], delimiter: &[u8], mut one: impl FnMut(&mut Vec<u8>, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(delimiter);
        }
        one(out, item);
    }
}

fn csv(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"NULL"),
        Value::Error(text) => {
            out.extend_from_slice(b"ERROR,");
            words::quote(out, text);
        }
        Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Double(text) => out.extend_from_slice(text),
        Value::Bool(yes) => out.extend_from_slice(yes.to_string().as_bytes()),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => separated(out, items, b",", csv),
        Value::Map(pairs) | Value::Attribute(pairs) => separated(out, pairs, b",", |out, (key, value)| {
            csv(out, key);
            out.push(b',');
            csv(out, value);
        }),
        _ => words::quote(out, value.text().unwrap_or_default()),
    }
}

fn json(out: &mut Vec<u8>, value: &Value, form: Form) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Error(text) => {
            out.extend_from_slice(b"error:");
            json_text(out, text, form);
        }
        Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Double(text) | Value::BigNumber(text) => out.extend_from_slice(text),
        Value::Bool(yes) => out.extend_from_slice(yes.to_string().as_bytes()),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            out.push(b'[');
            separated(out, items, b",", |out, item| json(out, item, form));
            out.push(b']');
        }
        Value::Map(pairs) | Value::Attribute(pairs) => {
            out.push(b'{');
            separated(out, pairs, b",", |out, (key, value)| {
                json_key(out, key, form);
                out.push(b':');
                json(out, value, form);
            });
            out.push(b'}');
        }
        _ => json_text(out, value.text().unwrap_or_default(), form),
    }
}

/// JSON's keys are strings; a number's text will do, anything else is put in quotes as it would print.
fn json_key(out: &mut Vec<u8>, key: &Value, form: Form) {
    match key {
        Value::Bulk(text) | Value::Status(text) | Value::Verbatim { text, .. } => json_text(out, text, form),
        other => {
            let mut text = Vec::new();
            json(&mut text, other, form);
            json_text(out, &text, Form::Json);
        }
    }
}

fn json_text(out: &mut Vec<u8>, text: &[u8], form: Form) {
    let quoted;
    let text = if form == Form::QuotedJson {
        quoted = words::quoted(text);
        quoted.get(1..quoted.len() - 1).unwrap_or_default()
    } else {
        text
    };
    out.push(b'"');
    for &b in text {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..=0x1f => out.extend_from_slice(format!("\\u{b:04x}").as_bytes()),
            _ => out.push(b),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::client::ReplyReader;

    fn shown(wire: &[u8], form: Form) -> String {
        let mut reader = ReplyReader::default();
        reader.feed(wire);
        let value = reader.next_value().unwrap().unwrap();
        String::from_utf8_lossy(&render(&value, form, &Delimiters::default())).into_owned()
    }

    #[test]
    fn nested_replies_are_numbered_and_indented_for_people() {
        let entries = b"*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*-1\r\n";
        assert_eq!(shown(entries, Form::Standard), "1) 1) \"1-1\"\n   2) 1) \"f\"\n      2) \"v\"\n2) (nil)\n");
        assert_eq!(shown(entries, Form::Raw), "1-1\nf\nv\n\n");
        assert_eq!(shown(entries, Form::Csv), "\"1-1\",\"f\",\"v\",NULL\n");
        assert_eq!(shown(entries, Form::Json), "[[\"1-1\",[\"f\",\"v\"]],null]\n");
        let eleven = [&b"*11\r\n"[..], &b":7\r\n".repeat(11)].concat();
        assert!(shown(&eleven, Form::Standard).starts_with(" 1) (integer) 7\n 2) (integer) 7\n"));
    }

    #[test]
    fn maps_and_the_other_resp3_types_have_forms_of_their_own() {
        let map = b"%3\r\n+a\r\n*0\r\n:1\r\n~1\r\n#t\r\n+c\r\n,2.5\r\n";
        assert_eq!(
            shown(map, Form::Standard),
            "1# a => (empty array)\n2# (integer) 1 => 1~ (true)\n3# c => (double) 2.5\n"
        );
        assert_eq!(shown(map, Form::Raw), "a \n1 (true)\nc 2.5\n");
        assert_eq!(shown(map, Form::Csv), "\"a\",,1,true,\"c\",2.5\n");
        assert_eq!(shown(map, Form::Json), "{\"a\":[],\"1\":[true],\"c\":2.5}\n");
        assert_eq!(shown(b"=8\r\ntxt:a\nb\"\r\n", Form::Standard), "a\nb\"\n");
        assert_eq!(shown(b"%0\r\n", Form::Standard), "(empty hash)\n");
        assert_eq!(shown(b"~0\r\n", Form::Standard), "(empty set)\n");
    }

    #[test]
    fn errors_say_so_in_each_form() {
        let error = b"-ERR no\r\n";
        assert_eq!(shown(error, Form::Standard), "(error) ERR no\n");
        assert_eq!(shown(error, Form::Raw), "ERR no\n\n");
        assert_eq!(shown(error, Form::Csv), "ERROR,\"ERR no\"\n");
        assert_eq!(shown(error, Form::Json), "error:\"ERR no\"\n");
    }

    #[test]
    fn both_kinds_of_json_are_json() {
        let text = b"$8\r\n\"\\\x01\x7f/\n\x0c\x80\r\n";
        assert_eq!(shown(text, Form::Json), "\"\\\"\\\\\\u0001\u{7f}/\\n\\f\u{fffd}\"\n");
        let quoted = shown(text, Form::QuotedJson);
        assert_eq!(quoted, "\"\\\\\\\"\\\\\\\\\\\\x01\\\\x7f/\\\\n\\\\x0c\\\\x80\"\n");
        assert!(serde_json::from_str::<String>(&quoted).is_ok());
    }
}
