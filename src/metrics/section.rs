//! One source for INFO and for the metrics endpoint: a section names its rows and their typed values, readers format.

use std::fmt;

/// A row's value, typed so that a metrics reader need not parse what INFO prints.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A count or size.
    Unsigned(u64),
    /// A number that may be negative, such as a unix time or an offset of -1.
    Signed(i64),
    /// A number printed with this many decimals.
    Float(f64, usize),
    /// A yes or no, printed as 1 or 0.
    Flag(bool),
    /// A word, or the `key=value,...` lists of per-command rows.
    Text(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unsigned(v) => write!(f, "{v}"),
            Value::Signed(v) => write!(f, "{v}"),
            Value::Float(v, decimals) => write!(f, "{v:.decimals$}"),
            Value::Flag(v) => write!(f, "{}", u8::from(*v)),
            Value::Text(v) => f.write_str(v),
        }
    }
}

/// A group of rows under one heading.
pub trait Section {
    /// The name clients ask for, in lower case, as in `INFO stats`.
    fn name(&self) -> &str;
    /// Gives each row's name and value, in the order they are printed.
    fn rows(&self, out: &mut dyn FnMut(&str, Value<'_>));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_info_prints_them() {
        let text = |v: Value<'_>| v.to_string();
        assert_eq!(text(Value::Unsigned(u64::MAX)), "18446744073709551615");
        assert_eq!(text(Value::Signed(-1)), "-1");
        assert_eq!(text(Value::Float(5.5, 2)), "5.50");
        assert_eq!(text(Value::Flag(true)), "1");
        assert_eq!(text(Value::Text("a=b")), "a=b");
    }
}
