//! `valkey-server --check-system` and `--test-memory MEGABYTES [PASSES]`: what is looked at before a server is started on a machine.
//!
//! Both print and end as Valkey does: 0 if nothing was found, 1 otherwise. The checks are those that matter to this server: it does not fork, so
//! that memory which is not overcommitted (1) harms only where allocations fail while memory is free (2), and it needs RDRAND, which the module
//! takes its entropy from. `holdfast doctor` has these and many more, for a configuration.

use crate::fips::Environment;
use std::ffi::OsString;
use std::hint::black_box;
use std::io::Write;

/// What one check came to: nothing, no way to tell, or a warning with its remedy.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Fine,
    Unknown,
    Warning(&'static str),
}

/// What the machine says; empty texts are unknown.
struct Facts {
    clock_source: String,
    overcommit: String,
    huge_pages: String,
    /// `None` where processors have none.
    rdrand: Option<bool>,
}

/// Runs the checks; true if none of them warns.
pub fn run(out: &mut dyn Write) -> bool {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let facts = Facts {
        clock_source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        overcommit: text("/proc/sys/vm/overcommit_memory"),
        huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled"),
        rdrand: cfg!(target_arch = "x86_64").then(|| Environment::read().rdrand),
    };
    report(&facts, out)
}

fn report(facts: &Facts, out: &mut dyn Write) -> bool {
    let mut fine = true;
    for (name, outcome) in checks(facts) {
        let _ = match outcome {
            Outcome::Fine => writeln!(out, "[{name}]...OK"),
            Outcome::Unknown => writeln!(out, "[{name}]...skipped"),
            Outcome::Warning(text) => {
                fine = false;
                writeln!(out, "[{name}]...WARNING:\n{text}")
            }
        };
    }
    fine
}

fn checks(facts: &Facts) -> [(&'static str, Outcome); 5] {
    let slow = match facts.clock_source.as_str() {
        "" => Outcome::Unknown,
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" | "xen" => Outcome::Fine,
        _ => Outcome::Warning(
            "Each look at the clock is a system call. Boot with clocksource=tsc where the machine's counter is steady.",
        ),
    };
    let xen = match facts.clock_source.as_str() {
        "" => Outcome::Unknown,
        "xen" => Outcome::Warning(
            "The clock source is xen, which is slow: write tsc into \
             /sys/devices/system/clocksource/clocksource0/current_clocksource.",
        ),
        _ => Outcome::Fine,
    };
    let overcommit = match facts.overcommit.as_str() {
        "" => Outcome::Unknown,
        "2" => Outcome::Warning(
            "vm.overcommit_memory is 2: allocations fail while memory is free. Run sysctl vm.overcommit_memory=1, and \
             put it into /etc/sysctl.conf.",
        ),
        _ => Outcome::Fine,
    };
    let huge_pages = match facts.huge_pages.split(['[', ']']).nth(1).unwrap_or_default() {
        "" => Outcome::Unknown,
        "always" => Outcome::Warning(
            "Transparent huge pages are always on: memory and latency jump. The server takes itself out of it while \
             disable-thp is yes, which is the default.",
        ),
        _ => Outcome::Fine,
    };
    let rdrand = match facts.rdrand {
        None => Outcome::Unknown,
        Some(true) => Outcome::Fine,
        Some(false) => Outcome::Warning(
            "The processor has no RDRAND, or hides it: in the operational environments of the module's certificate \
             it has. See holdfast fips status.",
        ),
    };
    [
        ("slow-clocksource", slow),
        ("xen-clocksource", xen),
        ("overcommit", overcommit),
        ("THP", huge_pages),
        ("rdrand", rdrand),
    ]
}

/// Passes of a memory test that is not told how many.
const PASSES: u32 = 50;

/// Fills memory and reads it back; true if all of it was what it had been. `words` are what stands behind `--test-memory`.
pub fn test_memory(words: &[OsString], out: &mut dyn Write) -> bool {
    let word = |n: usize| words.get(n).map(|w| w.to_string_lossy().parse::<u32>().ok().filter(|n| *n > 0));
    let (Some(Some(megabytes)), passes @ (None | Some(Some(_)))) = (word(0), word(1)) else {
        let _ =
            writeln!(out, "Please specify the amount of memory to test in megabytes, and the passes if not {PASSES}.");
        let _ = writeln!(out, "Example: holdfast server --test-memory 4096");
        return false;
    };
    let passes = passes.flatten().unwrap_or(PASSES);
    // More would drive others out of memory, or have the kernel end them.
    let available = available_megabytes(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    if available.is_some_and(|free| u64::from(megabytes) > free) {
        let _ = writeln!(out, "Only {} megabytes are available: name no more.", available.unwrap_or_default());
        return false;
    }
    let mut memory: Vec<u64> = Vec::new();
    let count = (megabytes as usize) << 17;
    if memory.try_reserve_exact(count).is_err() {
        let _ = writeln!(out, "{megabytes} megabytes cannot be had.");
        return false;
    }
    memory.resize(count, 0);
    for pass in 1..=passes {
        let _ = write!(out, "\rTesting {megabytes} megabytes: pass {pass} of {passes}");
        let _ = out.flush();
        if let Some((at, want, found)) = first_fault(&mut memory, u64::from(pass)) {
            let _ = writeln!(out, "\n*** MEMORY ERROR DETECTED: word {at} was {want:016x} and reads {found:016x}");
            return false;
        }
    }
    let _ = writeln!(out, "\nYour memory passed this test.");
    true
}

/// Kilobytes of MemAvailable as megabytes.
fn available_megabytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kb| kb / 1024)
}

