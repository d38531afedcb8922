//! Publish and subscribe.

mod inspect;
mod publish;
mod subscribe;

use super::Command;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &subscribe::SUBSCRIBE,
    &subscribe::UNSUBSCRIBE,
    &subscribe::PSUBSCRIBE,
    &subscribe::PUNSUBSCRIBE,
    &subscribe::SSUBSCRIBE,
    &subscribe::SUNSUBSCRIBE,
    &publish::PUBLISH,
    &publish::SPUBLISH,
    &inspect::PUBSUB,
];

#[cfg(test)]
mod tests;
