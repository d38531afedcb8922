//! Users, rules and the check.
