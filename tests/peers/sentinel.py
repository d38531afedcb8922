#!/usr/bin/env python3
"""Real sentinels fail a primary over, and no acknowledged write is lost.

  sentinel.py HOLDFAST [--plaintext] [--rounds N] [--within SECONDS] [--endless-script]

Three valkey-sentinel of Valkey 9.1 watch a primary and two replicas over TLS (mutual), with down-after 2 s. A writer logs each write that WAIT
says all connected replicas have. Each round kills the primary (SIGKILL), measures until the next acknowledged write, looks for every logged
write in the new primary, starts the old one again and waits until it follows. Then: SENTINEL FAILOVER by hand, and if asked for a script that
never ends, which the sentinels kill. Skips where Valkey's binaries are not at hand.
"""
import argparse
import threading
import time

from peers import Client, Failed, Process, certificates, end_all, find, free_port, scratch, skip, wait_for

NAME = "mymaster"
# What a sentinel needs, and no more.
RIGHTS = ("resetchannels &__sentinel__:hello -@all +multi +exec +slaveof +replicaof +ping +subscribe +publish +info +role +config|rewrite "
          "+client|setname +client|kill +script|kill")


class Writer(threading.Thread):
    """Writes to whoever the sentinels say leads, and logs what has been acknowledged."""

    def __init__(self, sentinels, tls):
        super().__init__(daemon=True)
        self.sentinels, self.tls = sentinels, tls
        self.acknowledged, self.at = {}, 0.0
        self.wanted, self.going, self.refused = 2, True, set()

    def primary(self):
        for s in self.sentinels:
            try:
                c = s.client(2.0)
                found = c("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
                c.close()
                return int(found[1])
            except (OSError, Failed, TypeError):
                continue
        raise ConnectionError("no sentinel knows a primary")

    def run(self):
        n = 0
        while self.going:
            try:
                c = Client(self.primary(), self.tls, 3.0)
                if c("ROLE")[0] != b"master":
                    raise ConnectionError("not a primary yet")
                while self.going:
                    n += 1
                    key = f"w:{n}"
                    wanted = self.wanted
                    c("SET", key, n)
                    if c("WAIT", wanted, 1000) >= wanted:
                        self.acknowledged[key] = str(n).encode()
                        self.at = time.monotonic()
            except (OSError, Failed) as e:
                self.refused.add(type(e).__name__ + ": " + str(e)[:80])
                time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--plaintext", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--endless-script", action="store_true", help="also a script that never ends, which the sentinels have to kill")
    parser.add_argument("--within", type=float, default=10.0)
    a = parser.parse_args()
    bins = find("9.1")
    if not bins or not (bins / "valkey-sentinel").exists():
        skip("valkey-sentinel 9.1 is not at hand (HOLDFAST_PEERS/valkey-9.1/bin)")
    with scratch() as root:
        try:
            run(a, bins, root)
        finally:
            end_all()


