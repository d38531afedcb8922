//! Security: passwords, users, and what is behind a lock of its own.

use std::path::PathBuf;

use crate::config::codec::{File, INT, OneOf, Password, YesNo, int};
use crate::config::row::{Standing, topic};
use crate::config::special::{Lines, Renames, UserLine, Users};
use crate::config::types::{AclPasswordHash, AclPubsubDefault, Limit, Permission, Rename, Secret};

topic! {
    /// Passwords, users, and what is behind a lock of its own.
    Security in security, "Security";

    /// Password of the default user; empty asks for none.
    "requirepass" => requirepass: Secret = Secret::default(), Password, Runtime, Secret, Standing::Works;
    /// File of users: a line `user NAME RULE ...` each. ACL LOAD reads it again, ACL SAVE writes it. Not together with `user`.
    "aclfile" => aclfile: Option<PathBuf> = None, File, Start, Open, Standing::Works;
    /// A user and its rules, as ACL SETUSER takes them; may repeat.
    "user" => users: Vec<UserLine> = Vec::new(), Users, Start, Unlisted, Standing::Works;
    /// Channels a new user may use.
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels, OneOf, Runtime, Open, Standing::Works;
    /// How clear passwords given to ACL SETUSER and requirepass are kept: `sha256` as other servers write it, or `pbkdf2`, salted and
    /// slow to guess, for passwords of 14 bytes and more.
    "acl-password-hash" => acl_password_hash: AclPasswordHash = AclPasswordHash::Sha256, OneOf, Runtime, Open, Standing::Works;
    /// With `acl-password-hash pbkdf2`: put a PBKDF2 hash in the place of a SHA-256 one when its user next signs in.
    "acl-password-upgrade" => acl_password_upgrade: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Failed logins from one address, or as one user, before the next ones have to wait; half of them are forgotten every ten seconds.
    "auth-throttle-after" => auth_throttle_after: u32 = 100, INT, Runtime, Open, Standing::Works;
    /// The longest a login waits because of failed ones before it, in milliseconds; 0 never waits.
    "auth-throttle-delay-max" => auth_throttle_delay_max_ms: u32 = 1000, int(0, 60_000), Runtime, Open, Standing::Works;
    /// Bytes a new clear password has at least.
    "acl-password-min-length" => acl_password_min_length: u32 = 0, int(0, 512), Runtime, Open, Standing::Works;
    /// Passwords of before that a user may not be given again with ACL SETUSER; they are kept as hashes, in the ACL file as
    /// `past#<hash>`, which other servers do not know. 0 keeps none.
    "acl-password-history" => acl_password_history: u32 = 0, int(0, 24), Runtime, Open, Standing::Works;
    /// Give a command another name, or take it away with an empty one; may repeat.
    "rename-command" => rename_command: Vec<Rename> = Vec::new(), Renames, Start, Unlisted, Standing::Works;
    /// Whether CONFIG SET may change directives that move files: `no`, `yes`, or `local` connections only.
    "enable-protected-configs" => enable_protected_configs: Permission = Permission::No, OneOf, Start, Open, Standing::Works;
    /// Whether DEBUG may be used: `no`, `yes`, or `local` connections only.
    "enable-debug-command" => enable_debug_command: Permission = Permission::No, OneOf, Start, Open, Standing::Works;
    /// Whether MODULE may be used: `no`, `yes`, or `local` connections only.
    "enable-module-command" => enable_module_command: Permission = Permission::No, OneOf, Start, Open, Standing::Inert("modules cannot be loaded");
    /// Let the process open no file but in the folders this configuration names, and start no program (Landlock, Linux 5.13 and later):
    /// `yes` does not start where the kernel cannot, `try` warns. What is set later to lie elsewhere cannot be opened.
    "landlock" => landlock: Limit = Limit::No, OneOf, Start, Open, Standing::Works;
    /// Let the process make no system call but those the server needs (seccomp): `yes` does not start where the kernel cannot, `try` warns.
    "seccomp" => seccomp: Limit = Limit::No, OneOf, Start, Open, Standing::Works;
    /// Load a module at start.
    "loadmodule" => loadmodule: Vec<String> = Vec::new(), Lines, Start, Unlisted, Standing::Missing("modules cannot be loaded");
}
