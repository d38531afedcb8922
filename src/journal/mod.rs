//! Effects in one total order, and the cursors that read them.
