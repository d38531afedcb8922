#!/usr/bin/env python3
"""Compares what two running servers say of themselves: the table of commands and the directives.

  surface.py OURS THEIRS      each a binary that is started for it, or the port of a server that runs; THEIRS is a Valkey 9.1

For every command and subcommand: arity, flags, key positions, ACL categories, tips, key specifications, subcommands (COMMAND INFO), and
group, since, history (versions), syntax and whether there is a complexity (COMMAND DOCS; summaries are our own words and not compared).
For every directive: that CONFIG GET knows it, with its default. Every difference is printed, but for those that surface.expected names with a
reason: one a line, `what <tab> reason`, where `what` is the printed difference or a glob over it. Exit status 1 if there is any other, or if
an expected one is not there any more.
"""
import fnmatch
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Error(Exception):
    pass


class Client:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.file = socket.create_connection((host or "127.0.0.1", int(port)), timeout=30).makefile("rwb")

    def call(self, *words):
        data = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (w.encode() for w in words))
        self.file.write(data)
        self.file.flush()
        return self.read()

    def read(self):
        line = self.file.readline().decode().rstrip("\r\n")
        kind, rest = line[0], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            raise Error(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2].decode(errors="replace")
        if kind == "*":
            n = int(rest)
            return None if n < 0 else [self.read() for _ in range(n)]
        raise Error("unexpected: " + line)


def started(binary, folder):
    """Starts a server in a folder of its own; returns it and its port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    words = ["--port", str(port), "--dir", folder]
    if "holdfast" in os.path.basename(binary):
        words = ["server", *words, "--tls-port", "0", "--allow-plaintext", "local"]
    server = subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server, str(port)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{binary} does not answer")


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def infos(client):
    """COMMAND, by full name."""
    found = {}

    def add(row):
        found[row[0]] = row
        for sub in row[9]:
            add(sub)

    for row in client.call("COMMAND"):
        add(row)
    return found


def docs(client):
    found = {}

    def add(name, doc):
        doc = pairs(doc)
        subs = pairs(doc.pop("subcommands", []))
        found[name] = doc
        for sub, d in subs.items():
            add(sub, d)

    for name, doc in pairs(client.call("COMMAND", "DOCS")).items():
        add(name, doc)
    return found


def spec_text(spec):
    """A key specification, flags in order, notes left out (they are prose)."""
    s = pairs(spec)
    begin, find = pairs(s["begin_search"]), pairs(s["find_keys"])
    return f"{' '.join(sorted(s['flags']))} | {begin['type']} {begin['spec']} | {find['type']} {find['spec']}"


def argument_text(arg):
    a = pairs(arg)
    parts = [a["name"], a["type"]]
    for key in ("key_spec_index", "token", "display_text", "since", "deprecated_since"):
        # A display text that only says the name again says nothing.
        if key in a and not (key == "display_text" and a[key] == a["name"]):
            parts.append(f"{key}={a[key]}")
    parts += sorted(a.get("flags", []))
    if "arguments" in a:
        parts.append("(" + ", ".join(argument_text(s) for s in a["arguments"]) + ")")
    return " ".join(str(p) for p in parts)


def info_facets(row):
    return {
        "arity": row[1],
        "flags": " ".join(sorted(row[2])),
        "keys": tuple(row[3:6]),
        "acl": " ".join(sorted(row[6])),
        "tips": " ".join(sorted(row[7])),
        "key specs": " ; ".join(spec_text(s) for s in row[8]),
        "subcommands": " ".join(sorted(s[0] for s in row[9])),
    }


def doc_facets(doc):
    return {
        "group": doc.get("group"),
        "since": doc.get("since"),
        "complexity": "complexity" in doc,
        "doc_flags": " ".join(sorted(doc.get("doc_flags", []))),
        "deprecated_since": doc.get("deprecated_since"),
        "history": " ".join(sorted(h[0] for h in doc.get("history", []))),
        "arguments": ", ".join(argument_text(a) for a in doc.get("arguments", [])),
    }


def compare(kind, ours, theirs, facets):
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            yield f"{kind} {name}: not here"
        elif name not in theirs:
            yield f"{kind} {name}: only here"
        else:
            a, b = facets(ours[name]), facets(theirs[name])
            for facet in b:
                if a[facet] != b[facet]:
                    yield f"{kind} {name}: {facet}: ours {a[facet]!r}, theirs {b[facet]!r}"


def directives(client):
    found = pairs(client.call("CONFIG", "GET", "*"))
    # What this script itself says when it starts the two.
    return {name: value for name, value in found.items() if name not in ("dir", "port")}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    servers, ports = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i, given in enumerate(sys.argv[1:]):
            if os.path.exists(given):
                own = os.path.join(folder, str(i))
                os.mkdir(own)
                server, given = started(os.path.abspath(given), own)
                servers.append(server)
            ports.append(given)
        try:
            ours, theirs = Client(ports[0]), Client(ports[1])
            compare_all(ours, theirs)
        finally:
            for server in servers:
                server.kill()
                server.wait()


def compare_all(ours, theirs):
    found = list(compare("command", infos(ours), infos(theirs), info_facets))
    found += compare("docs", docs(ours), docs(theirs), doc_facets)
    found += compare("directive", directives(ours), directives(theirs), lambda value: {"value": value})
    expected = {}
    for line in (Path(__file__).parent / "surface.expected").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            what, _, reason = line.partition("\t")
            if not reason.strip():
                sys.exit(f"surface.expected: no reason for: {what}")
            expected[what] = False
    bad = 0
    for line in found:
        matched = [what for what in expected if line == what or fnmatch.fnmatchcase(line, what)]
        for what in matched:
            expected[what] = True
        if not matched:
            bad += 1
            print(line)
    for what, seen in expected.items():
        if not seen:
            bad += 1
            print(f"expected, but not so any more: {what}")
    print(f"{len(found)} differences, {len(found) - sum(1 for s in expected.values() if s)} beyond the number of reasons, {bad} without a reason")
    sys.exit(bad > 0)


main()
