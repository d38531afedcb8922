#!/usr/bin/env python3
"""Real sentinels fail a primary over, and no acknowledged write is lost.

  sentinel.py HOLDFAST [--plaintext] [--no-certificates] [--login none|password|users] [--sentinel VERSION|redis] [--servers A,B,C]
                       [--rounds N] [--within SECONDS] [--acknowledged N] [--endless-script]

Three sentinels watch a primary and two replicas over TLS (mutual, unless the clients are to have no certificates), with down-after 2 s. Writers
log each write that WAIT says replicas have. Each round kills the primary (SIGKILL), measures until the next acknowledged write, looks for
every logged write in the new primary, starts the old one again and waits until it follows and all three have the same digest. Then: a replica
of priority 0 is not chosen, SENTINEL FAILOVER by hand, and if asked for a script that never ends, which the sentinels kill. The servers are
Holdfast unless told otherwise (`holdfast,9.1,holdfast`). Skips where the binaries are not at hand.
"""
import argparse
import shutil
import statistics
import threading
import time
from pathlib import Path

from peers import Client, Failed, Process, certificates, end_all, find, free_port, scratch, skip, wait_for

NAME = "mymaster"
# What a sentinel needs, and no more.
RIGHTS = ("resetchannels &__sentinel__:hello -@all +multi +exec +slaveof +replicaof +ping +subscribe +publish +info +role +config|rewrite "
          "+client|setname +client|kill +script|kill")
EVERYBODY = ("a password for everybody",)
ADMIN = ("admin", "an administrators password")


