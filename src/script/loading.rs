//! From a library's text to a library: for FUNCTION LOAD and RESTORE, and for files and full copies that hold some.

use super::functions::{Functions, Library, RegistryError, RestorePolicy, is_name};
use super::host::{Effects, Host, Stop};
use super::source::Header;
use super::vm::{Settings, with_vm};
use crate::base::clock;
use crate::resp::args::Args;
use crate::resp::reply::{Reply, Version};

/// How long the code of a library may run while it is being loaded; the number is Valkey's.
const LOAD_MS_MAX: u64 = 500;

/// While a library is loaded it asks for nothing, and not for long.
struct Loading {
    until_ms: u64,
}

impl Host for Loading {
    fn call(&mut self, _: Args<'_>, reply: &mut Reply) {
        reply.error(b"ERR commands are not called while a library is loaded");
    }
    fn set_version(&mut self, _: Version) {}
    fn set_effects(&mut self, _: Effects) {}
    fn may_run(&mut self, _: Args<'_>) -> Option<bool> {
        None
    }
    fn poll(&mut self) -> Option<Stop> {
        (clock::monotonic_ms() > self.until_ms).then_some(Stop::LoadTimeout)
    }
}

/// Compiles a library and runs its code once.
///
/// # Errors
/// The text of the error reply.
pub fn compile(functions: &Functions, settings: Settings, source: &[u8]) -> Result<Library, String> {
    let header = Header::of_library(source).map_err(|e| format!("ERR {e}"))?;
    if !is_name(&header.name) {
        return Err(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
                .into(),
        );
    }
    let id = functions.next_id();
    let loaded = with_vm(settings, |vm| {
        vm.follow_functions(functions.epoch(), |id| functions.is_current(id));
        let mut host = Loading { until_ms: clock::monotonic_ms() + LOAD_MS_MAX };
        vm.load(id, &source[header.len..], &mut host)
    });
    let infos = loaded.map_err(|e| format!("ERR {e}"))??;
    let name = String::from_utf8_lossy(&header.name).into_owned();
    Ok(Library { id, name, source: source.to_vec(), functions: infos })
}

/// Compiles several libraries; those before one that fails are dropped again.
///
/// # Errors
/// The text of the error reply.
pub fn compile_all(functions: &Functions, settings: Settings, sources: &[Vec<u8>]) -> Result<Vec<Library>, String> {
    let mut libraries = Vec::new();
    for source in sources {
        match compile(functions, settings, source) {
            Ok(library) => libraries.push(library),
            Err(e) => {
                let _ = with_vm(settings, |vm| libraries.iter().for_each(|l| vm.unload(l.id)));
                return Err(e);
            }
        }
    }
    Ok(libraries)
}

/// Compiles several libraries and keeps all of them or none.
///
/// # Errors
/// The text of the error reply.
pub fn keep_all(
    functions: &Functions,
    settings: Settings,
    sources: &[Vec<u8>],
    policy: RestorePolicy,
) -> Result<(), String> {
    let libraries = compile_all(functions, settings, sources)?;
    let ids: Vec<u64> = libraries.iter().map(|l| l.id).collect();
    functions.restore(libraries, policy).map_err(|e| {
        let _ = with_vm(settings, |vm| ids.iter().for_each(|id| vm.unload(*id)));
        match e {
            RegistryError::LibraryExists(name) => format!("ERR Library {name} already exists"),
            e => format!("ERR {e}"),
        }
    })
}
