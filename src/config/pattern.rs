//! Patterns of CONFIG GET and `include`: `*`, `?`, `[a-z]`, `[^a]`, `\x`; in linear space and at most quadratic time.

/// Whether `text` matches `pattern`; letters match in any case when `any_case`.
pub(super) fn matches(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star if what follows it does not match here.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(&byte)) => {
                if let Some(next) = element(pattern, p, byte, any_case) {
                    (p, t) = (next, t + 1);
                    continue;
                }
            }
            _ => {}
        }
        match retry {
            Some((after, start)) if start < text.len() => {
                retry = Some((after, start + 1));
                (p, t) = (after, start + 1);
            }
            _ => return false,
        }
    }
}

/// Whether the text has anything a pattern treats as special.
pub(super) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// The position behind the element at `p` if that element matches `byte`.
fn element(pattern: &[u8], p: usize, byte: u8, any_case: bool) -> Option<usize> {
    let fold = |byte: u8| if any_case { byte.to_ascii_lowercase() } else { byte };
    let byte = fold(byte);
    match pattern.get(p)? {
        b'?' => Some(p + 1),
        b'\\' if pattern.get(p + 1).is_some() => (fold(*pattern.get(p + 1)?) == byte).then_some(p + 2),
        b'[' => {
            let negated = pattern.get(p + 1) == Some(&b'^');
            let mut at = p + 1 + usize::from(negated);
            let mut found = false;
            loop {
                match (pattern.get(at), pattern.get(at + 1), pattern.get(at + 2)) {
                    // An open class ends with the pattern.
                    (None, _, _) => break,
                    (Some(b']'), _, _) => {
                        at += 1;
                        break;
                    }
                    (Some(b'\\'), Some(&own), _) => {
                        found |= fold(own) == byte;
                        at += 2;
                    }
                    (Some(&low), Some(b'-'), Some(&high)) if high != b']' => {
                        let (low, high) = (fold(low.min(high)), fold(low.max(high)));
                        found |= (low..=high).contains(&byte);
                        at += 3;
                    }
                    (Some(&own), _, _) => {
                        found |= fold(own) == byte;
                        at += 1;
                    }
                }
            }
            (found != negated).then_some(at)
        }
        &own => (fold(own) == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_marks_and_classes_match_as_clients_expect() {
        let check = |pattern: &str, text: &str, expect| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), true), expect, "{pattern} {text}");
        };
        check("*", "", true);
        check("max*y", "maxmemory", true);
        check("MAX*", "maxmemory", true);
        check("*of", "replicaof", true);
        check("?of", "replicaof", false);
        check("[a-m]ax[^p]*", "maxmemory", true);
        check("[", "a", false);
        check("a\\*", "a*", true);
        check("a*b*c*d", "abcabcabc", false);
    }
}
