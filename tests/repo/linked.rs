//! What is in the binary. `HOLDFAST_BINARY` names another one to look at than the one built for the tests.

use crate::output;

fn symbols() -> Vec<String> {
    let binary = std::env::var("HOLDFAST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_holdfast").to_owned());
    let text = output("nm", &["--defined-only", "--format=posix", &binary]);
    text.lines().filter_map(|l| l.split(' ').next()).map(str::to_owned).collect()
}

/// `aws_lc_0_42_0_` and the like: what the crate of the module that is not validated puts before its names.
fn is_unvalidated(symbol: &str) -> bool {
    symbol
        .trim_start_matches('_')
        .strip_prefix("aws_lc_")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn the_validated_module_is_linked_and_no_other() {
    let symbols = symbols();
    let has = |part: &str| symbols.iter().any(|s| s.contains(part));
    assert!(has("awslc_version_string"), "the module's version symbol is gone: was the binary stripped?");
    assert!(has("aws_lc_fips_"), "the validated module's names are not there");
    let wrong: Vec<_> = symbols.iter().filter(|s| is_unvalidated(s)).take(10).collect();
    assert!(wrong.is_empty(), "symbols of the module that is not validated: {wrong:?}");
    for other in ["OPENSSL_init_ssl", "gnutls_init", "mbedtls_ssl_init", "wolfSSL_Init", "ring_core_", "sodium_init"] {
        let found: Vec<_> = symbols.iter().filter(|s| s.starts_with(other)).take(3).collect();
        assert!(found.is_empty(), "another cryptographic library is linked: {found:?}");
    }
}

#[test]
fn no_cryptographic_library_is_loaded_at_run_time() {
    let binary = std::env::var("HOLDFAST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_holdfast").to_owned());
    let dynamic = output("readelf", &["--dynamic", &binary]);
    let needed: Vec<&str> = dynamic.lines().filter(|l| l.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty(), "readelf was not understood: {dynamic}");
    for library in ["ssl", "crypto", "gnutls", "nss3", "sodium", "mbed"] {
        assert!(needed.iter().all(|l| !l.contains(&format!("lib{library}"))), "{needed:?}");
    }
}

#[test]
fn the_unvalidated_prefix_is_recognised() {
    assert!(is_unvalidated("aws_lc_0_42_0_EVP_sha1") && is_unvalidated("_aws_lc_0_42_0_x"));
    assert!(!is_unvalidated("aws_lc_fips_0_13_11_EVP_sha1"));
}
