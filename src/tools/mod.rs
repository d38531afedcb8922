//! The command-line tools of the multi-call binary.

pub mod audit;
pub mod backup;
pub mod check_aof;
pub mod check_config;
pub mod check_rdb;
pub mod check_system;
pub mod cli;
pub mod container;
pub mod doctor;
pub mod elf;
pub mod evidence;
pub mod fips;
pub mod restore;
