#!/usr/bin/env python3
"""Mixed pairs under load: Holdfast and Valkey as primary and replica of each other, with a link that is cut again and again.

  mixed.py HOLDFAST [--peer 8.1] [--peer 9.1] [--peer redis] [--direction in|out] [--tls] [--cuts 50] [--keys N] [--seed N]

`in` replicates from the peer to Holdfast, `out` from Holdfast to the peer. It begins with every type and encoding and many keys. Every type,
scripts, functions, transactions, several databases, expiry, big values, and deletes of many keys are written by several writers while the
link is cut at random moments: by a proxy between the two, or by CLIENT KILL on either side. Most cuts are short: the
backlog suffices and the link must go on by a partial synchronisation. One cut outlasts a backlog that has been made small: a full one. In the end
the offsets and DEBUG DIGEST are equal. A peer that is not at hand is skipped, and so is the whole when none is. A seed fixes what is written
and when the link is cut; what is written between two cuts depends on the machine.
"""
import argparse
import random
import shutil
import socket
import threading
import time

from exchange import every_type
from peers import Client, Failed, Process, certificates, end_all, find, free_port, scratch, skip, wait_for


class Proxy(threading.Thread):
    """Passes bytes on between a replica and its primary until it is told to cut."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.open, self.lock, self.pairs = target, True, threading.Lock(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            inner = self.listener.accept()[0]
            with self.lock:
                if not self.open:
                    inner.close()
                    continue
                try:
                    outer = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    inner.close()
                    continue
                self.pairs.append((inner, outer))
            for a, b in ((inner, outer), (outer, inner)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def is_used(self):
        with self.lock:
            return bool(self.pairs)

    def cut(self, seconds):
        with self.lock:
            self.open = False
            for pair in self.pairs:
                for s in pair:
                    try:
                        s.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                    s.close()
            self.pairs = []
        time.sleep(seconds)
        with self.lock:
            self.open = True


BACKLOG = 64 << 20
SCRIPT = "for i = 1, 3 do redis.call('incrby', KEYS[1], ARGV[1]) end redis.call('rpush', KEYS[2], ARGV[1]) return redis.call('llen', KEYS[2])"
LIBRARY = """#!lua name=%s
redis.register_function('%s', function(keys, args)
  redis.call('zincrby', keys[1], args[1], args[2])
  redis.call('expire', keys[1], 90000)
  return redis.call('sadd', keys[2], args[2], '%s')
end)"""


def writes(r, keys, peer):
    """Some commands; a transaction is one list. TTLs are short or long: nothing is left that is about to expire in the end."""
    k = lambda kind: f"{kind}:{r.randrange(keys)}"
    few = lambda kind: f"{kind}:{r.randrange(max(1, keys // 100))}"
    v = lambda: ("%x" % r.getrandbits(64)) * r.choice((1, 1, 1, 4, 60))
    one = r.randrange
    choices = [
        lambda: [("SET", k("s"), v())],
        lambda: [("SET", k("s"), v(), "EX", r.choice((1, 2, 100000)))],
        lambda: [("SET", k("s"), v(), "PX", r.choice((20, 300)), "GET")],
        lambda: [("APPEND", few("a"), "x" * one(40)), ("SETRANGE", few("a"), one(300), "y"), ("SETBIT", few("b"), one(9000), one(2))],
        lambda: [("INCRBY", k("n"), one(1000)), ("INCRBYFLOAT", few("f"), f"{r.random():.3f}"), ("GETDEL", k("n"))],
        lambda: [("RPUSH", few("l"), v(), v(), one(99)), ("LPOP", few("l"), one(3) + 1), ("LMOVE", few("l"), few("l"), "LEFT", "RIGHT")],
        lambda: [("LINSERT", few("l"), "BEFORE", one(99), v()), ("LTRIM", few("l"), 0, 400), ("LREM", few("l"), 1, one(99))],
        lambda: [("HSET", few("h"), one(500), v(), one(500), v()), ("HDEL", few("h"), one(500)), ("HINCRBY", few("hn"), one(20), 3)],
        lambda: [("SADD", few("i"), *[one(900) for _ in range(5)]), ("SPOP", few("i")), ("SPOP", few("i"), 2), ("SMOVE", few("i"), few("t"), one(900))],
        lambda: [("SADD", few("t"), v(), v()), ("SUNIONSTORE", few("u"), few("t"), few("i")), ("SINTERSTORE", few("u"), few("i"), few("i"))],
        lambda: [("ZADD", few("z"), f"{r.random() * 100:.3f}", v(), one(50), one(300)), ("ZPOPMIN", few("z"), 2), ("ZREMRANGEBYRANK", few("z"), 300, -1)],
        lambda: [("ZINCRBY", few("z"), f"{r.random():.4f}", one(300)), ("ZUNIONSTORE", few("y"), 2, few("z"), few("z"), "WEIGHTS", 2, 3)],
        lambda: [("XADD", few("x"), "MAXLEN", "~", 200, "*", "f", v()), ("XADD", few("x"), "*", "g", one(9), "h", v()), ("XTRIM", few("x"), "MAXLEN", 300)],
        lambda: [("XGROUP", "CREATE", few("x"), "g", 0, "MKSTREAM"), ("XREADGROUP", "GROUP", "g", f"c{one(3)}", "COUNT", 3, "STREAMS", few("x"), ">")],
        lambda: [("PFADD", few("p"), one(99999), v()), ("PFMERGE", few("q"), few("p"), few("p")), ("GEOADD", few("g"), f"{r.random() * 90:.5f}", f"{r.random() * 80:.5f}", one(200))],
        lambda: [("BITFIELD", few("b"), "INCRBY", "u8", one(400), 7), ("BITOP", "XOR", few("d"), few("b"), few("b"))],
        lambda: [("MULTI",), ("INCR", k("n")), ("SET", k("s"), v(), "EX", 1), ("LPUSH", few("l"), v()), ("DEL", k("s")), ("EXEC",)],
        lambda: [("EVAL", SCRIPT, 2, k("n"), few("l"), one(9))],
        lambda: [("PEXPIRE", k("s"), r.choice((10, 500, 900000000))), ("PERSIST", k("s")), ("EXPIRE", k("n"), 90000), ("UNLINK", few("h"))],
        lambda: [("RENAME", k("s"), k("s")), ("COPY", few("z"), few("y"), "REPLACE"), ("DEL", *[k("s") for _ in range(4)])],
        lambda: [("MSET", *[w for _ in range(5) for w in (k("s"), v())]), ("GETEX", k("s"), "EX", 100000), ("SORT", few("i"), "STORE", few("o"))],
        lambda: [("MOVE", k("s"), 1 + one(3)), ("PUBLISH", "c", v())],
    ]
    choices += [
        lambda: [("FUNCTION", "LOAD", "REPLACE", LIBRARY % ((name := f"lib{one(5)}"), name, v())), ("FCALL", name, 2, few("z"), few("t"), one(30), v())],
        lambda: [("FCALL", f"lib{one(5)}", 2, few("z"), few("t"), one(30), v()), ("FUNCTION", "DELETE", f"lib{one(40)}")],
        lambda: [("SETRANGE", f"huge:{one(3)}", one(3_000_000), v() * 40)] if one(10) else [("SET", f"huge:{one(3)}", v() * 20000)],
        lambda: [("XCLAIM", few("x"), "g", f"c{one(3)}", 0, "1-1"), ("XAUTOCLAIM", few("x"), "g", f"c{one(3)}", 0, 0, "COUNT", 5),
                 ("XREADGROUP", "GROUP", "g", "n", "NOACK", "COUNT", 2, "STREAMS", few("x"), ">"), ("XGROUP", "SETID", few("x"), "g", "$"),
                 ("XGROUP", "DELCONSUMER", few("x"), "g", f"c{one(3)}"), ("XTRIM", few("x"), "MINID", "~", "5-0")],
        lambda: [("LMPOP", 2, few("l"), few("l"), "RIGHT", "COUNT", 2), ("ZMPOP", 2, few("z"), few("y"), "MAX", "COUNT", 2), ("ZRANGESTORE", few("y"), few("z"), 0, 50),
                 ("SDIFFSTORE", few("u"), few("t"), few("i")), ("GEOSEARCHSTORE", few("gs"), few("g"), "FROMLONLAT", 40, 40, "BYRADIUS", 3000, "km")],
        lambda: [("BLPOP", few("l"), few("l"), 0.001), ("BLMOVE", few("l"), few("l"), "LEFT", "RIGHT", 0.001), ("RPOPLPUSH", few("l"), few("l"))],
        lambda: [("MULTI",), ("SELECT", one(4)), ("SET", k("s"), v()), ("EVAL", SCRIPT, 2, k("n"), few("l"), one(9)), ("SPOP", few("t"), 1), ("EXEC",)],
        lambda: [("COPY", few("h"), few("h"), "DB", one(4), "REPLACE"), ("GETSET", k("s"), v()), ("SETNX", k("s"), v()), ("PSETEX", k("s"), 40 + one(4000), v())],
        lambda: [("SELECT", 3), ("FLUSHDB", "ASYNC"), ("SELECT", 0)] if not one(40) else [("SWAPDB", 1, 2)],
        lambda: [("EVAL", "redis.replicate_commands() local t = redis.call('time') redis.call('set', KEYS[1], t[1] .. t[2] .. math.random()) "
                  "return redis.call('spop', KEYS[2])", 2, k("s"), few("t"))],
    ]
    if peer != "redis":
        choices.append(lambda: [("SET", few("if"), one(3), "IFEQ", one(3)), ("SETNX", few("if"), one(3))])
    if peer == "9.1":
        choices.append(lambda: [("DELIFEQ", few("if"), one(3)), ("HGETEX", few("ht"), "EX", 100000, "FIELDS", 1, one(200)), ("HEXPIRE", few("ht"), 1, "FIELDS", 1, one(200))])
        choices.append(lambda: [("HSETEX", few("ht"), "EX", r.choice((1, 100000)), "FIELDS", 2, one(200), v(), one(200), v())])
        choices.append(lambda: [("HPEXPIRE", few("h"), 900000000, "FIELDS", 1, one(500)), ("HPERSIST", few("h"), "FIELDS", 1, one(500))])
    return r.choice(choices)()


class Pace(threading.Thread):
    """Holds the writers back while the replica is more than a quarter of the backlog behind: what is cut must fit into it."""

    def __init__(self, servers):
        super().__init__(daemon=True)
        self.servers, self.free, self.on, self.behind = servers, threading.Event(), True, 0
        self.free.set()

    def run(self):
        p, r = (s.client(120.0) for s in self.servers)
        while True:
            try:
                lag = int(p.info("replication")["master_repl_offset"]) - int(r.info("replication").get("slave_repl_offset", 0))
            except (OSError, Failed):
                return
            self.behind = max(self.behind, lag)
            if self.on and lag > BACKLOG // 4:
                self.free.clear()
            else:
                self.free.set()
            time.sleep(0.02)


class Writer(threading.Thread):
    def __init__(self, server, seed, keys, peer, pace):
        super().__init__(daemon=True)
        self.pace = pace
        self.server, self.random, self.keys, self.peer = server, random.Random(seed), keys, peer
        self.going, self.n, self.errors, self.broken = True, 0, {}, None

    def run(self):
        try:
            c, r = self.server.client(60.0), self.random
            while self.going:
                self.pace.free.wait()
                batch = [("SELECT", r.choice((0, 0, 0, 1, 2, 3)))]
                for _ in range(r.randrange(1, 40)):
                    batch += writes(r, self.keys, self.peer)
                for command, reply in zip(batch, c.many(batch)):
                    if isinstance(reply, Failed):
                        self.errors.setdefault(f"{command[0]}: {reply}"[:100], 0)
                        self.errors[f"{command[0]}: {reply}"[:100]] += 1
                self.n += len(batch)
        except (OSError, ValueError) as e:
            self.broken = e


EXPECTED = ("no such key", "WRONGTYPE", "BUSYGROUP", "not a valid HyperLogLog", "NOGROUP", "not an integer", "not a valid float",
            "string exceeds maximum", "hash value is not an integer", "requires the key to exist", "source and destination objects are the same",
            "increment or decrement would overflow", "Function not found", "Library not found", "ERR EXPIRETIME", "can't be converted into double", "same object")


def digest(c):
    return c("DEBUG", "DIGEST")


def fill(c, keys, fields):
    """Every type and encoding, nine keys of ten strings, the tenth something small of another type."""
    for reply in c.many(every_type(fields)):
        if isinstance(reply, Failed):
            raise reply
    c("DEBUG", "POPULATE", keys * 9 // 10, "bulk", 40)
    small = [lambda k: ("HSET", k, "a", k, "b", 7), lambda k: ("RPUSH", k, 1, k, "x" * 70), lambda k: ("SADD", k, 1, 5, 9), lambda k: ("SADD", k, 1, k),
             lambda k: ("ZADD", k, 1, k, 2.5, "b"), lambda k: ("XADD", k, "1-1", "f", k), lambda k: ("SET", k, 12345, "PXAT", 4102444800000)]
    for begin in range(0, keys // 10, 2000):
        replies = c.many([small[n % len(small)](f"small:{n}") for n in range(begin, min(begin + 2000, keys // 10))])
        assert not any(isinstance(r, Failed) for r in replies)


def functions(c):
    return sorted(tuple(map(str, library)) for library in c("FUNCTION", "LIST", "WITHCODE"))


def pair(a, root, peer, direction, bins):
    name = f"{'valkey ' if peer != 'redis' else ''}{peer} {'->' if direction == 'in' else '<-'} holdfast{', TLS' if a.tls else ''}"
    ports = [free_port(), free_port()]
    common = [f"repl-backlog-size {BACKLOG}", "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "save \"\"", "enable-debug-command yes",
              "client-output-buffer-limit replica 0 0 0"]
    tls = None
    if a.tls:
        folder, tls = certificates(root)
        common += ["tls-replication yes", f"tls-cert-file {folder}/server.crt", f"tls-key-file {folder}/server.key", f"tls-ca-cert-file {folder}/ca.crt"]

    def start(role, port, ours, more):
        words = [a.holdfast, "server"] if ours else [bins]
        if a.tls:
            more = more + ["port 0", f"tls-port {port}"]
        else:
            more = more + [f"port {port}", *(["tls-port 0", "tls-replication no", "allow-plaintext yes"] if ours else [])]
        return Process(root, f"{peer}-{direction}-{role}", words, [*common, *more], port, tls)

    # 9.1 speaks a format of the data set that older peers do not know; a fixed one is what both have.
    primary = start("primary", ports[0], direction == "out", [])
    proxy = Proxy(ports[0])
    p = primary.client(60.0)
    # A full synchronisation of many keys takes its time on a busy machine.
    patience = 60 + a.keys / 4000
    fill(p, a.keys, peer == "9.1")
    replica = start("replica", ports[1], direction == "in", [f"replicaof 127.0.0.1 {proxy.port}", "repl-timeout 20"])
    r = replica.client(60.0)
    up = lambda: r.info("replication").get("master_link_status") == "up"
    wait_for("the link is up", up, patience)
    pace = Pace((primary, replica))
    pace.start()
    writers = [Writer(primary, a.seed * 100 + i, 20000, peer, pace) for i in range(3)]
    for w in writers:
        w.start()
    chance, killed = random.Random(a.seed), {"primary": 0, "replica": 0}
    for cut in range(a.cuts):
        # There is something to cut; some cuts fall into the handshake.
        wait_for(f"the replica has come back after cut {cut}", proxy.is_used)
        time.sleep(chance.random() * 0.5)
        by = chance.choice(("proxy", "proxy", "primary", "replica"))
        if by == "proxy":
            proxy.cut(chance.random() * 0.2)
            continue
        # Only a link that is up is known by its type.
        wait_for(f"the link is up before cut {cut}", up, patience)
        time.sleep(chance.random() * 0.3)
        killed[by] += p("CLIENT", "KILL", "TYPE", "replica") if by == "primary" else r("CLIENT", "KILL", "TYPE", "master")
    wait_for("the link is up", up, patience)
    stats = p.info("stats")
    full, partial, refused = (int(stats[n]) for n in ("sync_full", "sync_partial_ok", "sync_partial_err"))
    # Now one that outlasts the backlog.
    pace.on = False
    p("CONFIG", "SET", "repl-backlog-size", 16384)
    offset = int(p.info("replication")["master_repl_offset"])
    proxy.cut(0.0)
    proxy.open = False
    wait_for("the backlog has moved on", lambda: int(p.info("replication")["repl_backlog_first_byte_offset"]) > offset + 65536)
    pace.on = proxy.open = True
    p("CONFIG", "SET", "repl-backlog-size", BACKLOG)
    wait_for("the link is up after a full synchronisation", lambda: up() and int(p.info("stats")["sync_full"]) > full, patience)
    time.sleep(1)
    for w in writers:
        w.going = False
    for w in writers:
        w.join(60)
        assert w.broken is None, f"{name}: a writer was thrown out: {w.broken!r}\n{primary.tail()}"
    odd = {e: n for w in writers for e, n in w.errors.items() if not any(x in e for x in EXPECTED)}

    def level():
        i = p.info("replication")
        return i["master_repl_offset"] == r.info("replication")["slave_repl_offset"] or None
    try:
        wait_for("the replica is level", level, patience + 60)
    except AssertionError as e:
        raise AssertionError(f"{name}: {e}\n{p.info('replication')}\n{r.info('replication')}\n{replica.tail()}\n{primary.tail()}") from None

    def equal():
        if peer == "redis":
            return level() and not difference(p, r) and "(each key compared)"
        return level() and digest(p) == digest(r) and digest(p)
    try:
        found = wait_for("the digests are equal", equal, patience, 0.3)
    except AssertionError:
        raise AssertionError(f"{name}: the data differs: {difference(p, r)}\n{replica.tail()}") from None
    keys = sum(int(v.split(",")[0][5:]) for k, v in p.info("keyspace").items() if k.startswith("db"))
    n = sum(w.n for w in writers)
    print(f"{name}: {n} commands, {keys} keys, {a.cuts} cuts ({killed['primary']} by CLIENT KILL of the primary, {killed['replica']} of the replica): {partial} partial and {full} full synchronisations, {refused} partial ones "
          f"refused; one more full one by a small backlog; digest {found.decode() if isinstance(found, bytes) else found} on both", flush=True)
    if odd:
        print(f"  errors nobody expected: {odd}")
    assert functions(p) == functions(r), f"{name}: the functions differ"
    p.close(), r.close()
    assert full == 1, f"{name}: {full} full synchronisations where the backlog sufficed\n{replica.tail()}\n{primary.tail()}"
    primary.kill()
    replica.kill()
    Process.all.clear()


def scores(c, key):
    words = c("ZRANGE", key, 0, -1, "WITHSCORES")
    return list(zip(words[::2], map(float, words[1::2])))


def difference(p, r):
    """The first keys that differ. Scores are compared as numbers: Redis 7.0 writes them otherwise into its digest."""
    found = []
    for db in range(4):
        p("SELECT", db), r("SELECT", db)
        cursor = b"0"
        names = set()
        for c in (p, r):
            while True:
                cursor, some = c("SCAN", cursor, "COUNT", 5000)
                names |= set(some)
                if cursor == b"0":
                    break
        names = sorted(names)
        for i in range(0, len(names), 1000):
            some = names[i:i + 1000]
            ask = [("DEBUG", "DIGEST-VALUE", *some)]
            for k, x, y in zip(some, p.many(ask)[0], r.many(ask)[0]):
                if x != y and p("TYPE", k) == r("TYPE", k) == "zset" and scores(p, k) == scores(r, k):
                    x = y
                if x != y or p("PEXPIRETIME", k) != r("PEXPIRETIME", k):
                    found.append((db, k, p("TYPE", k), r("TYPE", k), p("PEXPIRETIME", k), r("PEXPIRETIME", k)))
                    if len(found) > 8:
                        return found
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--peer", action="append")
    parser.add_argument("--direction", action="append", choices=("in", "out"))
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    ran = 0
    for peer in a.peer or ["8.1", "9.1", "redis"]:
        bins = shutil.which("redis-server") if peer == "redis" else (find(peer) and find(peer) / "valkey-server")
        if not bins:
            print(f"skipped: no server of {peer} is at hand")
            continue
        # What Holdfast writes is Valkey's format; Redis 7.0 does not read it, so with Redis it goes one way.
        for direction in a.direction or (["in"] if peer == "redis" else ["in", "out"]):
            with scratch() as root:
                try:
                    pair(a, root, peer, direction, bins)
                finally:
                    end_all()
            ran += 1
    if not ran:
        skip("no peer is at hand")
    print("ok")


if __name__ == "__main__":
    main()
