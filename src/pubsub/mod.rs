//! Publish and subscribe: who hears what.
//!
//! The [`Broker`] knows names and subscriptions. It must never know keys, connections or commands: what it sends goes through the
//! registry of clients to the workers that own them.

mod broker;

pub use broker::Broker;
