//! Commands on the connection itself.

mod auth;
mod basic;
mod client;
mod describe;
mod filter;
mod tracking;

use super::Command;

pub use describe::line as describe_client;

/// The family in reading order.
pub static COMMANDS: &[&Command] = &[
    &auth::AUTH,
    &auth::HELLO,
    &basic::PING,
    &basic::ECHO,
    &basic::SELECT,
    &basic::QUIT,
    &basic::RESET,
    &basic::READONLY,
    &basic::READWRITE,
    &client::CLIENT,
];

#[cfg(test)]
mod tests {
    use super::COMMANDS;
    use crate::acl::Policy;
    use crate::client::ReplyMode;
    use crate::commands::testing::NodeBench;
    use std::sync::atomic::Ordering;

    fn with_password() -> NodeBench {
        let mut b = NodeBench::new(&[COMMANDS]);
        b.node.acl.set_default_password(b"secret", &Policy::default()).expect("a password");
        b.client.sign_out(&b.node.acl);
        b
    }

    #[test]
    fn a_password_admits_the_default_user_and_nobody_else() {
        let mut b = with_password();
        const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
        b.check(&[
            ("auth wrong", WRONG),
            ("auth default wrong", WRONG),
            ("auth other secret", WRONG),
            ("auth default ''", WRONG),
        ]);
        assert!(!b.client.authenticated);
        b.check(&[("auth secret", "+OK\r\n")]);
        assert!(b.client.authenticated);
        b.check(&[("reset", "+RESET\r\n")]);
        assert!(!b.client.authenticated, "RESET signs out");
        b.check(&[("auth default secret", "+OK\r\n")]);
    }

    #[test]
    fn hello_needs_a_user_and_changes_nothing_before_it_has_one() {
        let mut b = with_password();
        assert!(b.run("hello 3").starts_with("NOAUTH HELLO must be called with the client already authenticated"));
        assert!(b.run("hello 3 auth default wrong setname x").starts_with("WRONGPASS"));
        assert_eq!(b.client.shared.text.lock().name, "");
        assert!(b.run("hello 3 auth default secret setname x").starts_with("%7\r\n$6\r\nserver\r\n"));
        assert_eq!(b.client.shared.text.lock().name, "x");
        assert!(b.run("hello").starts_with("%7\r\n"));
        assert!(b.run("hello 2").starts_with("*14\r\n"));
    }

    #[test]
    fn reset_puts_everything_back() {
        let mut b = NodeBench::new(&[COMMANDS]);
        b.check(&[
            ("select 3", "+OK\r\n"),
            ("client setname me", "+OK\r\n"),
            ("client no-touch on", "+OK\r\n"),
            ("client capa redirect", "+OK\r\n"),
        ]);
        b.client.transaction.open = true;
        b.client.reply_mode = ReplyMode::Off;
        b.check(&[("reset", "+RESET\r\n"), ("client getname", "$-1\r\n")]);
        assert_eq!((b.client.db, b.client.no_touch, b.client.in_multi()), (0, false, false));
        assert_eq!(b.client.reply_mode, ReplyMode::On);
    }

    #[test]
    fn databases_are_numbered_from_zero_to_the_last() {
        let out = "ERR DB index is out of range";
        NodeBench::new(&[COMMANDS]).check(&[
            ("select 15", "+OK\r\n"),
            ("select 16", out),
            ("select -1", out),
            ("select 4294967296", "ERR value is out of range, value must between -2147483648 and 2147483647"),
            ("select 1x", "ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn kill_spares_the_asking_client_unless_told_otherwise() {
        let mut b = NodeBench::new(&[COMMANDS]);
        let (two, three) = (b.neighbour(2), b.neighbour(3));
        b.check(&[("client kill 10.0.0.2:1", "+OK\r\n"), ("client kill 10.0.0.2:1", "ERR No such client")]);
        assert!(two.killed.load(Ordering::Relaxed) && !three.killed.load(Ordering::Relaxed));
        b.check(&[("client kill type normal", ":1\r\n")]);
        assert!(!b.client.closing);
        b.check(&[("client kill id 1 skipme no", ":1\r\n")]);
        assert!(b.client.closing);
    }

    #[test]
    fn a_pause_is_never_made_shorter_and_ends_when_told() {
        let mut b = NodeBench::new(&[COMMANDS]);
        b.check(&[("client pause 1000 write", "+OK\r\n"), ("client pause 10 all", "+OK\r\n")]);
        let p = *b.node.pause.lock();
        assert_eq!((p.until_ms, p.writes_only), (1_001_000, false));
        b.check(&[("client unpause", "+OK\r\n")]);
        assert!(!b.node.paused.load(Ordering::Relaxed));
        b.check(&[
            ("client pause -1", "ERR timeout is negative"),
            ("client pause 9223372036854775807", "ERR timeout is out of range"),
        ]);
    }
}
