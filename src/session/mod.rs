//! Bytes to commands, replies to bytes: the worker's loop.
