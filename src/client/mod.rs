//! Client state, output, the registry of clients.
