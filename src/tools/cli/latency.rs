//! `--latency`, `--latency-history`, `--latency-dist`: the time of PING; `--intrinsic-latency`: of this machine alone.

use std::process::ExitCode;
use std::time::Duration;

use super::client::{Client, write_out};
use super::format::Form;
use super::scan::ask;
use crate::base::clock::monotonic_ns;

/// Between two PINGs.
const PAUSE: Duration = Duration::from_millis(10);
const HISTORY_INTERVAL: Duration = Duration::from_secs(15);
const ONE_SECOND: Duration = Duration::from_secs(1);

/// Milliseconds, whole as they have always been shown here.
#[derive(Default)]
struct Samples {
    count: u64,
    sum_ms: u64,
    min_ms: u64,
    max_ms: u64,
}

impl Samples {
    fn add(&mut self, ns: u64) {
        let ms = ns / 1_000_000;
        self.min_ms = if self.count == 0 { ms } else { self.min_ms.min(ms) };
        self.max_ms = self.max_ms.max(ms);
        self.sum_ms += ms;
        self.count += 1;
    }

    fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_ms as f64 / self.count as f64 }
    }

    fn line(&self, form: Form) -> String {
        let Samples { min_ms, max_ms, count, .. } = self;
        let average = self.average();
        match form {
            Form::Standard => format!("min: {min_ms}, max: {max_ms}, avg: {average:.2} ({count} samples)"),
            Form::Csv => format!("{min_ms},{max_ms},{average:.2},{count}\n"),
            Form::Raw => format!("{min_ms} {max_ms} {average:.2} {count}\n"),
            Form::Json | Form::QuotedJson => {
                format!("{{\"min\": {min_ms}, \"max\": {max_ms}, \"avg\": {average:.2}, \"count\": {count}}}\n")
            }
        }
    }
}

/// On a terminal for ever; into a pipe one line, with `history` one line for each interval.
///
/// # Errors
/// The connection is gone.
pub fn run(client: &mut Client, history: bool) -> Result<(), String> {
    let interval = match client.options.interval {
        Duration::ZERO if history => HISTORY_INTERVAL,
        Duration::ZERO => ONE_SECOND,
        given => given,
    };
    let live = client.form == Form::Standard;
    loop {
        let started = monotonic_ns();
        let mut samples = Samples::default();
        loop {
            let before = monotonic_ns();
            ask(client, &["PING"])?;
            samples.add(monotonic_ns().saturating_sub(before));
            if live {
                write_out(format!("\x1b[0G\x1b[2K{}", samples.line(client.form)).as_bytes());
            }
            let elapsed = Duration::from_nanos(monotonic_ns().saturating_sub(started));
            if (history || !live) && elapsed >= interval {
                if live {
                    write_out(format!(" -- {:.2} seconds range\n", elapsed.as_secs_f64()).as_bytes());
                } else {
                    write_out(samples.line(client.form).as_bytes());
                }
                break;
            }
            std::thread::sleep(PAUSE);
        }
        if !live && !history {
            return Ok(());
        }
    }
}

/// Upper bounds in milliseconds and the sign of each column of the spectrum.
const COLUMNS: [(f64, char); 32] = [
    (0.01, '.'),
    (0.125, '-'),
    (0.25, '*'),
    (0.5, '#'),
    (1.0, '1'),
    (2.0, '2'),
    (3.0, '3'),
    (4.0, '4'),
    (5.0, '5'),
    (6.0, '6'),
    (7.0, '7'),
    (8.0, '8'),
    (9.0, '9'),
    (10.0, 'A'),
    (20.0, 'B'),
    (30.0, 'C'),
    (40.0, 'D'),
    (50.0, 'E'),
    (100.0, 'F'),
    (200.0, 'G'),
    (300.0, 'H'),
    (400.0, 'I'),
    (500.0, 'J'),
    (1000.0, 'K'),
    (2000.0, 'L'),
    (4000.0, 'M'),
    (8000.0, 'N'),
    (16_000.0, 'O'),
    (30_000.0, 'P'),
    (60_000.0, 'Q'),
    (120_000.0, 'R'),
    (f64::INFINITY, '?'),
];
/// From none to all of the samples: 256-colour codes, dark to red.
const COLOURS: [u8; 19] = [0, 233, 234, 235, 237, 239, 241, 243, 245, 247, 144, 143, 142, 184, 226, 214, 208, 202, 196];

/// A line of coloured columns for each interval, for ever.
///
/// # Errors
/// The connection is gone.
pub fn distribution(client: &mut Client) -> Result<(), String> {
    let interval = if client.options.interval.is_zero() { ONE_SECOND } else { client.options.interval };
    let legend: String = COLUMNS.iter().map(|(bound, sign)| format!("{sign} <={bound}  ")).collect();
    write_out(format!("Columns, milliseconds: {legend}\nColour: share of the samples, dark to red\n").as_bytes());
    loop {
        let started = monotonic_ns();
        let mut counts = [0u64; COLUMNS.len()];
        let mut total = 0u64;
        while Duration::from_nanos(monotonic_ns().saturating_sub(started)) < interval {
            let before = monotonic_ns();
            ask(client, &["PING"])?;
            let ms = monotonic_ns().saturating_sub(before) as f64 / 1e6;
            if let Some(count) = COLUMNS.iter().position(|(bound, _)| ms <= *bound).and_then(|i| counts.get_mut(i)) {
                *count += 1;
            }
            total += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut line = String::from("\x1b[38;5;0m");
        for (count, (_, sign)) in counts.iter().zip(COLUMNS) {
            let shade = (*count as f64 / total.max(1) as f64 * (COLOURS.len() - 1) as f64).ceil() as usize;
            let colour = COLOURS.get(shade).copied().unwrap_or(196);
            line.push_str(&format!("\x1b[48;5;{colour}m{sign}"));
        }
        write_out(format!("{line}\x1b[0m\n").as_bytes());
    }
}

/// Runs a computation over and over: what it sometimes takes longer, the system took.
pub fn intrinsic(seconds: u64) -> ExitCode {
    let started = monotonic_ns();
    let length = seconds.saturating_mul(1_000_000_000);
    let (mut runs, mut max_ns) = (0u64, 0u64);
    let mut random = crate::base::hash::Random::new(started);
    loop {
        let before = monotonic_ns();
        for _ in 0..32 {
            std::hint::black_box(random.next_u64());
        }
        let after = monotonic_ns();
        let took = after.saturating_sub(before);
        runs += 1;
        if took / 1000 > max_ns / 1000 {
            max_ns = took;
            write_out(format!("Max latency so far: {} microseconds.\n", max_ns / 1000).as_bytes());
        }
        let elapsed = after.saturating_sub(started);
        if elapsed >= length {
            let average = elapsed as f64 / runs as f64;
            let text = format!(
                "\n{runs} total runs (avg latency: {:.4} microseconds / {average:.2} nanoseconds per run).\nWorst run took {:.0}x longer than the average latency.\n",
                average / 1000.0,
                max_ns as f64 / average.max(1.0)
            );
            write_out(text.as_bytes());
            return ExitCode::SUCCESS;
        }
    }
}
