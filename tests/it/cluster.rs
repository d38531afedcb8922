//! A cluster of one node.

use crate::support::{Server, check};

#[test]
fn a_node_serves_the_slots_it_was_given_and_knows_them_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nodes.conf");
    let words = ["--cluster-enabled", "yes", "--cluster-config-file", file.to_str().expect("text")];
    let server = Server::with(&words);
    let mut c = server.connect();
    check(
        &mut c,
        &[
            ("SET a 1", "-CLUSTERDOWN Hash slot not served"),
            ("CLUSTER ADDSLOTSRANGE 0 5460 5462 16383", "+OK"),
            ("CLUSTER ADDSLOTS 1", "-ERR Slot 1 is already busy"),
            ("SET a 1", "-CLUSTERDOWN The cluster is down"),
            ("CLUSTER ADDSLOTS 5461", "+OK"),
            ("SET {t}a 1", "+OK"),
            ("SET {t}b 2", "+OK"),
            ("MSET {t}a 1 b 2", "-CROSSSLOT Keys in request don't hash to the same slot"),
            ("CLUSTER KEYSLOT {t}a", ":15891"),
            ("CLUSTER COUNTKEYSINSLOT 15891", ":2"),
            ("SELECT 1", "-ERR DB index is out of range"),
            ("REPLICAOF 127.0.0.1 1", "-ERR REPLICAOF not allowed in cluster mode."),
            ("CLUSTER FLUSHSLOTS", "-ERR DB must be empty to perform CLUSTER FLUSHSLOTS."),
            ("MULTI", "+OK"),
            ("SET {t}a 3", "+QUEUED"),
            ("SET x 3", "+QUEUED"),
            ("EXEC", "-CROSSSLOT Keys in request don't hash to the same slot"),
            ("GET {t}a", "\"1\""),
        ],
    );
    assert!(c.line("CLUSTER MEET 127.0.0.1 7000").to_string().contains("not there yet"));
    assert!(c.line("CLUSTER INFO").to_string().contains("cluster_state:ok"));
    assert!(c.line("INFO server").to_string().contains("redis_mode:cluster"));
    let id = c.line("CLUSTER MYID").to_string();
    drop((c, server));
    let again = Server::with(&words);
    let mut c = again.connect();
    assert_eq!(c.line("CLUSTER MYID").to_string(), id);
    assert!(c.line("CLUSTER NODES").to_string().contains("myself,master - 0 0 0 connected 0-16383"));
}

#[test]
fn a_server_outside_a_cluster_says_so() {
    let server = Server::with(&[]);
    let text = "-ERR This instance has cluster support disabled";
    check(&mut server.connect(), &[("CLUSTER INFO", text), ("CLUSTER MEET 127.0.0.1 7000", text)]);
}
