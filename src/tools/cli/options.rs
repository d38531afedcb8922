//! The command line. Flags come first and end at the first word that is not one: from there on every word belongs to
//! the command, dashes or not. `-h` is the host when a word follows it and help when none does; `-r -1` takes a word that
//! looks like a flag. A declarative parser cannot say these things (it reserves `-h`, and reorders), so this is by hand.
//!
//! What was given is kept apart from what is assumed (`Option`), because `discover` fills only the gaps.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use super::format::{Delimiters, Form};
use super::uri;
use super::words;

/// Where a command's words come from besides the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StandardInput {
    /// Nowhere.
    #[default]
    Unused,
    /// `-x`: all of it is the last word.
    LastWord,
    /// `-X tag`: all of it stands where the tag stands.
    Tag(Vec<u8>),
}

/// What to do, when it is not to run a command.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mode {
    #[default]
    Command,
    Scan,
    BigKeys,
    /// `samples`: elements of each collection to look at; 0 is all of them, `None` the server's choice.
    MemKeys {
        samples: Option<u64>,
    },
    HotKeys {
        count: usize,
    },
    Latency {
        history: bool,
    },
    LatencyDistribution,
    Stat,
    IntrinsicLatency {
        seconds: u64,
    },
    LruTest {
        keys: u64,
    },
    Pipe {
        /// `None`: for ever.
        timeout: Option<Duration>,
    },
    Eval {
        script: PathBuf,
    },
    /// A snapshot into a file.
    Rdb {
        path: PathBuf,
    },
    /// For tests of the hints: the hint for one line.
    Hint(String),
    HintFile(PathBuf),
    /// Known, and not to be had yet.
    Unsupported(&'static str),
}

/// `--tls` and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub sni: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub ca_dir: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub insecure: bool,
    pub ciphers: Option<String>,
    pub ciphersuites: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    #[default]
    Any,
    Ipv4First,
    Ipv6First,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub host: Option<String>,
    pub port: Option<u16>,
    pub socket: Option<PathBuf>,
    /// For connecting and the handshake; `None` leaves it to the system.
    pub connect_timeout: Option<Duration>,
    pub family: AddressFamily,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    /// The password stood on the command line, where others can see it.
    pub password_exposed: bool,
    pub ask_password: bool,
    pub auth_warning: bool,
    pub database: i64,
    /// 2, 3, or what the form of output wants.
    pub protocol: Option<u8>,
    pub repeat: i64,
    pub interval: Duration,
    pub input: StandardInput,
    pub quoted_input: bool,
    /// `None`: by whether the output is a terminal.
    pub form: Option<Form>,
    pub delimiters: Delimiters,
    pub exit_with_error: bool,
    pub show_pushes: Option<bool>,
    pub cluster: bool,
    pub verbose: bool,
    pub tls: bool,
    pub tls_options: TlsOptions,
    pub pattern: Option<Vec<u8>>,
    pub count: Option<i64>,
    pub key_type: Option<Vec<u8>>,
    pub mode: Mode,
    /// The command, or the words of `--eval`.
    pub words: Vec<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            host: None,
            port: None,
            socket: None,
            connect_timeout: None,
            family: AddressFamily::Any,
            user: None,
            password: None,
            password_exposed: false,
            ask_password: false,
            auth_warning: true,
            database: 0,
            protocol: None,
            repeat: 1,
            interval: Duration::ZERO,
            input: StandardInput::Unused,
            quoted_input: false,
            form: None,
            delimiters: Delimiters::default(),
            exit_with_error: false,
            show_pushes: None,
            cluster: false,
            verbose: false,
            tls: false,
            tls_options: TlsOptions::default(),
            pattern: None,
            count: None,
            key_type: None,
            mode: Mode::Command,
            words: Vec::new(),
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Options>),
    Help,
    Version,
}

/// The text of an error is one line, for standard error.
pub type ParseError = String;

