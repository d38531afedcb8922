//! Boot, wiring, periodic tasks, signals, shutdown.
