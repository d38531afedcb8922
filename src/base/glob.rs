//! Glob patterns as KEYS, SCAN MATCH, PSUBSCRIBE, ACL rules and CONFIG GET read them.
//!
//! `*` any run of bytes, `?` one byte, `[abc]`, `[a-z]`, `[^x]` one byte of (not of) a set, `\x` the byte x itself. A set
//! that is never closed ends with the pattern; a reversed range is turned round; a last lone backslash is itself.
//!
//! Invariant: only the last star is ever reconsidered, so that the cost is at most pattern length times text length,
//! whatever the number of stars. It works on bytes and knows neither keys nor encodings.

/// Whether `text` as a whole matches `pattern`.
///
/// ```
/// use holdfast::base::glob::matches;
/// assert!(matches(b"user:[0-9]*", b"user:42"));
/// assert!(!matches(b"user:[^0-9]*", b"user:42"));
/// ```
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, false)
}

/// Like [`matches`], but ASCII letters match in either case.
#[must_use]
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, true)
}

/// Whether `pattern` has no special byte, so that it matches exactly the text equal to it.
#[must_use]
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
}

/// Whether `pattern` matches every text: one star or more, and nothing else.
#[must_use]
pub fn is_match_all(pattern: &[u8]) -> bool {
    !pattern.is_empty() && pattern.iter().all(|&b| b == b'*')
}

fn run(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to continue if what follows the last star fails: the pattern after it, and the text it has swallowed up to.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
            continue;
        }
        if let Some(next) = one(pattern, p, byte, nocase) {
            p = next;
            t += 1;
        } else if let Some((after_star, swallowed)) = retry {
            // An earlier star cannot help: whatever it could swallow more, this one can swallow as well.
            p = after_star;
            t = swallowed + 1;
            retry = Some((p, t));
        } else {
            return false;
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|&b| b == b'*'))
}

/// The end of the pattern element at `p` if it matches `byte`; the element is not a star.
fn one(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (matched, next) = set(pattern, p + 1, byte, nocase);
            matched.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => same(*pattern.get(p + 1)?, byte, nocase).then_some(p + 2),
        literal => same(literal, byte, nocase).then_some(p + 1),
    }
}

/// Whether the set that opens before `p` takes `byte`, and where the pattern goes on after it.
fn set(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    if negated {
        p += 1;
    }
    let byte = fold(byte, nocase);
    let mut found = false;
    while let Some(&start) = pattern.get(p) {
        match (start, pattern.get(p + 1), pattern.get(p + 2)) {
            (b'\\', Some(&escaped), _) => {
                found |= fold(escaped, nocase) == byte;
                p += 2;
            }
            (b']', _, _) => {
                p += 1;
                break;
            }
            (_, Some(b'-'), Some(&end)) => {
                // The ends are put in order before folding, so that `[Z-a]` without case is the range a-z.
                let (low, high) = (start.min(end), start.max(end));
                found |= (fold(low, nocase)..=fold(high, nocase)).contains(&byte);
                p += 3;
            }
            _ => {
                found |= fold(start, nocase) == byte;
                p += 1;
            }
        }
    }
    (found != negated, p)
}

fn fold(byte: u8, nocase: bool) -> u8 {
    if nocase { byte.to_ascii_lowercase() } else { byte }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    fold(a, nocase) == fold(b, nocase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should match {text}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("", &[""], &["a"]);
        check("*", &["", "a", "abc"], &[]);
        check("**", &["", "abc"], &[]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("h*llo", &["hllo", "heeeello", "hlllo"], &["hell"]);
        check("*a*b*c*", &["abc", "xxaxxbxxcxx", "aabbcc"], &["acb", "ab"]);
        check("a*b", &["ab", "abb", "abab"], &["a", "b", "aba"]);
        check("*?", &["a", "ab"], &[""]);
    }

    #[test]
    fn sets_ranges_and_negation() {
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo"], &["hello", "hllo"]);
        check("[a-c]", &["a", "b", "c"], &["d", "-"]);
        check("[c-a]", &["a", "b", "c"], &["d"]);
        check("[]", &[], &["", "]", "a"]);
        check("[^]", &["a", "]"], &[""]);
        check("[\\]]", &["]"], &["\\"]);
        check("[a-", &["a", "-"], &["b"]);
        check("[ab", &["a", "b"], &["c"]);
        check("[", &[], &["["]);
        check("[a-]x", &["a"], &["-x"]); // the bracket ends the range, so nothing closes the set
    }

    #[test]
    fn escapes() {
        check("a\\*b", &["a*b"], &["aab", "a\\b"]);
        check("a\\", &["a\\"], &["a"]);
        check("\\a", &["a"], &["\\a"]);
    }

    #[test]
    fn case_is_ignored_only_on_request() {
        assert!(!matches(b"max*", b"MAXMEMORY"));
        assert!(matches_nocase(b"max*", b"MAXMEMORY"));
        assert!(matches_nocase(b"[A-C]x", b"bX"));
    }

    #[test]
    fn nested_stars_against_a_long_text_are_cheap() {
        let text = vec![b'a'; 100_000];
        let mut pattern = b"a*".repeat(50);
        pattern.push(b'b');
        let start = crate::base::clock::monotonic_ms();
        assert!(!matches(&pattern, &text));
        assert!(crate::base::clock::monotonic_ms() - start < 2000);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_plain_recursion(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.split_first(), t.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => slow(rest, t) || (!t.is_empty() && slow(p, &t[1..])),
                    (Some((b'?', rest)), Some((_, tail))) => slow(rest, tail),
                    (Some((x, rest)), Some((y, tail))) => x == y && slow(rest, tail),
                    _ => false,
                }
            }
            proptest::prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                slow(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn no_pattern_panics(pattern: Vec<u8>, text: Vec<u8>) {
            let _ = matches(&pattern, &text);
            let _ = matches_nocase(&pattern, &text);
        }
    }
}
