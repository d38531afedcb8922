//! The validated module itself: which one it is, its mode, its self-tests on demand, its entropy.
//!
//! The calls below are the module's own interface and have no safe wrapper in its Rust crate.

use std::ffi::CStr;

use aws_lc_fips_sys as sys;

/// The CMVP certificate of the module this build is pinned to, of the FIPS 140-3 programme.
pub const CERTIFICATE: &str = "#5314";
/// What [`module_version`] must answer.
pub const MODULE_VERSION: &str = "AWS-LC FIPS 3.1.0";
/// Which lane of modules this build follows: `certified` (a certificate of its own) or `update-stream`.
pub const LANE: &str = "certified";

/// A test of the module that did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfTestFailed(pub &'static str);

impl std::fmt::Display for SelfTestFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the module's {} self-test failed", self.0)
    }
}

impl std::error::Error for SelfTestFailed {}

/// Where the module takes its entropy from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entropy {
    /// The processor's RDRAND, together with the operating system.
    RdrandAndOs,
    /// `getrandom(2)` alone.
    Os,
    /// The module was built to sample CPU jitter.
    CpuJitter,
}

impl Entropy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RdrandAndOs => "RDRAND and operating system",
            Self::Os => "operating system",
            Self::CpuJitter => "CPU jitter",
        }
    }
}

/// Whether the module runs in FIPS mode.
pub fn fips_mode() -> bool {
    aws_lc_rs::init();
    // SAFETY: takes no arguments, reads a constant of the initialised library.
    unsafe { sys::FIPS_mode() == 1 }
}

/// The version the linked module reports of itself.
pub fn module_version() -> &'static str {
    // SAFETY: the library returns a pointer to a string literal: NUL-terminated, never freed, never written.
    let text = unsafe { CStr::from_ptr(sys::awslc_version_string()) };
    text.to_str().unwrap_or("not UTF-8")
}

/// Runs the module's integrity test again, over its own code in memory.
///
/// In FIPS mode the module aborts the process on a failure, so that an `Err` is the weaker of two outcomes.
pub fn integrity_test() -> Result<(), SelfTestFailed> {
    aws_lc_rs::init();
    // SAFETY: takes no arguments; hashes the module's own text segment.
    if unsafe { sys::BORINGSSL_integrity_test() } == 1 { Ok(()) } else { Err(SelfTestFailed("integrity")) }
}

/// Runs the module's known-answer tests again. Fails as [`integrity_test`] does.
pub fn known_answer_tests() -> Result<(), SelfTestFailed> {
    aws_lc_rs::init();
    // SAFETY: takes no arguments; runs on the library's own vectors.
    if unsafe { sys::BORINGSSL_self_test() } == 1 { Ok(()) } else { Err(SelfTestFailed("known-answer")) }
}

/// Both, the integrity test first.
pub fn self_test() -> Result<(), SelfTestFailed> {
    integrity_test()?;
    known_answer_tests()
}

/// How many approved services the module has given this thread so far: its service indicator, which rises with each call that is
/// approved and with no other.
pub fn approved_services() -> u64 {
    aws_lc_rs::init();
    // SAFETY: takes no arguments, reads a counter of this thread.
    unsafe { sys::FIPS_service_indicator_after_call() }
}

/// The entropy source this module uses on this processor.
pub fn entropy() -> Entropy {
    if aws_lc_rs::try_fips_cpu_jitter_entropy().is_ok() {
        return Entropy::CpuJitter;
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("rdrand") {
        return Entropy::RdrandAndOs;
    }
    Entropy::Os
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_module_is_the_certified_one_in_fips_mode() {
        assert!(fips_mode());
        assert_eq!(module_version(), MODULE_VERSION);
    }

    #[test]
    fn self_tests_pass_on_demand() {
        assert_eq!(self_test(), Ok(()));
    }
}
