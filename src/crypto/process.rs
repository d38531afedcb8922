//! What the module's security policy asks of the process around it: nobody looks into its memory.

/// Denies core dumps, and the attaching of a debugger by the same user. Returns false when the kernel refused.
pub fn deny_inspection() -> bool {
    // SAFETY: PR_SET_DUMPABLE takes one integer and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 }
}

/// Whether the process is as [`deny_inspection`] leaves it.
pub fn inspection_denied() -> bool {
    // SAFETY: PR_GET_DUMPABLE takes no argument and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 }
}
