//! Any bytes as an ACL file: users or faults, never a panic; and users that were read are read the same from their own text.
#![no_main]

use holdfast::acl::{Acl, Policy, file};
use holdfast::commands::{CommandTable, FAMILIES};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new(FAMILIES, &[]).expect("no renames"));

fuzz_target!(|bytes: &[u8]| {
    let acl = Acl::new(TABLE.catalog());
    if let Ok(users) = file::parse(&acl, bytes, "f", &Policy::default()) {
        acl.replace_all(users);
        let text = file::text(&acl);
        let again = file::parse(&acl, &text, "f", &Policy::default()).expect("its own text");
        acl.replace_all(again);
        assert_eq!(file::text(&acl), text);
    }
});
