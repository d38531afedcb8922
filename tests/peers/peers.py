"""What the scripts of this folder share: a RESP2 client, servers that are started and ended, certificates of one authority.

Nothing beside the standard library is needed; the servers to play with are Valkey's own binaries, found as `find` says.
"""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "peers"


def find(version):
    """The folder of Valkey's binaries: PEERS/valkey-VERSION/bin, where PEERS is $HOLDFAST_PEERS or where get-peers keeps them."""
    places = [Path(p) for p in [os.environ.get("HOLDFAST_PEERS")] if p] + [Path.home() / ".cache/holdfast-peers"]
    for place in places:
        found = place / f"valkey-{version}" / "bin"
        if (found / "valkey-server").exists():
            return found
    return None


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


def beside():
    """The folder of Valkey 9.1's binaries, for what is measured beside it with each server on a core of its own; skips where that cannot be."""
    valkey = find("9.1")
    if not valkey:
        skip("no Valkey 9.1")
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        skip("two cores and taskset are needed")
    return valkey


def rps(out):
    """Requests per second, of what valkey-benchmark --csv has said."""
    rows = [r.strip('"').split('","') for r in out.splitlines() if r.startswith('"')]
    return float(dict(zip(rows[0], rows[-1]))["rps"])


class Failed(Exception):
    """An error reply."""


class Client:
    """`login` is a password, or a user and a password."""

    def __init__(self, port, tls=None, timeout=10.0, login=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        if login:
            self("AUTH", *login)

    def close(self):
        self.file.close()
        self.socket.close()

    @staticmethod
    def encode(args):
        args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Failed(rest.decode())
        if kind == b":":
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b"$":
            data = self.file.read(n + 2)
            if len(data) < n + 2:
                raise ConnectionError("closed")
            return data[:-2]
        return [self.read() for _ in range(n)]

    def many(self, commands):
        """Sends all, then reads all; errors are values."""
        self.socket.sendall(b"".join(self.encode(c) for c in commands))
        return [self.read() for _ in commands]

    def __call__(self, *args):
        reply = self.many([args])[0]
        if isinstance(reply, Failed):
            raise reply
        return reply

    def info(self, section):
        return dict(l.split(":", 1) for l in self("INFO", section).decode().splitlines() if ":" in l)


def wait_for(what, holds, seconds=60.0, every=0.05):
    end = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except (OSError, Failed):
            pass
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A server in a folder of its own, with a file of directives. `words` starts it; the file is its last word."""

    all = []

    def __init__(self, root, name, words, directives, port, tls=None, login=()):
        # It runs in its folder: paths are those of whoever starts it.
        words = [Path(w).absolute() if os.sep in str(w) else w for w in words]
        self.dir, self.words, self.port, self.tls, self.login = Path(root) / name, words, port, tls, login
        self.dir.mkdir(exist_ok=True)
        self.conf, self.log = self.dir / "server.conf", self.dir / "server.log"
        self.conf.write_text("".join(f"{d}\n" for d in [*directives, f"dir {self.dir}"]))
        self.process = None
        Process.all.append(self)
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*map(str, self.words), str(self.conf)], stdout=log, stderr=log, cwd=self.dir)
        try:
            wait_for(f"{self.dir.name} answers", self.answers)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}") from None

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.dir.name} has ended")
        return self.client()("PING")

    def client(self, timeout=10.0):
        return Client(self.port, self.tls, timeout, self.login)

    def tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        self.process.kill()
        self.process.wait()


def end_all():
    begun = [p.process for p in Process.all if p.process]
    for p in begun:
        p.kill()
    for p in begun:
        p.wait()
    Process.all.clear()


def certificates(root):
    """An authority and one certificate for this machine, as paths; and the context of a client that verifies it."""
    d = Path(root) / "tls"
    d.mkdir()
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=d)
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(*new, "-x509", "-days", 2, "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (d / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
                           "keyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2,
        "-extfile", "ext", "-out", "server.crt")
    context = ssl.create_default_context(cafile=d / "ca.crt")
    context.load_cert_chain(d / "server.crt", d / "server.key")
    return d, context


def scratch():
    return tempfile.TemporaryDirectory(prefix="holdfast-peers-")
