//! One function per requirement, the report, the start-up gate.