/// One pass of several patterns: each word's own place, noise, and all bits one way and the other.
fn first_fault(memory: &mut [u64], pass: u64) -> Option<(usize, u64, u64)> {
    // Marsaglia's multipliers spread a place over all bits.
    let noise = |at: usize| (at as u64 ^ (pass << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let patterns: [&dyn Fn(usize) -> u64; 5] = [
        &|at| at as u64,
        &noise,
        &|at| !noise(at),
        &|at| if at.is_multiple_of(2) { 0x5555_5555_5555_5555 } else { 0xaaaa_aaaa_aaaa_aaaa },
        &|at| if at.is_multiple_of(2) { 0xaaaa_aaaa_aaaa_aaaa } else { 0x5555_5555_5555_5555 },
    ];
    patterns.iter().find_map(|pattern| {
        for (at, word) in memory.iter_mut().enumerate() {
            *word = pattern(at);
        }
        // What was written is read, and not remembered.
        let memory = black_box(&mut *memory);
        memory.iter().enumerate().find_map(|(at, word)| {
            let want = pattern(at);
            (*word != want).then_some((at, want, *word))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(clock_source: &str, overcommit: &str, huge_pages: &str, rdrand: bool) -> Facts {
        Facts {
            clock_source: clock_source.into(),
            overcommit: overcommit.into(),
            huge_pages: huge_pages.into(),
            rdrand: Some(rdrand),
        }
    }

    #[test]
    fn each_check_warns_of_its_own_fact_and_says_what_it_cannot_tell() {
        let mut out = Vec::new();
        assert!(report(&facts("tsc", "0", "always [madvise] never", true), &mut out));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "[slow-clocksource]...OK\n[xen-clocksource]...OK\n[overcommit]...OK\n[THP]...OK\n[rdrand]...OK\n"
        );
        for (facts, name) in [
            (facts("acpi_pm", "1", "[never]", true), "slow-clocksource"),
            (facts("xen", "1", "[never]", true), "xen-clocksource"),
            (facts("tsc", "2", "[never]", true), "overcommit"),
            (facts("tsc", "1", "[always] never", true), "THP"),
            (facts("tsc", "1", "[never]", false), "rdrand"),
        ] {
            let warned: Vec<&str> =
                checks(&facts).iter().filter(|(_, o)| matches!(o, Outcome::Warning(_))).map(|(n, _)| *n).collect();
            assert_eq!(warned, [name]);
        }
        let mut out = Vec::new();
        assert!(report(&facts("", "", "", true), &mut out), "what is unknown is no warning");
        assert!(String::from_utf8(out).unwrap().starts_with("[slow-clocksource]...skipped\n"));
    }

    #[test]
    fn a_memory_test_says_how_it_ended_and_takes_no_more_than_there_is() {
        let tested = |words: &[&str]| {
            let mut out = Vec::new();
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let fine = test_memory(&words, &mut out);
            (fine, String::from_utf8(out).unwrap())
        };
        let (fine, said) = tested(&["1", "2"]);
        assert!(fine && said.ends_with("pass 2 of 2\nYour memory passed this test.\n"), "{said}");
        for words in [&[][..], &["0"], &["much"], &["1", "0"]] {
            assert!(!tested(words).0, "{words:?}");
        }
        assert_eq!(available_megabytes("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2));
        let (fine, said) = tested(&["4294967295"]);
        assert!(!fine && said.contains("name no more"), "{said}");
    }
}
