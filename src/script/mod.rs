//! Scripts: the VM, its sandbox, the libraries scripts know, and what the server keeps of them.
//!
//! The VM is Luau. Scripts are written for Lua 5.1, so `prelude.luau` gives back the names that Luau took away, and
//! `wording.rs` says errors in the words of Lua 5.1. What stays different: numbers that are made into text by `..` have their
//! shortest form instead of 14 digits.
//!
//! # Invariants
//! * A script gets nothing but what `prelude.luau` puts into its globals. They, the libraries and all metatables are read-only: no
//!   script leaves anything behind for another one.
//! * No bytecode is loaded, from nowhere.
//! * A VM belongs to one thread; a script runs in the VM of the thread that runs its command, from its beginning to its end.
//! * A VM's memory has a limit, and whoever runs a script is asked now and then whether it may go on.
//!
//! What a script calls goes through [`Host`]: this folder knows no command.

mod cache;
mod call;
mod convert;
pub mod debugger;
mod functions;
mod host;
pub mod library;
mod loading;
mod push;
pub mod reach;
mod running;
mod source;
mod vm;
mod wording;

pub use cache::{Cache, Locks, Script};
pub use functions::{FunctionInfo, Functions, Library, RegistryError, RestorePolicy, is_name};
pub use host::{Effects, Host, Received, Stop};
pub use loading::{compile, compile_all, keep_all};
pub use running::{KillError, Kind, Running, RunningScript};
pub use source::{Header, HeaderError, Rules};
pub use vm::{Arguments, Failure, Returned, Settings, Usage, Vm, VmError, forget, with_vm};

/// How this server makes VMs.
pub fn settings(config: &crate::config::Config) -> Settings {
    Settings {
        memory_limit: usize::try_from(config.memory.script_memory_limit).unwrap_or(usize::MAX),
        insecure: config.general.lua_enable_insecure_api,
    }
}

/// What the server keeps of scripts.
#[derive(Debug, Default)]
pub struct Scripts {
    pub cache: Cache,
    pub functions: Functions,
    pub running: Running,
}
