//! A row per directive; parser, rewrite, watchers.
