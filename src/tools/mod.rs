//! The command-line tools of the multi-call binary.

pub mod check_config;
pub mod cli;
pub mod container;
pub mod doctor;
pub mod fips;
