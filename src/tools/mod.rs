//! The command-line tools of the multi-call binary.

pub mod audit;
pub mod check_config;
pub mod cli;
pub mod container;
pub mod doctor;
mod elf;
pub mod evidence;
pub mod fips;
