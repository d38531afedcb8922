//! The multi-call binary: `argv[0]` or the first word chooses the tool.

fn main() {}