def run(a, bins, root):
    tls = None
    if not a.plaintext:
        folder, tls = certificates(root)

    def link(port, listens):
        if a.plaintext:
            return [f"port {port}", *(["tls-port 0", "tls-replication no", "allow-plaintext yes"] if listens else [])]
        return ["port 0", f"tls-port {port}", "tls-replication yes", f"tls-cert-file {folder}/server.crt",
                f"tls-key-file {folder}/server.key", f"tls-ca-cert-file {folder}/ca.crt", "tls-auth-clients yes"]

    ports = [free_port() for _ in range(3)]
    servers = {}
    for n, port in enumerate(ports):
        own = [f"user sentinel on >watch-{NAME} {RIGHTS}", "enable-debug-command yes", "min-replicas-to-write 1", "busy-reply-threshold 500", "repl-diskless-sync-delay 0"]
        own += [f"replicaof 127.0.0.1 {ports[0]}"] if n else []
        servers[port] = Process(root, f"server{n}", [a.holdfast, "server"], link(port, True) + own, port, tls)
    first = servers[ports[0]].client()
    wait_for("both replicas are online", lambda: sum(
        ",state=online," in v for k, v in first.info("replication").items() if k.startswith("slave")) == 2)
    sentinels = []
    for n in range(3):
        port = free_port()
        watch = [f"sentinel monitor {NAME} 127.0.0.1 {ports[0]} 2", f"sentinel down-after-milliseconds {NAME} 2000",
                 f"sentinel auth-user {NAME} sentinel", f"sentinel auth-pass {NAME} watch-{NAME}",
                 f"sentinel failover-timeout {NAME} 10000", f"sentinel parallel-syncs {NAME} 2"]
        sentinels.append(Process(root, f"sentinel{n}", [bins / "valkey-sentinel"], link(port, False) + watch, port, tls))

    def known(s):
        rows = s.client()("SENTINEL", "MASTER", NAME)
        row = dict(zip(rows[::2], rows[1::2]))
        return int(row[b"num-other-sentinels"]), int(row[b"num-slaves"]), row[b"flags"]

    begin = time.monotonic()
    wait_for("the sentinels know each other and the replicas", lambda: all(known(s) == (2, 2, b"master") for s in sentinels))
    print(f"the sentinels know each other and both replicas after {time.monotonic() - begin:.1f} s", flush=True)
    writer = Writer(sentinels, tls)
    writer.start()

    def settled():
        """The port of the primary that two connected replicas follow, at the same offset."""
        port = writer.primary()
        c = servers[port].client()
        rows = c.info("replication")
        return rows["role"] == "master" and sum(
            ",state=online," in v for k, v in rows.items() if k.startswith("slave") and k[5:].isdigit()) == 2 and port

    def check(port):
        c = servers[port].client()
        logged = dict(writer.acknowledged)
        keys = list(logged)
        lost = []
        for i in range(0, len(keys), 500):
            some = keys[i:i + 500]
            lost += [k for k, v in zip(some, c.many([("GET", k) for k in some])) if v != logged[k]]
        assert not lost, f"{len(lost)} of {len(keys)} acknowledged writes are lost, the first: {lost[:5]}"
        return len(keys)

    def follows_again(old):
        wait_for("the old primary follows", lambda: servers[old].client().info("replication")["role"] == "slave", 60)
        port = wait_for("two replicas follow the new primary", settled, 60)
        # SLAVEOF stands before CONFIG REWRITE in the sentinel's transaction: the file is written a moment after the role has changed.
        wait_for(f"the old primary's file names {port}", lambda: f"replicaof 127.0.0.1 {port}\n" in servers[old].conf.read_text(), 10)
        return port

    def same_data():
        port = wait_for("two replicas follow", settled)
        writer.going = False
        writer.join(10)

        def digests():
            found = {p: s.client()("DEBUG", "DIGEST") for p, s in servers.items()}
            return len(set(found.values())) == 1 and found[port]
        print(f"all three have digest {wait_for('all have the same data', digests, 20)}", flush=True)

    for round_ in range(a.rounds):
        old = wait_for("two replicas follow", settled)
        writer.wanted = 2
        before = len(writer.acknowledged)
        wait_for("some writes", lambda: len(writer.acknowledged) > before + 300)
        writer.wanted = 1
        servers[old].kill()
        at = time.monotonic()
        wait_for("writes go on", lambda: writer.at > at, 60)
        took = writer.at - at
        new = writer.primary()
        assert new != old
        n = check(new)
        print(f"round {round_}: {old} killed; writes go on at {new} after {took:.1f} s; all {n} acknowledged writes are there", flush=True)
        assert took < a.within, f"the failover took {took:.1f} s, more than {a.within}"
        servers[old].start()
        begin = time.monotonic()
        follows_again(old)
        print(f"round {round_}: the old primary follows again, {time.monotonic() - begin:.1f} s after it was started", flush=True)

    old = wait_for("two replicas follow", settled)
    # Until it is told otherwise the old primary leads the replica that was not chosen: what only that one has is not safe.
    writer.wanted = 2
    wait_for("the sentinels agree to fail over", lambda: sentinels[0].client()("SENTINEL", "FAILOVER", NAME) == "OK", 60, 0.5)
    begin = time.monotonic()
    wait_for("another leads", lambda: writer.primary() != old)
    new = writer.primary()
    print(f"SENTINEL FAILOVER: {old} -> {new} after {time.monotonic() - begin:.1f} s", flush=True)
    follows_again(old)
    check(writer.primary())

    if a.endless_script:
        port = wait_for("two replicas follow", settled)
        c = servers[port].client(30.0)
        begin = time.monotonic()
        reply = c.many([("EVAL", "while true do end", 0)])[0]
        assert isinstance(reply, Failed), reply
        print(f"a script without end was killed after {time.monotonic() - begin:.1f} s: {reply}", flush=True)
    same_data()
    print("ok")


if __name__ == "__main__":
    main()
