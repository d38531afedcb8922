//! Versions this server answers as, where clients ask what they talk to and act on it.

/// The server it behaves like: clients compare it before they use a command.
pub const VALKEY_VERSION: &str = "9.1.2";
/// What `redis_version` says there: the last version of the older name with the same commands.
pub const REDIS_VERSION: &str = "7.2.4";
