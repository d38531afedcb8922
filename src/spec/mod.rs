//! Command metadata as data: arity, flags, key specifications, ACL categories, documentation.
