//! Whether this processor can run this build. Asked first of all, so that an older one gets a sentence instead of SIGILL.
//!
//! The standard library's detection answers at compile time for features the build assumes, so the processor itself is
//! asked here.

/// What the build assumes and the processor lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    pub missing: Vec<&'static str>,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "this build needs an x86-64-v3 processor (Haswell, Zen or later); this one lacks {}. The portable build \
             (make portable) runs on any x86-64.",
            self.missing.join(", ")
        )
    }
}

impl std::error::Error for Unsupported {}

/// Refuses a processor older than the one this build is tuned for. A portable build accepts all.
pub fn require() -> Result<(), Unsupported> {
    #[cfg(target_arch = "x86_64")]
    if cfg!(target_feature = "avx2") {
        let missing = missing_of_v3(&Registers::read());
        if !missing.is_empty() {
            return Err(Unsupported { missing });
        }
    }
    Ok(())
}

/// The words of `cpuid` that name the features of x86-64-v3.
#[cfg(target_arch = "x86_64")]
struct Registers {
    leaf1_ecx: u32,
    leaf7_ebx: u32,
    extended1_ecx: u32,
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    fn read() -> Self {
        use core::arch::x86_64::{__cpuid, __cpuid_count};
        let leaf7_ebx = if __cpuid(0).eax >= 7 { __cpuid_count(7, 0).ebx } else { 0 };
        let extended1_ecx = if __cpuid(0x8000_0000).eax >= 0x8000_0001 { __cpuid(0x8000_0001).ecx } else { 0 };
        Self { leaf1_ecx: __cpuid(1).ecx, leaf7_ebx, extended1_ecx }
    }
}

#[cfg(target_arch = "x86_64")]
fn missing_of_v3(r: &Registers) -> Vec<&'static str> {
    let features = [
        ("SSE4.2", r.leaf1_ecx, 20),
        ("POPCNT", r.leaf1_ecx, 23),
        ("FMA", r.leaf1_ecx, 12),
        ("MOVBE", r.leaf1_ecx, 22),
        ("F16C", r.leaf1_ecx, 29),
        ("AVX", r.leaf1_ecx, 28),
        // The operating system saves the wide registers.
        ("OSXSAVE", r.leaf1_ecx, 27),
        ("BMI1", r.leaf7_ebx, 3),
        ("AVX2", r.leaf7_ebx, 5),
        ("BMI2", r.leaf7_ebx, 8),
        ("LZCNT", r.extended1_ecx, 5),
    ];
    features.into_iter().filter(|(_, word, bit)| word & (1 << bit) == 0).map(|(name, _, _)| name).collect()
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_machine_that_runs_the_tests_can_run_the_build() {
        assert_eq!(require(), Ok(()));
    }

    #[test]
    fn an_older_processor_is_refused_by_the_names_of_what_it_lacks() {
        // Ivy Bridge: AVX and F16C, nothing of leaf 7 but FSGSBASE.
        let ivy = Registers { leaf1_ecx: 0x7fbae3ff & !(1 << 12) & !(1 << 22), leaf7_ebx: 1, extended1_ecx: 1 };
        let missing = missing_of_v3(&ivy);
        assert_eq!(missing, ["FMA", "MOVBE", "BMI1", "AVX2", "BMI2", "LZCNT"]);
        assert!(Unsupported { missing }.to_string().contains("lacks FMA, MOVBE, BMI1, AVX2"));
    }
}
