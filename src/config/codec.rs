//! Codecs: how a value of a kind is parsed, bounded and printed. A row names one; the typed field it fills is beside it.
//!
//! Invariants: `parse(print(x)) == x` for every value a codec can produce; parsing never panics, whatever the bytes;
//! error texts are the ones Valkey's clients see.

use std::path::PathBuf;

use super::row::{Kind, Source};
use super::types::{Choice, MemoryLimit, Secret};

/// Parses, prints and describes values of type `T`.
pub trait Codec<T> {
    /// The value that `words` spell; `current` is what the directive holds, for those that add up.
    fn parse(&self, words: &[Vec<u8>], current: &T, source: Source) -> Result<T, String>;
    /// As CONFIG GET shows it.
    fn print(&self, value: &T) -> Vec<u8>;
    /// Shape and bounds.
    fn kind(&self) -> Kind;
    /// Whether the value is a list of words.
    fn multi(&self) -> bool {
        false
    }
    /// The lines that set it again, each a list of words. A list is one line with a word per element unless a codec
    /// says otherwise.
    fn lines(&self, value: &T) -> Vec<Vec<Vec<u8>>> {
        let printed = self.print(value);
        if self.multi() && !printed.is_empty() {
            vec![printed.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect()]
        } else {
            vec![vec![printed]]
        }
    }
}

/// The single word of a directive that takes one; [`super::Directive::apply`] has checked the count.
fn one(words: &[Vec<u8>]) -> &[u8] {
    words.first().map_or(&[], Vec::as_slice)
}

/// `yes` or `no`.
pub struct YesNo;

impl Codec<bool> for YesNo {
    fn parse(&self, words: &[Vec<u8>], _: &bool, _: Source) -> Result<bool, String> {
        match one(words) {
            word if word.eq_ignore_ascii_case(b"yes") => Ok(true),
            word if word.eq_ignore_ascii_case(b"no") => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }
    fn print(&self, value: &bool) -> Vec<u8> {
        if *value { b"yes".to_vec() } else { b"no".to_vec() }
    }
    fn kind(&self) -> Kind {
        Kind::Bool
    }
}

/// An integer in canonical decimal text (no sign but `-`, no leading zero, no space), as Valkey demands of all its numbers.
pub(super) fn integer(word: &[u8]) -> Option<i128> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let canonical = match digits {
        [b'0'] => digits.len() == word.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit) && digits.len() <= 20,
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Memory text: digits and a unit, the unit in any case. `k` is 1000, `kb` is 1024. The bytes must fit 64 bits.
pub fn memory(word: &[u8]) -> Option<u64> {
    let end = word.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at_checked(end)?;
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1000 * 1000,
        b"mb" => 1 << 20,
        b"g" => 1000 * 1000 * 1000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?.checked_mul(unit)
}

fn out_of_bounds(min: i128, max: i128) -> String {
    format!("argument must be between {min} and {max} inclusive")
}

/// An integer within inclusive bounds, which must lie within the field's type.
pub struct Integer {
    pub min: i128,
    pub max: i128,
}

/// The bounds most of Valkey's numbers share.
pub const fn int(min: i128, max: i128) -> Integer {
    Integer { min, max }
}
/// 0 to the largest C `int`.
pub const INT: Integer = int(0, i32::MAX as i128);
/// 0 to the largest C `long long`.
pub const LONG: Integer = int(0, i64::MAX as i128);
/// -1 (off) to the largest C `long long`.
pub const LONG_OR_OFF: Integer = int(-1, i64::MAX as i128);
/// A port; 0 is off.
pub const PORT: Integer = int(0, u16::MAX as i128);

impl<T> Codec<T> for Integer
where
    T: Copy + TryFrom<i128> + std::fmt::Display,
{
    fn parse(&self, words: &[Vec<u8>], _: &T, _: Source) -> Result<T, String> {
        let value = integer(one(words)).filter(|value| i64::try_from(*value).is_ok());
        let value = value.ok_or("argument couldn't be parsed into an integer")?;
        if value < self.min || value > self.max {
            return Err(out_of_bounds(self.min, self.max));
        }
        T::try_from(value).map_err(|_| out_of_bounds(self.min, self.max))
    }
    fn print(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }
    fn kind(&self) -> Kind {
        Kind::Integer { min: self.min, max: self.max }
    }
}

/// An integer that is moved to the nearest bound instead of refused, as `hz` is.
pub struct Clamped {
    pub low: u32,
    pub high: u32,
}

impl Codec<u32> for Clamped {
    fn parse(&self, words: &[Vec<u8>], current: &u32, source: Source) -> Result<u32, String> {
        INT.parse(words, current, source).map(|value: u32| value.clamp(self.low, self.high))
    }
    fn print(&self, value: &u32) -> Vec<u8> {
        value.to_string().into_bytes()
    }
    fn kind(&self) -> Kind {
        Kind::Integer { min: self.low.into(), max: self.high.into() }
    }
}

/// An octal file mode; 0 leaves it to the umask.
pub struct Octal;

impl Codec<u32> for Octal {
    fn parse(&self, words: &[Vec<u8>], _: &u32, _: Source) -> Result<u32, String> {
        let text = std::str::from_utf8(one(words)).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match text.and_then(|text| u32::from_str_radix(text, 8).ok()) {
            Some(mode) if mode <= 0o777 => Ok(mode),
            Some(_) => Err("argument must be between 0 and 777 inclusive".into()),
            None => Err("argument couldn't be parsed as an octal number".into()),
        }
    }
    fn print(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into_bytes()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "octal file mode, 0 to 777" }
    }
}

