//! Closing the connections of users who are gone, or who listen where they may no longer.
//!
//! The connection that asked gets its reply first.

use crate::acl::User;
use crate::client::{Client, Shared, SubscriptionKind};
use crate::commands::Node;
use std::sync::Arc;

fn close(node: &Node, asking: &mut Client, other: &Arc<Shared>) {
    if other.id == asking.id {
        asking.closing = true;
    } else {
        node.clients.kill(other, false);
    }
}

/// Closes the connections of users that were deleted.
pub fn users(node: &Node, asking: &mut Client, gone: &[Vec<u8>]) {
    if gone.is_empty() {
        return;
    }
    let gone: Vec<String> = gone.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
    for other in node.clients.all() {
        let theirs = gone.contains(&other.text.lock().user);
        if theirs {
            close(node, asking, &other);
        }
    }
}

/// Closes the connections of a user that are subscribed to what it may no longer hear.
pub fn without_channels(node: &Node, asking: &mut Client, user: &User) {
    let name = String::from_utf8_lossy(user.name()).into_owned();
    for kind in [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard] {
        let is_pattern = kind == SubscriptionKind::Pattern;
        for other in node.pubsub.subscribers_where(kind, |channel| !user.keeps_channel(channel, is_pattern)) {
            let theirs = other.text.lock().user == name;
            if theirs {
                close(node, asking, &other);
            }
        }
    }
}
