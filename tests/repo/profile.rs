//! The profile that the release build is laid out by (benches/profile).

use crate::root;

/// Names of functions hold the crate's version and the compiler's, so that a profile of others says nothing, and nobody would notice.
#[test]
fn the_profile_of_the_release_build_is_of_this_version_and_of_the_compiler_that_is_asked_for() {
    let folder = root().join("benches/profile");
    let about = std::fs::read_to_string(folder.join("about")).unwrap();
    let said =
        |name: &str| about.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {about}"));
    let remedy = "run benches/profile/train";
    assert_eq!(said("version: "), env!("CARGO_PKG_VERSION"), "{remedy}");
    let compiler = said("compiler: rustc ");
    assert!(compiler.starts_with(&format!("{}.", env!("CARGO_PKG_RUST_VERSION"))), "{compiler}: {remedy}");
    // The magic of LLVM's indexed profiles.
    let profile = std::fs::read(folder.join("release.profdata")).unwrap();
    assert!(profile.starts_with(b"\xfflprofi\x81"), "{remedy}");
}
