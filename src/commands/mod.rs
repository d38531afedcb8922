//! The table and the handlers, a file per topic, row and handler side by side.
