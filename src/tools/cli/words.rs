//! Words and quotes: splitting a typed line as the server splits inline commands, and printing bytes so that a person
//! can read them and type them back.

/// Why a line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// Splits a line into words. Blanks separate; `"..."` understands `\n \r \t \b \a \xHH` and takes any other escaped byte
/// as it is, `'...'` only `\'`; quoted and bare pieces that touch are one word.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut words = Vec::new();
    let mut input = line.iter().copied().peekable();
    loop {
        while input.next_if(|b| is_blank(*b)).is_some() {}
        if input.peek().is_none() {
            return Ok(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = input.next_if(|b| !is_blank(*b)) {
            match byte {
                b'"' => double_quoted(&mut input, &mut word)?,
                b'\'' => single_quoted(&mut input, &mut word)?,
                other => word.push(other),
            }
        }
        words.push(word);
    }
}

fn is_blank(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b || b == 0
}

fn double_quoted(
    input: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>,
    word: &mut Vec<u8>,
) -> Result<(), Unbalanced> {
    loop {
        match input.next().ok_or(Unbalanced)? {
            b'"' => return Ok(()),
            b'\\' => match input.next().ok_or(Unbalanced)? {
                b'n' => word.push(b'\n'),
                b'r' => word.push(b'\r'),
                b't' => word.push(b'\t'),
                b'b' => word.push(8),
                b'a' => word.push(7),
                b'x' => {
                    let mut ahead = input.clone();
                    let mut digit = || ahead.next().and_then(|b| char::from(b).to_digit(16));
                    if let (Some(high), Some(low)) = (digit(), digit()) {
                        word.push((high * 16 + low) as u8);
                        input.next();
                        input.next();
                    } else {
                        word.push(b'x');
                    }
                }
                other => word.push(other),
            },
            other => word.push(other),
        }
    }
}

fn single_quoted(
    input: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
    word: &mut Vec<u8>,
) -> Result<(), Unbalanced> {
    loop {
        match input.next().ok_or(Unbalanced)? {
            b'\'' => return Ok(()),
            b'\\' if input.peek() == Some(&b'\'') => {
                input.next();
                word.push(b'\'');
            }
            other => word.push(other),
        }
    }
}

/// Appends `bytes` in double quotes, with what does not print escaped: the form [`split`] reads back.
pub fn quote(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &b in bytes {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(b),
            _ => out.extend_from_slice(format!("\\x{b:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// [`quote`] as a value.
pub fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    quote(&mut out, bytes);
    out
}

/// The number a text begins with, 0 if it begins with none: how flags with numbers have always been read here.
pub fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let n = digits.get(..end).and_then(|d| d.parse::<i64>().ok()).unwrap_or(0);
    if text.starts_with('-') { -n } else { n }
}

/// As [`leading_number`], with a fraction.
pub fn leading_decimal(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".-+eE".contains(c))).unwrap_or(text.len());
    (0..=end).rev().find_map(|end| text.get(..end)?.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, Unbalanced> {
        split(line.as_bytes())
    }

    #[test]
    fn quotes_group_and_escape() {
        assert_eq!(words("set  a \"b c\"").unwrap(), [&b"set"[..], b"a", b"b c"]);
        assert_eq!(words(r#""\x41\n\q" 'a\'b' '\n'"#).unwrap(), [&b"A\nq"[..], b"a'b", b"\\n"]);
        assert_eq!(words(r#"get ""k'e'"y""#).unwrap(), [&b"get"[..], b"key"]);
        assert_eq!(words(r#""\x4" "" "#).unwrap(), [&b"x4"[..], b""]);
        assert_eq!(words(" \t").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn open_quotes_are_an_error() {
        for line in ["\"a", "'a", "a \"b\\\"", "\"\\"] {
            assert_eq!(words(line), Err(Unbalanced), "{line}");
        }
    }

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        assert_eq!((leading_number("12x"), leading_number("-3"), leading_number("abc")), (12, -3, 0));
        assert_eq!((leading_decimal("0.5s"), leading_decimal("x"), leading_decimal("2e")), (0.5, 0.0, 2.0));
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(split(&quoted(&bytes)).unwrap(), vec![bytes]);
        }
        #[test]
        fn no_line_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = split(&bytes);
        }
    }
}
