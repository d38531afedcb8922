#!/usr/bin/env python3
"""What replication costs, beside Valkey 9.1: each pair of its own kind, over TLS, primary and replica each on one core.

  syncing.py HOLDFAST [--gb 2] [--writes 2000000] [--rounds 3]

  full sync   of so many GB: seconds until the replica is in step, and the primary's GETs meanwhile (p99, longest)
  steady      SETs of 64 bytes, pipeline 16, per second of the primary's CPU: with a replica, over alone
  apply       so many SETs that a stopped replica has not read yet: SETs per second until it is in step

Printed are medians and, for holdfast over valkey, the median of the rounds' ratios. Needs Valkey's binaries, taskset, two cores, and
memory for twice the data.
"""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import threading
import time

import peers

VALUE = 1000


class Kind:
    def __init__(self, root, name, words, more, tls, benchmark):
        self.root, self.name, self.words, self.more, self.tls, self.benchmark = root, name, words, more, tls, benchmark
        self.count = 0

    def start(self, core):
        port, (files, context) = peers.free_port(), self.tls
        directives = ['save ""', "appendonly no", "bind 127.0.0.1", "port 0", f"tls-port {port}", "tls-replication yes",
                      f"tls-cert-file {files}/server.crt", f"tls-key-file {files}/server.key", f"tls-ca-cert-file {files}/ca.crt",
                      "repl-diskless-sync-delay 0", "client-output-buffer-limit replica 0 0 0", *self.more]
        self.count += 1
        return peers.Process(self.root, f"{self.name}-{self.count}", ["taskset", "-c", str(core), *self.words], directives, port, context)

    def load(self, server, *words):
        files = self.tls[0]
        words = ["taskset", "-c", "1", self.benchmark, "-p", str(server.port), "--tls", "--cacert", f"{files}/ca.crt", "--cert", f"{files}/server.crt",
                 "--key", f"{files}/server.key", "-t", "set", "--csv", *map(str, words)]
        out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return peers.rps(out)


def cpu(server):
    fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
    children = 0
    for child in open(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read().split():
        f = open(f"/proc/{child}/stat").read().rsplit(")", 1)[1].split()
        children += int(f[11]) + int(f[12])
    return (int(fields[11]) + int(fields[12]) + children) / os.sysconf("SC_CLK_TCK")


class Reader(threading.Thread):
    """GETs, one after the other, and how long each took."""

    def __init__(self, server, keys):
        super().__init__(daemon=True)
        self.client, self.keys, self.on, self.times = server.client(60), keys, True, []

    def run(self):
        n = 0
        while self.on:
            n = (n + 7919) % self.keys
            begin = time.monotonic()
            self.client("GET", f"key:{n:012d}")
            self.times.append(time.monotonic() - begin)

    def end(self):
        self.on = False
        self.join()
        times = sorted(self.times)
        return times[len(times) * 99 // 100] * 1e3, times[-1] * 1e3


def in_step(primary, replica):
    p, r = primary.client(), replica.client()

    def holds():
        a, b = p.info("replication"), r.info("replication")
        return b["master_link_status"] == "up" and a["master_repl_offset"] == b["slave_repl_offset"]

    peers.wait_for("the replica is in step", holds, 600, 0.02)


def full_sync(kind, gb, results):
    keys = int(gb * (1 << 30) / (VALUE + 50))
    primary = kind.start(0)
    kind.load(primary, "-d", VALUE, "-r", keys, "-n", keys, "--sequential", "-P", 64, "-c", 8)
    replica = kind.start(1)
    quiet = Reader(primary, keys)
    quiet.start()
    time.sleep(2)
    p99, longest = quiet.end()
    reader = Reader(primary, keys)
    reader.start()
    begin = time.monotonic()
    replica.client()("REPLICAOF", "127.0.0.1", primary.port)
    in_step(primary, replica)
    took = time.monotonic() - begin
    busy99, busiest = reader.end()
    assert primary.client()("DBSIZE") == replica.client()("DBSIZE")
    results[kind.name].append(dict(sync=took, p99=busy99, longest=busiest, quiet99=p99))
    return primary, replica


def steady(kind, results):
    primary = kind.start(0)
    words = ("-d", 64, "-r", 1_000_000, "-P", 16, "-c", 50, "--duration", 4)

    def per_cpu():
        before, begin = cpu(primary), time.monotonic()
        rps = kind.load(primary, *words)
        return rps * (time.monotonic() - begin) / (cpu(primary) - before)

    kind.load(primary, "-d", 64, "-r", 1_000_000, "-n", 1_000_000, "--sequential", "-P", 64, "-c", 8)
    per_cpu()
    alone = per_cpu()
    replica = kind.start(1)
    replica.client()("REPLICAOF", "127.0.0.1", primary.port)
    in_step(primary, replica)
    with_one = per_cpu()
    in_step(primary, replica)
    results[kind.name].append(dict(alone=alone, with_one=with_one, share=with_one / alone))
    return primary, replica


def apply(kind, writes, pair, results):
    primary, replica = pair
    primary.client()("CONFIG", "SET", "repl-backlog-size", "2gb")
    os.kill(replica.process.pid, signal.SIGSTOP)
    kind.load(primary, "-d", 64, "-r", 1_000_000, "-P", 64, "-c", 50, "-n", writes)
    begin = time.monotonic()
    os.kill(replica.process.pid, signal.SIGCONT)
    in_step(primary, replica)
    results[kind.name].append(dict(apply=writes / (time.monotonic() - begin)))


def end(*servers):
    for s in servers:
        s.kill()
        shutil.rmtree(s.dir)
        peers.Process.all.remove(s)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--gb", type=float, default=2)
    parser.add_argument("--writes", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    valkey = peers.beside()
    with peers.scratch() as root:
        tls, benchmark = peers.certificates(root), str(valkey / "valkey-benchmark")
        kinds = [Kind(root, "holdfast", [a.holdfast, "server"], ["io-threads 1"], tls, benchmark),
                 Kind(root, "valkey", [valkey / "valkey-server"], [], tls, benchmark)]
        try:
            for what in ("full", "steady"):
                results = {k.name: [] for k in kinds}
                more = {k.name: [] for k in kinds}
                for _ in range(a.rounds):
                    for k in kinds:
                        if what == "full":
                            end(*full_sync(k, a.gb, results))
                        else:
                            pair = steady(k, results)
                            apply(k, a.writes, pair, more)
                            end(*pair)
                for table in (results, more):
                    for field in table["holdfast"][0] if table["holdfast"] else ():
                        ours, theirs = ([r[field] for r in table[k.name]] for k in kinds)
                        ratio = statistics.median(o / t for o, t in zip(ours, theirs))
                        print(f"{field:9} {statistics.median(ours):12.2f} {statistics.median(theirs):12.2f}   {ratio:.2f}x", flush=True)
        finally:
            peers.end_all()


main()
