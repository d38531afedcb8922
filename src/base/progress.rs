//! How far a tool is, on a terminal: one line on standard error, drawn over itself and gone at the end. Elsewhere nothing is
//! written, so that scripts read what they always read.

use super::clock;
use std::io::{self, IsTerminal, Read};
use std::sync::atomic::{AtomicBool, Ordering};

/// Between two drawings; what is done sooner shows nothing.
const DRAW_EVERY_MS: u64 = 100;
/// Of the bar itself.
const WIDTH: usize = 25;

/// A line stands there that is not finished.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Takes the line away, for something else to be printed.
pub fn clear() {
    if DRAWN.swap(false, Ordering::Relaxed) {
        eprint!("\r\x1b[K");
    }
}

/// The line.
pub struct Bar {
    name: String,
    shown: bool,
    next_ms: u64,
}

impl Bar {
    /// `name` is what is worked on.
    pub fn new(name: impl Into<String>, quiet: bool) -> Bar {
        let shown = !quiet && io::stderr().is_terminal();
        Bar { name: name.into(), shown, next_ms: clock::monotonic_ms() + DRAW_EVERY_MS }
    }

    /// So many bytes are done, of so many if that is known.
    pub fn show(&mut self, done: u64, total: Option<u64>) {
        if !self.shown {
            return;
        }
        let now = clock::monotonic_ms();
        if now >= self.next_ms {
            self.next_ms = now + DRAW_EVERY_MS;
            DRAWN.store(true, Ordering::Relaxed);
            eprint!("\r{}\x1b[K", line(&self.name, done, total));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        clear();
    }
}

/// What the line says.
pub fn line(name: &str, done: u64, total: Option<u64>) -> String {
    let mega = |n: u64| n as f64 / 1e6;
    match total.filter(|t| *t > 0) {
        Some(total) => {
            let part = (done as f64 / total as f64).min(1.0);
            let full = "#".repeat((part * WIDTH as f64) as usize);
            format!("{name} [{full:<WIDTH$}] {:5.1} % of {:.1} MB", part * 100.0, mega(total))
        }
        None => format!("{name} {:.1} MB", mega(done)),
    }
}

/// A reader that is watched.
pub struct Watched<R> {
    from: R,
    done: u64,
    total: Option<u64>,
    bar: Bar,
}

impl<R> Watched<R> {
    /// `done` of `total` bytes have been read already.
    pub fn new(from: R, name: impl Into<String>, done: u64, total: Option<u64>) -> Watched<R> {
        Watched { from, done, total, bar: Bar::new(name, false) }
    }

    pub fn inner(&self) -> &R {
        &self.from
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(out)?;
        self.done += n as u64;
        self.bar.show(self.done, self.total);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_of_what() {
        let full = "#".repeat(WIDTH);
        assert_eq!(line("x", 500_000, Some(1_000_000)), format!("x [{:<WIDTH$}]  50.0 % of 1.0 MB", &full[..12]));
        // More than was announced, as of a file that is sealed: it has overheads.
        assert_eq!(line("x", 2_000_000, Some(1_000_000)), format!("x [{full}] 100.0 % of 1.0 MB"));
        assert_eq!((line("x", 1_500_000, None), line("x", 0, Some(0))), ("x 1.5 MB".into(), "x 0.0 MB".into()));
    }

    #[test]
    fn what_is_watched_is_what_is_read() {
        let mut watched = Watched::new(&b"abc"[..], "x", 0, Some(3));
        let mut out = String::new();
        watched.read_to_string(&mut out).unwrap();
        assert_eq!((out.as_str(), watched.done, watched.inner().len()), ("abc", 3, 0));
    }
}
