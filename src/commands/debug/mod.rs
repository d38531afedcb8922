//! Parts of DEBUG that look into values and tables: fingerprints of the data, how a value is kept, figures of tables, a reload.
//!
//! The command itself, its switches and who may use it stand in `server/debug.rs`.

pub mod cluster;
pub mod digest;
pub mod key;
pub mod reload;
pub mod table;
