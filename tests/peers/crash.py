#!/usr/bin/env python3
"""kill -9 under a mixed load, again and again: what was acknowledged is there after the restart, and nothing is there by halves.

  crash.py HOLDFAST [--runs 100] [--policy always] [--policy everysec] [--writers 6] [--sealed] [--rewrite] [--seed N]

Every writer goes through the numbers 1, 2, 3 ... and writes each to its own keys in turn: a string, a list's new element, a pair of hash fields in one
MULTI, and a second string; now and then a rewrite of the log runs. The process is killed at a random moment and started again on what it left. Checked then, for
every writer:
  always     each acknowledged write is there
  everysec   each write that was acknowledged more than a second before the end is there
  both       what is there is a prefix of what the writer did, in its order: no gap, no half of a transaction, nothing that was never sent
The data go on from run to run, so that a log that was repaired once is repaired again.
"""
import argparse
import random
import shutil
import threading
import time

from peers import Failed, Process, end_all, free_port, scratch, wait_for

STEPS = 4


def commands(n, w):
    """What the number n comes to, step by step; each step is one or more commands that belong together."""
    return [
        [("SET", f"{{w{w}}}a", n)],
        [("RPUSH", f"{{w{w}}}l", n)],
        [("MULTI",), ("HSET", f"{{w{w}}}h", "x", n), ("HSET", f"{{w{w}}}h", "y", n), ("EXEC",)],
        [("SET", f"{{w{w}}}b", n, "PXAT", 4102444800000)],
    ]


class Writer(threading.Thread):
    """Writes until the connection ends. `sent` and `acked` count steps since the beginning of all runs."""

    def __init__(self, server, w, done):
        super().__init__(daemon=True)
        self.client, self.w, self.sent, self.acked, self.times = server.client(), w, done, done, []

    def run(self):
        try:
            while True:
                n, step = self.sent // STEPS + 1, self.sent % STEPS
                batch = commands(n, self.w)[step]
                self.sent += 1
                replies = self.client.many(batch)
                if any(isinstance(r, Failed) for r in replies):
                    raise AssertionError(f"writer {self.w}: {replies}")
                self.acked += 1
                self.times.append((time.monotonic(), self.acked))
        except (OSError, ConnectionError):
            pass


def found(client, w):
    """How many steps of a writer are there; fails if they are no prefix."""
    number = lambda v: int(v or 0)
    a, b = number(client("GET", f"{{w{w}}}a")), number(client("GET", f"{{w{w}}}b"))
    x, y = (number(v) for v in client("HMGET", f"{{w{w}}}h", "x", "y"))
    length, last = client("LLEN", f"{{w{w}}}l"), number(client("LINDEX", f"{{w{w}}}l", -1))
    steps = a + length + x + b
    expected = [(steps + STEPS - 1 - i) // STEPS for i in range(STEPS)]
    assert x == y, f"writer {w}: half of a transaction: {x} and {y}"
    assert length == last, f"writer {w}: a list of {length} that ends with {last}"
    assert [a, length, x, b] == expected, f"writer {w}: no prefix of what it did: {[a, length, x, b]}"
    return steps


def campaign(a, policy, root):
    port = free_port()
    directives = [
        f"port {port}", "tls-port 0", "allow-plaintext local", "save \"\"", "appendonly yes", f"appendfsync {policy}",
        "auto-aof-rewrite-percentage 0", "enable-debug-command yes",
    ]
    if a.sealed:
        key = root / f"keys-{policy}"
        key.write_text("11" * 32 + "\n")
        directives += ["encryption-at-rest yes", f"encryption-key-source file:{key}"]
    server = Process(root, f"crash-{policy}", [a.holdfast, "server"], directives, port)
    dice, done, lost, late = random.Random(a.seed), [0] * a.writers, 0, 0.0
    for run in range(a.runs):
        writers = [Writer(server, w, done[w]) for w in range(a.writers)]
        for w in writers:
            w.start()
        if a.rewrite and run % 3 == 0:
            server.client()("BGREWRITEAOF")
        time.sleep(dice.uniform(0.05, 1.5 if policy == "everysec" else 0.6))
        end = time.monotonic()
        server.kill()
        for w in writers:
            w.join()
        server.start()
        client = wait_for("the data are loaded", lambda: (c := server.client()) and c("DBSIZE") >= 0 and c)
        for w in writers:
            steps = found(client, w.w)
            assert steps <= w.sent, f"run {run}, writer {w.w}: {steps} steps of {w.sent}"
            owed = done[w.w]
            for at, acked in w.times:
                if policy == "always" or at < end - 1.0:
                    owed = max(owed, acked)
            assert steps >= owed, f"run {run}, writer {w.w}: {steps} steps are there, {owed} were promised"
            if steps < w.acked:
                lost += w.acked - steps
                late = max(late, end - next(at for at, acked in w.times if acked > steps))
            # It goes on where the data are.
            done[w.w] = steps
        client.close()
    print(f"{policy}{' sealed' if a.sealed else ''}: {a.runs} kills, {sum(done)} steps survived, {lost} acknowledged ones were lost, the oldest "
          f"{late * 1000:.1f} ms before the kill")
    server.kill()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("holdfast")
    p.add_argument("--runs", type=int, default=100)
    p.add_argument("--policy", action="append", choices=["always", "everysec"])
    p.add_argument("--writers", type=int, default=6)
    p.add_argument("--sealed", action="store_true")
    p.add_argument("--rewrite", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    a.holdfast = shutil.which(a.holdfast) or a.holdfast
    from pathlib import Path
    a.holdfast = str(Path(a.holdfast).resolve())
    with scratch() as root:
        try:
            for policy in a.policy or ["always", "everysec"]:
                campaign(a, policy, Path(root))
        finally:
            end_all()


main()
