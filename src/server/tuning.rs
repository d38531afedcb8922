//! Directives about the process itself: the kernel's out-of-memory score, the key of the key space's hash, the report of a crash.

use super::boot::BootError;
use super::{title, watchdog};
use crate::base::hash::{self, HashKey};
use crate::base::{crash, memory, process};
use crate::commands::Node;
use crate::config::Config;
use crate::config::types::OomScoreAdj;
use crate::crypto;
use crate::journal::State;
use parking_lot::Mutex;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the key of the hash of keys: drawn by the module, or derived from `hash-seed` so that several servers order keys alike.
pub fn seed_hash(config: &Config) -> Result<(), BootError> {
    let seed = &config.general.hash_seed;
    let key: [u8; 16] = if seed.is_empty() {
        crypto::random_array().map_err(|e| BootError(e.to_string()))?
    } else {
        *crypto::sha256(seed.as_bytes()).first_chunk().expect("a digest of 32 bytes")
    };
    let (a, b) = key.split_at(8);
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().expect("eight bytes"));
    hash::seed(HashKey(word(a), word(b)));
    Ok(())
}

/// The score before this server changed it; `None` while it has not.
static OOM_BASE: Mutex<Option<i32>> = Mutex::new(None);

/// Sets the score that `oom-score-adj` asks for, or gives back the one there was.
///
/// # Errors
/// The kernel's, as where an unprivileged process asks to be spared.
pub fn apply_oom_score(config: &Config, replica: bool) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("Failed to set the process's oom_score_adj: {e}");
    let mut base = OOM_BASE.lock();
    let [primary, of_replica, _] = config.general.oom_score_adj_values;
    let value = if replica { of_replica } else { primary };
    let wanted = match (config.general.oom_score_adj, *base) {
        (OomScoreAdj::No, None) => return Ok(()),
        (OomScoreAdj::No, Some(before)) => {
            *base = None;
            before
        }
        (mode, before) => {
            let before = match before {
                Some(before) => before,
                None => process::oom_score_adj().map_err(failed)?,
            };
            *base = Some(before);
            if mode == OomScoreAdj::Absolute { value } else { before.saturating_add(value) }
        }
    };
    process::set_oom_score_adj(wanted.clamp(-1000, 1000)).map_err(failed)
}

fn apply_allocator_thread(config: &Config) -> Result<(), String> {
    let set = memory::give_back_in_background(config.general.jemalloc_bg_thread);
    if set { Ok(()) } else { Err("the allocator cannot run a thread of its own (jemalloc-bg-thread)".into()) }
}

/// Whether a crash is reported at length.
static CRASH_LOG: AtomicBool = AtomicBool::new(true);

/// Logs a panic: with where it came from, unless `crash-log-enabled no`.
pub fn report_panic(info: &PanicHookInfo<'_>) {
    if !CRASH_LOG.load(Ordering::Relaxed) {
        tracing::error!("{info}");
        return;
    }
    let trace = std::backtrace::Backtrace::force_capture();
    tracing::error!("=== HOLDFAST BUG REPORT START: Cut & paste starting from here ===");
    tracing::error!("{info}");
    for line in trace.to_string().lines() {
        tracing::error!("{line}");
    }
    tracing::error!("=== HOLDFAST BUG REPORT END ===");
}

fn report_crashes(on: bool) {
    CRASH_LOG.store(on, Ordering::Relaxed);
    crash::enable(on);
}

/// Applies what the configuration says now, and what it will say.
pub fn apply(node: &Arc<Node>, config: &Config) {
    report_crashes(config.general.crash_log_enabled);
    let replica = node.journal.state() == State::Following;
    let watchdog = watchdog::want(node, config.general.watchdog_period_ms.into());
    for result in [apply_oom_score(config, replica), apply_allocator_thread(config), watchdog] {
        if let Err(e) = result {
            tracing::warn!("{e}");
        }
    }
    title::apply(config, node.config.file());
    let titled = Arc::downgrade(node);
    node.config.on_change(
        &["proc-title-template", "bind", "port", "tls-port"],
        Box::new(move |_, new| {
            if let Some(node) = titled.upgrade() {
                title::apply(new, node.config.file());
            }
            Ok(())
        }),
    );
    let watched = Arc::downgrade(node);
    node.config.on_change(
        &["watchdog-period"],
        Box::new(move |_, new| match watched.upgrade() {
            Some(node) => watchdog::want(&node, new.general.watchdog_period_ms.into()),
            None => Ok(()),
        }),
    );
    node.config.on_change(&["jemalloc-bg-thread"], Box::new(|_, new| apply_allocator_thread(new)));
    node.config.on_change(
        &["crash-log-enabled"],
        Box::new(|_, new| {
            report_crashes(new.general.crash_log_enabled);
            Ok(())
        }),
    );
    let of_role = Arc::downgrade(node);
    node.config.on_change(
        &["oom-score-adj", "oom-score-adj-values"],
        Box::new(move |_, new| {
            apply_oom_score(new, of_role.upgrade().is_some_and(|node| node.journal.state() == State::Following))
        }),
    );
}