class Writer(threading.Thread):
    """Writes to whoever the sentinels say leads, and logs what has been acknowledged."""

    def __init__(self, number, sentinels, tls, login, wanted):
        super().__init__(daemon=True)
        self.number, self.sentinels, self.tls, self.login = number, sentinels, tls, login
        self.acknowledged, self.at = {}, 0.0
        self.wanted, self.going, self.refused = wanted, True, set()

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
                c = Client(self.primary(), self.tls, 3.0, self.login)
                if c("ROLE")[0] != b"master":
                    raise ConnectionError("not a primary yet")
                while self.going:
                    n += 1
                    key = f"w:{self.number}:{n}"
                    wanted = self.wanted
                    c("SET", key, n)
                    if c("WAIT", wanted, 1000) >= wanted:
                        self.acknowledged[key] = str(n).encode()
                        self.at = time.monotonic()
            except (OSError, Failed, ValueError) as e:
                self.refused.add(type(e).__name__ + ": " + str(e)[:80])
                time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--plaintext", action="store_true")
    parser.add_argument("--no-certificates", action="store_true", help="nobody is asked for a client certificate")
    parser.add_argument("--login", choices=("none", "password", "users"), default="none",
                        help="`password`: one for everybody; `users`: one for replicas, one for sentinels, and the default user is off")
    parser.add_argument("--sentinel", default="9.1", help="a version of Valkey, or redis")
    parser.add_argument("--servers", default="holdfast,holdfast,holdfast", help="the first is the first primary")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--writers", type=int, default=1)
    parser.add_argument("--acknowledged", type=int, default=1, help="replicas that WAIT waits for")
    parser.add_argument("--endless-script", action="store_true", help="also a script that never ends, which the sentinels have to kill")
    parser.add_argument("--keep", metavar="FOLDER", help="logs and files are copied there if it fails")
    parser.add_argument("--within", type=float, default=10.0)
    a = parser.parse_args()
    with scratch() as root:
        try:
            Play(a, root).run()
        except BaseException:
            if a.keep:
                shutil.copytree(root, a.keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tls", "redis-sentinel"))
            raise
        finally:
            end_all()


def server_of(version):
    found = shutil.which("redis-server") if version == "redis" else find(version) and find(version) / "valkey-server"
    return found or skip(f"no server of {version} is at hand")


class Play:
    def __init__(self, a, root):
        self.a, self.root, self.tls = a, root, None
        if not a.plaintext:
            self.folder, self.tls = certificates(root)
        kinds = a.servers.split(",")
        assert len(kinds) == 3, "three servers"
        ports = [free_port() for _ in kinds]
        self.login = {"none": (), "password": EVERYBODY, "users": ADMIN}[a.login]
        self.servers = {}
        for n, (port, kind) in enumerate(zip(ports, kinds)):
            own = ["enable-debug-command yes", "min-replicas-to-write 1", "busy-reply-threshold 500", "repl-diskless-sync-delay 0", *self.users(kind)]
            own += [f"replicaof 127.0.0.1 {ports[0]}"] if n else []
            words = [a.holdfast, "server"] if kind == "holdfast" else [server_of(kind)]
            self.servers[port] = Process(root, f"server{n}", words, self.link(port, kind == "holdfast") + own, port, self.tls, self.login)
        first = self.servers[ports[0]].client()
        wait_for("both replicas are online", lambda: self.online(first) == 2)
        self.sentinels = []
        for n in range(3):
            port = free_port()
            watch = [f"sentinel monitor {NAME} 127.0.0.1 {ports[0]} 2", f"sentinel down-after-milliseconds {NAME} 2000",
                     f"sentinel failover-timeout {NAME} 10000", f"sentinel parallel-syncs {NAME} 2", *self.credentials()]
            words = [self.sentinel()]
            self.sentinels.append(Process(root, f"sentinel{n}", words, self.link(port, False) + watch, port, self.tls))
        begin = time.monotonic()
        wait_for("the sentinels know each other and the replicas", lambda: all(self.known(s) == (2, 2, b"master") for s in self.sentinels))
        print(f"the sentinels know each other and both replicas after {time.monotonic() - begin:.1f} s", flush=True)
        self.writers = [Writer(n, self.sentinels, self.tls, self.login, a.acknowledged) for n in range(a.writers)]
        for w in self.writers:
            w.start()

    def sentinel(self):
        if self.a.sentinel != "redis":
            return find(self.a.sentinel) / "valkey-sentinel"
        # It is one by its name.
        link = Path(self.root) / "redis-sentinel"
        if not link.exists():
            link.symlink_to(server_of("redis"))
        return link

    def link(self, port, listens):
        if self.a.plaintext:
            return [f"port {port}", *(["tls-port 0", "tls-replication no", "allow-plaintext yes"] if listens else [])]
        folder = self.folder
        return ["port 0", f"tls-port {port}", "tls-replication yes", f"tls-cert-file {folder}/server.crt", f"tls-key-file {folder}/server.key",
                f"tls-ca-cert-file {folder}/ca.crt", f"tls-auth-clients {'no' if self.a.no_certificates else 'yes'}"]

    def users(self, kind):
        # Redis 7.0 knows the older names alone, which all of them know.
        if self.a.login == "password":
            return [f'requirepass "{EVERYBODY[0]}"', f'masterauth "{EVERYBODY[0]}"']
        watch = f"user sentinel on >watch-{NAME} {RIGHTS}"
        if self.a.login == "none":
            return [watch]
        return [watch, "user default off", f'user {ADMIN[0]} on ">{ADMIN[1]}" ~* &* +@all', "user replica on >replicas-of-mymaster +psync +replconf +ping",
                "masteruser replica", "masterauth replicas-of-mymaster"]

    def credentials(self):
        if self.a.login == "password":
            return [f'sentinel auth-pass {NAME} "{EVERYBODY[0]}"']
        return [f"sentinel auth-user {NAME} sentinel", f"sentinel auth-pass {NAME} watch-{NAME}"]

    @staticmethod
    def online(c):
        return sum(",state=online," in v for k, v in c.info("replication").items() if k.startswith("slave") and k[5:].isdigit())

    @staticmethod
    def row(s, *words):
        row = s.client()("SENTINEL", *words)
        return dict(zip(row[::2], row[1::2]))

    def known(self, s):
        row = self.row(s, "MASTER", NAME)
        return int(row[b"num-other-sentinels"]), int(row[b"num-slaves"]), row[b"flags"]

    def primary(self):
        return self.writers[0].primary()

    def settled(self):
        """The port of the primary that two connected replicas follow."""
        port = self.primary()
        c = self.servers[port].client()
        return c.info("replication")["role"] == "master" and self.online(c) == 2 and port

    def wanted(self, n):
        for w in self.writers:
            w.wanted = n

    def count(self):
        return sum(len(w.acknowledged) for w in self.writers)

    def check(self, port):
        c = self.servers[port].client()
        logged = {k: v for w in self.writers for k, v in dict(w.acknowledged).items()}
        keys = list(logged)
        lost = []
        for i in range(0, len(keys), 500):
            some = keys[i:i + 500]
            lost += [k for k, v in zip(some, c.many([("GET", k) for k in some])) if v != logged[k]]
        assert not lost, f"{len(lost)} of {len(keys)} acknowledged writes are lost, the first: {lost[:5]}"
        return len(keys)

    def follows_again(self, old):
        wait_for("the old primary follows", lambda: self.servers[old].client().info("replication")["role"] == "slave", 60)
        port = wait_for("two replicas follow the new primary", self.settled, 60)
        # SLAVEOF stands before CONFIG REWRITE in the sentinel's transaction: the file is written a moment after the role has changed.
        wait_for(f"the old primary's file names {port}", lambda: f"replicaof 127.0.0.1 {port}\n" in self.servers[old].conf.read_text(), 10)
        return port

    def same_data(self):
        """Pauses the writes for a moment and compares. While a digest of many keys is made a busy machine answers no PING."""
        port = wait_for("two replicas follow", self.settled)
        self.patience(60_000)
        c = self.servers[port].client()
        c("CLIENT", "PAUSE", 20000, "WRITE")
        try:
            def digests():
                found = {p: s.client()("DEBUG", "DIGEST") for p, s in self.servers.items()}
                return len(set(found.values())) == 1 and found[port]
            return wait_for("all have the same data", digests, 15)
        finally:
            c("CLIENT", "UNPAUSE")
            self.patience(2000)

    def patience(self, ms):
        for s in self.sentinels:
            s.client()("SENTINEL", "SET", NAME, "down-after-milliseconds", ms)

    def agree(self, port):
        """All sentinels and their files name this primary, and everybody else as a replica of it that is well."""
        def holds():
            for s in self.sentinels:
                if self.row(s, "MASTER", NAME)[b"port"] != str(port).encode() or f"sentinel monitor {NAME} 127.0.0.1 {port} 2" not in s.conf.read_text():
                    return False
                if self.row(s, "MASTER", NAME)[b"flags"] != b"master":
                    return False
                rows = [dict(zip(r[::2], r[1::2])) for r in s.client()("SENTINEL", "REPLICAS", NAME)]
                if {int(r[b"port"]) for r in rows} != set(self.servers) - {port}:
                    return False
                if any(r[b"flags"] != b"slave" or r[b"master-link-status"] != b"ok" or r[b"master-port"] != str(port).encode() for r in rows):
                    return False
            return True
        wait_for("the sentinels agree, and find everybody well", holds, 40, 0.5)

    def kill(self, round_):
        old = wait_for("two replicas follow", self.settled)
        before = self.count()
        wait_for("some writes", lambda: self.count() > before + 300)
        self.servers[old].kill()
        at = time.monotonic()
        wait_for("writes go on", lambda: max(w.at for w in self.writers) > at, 60)
        took = min(w.at for w in self.writers if w.at > at) - at
        new = self.primary()
        assert new != old
        n = self.check(new)
        print(f"round {round_}: {old} killed; writes go on at {new} after {took:.1f} s; all {n} acknowledged writes are there", flush=True)
        assert took < self.a.within, f"the failover took {took:.1f} s, more than {self.a.within}"
        self.servers[old].start()
        begin = time.monotonic()
        port = self.follows_again(old)
        followed = time.monotonic() - begin
        self.agree(port)
        full = int(self.servers[port].client().info("stats")["sync_full"])
        print(f"round {round_}: the old primary follows again, {followed:.1f} s after it was started; digest {self.same_data()} on all three; "
              f"{full} full synchronisations at {port}", flush=True)
        return took

    def by_hand(self):
        old = wait_for("two replicas follow", self.settled)
        # Until it is told otherwise the old primary leads the replica that was not chosen: what only that one has is not safe.
        self.wanted(2)
        time.sleep(1.5)
        others = [p for p in self.servers if p != old]
        self.servers[others[0]].client()("CONFIG", "SET", "replica-priority", 0)
        wait_for("the sentinels have heard of the priority", lambda: all(
            any(int(r[b"port"]) == others[0] and r[b"slave-priority"] == b"0" for r in (dict(zip(r[::2], r[1::2])) for r in s.client()("SENTINEL", "REPLICAS", NAME)))
            for s in self.sentinels), 30, 0.5)
        wait_for("the sentinels agree to fail over", lambda: self.sentinels[0].client()("SENTINEL", "FAILOVER", NAME) == "OK", 60, 0.5)
        begin = time.monotonic()
        wait_for("another leads", lambda: self.primary() != old)
        new = self.primary()
        print(f"SENTINEL FAILOVER: {old} -> {new} after {time.monotonic() - begin:.1f} s; {others[0]} has priority 0", flush=True)
        assert new == others[1], f"{new} leads, whose priority is 0"
        self.follows_again(old)
        self.servers[others[0]].client()("CONFIG", "SET", "replica-priority", 100)
        self.agree(new)
        self.check(new)
        self.wanted(self.a.acknowledged)

    def endless_script(self):
        port = wait_for("two replicas follow", self.settled)
        c = self.servers[port].client(30.0)
        begin = time.monotonic()
        reply = c.many([("EVAL", "while true do end", 0)])[0]
        assert isinstance(reply, Failed), reply
        print(f"a script without end was killed after {time.monotonic() - begin:.1f} s: {reply}", flush=True)

    def run(self):
        took = [self.kill(n) for n in range(self.a.rounds)]
        self.by_hand()
        if self.a.endless_script:
            self.endless_script()
        print(f"all three have digest {self.same_data()}", flush=True)
        if took:
            print(f"{len(took)} failovers: {min(took):.1f} to {max(took):.1f} s, half of them within {statistics.median(took):.1f} s")
        print("ok")


if __name__ == "__main__":
    main()
