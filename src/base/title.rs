//! The title of the process, as ps and top show it.
//!
//! The kernel reads it from where it has put the words of the command line, and goes on into the environment behind them if the title
//! is longer. That memory is this process's own for the taking, once the environment stands elsewhere.
//!
//! # Invariants
//! * [`take`] comes before any other thread, since it moves the environment, and after the command line has been read.
//! * What is written stays within the memory the kernel named, and ends with a zero byte.

use parking_lot::Mutex;
use std::io;
use std::sync::OnceLock;

/// The memory, as address and length.
static ROOM: Mutex<Option<(usize, usize)>> = Mutex::new(None);

static NAME: OnceLock<String> = OnceLock::new();

/// What the process was called at its start.
pub fn name() -> &'static str {
    NAME.get().map_or("", String::as_str)
}

/// Numbers of the fields of `/proc/self/stat` (proc(5)), less the two before the closing bracket and one because they count from 1.
const ARG_START: usize = 48 - 3;

/// From here on the title can be set.
///
/// # Errors
/// The kernel does not say where it reads.
pub fn take() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let room = room(&stat).ok_or(io::ErrorKind::Unsupported)?;
    // What the process was called can be read no more once it has another title.
    let _ = NAME.set(std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned());
    // A name with a sign in it is no name that the C library sets; nobody asks for such a one.
    for (name, value) in std::env::vars_os().filter(|(name, _)| !name.as_encoded_bytes().contains(&b'=')) {
        // SAFETY: no other thread is there yet, as the module demands. The C library gives each variable new memory with this.
        unsafe { std::env::set_var(name, value) };
    }
    *ROOM.lock() = Some(room);
    Ok(())
}

/// From the first byte of the command line to the last of the environment, or of the command line where that does not follow it.
fn room(stat: &str) -> Option<(usize, usize)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut at = fields.split_ascii_whitespace().skip(ARG_START).map(|f| f.parse::<usize>().ok());
    let (start, end, more, last) = (at.next()??, at.next()??, at.next()??, at.next()??);
    let end = if more == end { last.max(end) } else { end };
    (start != 0 && end > start).then(|| (start, end - start))
}

/// Sets it, cut to the room there is. False if that was not taken.
pub fn set(title: &str) -> bool {
    let room = ROOM.lock();
    let Some((start, len)) = *room else { return false };
    let shown = &title.as_bytes()[..title.len().min(len - 1)];
    let start = start as *mut u8;
    // SAFETY: the kernel named these bytes as the command line and environment of this process: they are mapped, writable, and stay. Whoever
    // had borrowed from them has copies since `take`; the lock lets one thread write at a time.
    unsafe {
        std::ptr::copy_nonoverlapping(shown.as_ptr(), start, shown.len());
        std::ptr::write_bytes(start.add(shown.len()), 0, len - shown.len());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_found_behind_any_name() {
        let zeros = |n: usize| vec!["0"; n].join(" ");
        let line = |args: &str| format!("7 (a) b ) S {} {args} 0", zeros(ARG_START - 1));
        assert_eq!(room(&line("1000 1010 1010 1100")), Some((1000, 100)));
        assert_eq!(room(&line("1000 1010 1016 1100")), Some((1000, 10)), "something else stands between them");
        assert_eq!(room(&line("0 0 0 0")), None);
        assert_eq!(room("7 (a) S 1"), None);
    }

    #[test]
    fn this_kernel_says_where_it_is() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(room(&stat).is_some(), "{stat}");
    }
}