/// Reads the words behind the program's name.
pub fn parse(args: Vec<OsString>) -> Result<Parsed, ParseError> {
    let mut options = Options::default();
    let mut args = args.into_iter().map(OsStringExt::into_vec).peekable();
    let mut pipe_timeout = Some(Duration::from_secs(30));
    let mut hot_keys_count = 16;
    while let Some(flag) = args.next_if(|a| a.first() == Some(&b'-')) {
        let name = String::from_utf8_lossy(&flag).into_owned();
        let unknown = || format!("Unrecognized option or bad number of args for: '{name}'");
        // The next word, whatever it looks like.
        macro_rules! bytes {
            () => {
                args.next().ok_or_else(unknown)?
            };
        }
        macro_rules! text {
            () => {
                String::from_utf8_lossy(&bytes!()).into_owned()
            };
        }
        macro_rules! path {
            () => {
                PathBuf::from(OsString::from_vec(bytes!()))
            };
        }
        match name.as_str() {
            "-h" if args.peek().is_none() => return Ok(Parsed::Help),
            "-h" => options.host = Some(text!()),
            "--help" | "-?" => return Ok(Parsed::Help),
            "-v" | "--version" => return Ok(Parsed::Version),
            "-p" => options.port = Some(text!().parse().map_err(|_| "Invalid server port.".to_string())?),
            "-s" => options.socket = Some(path!()),
            "-t" => {
                let seconds: f64 = text!().parse().unwrap_or(-1.0);
                let timeout = Duration::try_from_secs_f64(seconds);
                let timeout = timeout.map_err(|_| "Invalid connection timeout for -t.".to_string())?;
                options.connect_timeout = (!timeout.is_zero()).then_some(timeout);
            }
            "-4" => options.family = AddressFamily::Ipv4First,
            "-6" => options.family = AddressFamily::Ipv6First,
            "-u" => uri::apply(&text!(), &mut options)?,
            "--user" => options.user = Some(text!()),
            "-a" | "--pass" => {
                options.password = Some(bytes!());
                options.password_exposed = true;
            }
            "--askpass" => options.ask_password = true,
            "--no-auth-warning" => options.auth_warning = false,
            "-n" => options.database = words::leading_number(&text!()),
            "-2" => options.protocol = Some(2),
            "-3" => options.protocol = Some(3),
            "-r" => options.repeat = words::leading_number(&text!()),
            "-i" => {
                let seconds = words::leading_decimal(&text!()).max(0.0);
                options.interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            }
            "-x" => options.input = exclusive(&options.input, StandardInput::LastWord)?,
            "-X" => {
                let tag = bytes!();
                options.input = exclusive(&options.input, StandardInput::Tag(tag))?;
            }
            "--quoted-input" => options.quoted_input = true,
            "--raw" => options.form = Some(Form::Raw),
            "--no-raw" => options.form = Some(Form::Standard),
            "--csv" => options.form = Some(Form::Csv),
            "--json" => options.form = Some(Form::Json),
            "--quoted-json" => options.form = Some(Form::QuotedJson),
            "-d" => options.delimiters.elements = bytes!(),
            "-D" => options.delimiters.replies = bytes!(),
            "-e" => options.exit_with_error = true,
            "-c" => options.cluster = true,
            "--verbose" => options.verbose = true,
            "--show-pushes" => {
                let choice = text!();
                match choice.chars().next().map(|c| c.to_ascii_lowercase()) {
                    Some('y') => options.show_pushes = Some(true),
                    Some('n') => options.show_pushes = Some(false),
                    _ => eprintln!("Unknown --show-pushes value '{choice}' (valid: '[y]es', '[n]o')"),
                }
            }
            "--tls" => options.tls = true,
            "--sni" => options.tls_options.sni = Some(text!()),
            "--cacert" => options.tls_options.ca_file = Some(path!()),
            "--cacertdir" => options.tls_options.ca_dir = Some(path!()),
            "--cert" => options.tls_options.cert = Some(path!()),
            "--key" => options.tls_options.key = Some(path!()),
            "--insecure" => options.tls_options.insecure = true,
            "--tls-ciphers" => options.tls_options.ciphers = Some(text!()),
            "--tls-ciphersuites" => options.tls_options.ciphersuites = Some(text!()),
            "--scan" => options.mode = Mode::Scan,
            "--pattern" => options.pattern = Some(bytes!()),
            "--quoted-pattern" => {
                let pattern = unquote(&bytes!());
                options.pattern = Some(pattern.ok_or("Invalid quoted string specified for --quoted-pattern.")?);
            }
            "--count" => options.count = Some(words::leading_number(&text!())),
            "--type" => options.key_type = Some(bytes!()),
            "--bigkeys" => options.mode = Mode::BigKeys,
            "--memkeys" => options.mode = Mode::MemKeys { samples: None },
            "--memkeys-samples" => {
                let samples = u64::try_from(words::leading_number(&text!())).unwrap_or(0);
                options.mode = Mode::MemKeys { samples: Some(samples) };
            }
            "--hotkeys" => options.mode = Mode::HotKeys { count: hot_keys_count },
            "--hotkeys-count" => {
                hot_keys_count = usize::try_from(words::leading_number(&text!())).unwrap_or(0).clamp(1, 100_000);
                options.mode = Mode::HotKeys { count: hot_keys_count };
            }
            "--latency" => options.mode = Mode::Latency { history: false },
            "--latency-history" => options.mode = Mode::Latency { history: true },
            "--latency-dist" => options.mode = Mode::LatencyDistribution,
            "--stat" => options.mode = Mode::Stat,
            "--intrinsic-latency" => {
                let seconds = u64::try_from(words::leading_number(&text!())).unwrap_or(0);
                options.mode = Mode::IntrinsicLatency { seconds };
            }
            "--lru-test" => {
                let keys = u64::try_from(words::leading_number(&text!())).unwrap_or(0);
                options.mode = Mode::LruTest { keys };
            }
            "--pipe" => options.mode = Mode::Pipe { timeout: pipe_timeout },
            "--pipe-timeout" => {
                let seconds = u64::try_from(words::leading_number(&text!())).unwrap_or(0);
                pipe_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            "--eval" => options.mode = Mode::Eval { script: path!() },
            "--test_hint" => options.mode = Mode::Hint(text!()),
            "--test_hint_file" => options.mode = Mode::HintFile(path!()),
            "--replica" | "--slave" => options.mode = Mode::Unsupported("--replica"),
            "--rdb" => options.mode = Mode::Rdb { path: path!() },
            "--functions-rdb" => {
                drop(bytes!());
                options.mode = Mode::Unsupported("--functions-rdb");
            }
            "--ldb" | "--ldb-sync-mode" => options.mode = Mode::Unsupported("--ldb and --ldb-sync-mode"),
            "--mptcp" => options.mode = Mode::Unsupported("--mptcp"),
            "--cluster" => {
                // Its own sub-commands and flags follow; none of them is ours to judge.
                options.mode = Mode::Unsupported("--cluster");
                break;
            }
            "-" => return Err(unknown()),
            _ => return Err(unknown()),
        }
    }
    if let Mode::Pipe { timeout } = &mut options.mode {
        *timeout = pipe_timeout;
    }
    options.words = args.collect();
    Ok(Parsed::Run(Box::new(options)))
}

/// The words of `--quoted-input` with their quotes resolved; `None` if one of them is not a single quoted string.
pub fn unquote_all(words: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    words.iter().map(|w| unquote(w)).collect()
}

fn exclusive(old: &StandardInput, new: StandardInput) -> Result<StandardInput, ParseError> {
    match (old, &new) {
        (StandardInput::LastWord, StandardInput::Tag(_)) | (StandardInput::Tag(_), StandardInput::LastWord) => {
            Err("Options -x and -X are mutually exclusive.".to_string())
        }
        _ => Ok(new),
    }
}

/// A word with its quotes and escapes resolved; `None` unless it is exactly one.
fn unquote(word: &[u8]) -> Option<Vec<u8>> {
    let mut parts = words::split(word).ok()?;
    match parts.len() {
        1 => parts.pop(),
        _ => None,
    }
}

/// An environment variable that is there and not empty.
pub fn environment(name: &str) -> Option<Vec<u8>> {
    let value = std::env::var_os(name)?;
    (!value.is_empty()).then(|| value.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        let args = words::split(line.as_bytes()).unwrap().into_iter().map(OsString::from_vec).collect();
        match parse(args)? {
            Parsed::Run(options) => Ok(*options),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn flags_end_at_the_first_word_that_is_not_one() {
        let o = parsed("-p 7000 -n 3 lrange -p -1").unwrap();
        assert_eq!((o.port, o.database), (Some(7000), 3));
        assert_eq!(o.words, [&b"lrange"[..], b"-p", b"-1"]);
        assert_eq!(parsed("-r -1 ping").unwrap().repeat, -1);
    }

    #[test]
    fn a_lonely_h_is_help_and_one_with_a_word_is_the_host() {
        assert_eq!(parsed("-h").unwrap_err(), "Help");
        assert_eq!(parsed("-h -p").unwrap().host.as_deref(), Some("-p"));
        assert_eq!(parsed("-v").unwrap_err(), "Version");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, error) in [
            ("--bogus", "Unrecognized option or bad number of args for: '--bogus'"),
            ("-p", "Unrecognized option or bad number of args for: '-p'"),
            ("-p x", "Invalid server port."),
            ("-p 65536", "Invalid server port."),
            ("-t x", "Invalid connection timeout for -t."),
            ("-x -X tag", "Options -x and -X are mutually exclusive."),
            ("--quoted-pattern '\"a'", "Invalid quoted string specified for --quoted-pattern."),
            ("-u http://a", "Invalid URI scheme"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), error, "{line}");
        }
    }

    #[test]
    fn quoted_words_are_resolved_only_when_asked() {
        let words = |line: &str| unquote_all(&parsed(line).unwrap().words);
        assert_eq!(words(r#"get '"\x41"'"#).unwrap(), [&b"get"[..], b"A"]);
        assert_eq!((words(r#"get '"a'"#), words(r#"get '"a" "b"'"#)), (None, None));
        assert_eq!(parsed(r#"get '"\x41"'"#).unwrap().words, [&b"get"[..], br#""\x41""#]);
    }

    #[test]
    fn the_timeout_of_a_pipe_may_stand_on_either_side() {
        let two = Mode::Pipe { timeout: Some(Duration::from_secs(2)) };
        assert_eq!(parsed("--pipe --pipe-timeout 2").unwrap().mode, two);
        assert_eq!(parsed("--pipe-timeout 2 --pipe").unwrap().mode, two);
        assert_eq!(parsed("--pipe --pipe-timeout 0").unwrap().mode, Mode::Pipe { timeout: None });
    }
}
