use crate::commands::connection;
use crate::commands::testing::NodeBench;
use crate::resp::reply::Version;

fn bench() -> NodeBench {
    NodeBench::new(&[super::COMMANDS, connection::COMMANDS])
}

#[test]
fn each_name_is_confirmed_with_the_count_of_channels_and_patterns() {
    bench().check(&[
        ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
        (
            "SUBSCRIBE a a b",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
        ),
        ("PSUBSCRIBE x*", "*3\r\n$10\r\npsubscribe\r\n$2\r\nx*\r\n:3\r\n"),
        ("SSUBSCRIBE s", "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n"),
        ("PUBSUB NUMSUB a z", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nz\r\n:0\r\n"),
        ("PUBSUB CHANNELS", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("PUBSUB CHANNELS b*", "*1\r\n$1\r\nb\r\n"),
        ("PUBSUB NUMPAT", ":1\r\n"),
        ("PUBSUB SHARDCHANNELS", "*1\r\n$1\r\ns\r\n"),
        ("PUBSUB SHARDNUMSUB s a", "*4\r\n$1\r\ns\r\n:1\r\n$1\r\na\r\n:0\r\n"),
        ("PUBLISH a m", ":1\r\n"),
        ("PUBLISH xyz m", ":1\r\n"),
        ("SPUBLISH s m", ":1\r\n"),
        ("SPUBLISH a m", ":0\r\n"),
        ("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
        ("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n"),
        ("PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$2\r\nx*\r\n:0\r\n"),
        ("SUNSUBSCRIBE s", "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n"),
        ("PUBLISH a m", ":0\r\n"),
        ("PING", "+PONG\r\n"),
    ]);
}

#[test]
fn resp3_confirms_with_pushes() {
    let mut b = bench();
    b.client.version = Version::Resp3;
    b.check(&[
        ("SUBSCRIBE a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"),
        ("PING", "+PONG\r\n"),
        ("SUNSUBSCRIBE", ">3\r\n$12\r\nsunsubscribe\r\n_\r\n:0\r\n"),
    ]);
}

#[test]
fn reset_ends_all_subscriptions() {
    let mut b = bench();
    b.run("SUBSCRIBE a");
    b.run("PSUBSCRIBE *");
    assert!(b.node.pubsub.is_heard());
    b.check(&[("RESET", "+RESET\r\n"), ("PUBLISH a m", ":0\r\n"), ("PUBSUB NUMPAT", ":0\r\n")]);
    assert!(!b.node.pubsub.is_heard() && b.client.subscriptions.is_empty());
}

#[test]
fn a_subscription_that_has_ended_delivers_nothing() {
    let mut b = bench();
    b.run("SUBSCRIBE a");
    let old = std::sync::Arc::clone(&b.client.subscriptions.channels[&b"a"[..]]);
    b.run("UNSUBSCRIBE a");
    b.run("SUBSCRIBE a");
    assert!(old.is_ended() && !b.client.subscriptions.channels[&b"a"[..]].is_ended());
}
