//! The command-line tools of the multi-call binary.

pub mod audit;
pub mod check_config;
pub mod cli;
mod elf;
pub mod evidence;
pub mod fips;
