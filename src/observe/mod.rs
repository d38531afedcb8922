//! INFO and logs.

pub mod info;
pub mod logs;
