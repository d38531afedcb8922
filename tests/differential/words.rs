//! Chance, from a seed, and the words it makes of a template.
//!
//! A template is words with spaces between. Words in braces are filled in: `k` a key of the family, `v` an element, `i` an integer at
//! the edges, `e` one that no life time ends by while the test runs, `n` a small number, `f` a number as text, `t` a short timeout, `s` a stream's ID, `z` bytes that are no text, `a|b|c` one of
//! these. What stands between `<` and `>` is left out two times of three. In single quotes there may be spaces, and a word that
//! begins with one is what it is, unless braces are around all of it.
//! In front, `~`: the reply's elements have no order; `%`: its integers are times.

const ODD_INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "9223372036854775806",
    "-9223372036854775808",
    "-9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "4294967296",
    "2147483648",
    "-2147483649",
    "01",
    "+1",
    " 1",
    "1.0",
    "",
    "abc",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1.5",
    "-2.25",
    "3",
    "1e3",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "0x10",
    "1e400",
    "1e-400",
    "0.1",
    " 1",
    "1 ",
    "",
    "abc",
    "12345678901234567890",
    "(1",
    "1e5000",
];
const TIMEOUTS: &[&str] = &["0.001", "0.01", "-1", "abc", "inf", "1e400", "nan", "9223372036854775807", "", "0x0.01"];
const IDS: &[&str] = &[
    "0",
    "1",
    "5",
    "0-0",
    "0-1",
    "1-1",
    "1-2",
    "2-1",
    "3-3",
    "5-5",
    "9-1",
    "2-0",
    "-1",
    "1-",
    "-",
    "+",
    "$",
    "abc",
    "1-2-3",
    "",
    "(1-1",
    "(0",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "18446744073709551616-1",
    "01-1",
];
const BYTES: &[&[u8]] = &[
    b"\x00",
    b"\xff\xff\xff",
    b"\x80\x00\x01",
    b"a\r\nb",
    b"\xc3\xa9",
    b"\x00\xff\x0f\xf0\x55\xaa",
    b"HYLL",
    b"HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x00\xc0\x01\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00",
];

/// Another word too many or too few would have them stop the server, create users, choose identifiers, or say what is this server's own.
const AS_THEY_ARE: &[&str] = &[
    "EVAL", "XADD", "CLIENT", "SHUTDOWN", "ACL", "INFO", "MEMORY", "MONITOR", "HELLO", "CONFIG", "COMMAND", "LATENCY",
    "DEBUG", "SCRIPT",
];

/// Keys a family has.
pub const KEYS: u64 = 4;

/// A command.
pub type Words = Vec<Vec<u8>>;

/// splitmix64: the same sequence for a seed on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn fill(&mut self, hole: &str, family: &str, families: &[&str]) -> Vec<u8> {
        let text = match hole {
            "k" => {
                let of = if self.below(20) == 0 { self.pick(families) } else { family };
                format!("{of}:{}", self.below(KEYS))
            }
            "v" if self.below(40) == 0 => "x".repeat(60 + self.below(9000) as usize),
            "v" => self.pick(&["a", "b", "c", "d", "e", "1", "-3", "a b", ""]).to_owned(),
            "e" => self
                .pick(&["0", "-1", "abc", "", "2147483648", "9223372036854775807", "-9223372036854775808", "1.0"])
                .to_owned(),
            "i" => self.pick(ODD_INTEGERS).to_owned(),
            "n" => (self.below(12) as i64 - 4).to_string(),
            "f" => self.pick(NUMBERS).to_owned(),
            "t" => self.pick(TIMEOUTS).to_owned(),
            "s" => self.pick(IDS).to_owned(),
            "z" => return self.pick(BYTES).to_vec(),
            words if words.contains('|') => {
                let one = self.pick(&words.split('|').collect::<Vec<_>>());
                return self.fill(one, family, families);
            }
            word => word.to_owned(),
        };
        text.into_bytes()
    }

    /// A word that fits nowhere in particular.
    pub fn word(&mut self, families: &[&str]) -> Vec<u8> {
        let hole = self.pick(&["k", "v", "i", "n", "f", "t", "s", "k", "k"]);
        let family = self.pick(families);
        self.fill(hole, family, families)
    }

    pub fn command(&mut self, template: &str, family: &str, families: &[&str]) -> Words {
        let mut words: Words = Vec::new();
        // How many groups are open, and how many of them, from the innermost out, are left out.
        let mut left_out: Vec<bool> = Vec::new();
        for (word, quoted) in split(template.trim_start_matches(['~', '%'])) {
            match word.as_str() {
                "<" => left_out.push(self.below(3) != 0),
                ">" => {
                    left_out.pop();
                }
                _ if left_out.contains(&true) => {}
                _ => words.push(match (word.find('{'), word.rfind('}')) {
                    (Some(from), Some(to)) if !quoted || (from, to + 1) == (0, word.len()) => {
                        let filling = self.fill(&word[from + 1..to], family, families);
                        [&word.as_bytes()[..from], &filling, &word.as_bytes()[to + 1..]].concat()
                    }
                    _ => word.into_bytes(),
                }),
            }
        }
        // What waits keeps its timeout, or it would wait for ever.
        let waits = words[0].starts_with(b"B") && !words[0].starts_with(b"BIT");
        // SPOP without its count takes what chance says. LSET's index is cut to 32 bits there, which is not worth having here.
        if waits || words[0] == b"SPOP" || words[0] == b"LSET" {
            return words;
        }
        if AS_THEY_ARE.iter().any(|name| words[0] == name.as_bytes()) {
            return words;
        }
        match self.below(30) {
            0 if words.len() > 1 => {
                words.pop();
            }
            1 => words.push(self.pick(&["extra", "COUNT", "1", "LIMIT"]).into()),
            2 if words.len() > 2 => {
                let at = 2 + self.below(words.len() as u64 - 2) as usize;
                words[at] = self.pick(ODD_INTEGERS).into();
            }
            _ => {}
        }
        words
    }
}

/// The words of a template, and whether they begin with a quote.
fn split(template: &str) -> Vec<(String, bool)> {
    let (mut words, mut word, mut inside, mut quoted) = (Vec::new(), String::new(), false, None);
    for c in template.chars() {
        match c {
            '\'' => {
                inside = !inside;
                quoted = quoted.or(Some(word.is_empty()));
            }
            ' ' if !inside => {
                if let Some(quoted) = quoted.take() {
                    words.push((std::mem::take(&mut word), quoted));
                }
            }
            _ => {
                quoted = quoted.or(Some(false));
                word.push(c);
            }
        }
    }
    if let Some(quoted) = quoted {
        words.push((word, quoted));
    }
    words
}
