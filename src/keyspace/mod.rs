//! Slots, stripes, ordered locking; the table, expiry, eviction, watch, waiters. Knows no client, no command.
