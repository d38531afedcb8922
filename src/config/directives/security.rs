//! Security: passwords, users, and what is behind a lock of its own.

use std::path::PathBuf;

use crate::config::codec::{File, OneOf, Password};
use crate::config::row::{Standing, topic};
use crate::config::special::{Lines, Renames};
use crate::config::types::{AclPubsubDefault, Permission, Rename, Secret};

const USERS: &str = "users come with access control lists; requirepass sets the default user's password";

topic! {
    /// Passwords, users, and what is behind a lock of its own.
    Security in security, "Security";

    /// Password of the default user; empty asks for none.
    "requirepass" => requirepass: Secret = Secret::default(), Password, Runtime, Secret, Standing::Works;
    /// File of users.
    "aclfile" => aclfile: Option<PathBuf> = None, File, Start, Open, Standing::Missing(USERS);
    /// A user and its rules; may repeat.
    "user" => users: Vec<String> = Vec::new(), Lines, Start, Unlisted, Standing::Missing(USERS);
    /// Channels a new user may use.
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels, OneOf, Runtime, Open, Standing::Later("access control lists are not there yet");
    /// Give a command another name, or take it away with an empty one; may repeat.
    "rename-command" => rename_command: Vec<Rename> = Vec::new(), Renames, Start, Unlisted, Standing::Works;
    /// Whether CONFIG SET may change directives that move files: `no`, `yes`, or `local` connections only.
    "enable-protected-configs" => enable_protected_configs: Permission = Permission::No, OneOf, Start, Open, Standing::Works;
    /// Whether DEBUG may be used: `no`, `yes`, or `local` connections only.
    "enable-debug-command" => enable_debug_command: Permission = Permission::No, OneOf, Start, Open, Standing::Works;
    /// Whether MODULE may be used: `no`, `yes`, or `local` connections only.
    "enable-module-command" => enable_module_command: Permission = Permission::No, OneOf, Start, Open, Standing::Inert("modules cannot be loaded");
    /// Load a module at start.
    "loadmodule" => loadmodule: Vec<String> = Vec::new(), Lines, Start, Unlisted, Standing::Missing("modules cannot be loaded");
}
