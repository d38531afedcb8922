//! The command-line tools of the multi-call binary.

pub mod cli;
