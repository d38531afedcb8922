//! The only user of the cryptographic module: provider, self-tests, digests, HMAC, sealing, random.
//!
//! # Invariants
//! - Every cryptographic operation of the program goes through here, or through rustls with [`provider`].
//! - [`provider`] offers nothing that is not approved: no ChaCha20, no CBC, no X25519 alone, no Ed25519.
//! - A failed self-test of the module ends the process (the module itself aborts); nothing here catches that.
//!
//! It must never know what its results are used for: no sockets, no files, no configuration.

mod digest;
mod module;
mod process;
mod provider;
mod random;
mod seal;

pub use digest::{
    HmacSha256, Sha1, Sha256, constant_time_eq, from_hex, hex, hmac_sha256, pbkdf2_sha256, sha1, sha1_hex, sha256,
    sha256_hex,
};
pub use module::{
    CERTIFICATE, Entropy, LANE, MODULE_VERSION, SelfTestFailed, approved_services, entropy, fips_mode, integrity_test,
    known_answer_tests, module_version, self_test,
};
pub use process::{deny_inspection, inspection_denied};
pub use provider::{APPROVED_GROUPS, APPROVED_SUITES, Suite, group_name, provider, suite_named, suite_of};
pub use random::{RandomFailed, fill_random, random_array, random_hex};
pub use seal::{SEAL_OVERHEAD, SealFailed, SealingKey};
