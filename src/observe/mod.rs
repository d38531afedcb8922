//! INFO, metrics, the HTTP endpoint and logs.

pub mod http;
pub mod info;
pub mod logs;
pub mod openmetrics;
