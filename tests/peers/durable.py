#!/usr/bin/env python3
"""What `appendfsync always` costs, beside Valkey 9.1: requests per second while every write is forced to disk before it is answered.

  durable.py HOLDFAST [--rounds 3] [--seconds 4] [--clients 64]

  set         64 clients that SET 64 bytes, one after the other's reply
  get-beside  8 clients that GET while those go on

The servers run at once, on the same two cores, and one is loaded at a time; rounds take turns; printed are the medians and the median of the
rounds' ratios with the least and the greatest. Needs Valkey's binaries (valkey-benchmark too) and two cores.
"""
import argparse
import statistics
import subprocess

import peers


def load(server, test, clients, seconds):
    words = [server.benchmark, "-p", str(server.port), "-c", str(clients), "-d", "64", "-r", "100000", "-t", test,
             "--duration", str(seconds), "--csv"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def measure(server, clients, seconds):
    alone = peers.rps(load(server, "set", clients, seconds).communicate()[0])
    writers = load(server, "set", clients, seconds + 2)
    readers = load(server, "get", 8, seconds)
    beside = peers.rps(readers.communicate()[0])
    writers.communicate()
    return {"set": alone, "get-beside": beside}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdfast")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=64)
    a = parser.parse_args()
    valkey = peers.beside()
    with peers.scratch() as root:
        try:
            servers = []
            for name, words, more in [
                ("holdfast", [a.holdfast, "server"], ["allow-plaintext local", "tls-port 0"]),
                ("valkey", [valkey / "valkey-server"], []),
            ]:
                port = peers.free_port()
                lines = ['save ""', "appendonly yes", "appendfsync always", "bind 127.0.0.1", *more, f"port {port}"]
                p = peers.Process(root, name, words, lines, port)
                p.benchmark = str(valkey / "valkey-benchmark")
                servers.append(p)
            rounds = [[measure(s, a.clients, a.seconds) for s in servers] for _ in range(a.rounds)]
            for case in rounds[0][0]:
                ours, theirs = (statistics.median(r[i][case] for r in rounds) for i in (0, 1))
                ratios = sorted(r[0][case] / r[1][case] for r in rounds)
                print(f"{case:11} {ours:9.0f} {theirs:9.0f} per second: "
                      f"{statistics.median(ratios):.2f}x [{ratios[0]:.2f}..{ratios[-1]:.2f}]", flush=True)
        finally:
            peers.end_all()


main()
