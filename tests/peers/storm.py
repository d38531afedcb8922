#!/usr/bin/env python3
"""Wrong passwords without end: what they cost those who are signed in, and whether the right password still gets in.

  storm.py HOLDFAST [--seconds 30] [--connections 50] [--rate 1000]

A user with a PBKDF2 password. One client, signed in, asks GET once a millisecond: first in quiet, then while the connections send
--rate wrong passwords a second between them, from another address (127.0.0.2) and, for some, as that very user. Meanwhile the right
password is tried once a second from a third address. Needs no peer.
"""
import argparse
import socket
import threading
import time

import peers

PASSWORD = "the right one, and long enough"


def connect(port, source, timeout=30.0):
    c = peers.Client.__new__(peers.Client)
    c.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))
    c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    c.file = c.socket.makefile("rb")
    return c


def latencies(client, seconds):
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        client("GET", "k")
        times.append(time.perf_counter() - begin)
        time.sleep(0.001)
    return sorted(times)


def at(times, share):
    return times[min(int(len(times) * share), len(times) - 1)] * 1e3


def resident(process):
    lines = open(f"/proc/{process.process.pid}/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


class Attacker(threading.Thread):
    def __init__(self, port, number, pause):
        super().__init__(daemon=True)
        self.port, self.number, self.pause, self.tries, self.on = port, number, pause, 0, True

    def run(self):
        user = "alice" if self.number % 5 == 0 else f"nobody{self.number}"
        client = None
        while self.on:
            begin = time.monotonic()
            try:
                client = client or connect(self.port, "127.0.0.2")
                client.many([("AUTH", user, f"wrong {self.tries}")])
                self.tries += 1
            except OSError:
                client = None
            time.sleep(max(0.0, self.pause - (time.monotonic() - begin)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000)
    a = parser.parse_args()
    with peers.scratch() as root:
        try:
            port = peers.free_port()
            lines = ["allow-plaintext local", "tls-port 0", f"port {port}", "bind 127.0.0.1", 'save ""', "acl-password-hash pbkdf2"]
            server = peers.Process(root, "holdfast", [a.holdfast, "server"], lines, port)
            admin = server.client()
            admin("ACL", "SETUSER", "alice", "on", f">{PASSWORD}", "+@all", "~*")
            admin("SET", "k", "v")
            reader = connect(port, "127.0.0.3")
            reader("AUTH", "alice", PASSWORD)
            quiet, before = latencies(reader, 5), resident(server)
            attackers = [Attacker(port, n, a.connections / a.rate) for n in range(a.connections)]
            for t in attackers:
                t.start()
            entered = []

            def enter():
                while attackers[0].on:
                    begin = time.monotonic()
                    connect(port, "127.0.0.4")("AUTH", "alice", PASSWORD)
                    entered.append(time.monotonic() - begin)
                    time.sleep(1)

            entering = threading.Thread(target=enter, daemon=True)
            entering.start()
            storm = latencies(reader, a.seconds)
            for t in attackers:
                t.on = False
            entering.join(40)
            tries = sum(t.tries for t in attackers)
            print(f"GET of who is signed in, ms: quiet p50 {at(quiet, .5):.3f} p99 {at(quiet, .99):.3f}, "
                  f"storm p50 {at(storm, .5):.3f} p99 {at(storm, .99):.3f}, longest {storm[-1] * 1e3:.1f}")
            print(f"{tries} wrong passwords answered, {tries / a.seconds:.0f} a second; the right one got in {len(entered)} times, "
                  f"after {max(entered, default=0):.2f} s at most; memory {before:.0f} to {resident(server):.0f} MB")
        finally:
            peers.end_all()


main()
