//! The snapshot file of the server.
