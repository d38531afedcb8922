//! Luau's error texts in the words of Lua 5.1, which scripts and their users look for.

/// Translates a message. What is not known stays as it is.
pub fn of(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    let (place, what) = split(&text);
    match rephrase(what) {
        Some(new) => [place.as_bytes(), new.as_bytes()].concat(),
        None => message.to_vec(),
    }
}

/// `user_script:3: ` and the rest.
fn split(text: &str) -> (&str, &str) {
    for (at, _) in text.match_indices(": ") {
        let head = &text[..at];
        if head.rsplit_once(':').is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit())) {
            return text.split_at(at + 2);
        }
    }
    ("", text)
}

/// `nil` is "a nil value".
fn value(kind: &str) -> String {
    format!("a {kind} value")
}

fn rephrase(what: &str) -> Option<String> {
    if let Some(rest) = what.strip_prefix("attempt to ") {
        return attempt(rest);
    }
    if let Some(rest) = what.strip_prefix("invalid argument #") {
        return Some(format!("bad argument #{rest}"));
    }
    if let Some(rest) = what.strip_prefix("missing argument #") {
        return Some(format!("bad argument #{}", rest.replacen(" expected)", " expected, got no value)", 1)));
    }
    None
}

fn attempt(rest: &str) -> Option<String> {
    if rest == "modify a readonly table" {
        return Some("Attempt to modify a readonly table".into());
    }
    if let Some(rest) = rest.strip_prefix("index ") {
        let (kind, key) = rest.split_once(" with ")?;
        return Some(format!("attempt to index {} (key {key})", value(kind)));
    }
    if let Some(rest) = rest.strip_prefix("call missing method ") {
        let (name, _) = rest.rsplit_once(" of ")?;
        return Some(format!("attempt to call method {name} (a nil value)"));
    }
    if let Some(rest) = rest.strip_prefix("perform arithmetic (") {
        let (_, kinds) = rest.split_once(") on ")?;
        let odd = kinds.split(" and ").find(|k| *k != "number").unwrap_or("number");
        return Some(format!("attempt to perform arithmetic on {}", value(odd)));
    }
    if let Some(rest) = rest.strip_prefix("concatenate ") {
        let (left, right) = rest.split_once(" with ")?;
        let odd = if matches!(left, "string" | "number") { right } else { left };
        return Some(format!("attempt to concatenate {}", value(odd)));
    }
    if let Some(rest) = rest.strip_prefix("compare ") {
        let mut words = rest.split(' ');
        let (left, right) = (words.next()?, words.nth(1)?);
        return Some(if left == right {
            format!("attempt to compare two {left} values")
        } else {
            format!("attempt to compare {left} with {right}")
        });
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn errors_read_as_those_of_lua_5_1() {
        for (luau, lua) in [
            ("user_script:1: attempt to modify a readonly table", "user_script:1: Attempt to modify a readonly table"),
            ("x:2: attempt to index nil with 'b'", "x:2: attempt to index a nil value (key 'b')"),
            ("x:2: attempt to call missing method 'bad' of string", "x:2: attempt to call method 'bad' (a nil value)"),
            (
                "x:2: attempt to perform arithmetic (add) on number and table",
                "x:2: attempt to perform arithmetic on a table value",
            ),
            ("attempt to concatenate number with nil", "attempt to concatenate a nil value"),
            ("attempt to compare table < table", "attempt to compare two table values"),
            ("attempt to compare number <= nil", "attempt to compare number with nil"),
            (
                "missing argument #1 to 'rep' (string expected)",
                "bad argument #1 to 'rep' (string expected, got no value)",
            ),
            (
                "invalid argument #1 to 'x' (number expected, got nil)",
                "bad argument #1 to 'x' (number expected, got nil)",
            ),
            ("a: b: c", "a: b: c"),
        ] {
            assert_eq!(String::from_utf8(super::of(luau.as_bytes())).unwrap(), lua);
        }
    }
}