/// Bytes with a unit, within inclusive bounds. A minimum below zero lets a plain negative number in, as Valkey's
/// signed sizes do.
pub struct Memory {
    pub min: i128,
    pub max: i128,
}

/// Bytes with a unit, within inclusive bounds.
pub const fn mem(min: i128, max: i128) -> Memory {
    Memory { min, max }
}
/// 0 to the largest 64-bit number.
pub const MEM: Memory = mem(0, u64::MAX as i128);
/// 0 to the largest C `long long`.
pub const MEM_LONG: Memory = mem(0, i64::MAX as i128);

impl<T> Codec<T> for Memory
where
    T: Copy + TryFrom<i128> + std::fmt::Display,
{
    fn parse(&self, words: &[Vec<u8>], _: &T, _: Source) -> Result<T, String> {
        let word = one(words);
        let negative = if self.min < 0 { integer(word).filter(|value| *value < 0) } else { None };
        let value = negative.or_else(|| memory(word).map(i128::from)).ok_or("argument must be a memory value")?;
        if value < self.min || value > self.max {
            return Err(out_of_bounds(self.min, self.max));
        }
        T::try_from(value).map_err(|_| out_of_bounds(self.min, self.max))
    }
    fn print(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }
    fn kind(&self) -> Kind {
        Kind::Memory { min: self.min, max: self.max }
    }
}

/// Bytes with a unit, from 1 on; less than the number here is taken for it.
pub struct AtLeast(pub u64);

impl Codec<u64> for AtLeast {
    fn parse(&self, words: &[Vec<u8>], old: &u64, source: Source) -> Result<u64, String> {
        let bytes: u64 = mem(1, i64::MAX as i128).parse(words, old, source)?;
        Ok(bytes.max(self.0))
    }
    fn print(&self, value: &u64) -> Vec<u8> {
        MEM.print(value)
    }
    fn kind(&self) -> Kind {
        Codec::<u64>::kind(&mem(1, i64::MAX as i128))
    }
}

/// Bytes with a unit, or a percentage of `maxmemory`.
pub struct MemoryOrPercent;

impl Codec<MemoryLimit> for MemoryOrPercent {
    fn parse(&self, words: &[Vec<u8>], _: &MemoryLimit, _: Source) -> Result<MemoryLimit, String> {
        let word = one(words);
        let wrong = || "argument must be a memory or percent value".to_string();
        match word.strip_suffix(b"%") {
            None => memory(word).map(MemoryLimit::Bytes).ok_or_else(wrong),
            Some(digits) => match integer(digits).filter(|percent| *percent >= 0).ok_or_else(wrong)? {
                0 => Ok(MemoryLimit::Bytes(0)),
                percent => match u8::try_from(percent).ok().filter(|percent| *percent <= 100) {
                    Some(percent) => Ok(MemoryLimit::Percent(percent)),
                    None => Err("percentage argument must be less or equal to 100".into()),
                },
            },
        }
    }
    fn print(&self, value: &MemoryLimit) -> Vec<u8> {
        match value {
            MemoryLimit::Bytes(bytes) => bytes.to_string().into_bytes(),
            MemoryLimit::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }
    fn kind(&self) -> Kind {
        Kind::MemoryOrPercent
    }
}

/// One word out of a type's list.
pub struct OneOf;

impl<T: Choice> Codec<T> for OneOf {
    fn parse(&self, words: &[Vec<u8>], _: &T, _: Source) -> Result<T, String> {
        let word = one(words);
        let found = T::WORDS.iter().find(|(text, _)| text.as_bytes().eq_ignore_ascii_case(word));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let list = T::WORDS.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(", ");
            format!("argument(s) must be one of the following: {list}")
        })
    }
    fn print(&self, value: &T) -> Vec<u8> {
        let found = T::WORDS.iter().find(|(_, own)| own == value);
        found.map_or_else(Vec::new, |(text, _)| text.as_bytes().to_vec())
    }
    fn kind(&self) -> Kind {
        Kind::Enum { words: T::WORDS.iter().map(|(text, _)| *text).collect() }
    }
}

