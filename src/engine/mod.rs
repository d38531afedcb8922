//! Admit, run, commit: the way of every command.
