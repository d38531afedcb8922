//! Lines of a configuration file: splitting into words, and writing a word so that it is read back the same.
//!
//! Invariant: `split(quote(word)) == [word]` for any bytes.

use std::fmt::Write as _;

/// The words of a line. Quotes may start and end anywhere in a word: within `"` the escapes `\n \r \t \a \b \xNN` and `\`
/// before any other byte are known, within `'` only `\'`. `None`: a quote is left open.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0 => words.extend(word.take()),
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => word.push(escaped(&mut bytes)?),
                        other => word.push(other),
                    }
                }
            }
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        b'\\' if bytes.peek() == Some(&b'\'') => word.extend(bytes.next()),
                        other => word.push(other),
                    }
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// The byte an escape in double quotes stands for, after its backslash.
fn escaped(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>) -> Option<u8> {
    Some(match bytes.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'x' => {
            let mut ahead = bytes.clone();
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            match (digit(ahead.next()), digit(ahead.next())) {
                (Some(high), Some(low)) => {
                    *bytes = ahead;
                    u8::try_from(high * 16 + low).ok()?
                }
                // Not two hexadecimal digits: the escape is an x.
                _ => b'x',
            }
        }
        other => other,
    })
}

/// The word in double quotes, with every byte that would not survive escaped.
pub fn quote(word: &[u8]) -> String {
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\x{other:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// The word as it is, or quoted where it would be read differently.
pub fn quote_if_needed(word: &[u8]) -> String {
    let plain = !word.is_empty()
        && !word.starts_with(b"#")
        && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
    match std::str::from_utf8(word) {
        Ok(text) if plain => text.to_string(),
        _ => quote(word),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, words: &[&str]) {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(split(line.as_bytes()), Some(words), "{line}");
    }

    #[test]
    fn quotes_start_and_end_within_a_word() {
        check(r#"a "5"x 5"x" a"b c"d "a"'b'"#, &["a", "5x", "5x", "ab cd", "ab"]);
        check(r#""" '' x"#, &["", "", "x"]);
        check(r#"'a\'b' 'a\nb'"#, &["a'b", "a\\nb"]);
        check(r#""\x41\q\x4" a\x41"#, &["Aqx4", "a\\x41"]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert_eq!(split(b"a \"b"), None);
        assert_eq!(split(b"a 'b"), None);
        assert_eq!(split(b"\"a\\"), None);
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_read_back(words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let line: Vec<String> = words.iter().map(|word| quote_if_needed(word)).collect();
            prop_assert_eq!(split(line.join(" ").as_bytes()), Some(words));
        }

        #[test]
        fn splitting_never_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = split(&line);
        }
    }
}