/// Any text; the check refuses some of it.
pub struct Text {
    pub check: fn(&str) -> Result<(), &'static str>,
}
/// Text without further rules.
pub const TEXT: Text = Text { check: |_| Ok(()) };

impl Codec<String> for Text {
    fn parse(&self, words: &[Vec<u8>], _: &String, _: Source) -> Result<String, String> {
        let text = std::str::from_utf8(one(words)).map_err(|_| "argument must be valid UTF-8")?;
        (self.check)(text)?;
        Ok(text.to_string())
    }
    fn print(&self, value: &String) -> Vec<u8> {
        value.as_bytes().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Text
    }
}

impl Codec<Option<String>> for Text {
    fn parse(&self, words: &[Vec<u8>], _: &Option<String>, source: Source) -> Result<Option<String>, String> {
        let text: String = self.parse(words, &String::new(), source)?;
        Ok((!text.is_empty()).then_some(text))
    }
    fn print(&self, value: &Option<String>) -> Vec<u8> {
        value.as_deref().unwrap_or("").as_bytes().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Text
    }
}

/// A path; empty means unset.
pub struct File;

impl Codec<Option<PathBuf>> for File {
    fn parse(&self, words: &[Vec<u8>], _: &Option<PathBuf>, _: Source) -> Result<Option<PathBuf>, String> {
        use std::os::unix::ffi::OsStrExt as _;
        match one(words) {
            b"" => Ok(None),
            word if word.contains(&0) => Err("argument must not contain a zero byte".into()),
            word => Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(word)))),
        }
    }
    fn print(&self, value: &Option<PathBuf>) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt as _;
        value.as_ref().map_or_else(Vec::new, |path| path.as_os_str().as_bytes().to_vec())
    }
    fn kind(&self) -> Kind {
        Kind::Text
    }
}

/// A file's name without a folder, for files that live in `dir`.
pub struct FileName {
    /// The directive, for its own error text.
    pub name: &'static str,
    /// `filename` or `dirname`, for the same.
    pub noun: &'static str,
}

impl Codec<String> for FileName {
    fn parse(&self, words: &[Vec<u8>], current: &String, source: Source) -> Result<String, String> {
        let text: String = TEXT.parse(words, current, source)?;
        if text.contains('/') {
            return Err(format!("{} can't be a path, just a {}", self.name, self.noun));
        }
        if text.is_empty() {
            return Err(format!("{} can't be empty", self.name));
        }
        Ok(text)
    }
    fn print(&self, value: &String) -> Vec<u8> {
        value.as_bytes().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "file name" }
    }
}

/// A secret; it leaves memory when it is dropped and never shows in `Debug`.
pub struct Password;

impl Codec<Secret> for Password {
    fn parse(&self, words: &[Vec<u8>], _: &Secret, _: Source) -> Result<Secret, String> {
        Ok(Secret::new(one(words)))
    }
    fn print(&self, value: &Secret) -> Vec<u8> {
        value.expose().to_vec()
    }
    fn kind(&self) -> Kind {
        Kind::Text
    }
}

/// A folder that exists; unset is the one the process was started in. Kept absolute, so that it means the same later.
pub struct Folder;

impl Codec<Option<PathBuf>> for Folder {
    fn parse(&self, words: &[Vec<u8>], current: &Option<PathBuf>, source: Source) -> Result<Option<PathBuf>, String> {
        let Some(path) = File.parse(words, current, source)? else { return Err("No such file or directory".into()) };
        // A relative folder starts from the one set before, as if each had been entered in turn.
        let path = current.as_ref().map_or_else(|| path.clone(), |before| before.join(&path));
        let path = path.canonicalize().map_err(|error| os_text(&error))?;
        if path.is_dir() { Ok(Some(path)) } else { Err("Not a directory".into()) }
    }
    fn print(&self, value: &Option<PathBuf>) -> Vec<u8> {
        let here = value.clone().or_else(|| std::env::current_dir().ok());
        File.print(&here)
    }
    fn kind(&self) -> Kind {
        Kind::Special { shape: "existing folder" }
    }
}

/// The operating system's words for an error, without the number that Rust adds.
pub fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or_else(|| text.clone(), |(words, _)| words.to_string())
}
