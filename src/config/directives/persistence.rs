//! Persistence: snapshots and the append-only file.

use crate::config::codec::{FileName, INT, MEM_LONG, OneOf, TEXT, YesNo, int};
use crate::config::row::{Standing, topic};
use crate::config::special::Save;
use crate::config::types::{AppendFsync, EncryptionAtRest, RdbVersion, RdbVersionCheck, SavePoint};

/// Valkey's: an hour for one change, five minutes for a hundred, a minute for ten thousand.
fn default_points() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10_000)].map(|(after_secs, changes)| SavePoint { after_secs, changes }).to_vec()
}

topic! {
    /// Snapshots and the append-only file.
    Persistence in persistence, "Persistence";

    /// Take a snapshot after so many seconds with at least so many changes; may repeat, "" takes all away.
    "save" => save: Vec<SavePoint> = default_points(), Save, Runtime, Open, Standing::Works;
    /// Name of the snapshot file in `dir`.
    "dbfilename" => dbfilename: String = "dump.rdb".into(), FileName { name: "dbfilename", noun: "filename" }, Runtime, Protected, Standing::Works;
    /// Compress strings in snapshots.
    "rdbcompression" => rdbcompression: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Put a checksum at the end of snapshots.
    "rdbchecksum" => rdbchecksum: bool = true, YesNo, Start, Open, Standing::Works;
    /// Whether a snapshot of an unknown version is tried.
    "rdb-version-check" => rdb_version_check: RdbVersionCheck = RdbVersionCheck::Strict, OneOf, Runtime, Open, Standing::Works;
    /// The oldest Valkey that has to be able to load what is written. For 8.1 the deadlines of hash fields are left out.
    "rdb-version" => rdb_version: RdbVersion = RdbVersion::V9, OneOf, Runtime, Open, Standing::Works;
    /// Force snapshots to disk in steps while they are written.
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Delete the snapshot a replica has loaded its copy from, where neither `save` nor `appendonly` is on.
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Microseconds to wait after each saved key, for tests.
    "rdb-key-save-delay" => rdb_key_save_delay_us: i64 = 0, int(i32::MIN as i128, i32::MAX as i128), Runtime, Hidden, Standing::Works;
    /// Refuse writes after a snapshot failed.
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Write every change to an append-only file.
    "appendonly" => appendonly: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Name of the append-only files.
    "appendfilename" => appendfilename: String = "appendonly.aof".into(), FileName { name: "appendfilename", noun: "filename" }, Start, Open, Standing::Works;
    /// Folder of the append-only files, in `dir`.
    "appenddirname" => appenddirname: String = "appendonlydir".into(), FileName { name: "appenddirname", noun: "dirname" }, Start, Open, Standing::Works;
    /// When the append-only file is forced to disk: after each turn, every second, or when the kernel likes.
    "appendfsync" => appendfsync: AppendFsync = AppendFsync::Everysec, OneOf, Runtime, Open, Standing::Works;
    /// Do not force it while a rewrite or snapshot runs.
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Growth in percent at which the append-only file is rewritten; 0 never.
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: u32 = 100, INT, Runtime, Open, Standing::Works;
    /// Bytes below which it is not rewritten.
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20, MEM_LONG, Runtime, Open, Standing::Works;
    /// Load an append-only file whose end is cut off.
    "aof-load-truncated" => aof_load_truncated: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Start a rewritten append-only file with a snapshot; with `no` with the commands that make the same data, which is made of one and
    /// takes longer.
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, YesNo, Runtime, Open, Standing::Works;
    /// Note times in the append-only file.
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, YesNo, Runtime, Open, Standing::Works;
    /// Seal snapshots and append-only files with AES-256-GCM. `migrate` seals what is written and still loads plain files; `yes` refuses those.
    "encryption-at-rest" => encryption_at_rest: EncryptionAtRest = EncryptionAtRest::No, OneOf, Start, Open, Standing::Works;
    /// Where the keys come from: `file:PATH`, `env:NAME` or `command:PROGRAM ARGUMENTS`, a text with a key of 64 hexadecimal digits a line
    /// (`openssl rand -hex 32`). The first seals; those below it open older files. It is read at the start, when it is set, and at SIGHUP.
    "encryption-key-source" => encryption_key_source: String = String::new(), TEXT, Runtime, Protected, Standing::Works;
    /// Force a rewrite to disk in steps.
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, YesNo, Runtime, Open, Standing::Works;
}
