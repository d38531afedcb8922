#!/usr/bin/env python3
"""Files pass both ways between Holdfast and Valkey: every type and encoding, and many keys, with equal DEBUG DIGEST on both sides.

  exchange.py HOLDFAST [--peer 8.1] [--peer 9.1] [--keys 1000000]

For each peer: a data set is made on the one side and saved, the other side starts on a copy of the folder and has the same digest; by the snapshot file
and by the append-only folder (a base, and increments behind it), in both directions. Holdfast writes `rdb-version 8.1` for a Valkey 8.1, which has no hash fields with deadlines.
"""
import argparse
import random
import shutil
from pathlib import Path

from peers import Failed, Process, end_all, find, free_port, scratch, skip, wait_for


def every_type(fields):
    """Small and big values of every type, so that each encoding is there."""
    # Scores are quarters: of some one in a thousand others Valkey does not print the shortest digits, and its digest is of what it prints.
    dice, out = random.Random(7), []
    text = lambda n: "".join(dice.choice("abcdefghij") for _ in range(n))
    out += [("SET", "int", 12345), ("SET", "negative", -1), ("SET", "embstr", "short"), ("SET", "raw", text(5000)), ("SET", "same", "x" * 20000),
            ("SET", b"binary\x00\xff", bytes(range(256))), ("SET", "empty", ""), ("SET", "expires", "v", "PXAT", 4102444800000)]
    for size, count in (("small", 8), ("big", 3000)):
        out += [("RPUSH", f"list-{size}", *(text(9) for _ in range(count))), ("RPUSH", f"list-int-{size}", *range(count)),
                ("SADD", f"intset-{size}", *range(count)), ("SADD", f"set-{size}", *(text(9) for _ in range(count))),
                ("HSET", f"hash-{size}", *(w for n in range(count) for w in (f"f{n}", text(9)))),
                ("ZADD", f"zset-{size}", *(w for n in range(count) for w in (dice.randrange(-10**9, 10**9) / 4, f"m{n}")))]
        out += [("XADD", f"stream-{size}", f"{n + 1}-{n}", "field", text(5), "other", n) for n in range(count)]
    out += [("RPUSH", "list-long", text(20000), "x", text(9000)), ("ZADD", "zset-inf", "inf", "a", "-inf", "b", "1.5", "c"),
            ("HSET", "hash-long", "f", text(1000)), ("SADD", "set-mixed", 1, "two", 3)]
    out += [("XDEL", "stream-small", "3-2"), ("XGROUP", "CREATE", "stream-small", "g", "0"), ("XGROUP", "CREATE", "stream-big", "g", "5-4"),
            ("XREADGROUP", "GROUP", "g", "alice", "COUNT", 4, "STREAMS", "stream-small", ">"), ("XACK", "stream-small", "g", "1-0"),
            ("XREADGROUP", "GROUP", "g", "bob", "COUNT", 500, "STREAMS", "stream-big", ">"), ("XGROUP", "CREATECONSUMER", "stream-small", "g", "idle")]
    out += [("PFADD", "hll", *(text(6) for _ in range(2000))), ("PFADD", "hll-small", "a", "b"), ("SETBIT", "bits", 100000, 1),
            ("GEOADD", "geo", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")]
    if fields:
        out += [("HSET", "hash-deadlines", *(w for n in range(40) for w in (f"f{n}", n))), ("HPEXPIREAT", "hash-deadlines", 4102444800000, "FIELDS", 2, "f1", "f2")]
    out += [("SELECT", 3), ("SET", "in-three", "v"), ("RPUSH", "l", 1, 2), ("SELECT", 0)]
    return out


def fill(client, keys, fields):
    for reply in client.many(every_type(fields)):
        if isinstance(reply, Failed):
            raise reply
    for begin in range(0, keys, 5000):
        replies = client.many([("SET", f"key:{n}", f"value:{n * 7919}") for n in range(begin, min(begin + 5000, keys))])
        assert not any(isinstance(r, Failed) for r in replies)


def later(client, keys):
    """Changes that stand in increments behind the base."""
    client.many([("INCR", "counter") for _ in range(50)] + [("DEL", f"key:{n}") for n in range(0, min(keys, 5000), 3)])
    client.many([("MULTI",), ("LPUSH", "list-small", "front"), ("ZINCRBY", "zset-small", 2.5, "m1"), ("EXEC",), ("SPOP", "set-big", 10), ("EXPIRE", "raw", 100000)])


def start(root, name, words, directives, files=None):
    port = free_port()
    folder = Path(root) / name
    server = Process.__new__(Process)
    if files:
        # The folder has to be there before the server: what it is to load stands in it.
        original = Path.mkdir
        original(folder)
        for entry in files.iterdir():
            if entry.suffix == ".rdb" or entry.is_dir():
                (shutil.copytree if entry.is_dir() else shutil.copy)(entry, folder / entry.name)
        Path.mkdir = lambda self, *a, **k: None if self == folder else original(self, *a, **k)
        try:
            server.__init__(root, name, words, [f"port {port}", *directives], port)
        finally:
            Path.mkdir = original
    else:
        server.__init__(root, name, words, [f"port {port}", *directives], port)
    wait_for("it has loaded", lambda: server.client()("DBSIZE") >= 0, 600)
    return server


def digest(server):
    return server.client(600)("DEBUG", "DIGEST")


def exchange(root, label, maker, taker, keys, fields, by):
    """`maker` and `taker` are words and directives."""
    common = ["save \"\"", "enable-debug-command yes", "auto-aof-rewrite-percentage 0", f"appendonly {'yes' if by == 'aof' else 'no'}"]
    one = start(root, f"{label}-from", maker[0], [*maker[1], *common])
    client = one.client(600)
    fill(client, keys, fields)
    if by == "aof":
        client("BGREWRITEAOF")
        wait_for("the rewrite", lambda: one.client().info("persistence")["aof_rewrite_in_progress"] == "0" and
                 one.client().info("persistence")["aof_rewrite_scheduled"] == "0", 600)
        later(client, keys)
        want = digest(one)
    else:
        want = digest(one)
        client("SAVE")
    count = client("DBSIZE")
    one.process.terminate()
    one.process.wait()
    two = start(root, f"{label}-to", taker[0], [*taker[1], *common], one.dir)
    got = digest(two)
    assert got == want, f"{label}: {want} became {got}; {two.tail()}"
    two.kill()
    print(f"{label}: {count} keys, digest {want if isinstance(want, str) else want.decode()}", flush=True)
    for s in (one, two):
        shutil.rmtree(s.dir)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("holdfast")
    p.add_argument("--peer", action="append")
    p.add_argument("--keys", type=int, default=1_000_000)
    a = p.parse_args()
    holdfast = str(Path(a.holdfast).resolve())
    peers = [(v, find(v)) for v in a.peer or ["8.1", "9.1"]]
    peers = [(v, d) for v, d in peers if d] or skip("no Valkey is at hand")
    with scratch() as root:
        try:
            for version, folder in peers:
                new = not version.startswith("8")
                theirs = [[folder / "valkey-server"], ["enable-protected-configs yes"]]
                ours = [[holdfast, "server"], ["tls-port 0", "allow-plaintext local", f"rdb-version {'9.1' if new else '8.1'}"]]
                for by in ("rdb", "aof"):
                    exchange(root, f"{version}-{by}-in", theirs, ours, a.keys, new, by)
                    exchange(root, f"{version}-{by}-out", ours, theirs, a.keys, new, by)
        finally:
            end_all()


if __name__ == "__main__":
    main()
