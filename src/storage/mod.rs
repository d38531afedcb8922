//! The only creator, renamer and fsyncer of files.
