//! INFO and logs.

pub mod logs;
