//! INFO and logs.
