#!/usr/bin/env python3
"""Clients move from a running Valkey or Redis to Holdfast, and back where there is a way, while they write all the time.

  moving.py HOLDFAST [--from 8.1] [--from 9.1] [--from redis]

As docs/migration.md says it, with passwords, in plaintext and over TLS: Holdfast follows, the old server is told to FAILOVER, and follows Holdfast then; the other
way round afterwards. And by hand: CLIENT PAUSE, REPLICAOF NO ONE. In the end every write that was answered is there, and the digests are equal.
"""
import argparse
import shutil
import threading
import time

from peers import Failed, Process, certificates, end_all, find, free_port, scratch, skip, wait_for

PASSWORD = "the password of both"


class Writer(threading.Thread):
    """Writes to whoever it is pointed at, or to the other when it is refused, and remembers what was answered."""

    def __init__(self, number, servers):
        super().__init__(daemon=True)
        self.number, self.servers, self.going = number, list(servers), True
        self.answered, self.longest, self.last = [], 0.0, None
        self.start()

    def run(self):
        n, client = 0, None
        while self.going:
            try:
                client = client or self.servers[0].client(30.0)
                n += 1
                client("SET", f"moving:{self.number}:{n}", n)
                now = time.monotonic()
                self.longest, self.last = max(self.longest, now - (self.last or now)), now
                self.answered.append(n)
            except (OSError, Failed, ValueError):
                self.servers.reverse()
                client = None
                time.sleep(0.01)

    def lost(self, client):
        found = client.many([("GET", f"moving:{self.number}:{n}") for n in self.answered])
        return [n for n, value in zip(self.answered, found) if value != str(n).encode()]


def play(a, kind, tls, by_hand, root):
    server = shutil.which("redis-server") if kind == "redis" else find(kind) and find(kind) / "valkey-server"
    if not server:
        print(f"skipped: no server of {kind} is at hand")
        return
    common = [f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"', 'save ""', "enable-debug-command yes", "repl-diskless-sync-delay 0"]
    context, ports = None, [free_port(), free_port()]
    if tls:
        folder, context = certificates(root)
        common += ["tls-replication yes", f"tls-cert-file {folder}/server.crt", f"tls-key-file {folder}/server.key", f"tls-ca-cert-file {folder}/ca.crt"]
    link = [[f"tls-port {p}", "port 0"] if tls else [f"port {p}"] for p in ports]
    ours = [] if tls else [f"tls-port {free_port()}", "tls-replication no", "allow-plaintext local"]
    old = Process(root, "old", [server], [*common, *link[0]], ports[0], context, (PASSWORD,))
    o = old.client(60)
    o("DEBUG", "POPULATE", 100_000, "bulk", 40)
    new = Process(root, "new", [a.holdfast, "server"], [*common, *link[1], *ours, f"replicaof 127.0.0.1 {ports[0]}"], ports[1], context, (PASSWORD,))
    n = new.client(60)
    writers = [Writer(i, (old, new)) for i in range(3)]
    up = lambda c: c.info("replication").get("master_link_status") == "up"
    wait_for("it follows", lambda: up(n))
    time.sleep(1)

    def change(this, that, port):
        this("FAILOVER", "TO", "127.0.0.1", port, "TIMEOUT", 10000)
        wait_for("they have changed places", lambda: that.info("replication")["role"] == "master" and up(this), 30)

    def halt():
        time.sleep(1)
        for w in writers:
            w.going = False
            w.join(35)

    if by_hand:
        o("CLIENT", "PAUSE", 10000, "WRITE")
        level = lambda: o.info("replication")["master_repl_offset"] == n.info("replication")["slave_repl_offset"]
        wait_for("the offsets are equal", level, 9, 0.01)
        n("REPLICAOF", "NO", "ONE")
        if kind == "redis":
            old.kill()
        else:
            o("REPLICAOF", "127.0.0.1", ports[1])
            # Who waits there would wait until the pause ends.
            o("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    else:
        change(o, n, ports[1])
        time.sleep(1)
        if kind != "redis":
            change(n, o, ports[0])
            time.sleep(1)
            change(o, n, ports[1])
    halt()
    lost = [x for w in writers for x in w.lost(n)]
    count = sum(len(w.answered) for w in writers)
    assert not lost, f"{kind}: {len(lost)} of {count} writes that were answered are lost"
    same = ""
    if not (by_hand and kind == "redis"):
        wait_for("the digests are equal", lambda: up(o) and o("DEBUG", "DIGEST") == n("DEBUG", "DIGEST"), 30, 0.3)
        same = f"; the old one follows, with the same digest, {n.info('stats')['sync_full']} full synchronisations"
    print(f"{kind}{', TLS' if tls else ''}{', by hand' if by_hand else ''}: {count} writes were answered, none is lost, the longest waited "
          f"{max(w.longest for w in writers):.2f} s{same}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--from", action="append", dest="kinds")
    a = parser.parse_args()
    if not find("9.1"):
        skip("no Valkey is at hand")
    for kind in a.kinds or ["8.1", "9.1", "redis"]:
        for tls in (False, True):
            for by_hand in (False, True):
                with scratch() as root:
                    try:
                        play(a, kind, tls, by_hand, root)
                    finally:
                        end_all()
    print("ok")


if __name__ == "__main__":
    main()
