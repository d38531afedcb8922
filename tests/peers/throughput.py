#!/usr/bin/env python3
"""What published messages and scripts cost, beside Valkey 9.1: per second of the server's CPU, each server on one core.

  throughput.py HOLDFAST [--rounds 3] [--seconds 3] [--subscribers 100]

  fan-out     a 64-byte message published, pipeline 16, to 100 subscribers of its channel: deliveries
  eval        EVALSHA of a script of three calls on one declared key, pipeline 16: scripts
  eval-any    the same script, its key put together in the script, so that it may reach any: scripts

Both servers run at once, rounds take turns; printed are the medians and the median of the rounds' ratios with the least and the
greatest. Needs Valkey's binaries (valkey-benchmark too), taskset, and two cores.
"""
import argparse
import os
import statistics
import subprocess
import threading
import time

import peers

THREE = "redis.call('incr', KEYS[1]) redis.call('expire', KEYS[1], 100) return redis.call('get', KEYS[1])"
THREE_ANY = "local k = KEYS[1] .. '' redis.call('incr', k) redis.call('expire', k, 100) return redis.call('get', k)"


def cpu(process):
    fields = open(f"/proc/{process.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Sink(threading.Thread):
    """Subscribers that throw away what they are sent."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        import selectors

        self.selector, self.bytes, self.on, self.clients = selectors.DefaultSelector(), 0, True, []
        for _ in range(count):
            c = peers.Client(port)
            c("SUBSCRIBE", "news")
            c.socket.setblocking(False)
            self.clients.append(c)
            self.selector.register(c.socket, selectors.EVENT_READ)

    def run(self):
        os.sched_setaffinity(0, {1})
        while self.on:
            for key, _ in self.selector.select(0.1):
                try:
                    self.bytes += len(key.fileobj.recv(1 << 20))
                except BlockingIOError:
                    pass


def fan_out(server, seconds, subscribers):
    sink = Sink(server.port, subscribers)
    sink.start()
    publisher = peers.Client(server.port)
    message = b"x" * 64
    batch = [("PUBLISH", "news", message)] * 16
    begin, before, sent = time.monotonic(), cpu(server), 0
    while time.monotonic() - begin < seconds:
        replies = publisher.many(batch)
        assert all(r == subscribers for r in replies), replies
        sent += len(replies)
    size = len(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$64\r\n" + message + b"\r\n")
    peers.wait_for("all is delivered", lambda: sink.bytes >= sent * subscribers * size, 30)
    used = cpu(server) - before
    sink.on = False
    sink.join()
    for c in sink.clients:
        c.close()
    peers.wait_for("all are gone", lambda: publisher("PUBLISH", "news", "") == 0)
    return sent * subscribers / used


def scripts(text):
    def run(server, seconds, _):
        digest = server.client()("SCRIPT", "LOAD", text).decode()
        begin, before = time.monotonic(), cpu(server)
        words = ["taskset", "-c", "1", server.benchmark, "-p", str(server.port), "-c", "50", "-P", "16", "-r", "100000",
                 "--duration", str(seconds), "--csv", "EVALSHA", digest, "1", "key:__rand_int__"]
        out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        wall, used = time.monotonic() - begin, cpu(server) - before
        return peers.rps(out) * wall / used

    return run


CASES = {"fan-out": fan_out, "eval": scripts(THREE), "eval-any": scripts(THREE_ANY)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--subscribers", type=int, default=100)
    a = parser.parse_args()
    valkey = peers.beside()
    with peers.scratch() as root:
        try:
            held = ["taskset", "-c", "0"]
            quiet = ['save ""', "appendonly no", "bind 127.0.0.1"]
            servers = []
            for name, words, more in [
                ("holdfast", [a.holdfast, "server"], ["allow-plaintext local", "tls-port 0", "io-threads 1"]),
                ("valkey", [valkey / "valkey-server"], []),
            ]:
                port = peers.free_port()
                p = peers.Process(root, name, [*held, *words], [*quiet, *more, f"port {port}"], port)
                p.benchmark = str(valkey / "valkey-benchmark")
                servers.append(p)
            for name, case in CASES.items():
                rounds = [[case(s, a.seconds, a.subscribers) for s in servers] for _ in range(a.rounds)]
                ours, theirs = (statistics.median(r[i] for r in rounds) for i in (0, 1))
                ratios = sorted(r[0] / r[1] for r in rounds)
                print(f"{name:9} {ours / 1e3:9.0f}k {theirs / 1e3:9.0f}k per CPU-second: "
                      f"{statistics.median(ratios):.2f}x [{ratios[0]:.2f}..{ratios[-1]:.2f}]", flush=True)
        finally:
            peers.end_all()


main()
