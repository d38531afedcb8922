//! MULTI and its lock plan.
